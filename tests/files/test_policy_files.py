"""Policies as files: what is written is read back as the same policy, and what cannot be read is refused with its place."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy.files import data as policy_files

Choice = cp.Choice
SUFFIXES = (".toml", ".json")


def through(policy, path):
    """Save and load a policy."""
    policy.save(path)
    return cp.load_policy(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", cp.policies())
def test_every_policy_survives_a_file(tmp_path, name, suffix):
    """Each built-in policy is read back equal, says the same, and its file carries the schema version and its source."""
    policy = cp.policy(name)
    path = tmp_path / f"p{suffix}"
    loaded = through(policy, path)
    assert (loaded, str(loaded), repr(loaded.padding_names)) == (policy, str(policy), repr(policy.padding_names))
    assert cp.Policy.from_dict(policy.to_dict()) == policy
    text = path.read_text(encoding="utf-8")
    assert policy.source in text
    assert text.startswith("schema = 1\n" if suffix == ".toml" else '{\n  "schema": 1,\n')
    assert list(tmp_path.iterdir()) == [path]


finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.floats() | st.integers(-(10**300), 10**300)
arrays = st.integers(1, 3).flatmap(
    lambda axes: st.lists(finite, min_size=1, max_size=6).map(
        lambda numbers: np.array(numbers).reshape((1,) * (axes - 1) + (-1,))
    )
)
overflows = st.sampled_from(["error", "periodic", "zero-extend"])
paddings = st.one_of(
    st.sampled_from(["valid", "same", "half", "torch-left", Choice("full")]),
    st.integers(0, 2**40),
    st.tuples(st.integers(0, 99), st.integers(0, 99)),
    st.builds(lambda side: Choice("same_static", odd_side=side), st.sampled_from(["left", "right"])),
)
modes = st.one_of(
    st.sampled_from(["zeros", "replicate"]),
    st.builds(lambda value: Choice("constant", value=value), anything),
    st.builds(lambda name, rule: Choice(name, overflow=rule), st.sampled_from(["reflect", "symmetric", "circular"]), overflows),
)
initializers = st.one_of(
    st.sampled_from(["orthogonal", "he_uniform"]),
    finite,
    arrays,
    st.builds(lambda mean, std: Choice("normal", mean=mean, std=abs(std)), finite, finite),
    st.builds(lambda fan, gain: Choice("variance_scaling", fan=fan, gain=gain), st.sampled_from(["fan_out", "fan_avg"]), finite),
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
evolved = st.fixed_dictionaries(
    {},
    optional={
        "name": texts, "padding": paddings, "padding_mode": modes, "bias": st.booleans(), "weight_init": initializers,
        "bias_init": initializers, "layout": st.sampled_from(["OIW", "OI1W", "OWI", "WIO"]),
        "data_layout": st.sampled_from(["NCW", "NWC"]), "framework": texts, "versions": texts, "source": texts,
        "description": texts,
    },
)  # fmt: skip


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=evolved, start=st.sampled_from(["torch", "flax"]))
def test_evolved_policies_survive_a_file(tmp_path, changes, start):
    """Whatever evolve takes, arrays to the last bit, NaN, infinity, long texts, is read back as the same policy."""
    policy = cp.policy(start).evolve(**changes)
    for suffix in SUFFIXES:
        loaded = through(policy, tmp_path / f"p{suffix}")
        assert loaded == policy
        assert (hash(loaded), str(loaded)) == (hash(policy), str(policy))
    assert cp.Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, 5e-324, 1.7976931348623157e308])
def test_a_constant_survives_a_file(tmp_path, value, suffix):
    """The constant of the mode reaches the plan with every bit, NaN and infinity included."""
    policy = cp.policy("torch").evolve(padding=1, padding_mode=Choice("constant", value=value))
    got = through(policy, tmp_path / f"p{suffix}").plan(3, length=5).value
    assert np.float64(got).tobytes() == np.float64(value).tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hidden_rule_survives_a_file(tmp_path, suffix):
    """A rule whose name the policy uses as a word for another one is written so that it is still that rule."""
    policy = cp.policy("torch").evolve(padding_names=(("full", "causal"),)).evolve(padding=Choice("full"))
    loaded = through(policy, tmp_path / f"p{suffix}")
    assert loaded == policy
    assert loaded.plan(3, length=9).left == loaded.plan(3, length=9).right == 2


HAND_WRITTEN = """\
schema = 1
name = "mine"
padding = "same"                        # a word of padding_names below
padding_mode = { name = "reflect", overflow = "periodic" }
bias = false
weight_init = { name = "normal", std = 0.02 }
bias_init = 0

[padding_names]
same = "same_static"
"""


def test_a_file_written_by_hand(tmp_path):
    """A file may leave out what it does not care about and use names, tables, numbers, pairs and its own words."""
    (tmp_path / "mine.toml").write_text(HAND_WRITTEN)
    (tmp_path / "pair.json").write_text(
        '{"name": "p", "padding": [1, 2], "weight_init": {"name": "array", "values": [[[1, 2.5]]]}, "schema": 1}'
    )
    loaded = cp.load_policy(str(tmp_path / "mine.toml"))
    assert loaded == cp.Policy(
        "mine", padding="same_static", padding_mode=Choice("reflect", overflow="periodic"), bias=False,
        weight_init=Choice("normal", std=0.02), bias_init=Choice("constant", value=0), padding_names=(("same", "same_static"),),
    )  # fmt: skip
    pair = cp.load_policy(tmp_path / "pair.json")
    assert pair == cp.Policy("p", padding=Choice("explicit", left=1, right=2), weight_init=Choice("array", values=[[[1, 2.5]]]))


def test_a_layer_follows_a_file(tmp_path):
    """A layer built from a loaded policy pads, draws and computes what one built from the policy itself does."""
    policy = cp.policy("torch").evolve(padding=(2, 1), padding_mode="circular", weight_init="he_normal", bias=False)
    policy.save(tmp_path / "p.toml")
    data = np.random.default_rng(0).standard_normal((2, 3, 9), dtype=np.float32)
    first, second = (cp.Conv1d(3, 4, 4, policy=p, seed=1) for p in (policy, cp.load_policy(tmp_path / "p.toml")))
    assert second.bias is None
    assert second(data).tobytes() == first(data).tobytes()
    assert second(data).shape == (2, 4, 9)
    plain = cp.Conv1d(3, 4, 4, seed=1)
    assert plain(data).shape == (2, 4, 6)


def test_an_array_stays_readable(tmp_path):
    """Arrays and pairs are plain lists of numbers in a file."""
    policy = cp.Policy("p", weight_init=Choice("array", values=[[[0.5, -1]]]), padding=Choice("explicit", left=1, right=0))
    data = json.loads(json.dumps(policy.to_dict()))
    assert data == {
        "schema": 1, "name": "p", "padding": {"name": "explicit", "left": 1, "right": 0}, "padding_mode": "zeros", "bias": True,
        "weight_init": {"name": "array", "values": [[[0.5, -1.0]]]}, "bias_init": "uniform", "layout": "OIW",
        "data_layout": "NCW", "random_stream": "numpy",
    }  # fmt: skip


GOOD = {"schema": 1, "name": "p"}
BAD_DATA = [
    ({"name": "p"}, ValueError, "policy key 'schema' must be 1, got None"),
    (GOOD | {"schema": 2}, ValueError, "policy key 'schema' must be 1, got 2"),
    (GOOD | {"schema": "1"}, ValueError, "policy key 'schema' must be 1, got '1'"),
    (GOOD | {"schema": True}, ValueError, "policy key 'schema' must be 1, got True"),
    ({"schema": 1}, ValueError, "a policy must have the key 'name'"),
    (GOOD | {"paddding": "valid"}, ValueError, "no key 'paddding'; it has: schema, name, padding, padding_mode"),
    (GOOD | {"paddding": "valid"}, ValueError, "Did you mean 'padding'?"),
    (GOOD | {"wieght_init": "normal"}, ValueError, "Did you mean 'weight_init'?"),
    (GOOD | {"provider": "me"}, ValueError, "no key 'provider'"),
    (GOOD | {"padding": "cousal"}, LookupError, "unknown padding rule 'cousal'"),
    (GOOD | {"padding": "cousal"}, LookupError, "Did you mean 'causal'?"),
    (GOOD | {"padding": {"left": 2}}, TypeError, "padding must be a name, a Choice or a mapping with 'name', got {'left': 2}"),
    (GOOD | {"padding": {"name": "explicit", "lefft": 2}}, ValueError, "no parameter 'lefft'; it has: left, right. Did you mean 'left'?"),
    (GOOD | {"padding": -1}, ValueError, "padding must be at least 0, got -1"),
    (GOOD | {"padding": [1, -2]}, ValueError, "padding right must be at least 0, got -2"),
    (GOOD | {"padding": [1, 2, 3]}, ValueError, "padding must be one number for one spatial axis, got [1, 2, 3]"),
    (GOOD | {"padding_mode": "wrap"}, LookupError, "unknown padding mode 'wrap'"),
    (GOOD | {"weight_init": {"name": "normal", "std": -1}}, ValueError, "normal: std must be at least 0, got -1"),
    (GOOD | {"weight_init": {"name": "array", "values": [[1], [2, 3]]}}, TypeError, "rows of different lengths"),
    (GOOD | {"layout": "NCW"}, ValueError, "layout must name a layout of weights, got 'NCW'"),
    (GOOD | {"data_layout": "OIW"}, ValueError, "data_layout must name a layout of data, got 'OIW'"),
    (GOOD | {"bias": 1}, TypeError, "policy key 'bias' is not valid: got 1 of type int, wanted bool"),
    (GOOD | {"bias": "yes"}, TypeError, "policy key 'bias' is not valid: got 'yes'"),
    (GOOD | {"name": 3}, TypeError, "policy key 'name' is not valid: got 3 of type int, wanted str"),
    (GOOD | {"source": ["a"]}, TypeError, "policy key 'source' is not valid: got ['a']"),
    (GOOD | {"padding_names": "same"}, TypeError, "policy key 'padding_names' must be a table, got 'same'"),
    (GOOD | {"padding_names": {"same": 3}}, TypeError, "policy key 'padding_names' is not valid: got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "builtin", "says"), BAD_DATA, ids=[says[:40] for _, _, says in BAD_DATA])
def test_bad_content_is_refused(tmp_path, data, builtin, says):
    """Wrong schema, unknown keys and bad values are refused in a mapping, and in both kinds of file with the file's name."""
    with pytest.raises(cp.ConvPolicyError) as raised:
        cp.Policy.from_dict(data)
    assert isinstance(raised.value, builtin)
    assert says in str(raised.value)
    for suffix in SUFFIXES:
        path = tmp_path / f"p{suffix}"
        path.write_text(policy_files.FORMATS[suffix][0](data))
        with pytest.raises(cp.ConvPolicyError) as raised:
            cp.load_policy(path)
        assert isinstance(raised.value, builtin)
        assert str(raised.value).startswith(f"{path}: ")
        assert says in str(raised.value)


BROKEN = [
    ("p.toml", b"schema = 1\nname = \n", "broken toml syntax: ", "line 2"),
    ("p.toml", b'schema = 1\nname = "a"\nname = "b"\n', "broken toml syntax: ", "name"),
    ("p.toml", b'name = "\xff"\n', "broken toml syntax: ", "utf-8"),
    ("p.json", b'{"schema": 1,\n "name" "a"}', "broken json syntax: ", "line 2"),
    ("p.json", b"", "broken json syntax: ", "line 1"),
    ("p.json", b'{"schema": 1, "name": "a", "name": "b"}', "broken json syntax: ", "key 'name' stands twice"),
    ("p.json", b"[" * 100_000, "broken json syntax: ", "recursion"),
    ("p.toml", b'schema = 1\nname = "a"\npadding = {name = "a", name = "b"}\n', "broken toml syntax: ", '"name" already exists'),
    ("p.toml", b'schema = 1\nname = "a"\n[paper.numbers]\na = 1\na = 2\n', "broken toml syntax: ", '"a" already exists'),
    ("p.toml", b'schema = 1\nname = "a"\npadding = 0x' + b"f" * 5000, "broken toml syntax: ", "4300 digits"),
    ("p.toml", b'schema = 1\nname = "a"\npadding = ' + b"9" * 5000, "broken toml syntax: ", "line 3"),
    ("p.json", b'{"schema": 1, "name": "a", "padding": ' + b"9" * 5000 + b"}", "broken json syntax: ", "4300"),
    ("p.json", rb'{"schema": 1, "name": "\ud800"}', "broken json syntax: ", r"'\ud800', which is half a character"),
    ("p.json", b"[1]", "a policy must be a mapping, got list", ""),
    ("p.json", b"null", "a policy must be a mapping, got NoneType", ""),
]


@pytest.mark.parametrize(("name", "content", "says", "where"), BROKEN)
def test_broken_syntax_is_refused(tmp_path, name, content, says, where):
    """A file that is no TOML, no JSON or no UTF-8 is refused, naming the file and where it breaks."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(cp.ConvPolicyError) as raised:
        cp.load_policy(tmp_path / name)
    assert isinstance(raised.value, (ValueError, TypeError))
    assert str(raised.value).startswith(f"{tmp_path / name}: {says}")
    assert where in str(raised.value)


@pytest.mark.parametrize("name", ["p.yaml", "p", "p.toml.txt", ".toml", "p.TOML"])
def test_another_suffix_is_refused(tmp_path, name):
    """Only .toml and .json are read and written; nothing is created for another."""
    for call in (lambda: cp.policy("torch").save(tmp_path / name), lambda: cp.load_policy(tmp_path / name)):
        with pytest.raises(cp.ConvPolicyError, match=r"must end in \.toml or \.json, got ") as raised:
            call()
        assert isinstance(raised.value, ValueError)
        assert repr(name) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_the_systems_error(tmp_path, suffix):
    """A file that is not there, and a folder that is not there, are a FileNotFoundError that names the path."""
    with pytest.raises(FileNotFoundError) as raised:
        cp.load_policy(tmp_path / f"none{suffix}")
    assert raised.value.filename == str(tmp_path / f"none{suffix}")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        cp.policy("torch").save(tmp_path / "nowhere" / f"p{suffix}")


@pytest.mark.parametrize(("path", "builtin", "says"), [
    (5, TypeError, "path must be a path, got 5 of type int"), (None, TypeError, "got None"),
    ("a\0.toml", ValueError, r"path must not contain the character of number 0, got 'a\x00.toml'"),
    ("\ud800.toml", ValueError, "path must be a name that the system has"),
])  # fmt: skip
def test_no_path_is_refused(path, builtin, says):
    """By loading and by saving."""
    for call in (cp.load_policy, cp.policy("torch").save):
        with pytest.raises(cp.ConvPolicyError) as raised:
            call(path)
        assert isinstance(raised.value, builtin)
        assert says in str(raised.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_no_policy_file(tmp_path, suffix):
    """It is refused without waiting for somebody to write into it; a folder is the system's error."""
    os.mkfifo(tmp_path / f"p{suffix}")
    with pytest.raises(cp.InvalidValueError, match="must be an ordinary file, got a pipe or a device"):
        cp.load_policy(tmp_path / f"p{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(OSError, match="folder"):
        cp.load_policy(tmp_path / f"folder{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_no_file_can_hold_is_not_saved(tmp_path, suffix):
    """Half a character in any text: refused with its place, and no file is there."""
    for policy in (cp.Policy("\ud800"), cp.Policy("p", padding="\udfff"), cp.Policy("p", mode_names={"\ud800": "zeros"})):
        with pytest.raises(cp.InvalidValueError, match=f"p{suffix} cannot hold this: text with .*half a character"):
            policy.save(tmp_path / f"p{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("field", ["mode_names", "init_names"])
def test_words_and_tables_mixed_survive_a_file(tmp_path, field, suffix):
    """TOML writes words before tables; the policy is the same."""
    part = {"mode_names": {"name": "circular", "overflow": "periodic"}, "init_names": {"name": "normal", "std": 0.5}}[field]
    policy = cp.policy("torch").evolve(**{field: {"A": part, "B": "zeros", "C": part, "0": "zeros"}})
    loaded = through(policy, tmp_path / f"p{suffix}")
    assert (loaded, hash(loaded)) == (policy, hash(policy))


def interrupt_writing(monkeypatch):
    """Make every file stop in the middle of its first write."""
    really_open = Path.open

    def opened(self, *arguments, **keywords):
        file = really_open(self, *arguments, **keywords)
        write = file.write

        def stop(text):
            write(text[:9])
            raise KeyboardInterrupt

        file.write = stop
        return file

    monkeypatch.setattr(Path, "open", opened)


def refuse_renaming(monkeypatch):
    """Make every rename fail."""

    def refused(self, target):
        raise PermissionError("refused")

    monkeypatch.setattr(Path, "replace", refused)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("accident", "error"), [(interrupt_writing, KeyboardInterrupt), (refuse_renaming, PermissionError)])
def test_a_failed_save_changes_nothing(tmp_path, monkeypatch, accident, error, suffix):
    """When writing or renaming fails, the old file is as it was, nothing lies beside it, and the next save succeeds."""
    path = tmp_path / f"p{suffix}"
    cp.policy("torch").save(path)
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        accident(patched)
        with pytest.raises(error):
            cp.policy("flax").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert through(cp.policy("flax"), path) == cp.policy("flax")
