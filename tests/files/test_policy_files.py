"""Policies as files: what is written is read back as the same policy, and what cannot be read is refused with its place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convpolicy as cp

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


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
