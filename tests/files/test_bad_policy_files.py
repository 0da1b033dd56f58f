"""Policy files that cannot be read, and policies that no file can hold: one sentence that names the file and the place."""

from __future__ import annotations

import os

import pytest

import convpolicy as cp
from convpolicy.files import data as policy_files

SUFFIXES = (".toml", ".json")
GOOD = {"schema": 1, "name": "p"}
BAD_DATA = [
    ({"name": "p"}, ValueError, "policy key 'schema' must be 1, got None"),
    (GOOD | {"schema": 2}, ValueError, "policy key 'schema' must be 1, got 2"),
    (GOOD | {"schema": "1"}, ValueError, "policy key 'schema' must be 1, got '1'"),
    (GOOD | {"schema": True}, ValueError, "policy key 'schema' must be 1, got True"),
    ({"schema": 1}, ValueError, "a policy must have the key 'name'"),
    (GOOD | {"paddding": "valid"}, ValueError, "no key 'paddding'. Did you mean 'padding'? It has: schema, name, padding, padding_mode"),
    (GOOD | {"paddding": "valid"}, ValueError, "Did you mean 'padding'?"),
    (GOOD | {"wieght_init": "normal"}, ValueError, "Did you mean 'weight_init'?"),
    (GOOD | {"provider": "me"}, ValueError, "no key 'provider'"),
    (GOOD | {"padding": "cousal"}, LookupError, "unknown padding rule 'cousal'"),
    (GOOD | {"padding": "cousal"}, LookupError, "Did you mean 'causal'?"),
    (GOOD | {"padding": {"left": 2}}, TypeError, "padding must be a name, a Choice or a mapping with 'name', got {'left': 2}"),
    (GOOD | {"padding": {"name": "explicit", "lefft": 2}}, ValueError, "no parameter 'lefft'. Did you mean 'left'? It has: left, right."),
    (GOOD | {"padding": -1}, ValueError, "padding must be at least 0, got -1"),
    (GOOD | {"padding": [1, -(2**70)]}, ValueError, "padding right must be at least -9223372036854775807, got -1180591620717411303424"),
    (GOOD | {"padding": [1, 2, 3]}, ValueError, "padding must be one number for one spatial axis, got [1, 2, 3]"),
    (GOOD | {"padding_mode": "wrap"}, LookupError, "unknown padding mode 'wrap'"),
    (GOOD | {"weight_init": {"name": "normal", "std": -1}}, ValueError, "normal: std must be at least 0, got -1"),
    (GOOD | {"weight_init": {"name": "array", "values": [[1], [2, 3]]}}, TypeError, "rows of different lengths"),
    (GOOD | {"layout": "NCW"}, ValueError, "layout must name a layout of weights, got 'NCW'"),
    (GOOD | {"data_layout": "OIW"}, ValueError, "data_layout must name a layout of data, got 'OIW'"),
    (GOOD | {"bias": 1}, TypeError, "policy key 'bias' must be of type bool, got 1 of type int"),
    (GOOD | {"bias": "yes"}, TypeError, "policy key 'bias' must be of type bool, got 'yes'"),
    (GOOD | {"name": 3}, TypeError, "policy key 'name' must be of type str, got 3 of type int"),
    (GOOD | {"source": ["a"]}, TypeError, "policy key 'source' must be of type str, got ['a']"),
    (GOOD | {"padding_names": "same"}, TypeError, "policy key 'padding_names' must be a table, got 'same'"),
    (GOOD | {"padding_names": {"same": 3}}, TypeError, "policy key 'padding_names' must be of type str, got 3"),
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
    ("p.json", b'{"schema": 1, "name": "a", "name": "b"}', "broken json syntax: ", "key 'name' occurs twice"),
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
    ("a\0.toml", ValueError, r"path must not contain a null character, got 'a\x00.toml'"),
    ("\ud800.toml", ValueError, "path must be a name that the file system allows"),
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
        with pytest.raises(cp.InvalidValueError, match=f"p{suffix} cannot contain this: text with .*half a character"):
            policy.save(tmp_path / f"p{suffix}")
    assert list(tmp_path.iterdir()) == []
