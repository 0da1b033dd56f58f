"""The file of `autotune_cache`: written whole, read by the next process, shared with other machines, refused when it is broken."""

from __future__ import annotations

import json

import pytest

import convpolicy as cp
from convpolicy.tuning import results
from convpolicy.tuning.results import Choice, Results

FIRST, SECOND = Choice("linear", "linear"), Choice("packed", "windows")


def test_a_round_trip(tmp_path):
    """What one process found, the next one has; results found before the file was named are added."""
    file, one, two = tmp_path / "cache.json", Results(), Results()
    one.keep("here", "a", FIRST)
    one.use(file)
    one.keep("here", "b", SECOND)
    two.use(file)
    assert (two.get("here", "a"), two.get("here", "b"), two.get("there", "a")) == (FIRST, SECOND, None)
    assert json.loads(file.read_text())["results"] == {"here": {"a": ["linear", "linear"], "b": ["packed", "windows"]}}
    assert [path.name for path in tmp_path.iterdir()] == ["cache.json"]


def test_two_processes_add_to_one_file(tmp_path):
    """Neither loses what the other found, and its own results win over those of the file."""
    file, one, two = tmp_path / "cache.json", Results(), Results()
    one.use(file)
    two.use(file)
    one.keep("here", "a", FIRST)
    two.keep("there", "a", SECOND)
    one.keep("here", "c", SECOND)
    assert results.read(file) == {("here", "a"): FIRST, ("here", "c"): SECOND, ("there", "a"): SECOND}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        ("[]", "it has no format"),
        ('{"format": "something else"}', "it has no format"),
        (json.dumps({"format": results.FORMAT, "version": 99}), "it has version 99 instead of 1"),
        (json.dumps({"format": results.FORMAT, "version": 1}), "its results are incomplete"),
        (json.dumps({"format": results.FORMAT, "version": 1, "results": {"here": {"a": ["x"]}}}), "its results are incomplete"),
        (json.dumps({"format": results.FORMAT, "version": 1, "results": {"here": {"a": [1, 2]}}}), "its results are incomplete"),
        (json.dumps({"format": results.FORMAT, "version": 1, "results": []}), "its results are incomplete"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, says):
    """In one sentence, and the file stays as it is."""
    file = tmp_path / "cache.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    with pytest.raises(cp.InvalidValueError, match=says) as caught:
        cp.autotune_cache(file)
    assert str(caught.value).endswith("delete it, or pass another name.")
    assert file.read_bytes() == before


def test_a_file_that_breaks_later_stops_nothing(tmp_path, caplog):
    """The process keeps its results and says once that it does not write any more."""
    file, one = tmp_path / "cache.json", Results()
    one.use(file)
    file.write_text("broken")
    one.keep("here", "a", FIRST)
    one.keep("here", "b", FIRST)
    assert one.get("here", "a") == FIRST
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert file.read_text() == "broken"


def test_what_is_no_path_is_refused(tmp_path):
    """By its type; a folder that does not exist is the system's error; None stops the file."""
    with pytest.raises(cp.InvalidTypeError, match="path must be a path or None, got 3"):
        cp.autotune_cache(3)
    with pytest.raises(FileNotFoundError):
        cp.autotune_cache(tmp_path / "no" / "cache.json")
    cp.autotune_cache(tmp_path / "cache.json")
    cp.autotune_cache(None)
    assert results.RESULTS._path is None
