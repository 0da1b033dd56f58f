"""Patterns of names: what a regular expression would find, in a time that does not grow with the stars; names in a map beside a guess."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from helpers.checkpoints import random_tensor, written
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.conversion import maps
from convpolicy.conversion.maps import Pattern

SIGNS = {"*": "(.*)", "?": "(.)"}


def expected(pattern: str, name: str) -> list[str] | None:
    """What a regular expression finds."""
    match = re.compile("".join(SIGNS.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL).fullmatch(name)
    return None if match is None else list(match.groups())


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?*", max_size=7), st.text("ab", max_size=8))
def test_as_a_regular_expression(pattern, name):
    """Whether it fits, and what every star stands for."""
    assert Pattern(pattern).match(name) == expected(pattern, name)


def test_a_wrong_search_is_noticed(monkeypatch):
    """The comparison fails where parts are found as far to the left as they fit."""
    monkeypatch.setattr(maps, "_last", lambda fixed, name, end: name.find(fixed))
    assert Pattern("*a*").match("aa") != expected("*a*", "aa")


@pytest.mark.parametrize("pattern", ["*" * 9 + "x", "*a" * 300 + "x", "*?a" * 100 + "x"])
def test_many_stars_take_no_time(pattern):
    """What kept a regular expression busy for longer than a day is answered at once, on 2 000 characters too."""
    start = time.perf_counter()
    assert Pattern(pattern).match("a" * 2000) is None
    assert time.perf_counter() - start < 1


def test_names_and_a_guess(tmp_path):
    """What a map only renames stays in the guess, in layers and in nothing said, with its new name."""
    made = {
        "module.conv.weight": random_tensor(0, (6, 3, 5)),
        "module.conv.bias": random_tensor(1, (6,)),
        "module.x": random_tensor(2, (2,)),
    }
    source = written(tmp_path / "a.safetensors", made)
    for number, way in enumerate(({"guess": True}, {"layers": {"conv": cp.Conv1d(3, 6, 5)}})):
        path = tmp_path / f"b{number}.safetensors"
        cp.convert(source, path, source="torch", target="keras", mapping={"module.*": {"name": "*"}}, **way)
        found = load_file(path)
        assert sorted(found) == ["conv.bias", "conv.kernel", "x"]
        assert np.array_equal(found["conv.kernel"], made["module.conv.weight"].transpose(2, 1, 0))
        assert np.array_equal(found["conv.bias"], made["module.conv.bias"])
    cp.convert(source, tmp_path / "c.safetensors", source="torch", target="torch", mapping={"module.*": {"name": "*"}})
    assert sorted(load_file(tmp_path / "c.safetensors")) == ["conv.bias", "conv.weight", "x"]
    with pytest.raises(cp.InvalidTypeError, match="mapping must have patterns of names as its keys, got 3"):
        cp.convert(source, tmp_path / "d.safetensors", source="torch", target="torch", mapping={3: "torch"})
