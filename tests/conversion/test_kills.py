"""A process that is killed while it converts: the source is intact, and the old or the new result is whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.checkpoints import random_tensor, same, written
from helpers.kills import converted_and_killed, killed_at
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.files import whole

SHARDS = 6
WORDS = {"source": "torch", "target": "keras", "guess": True}


def tensors(seed: int) -> dict[str, np.ndarray]:
    """The weights of some convolutions."""
    return {f"conv{n}.weight": random_tensor(seed + n, (16, 8, 5)) for n in range(2 * SHARDS)}


def sharded(folder: Path, seed: int) -> Path:
    """A model in shards under an index."""
    folder.mkdir(exist_ok=True)
    made, places = tensors(seed), {}
    for n in range(SHARDS):
        name = f"model-{n}.safetensors"
        part = {key: made[key] for key in (f"conv{2 * n}.weight", f"conv{2 * n + 1}.weight")}
        written(folder / name, part)
        places |= dict.fromkeys(part, name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    return index


def loaded(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a file, by its own library."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    if path.suffix != ".json":
        return load_file(path)
    places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    found = {name: load_file(path.parent / name) for name in set(places.values())}
    return {name: found[place][name] for name, place in places.items()}


def moved(seed: int) -> dict[str, np.ndarray]:
    """The same in Keras's layout."""
    return {name.replace("weight", "kernel"): value.transpose(2, 1, 0) for name, value in tensors(seed).items()}


@pytest.mark.parametrize("old", [False, True], ids=["new", "in place of another"])
def test_shards_killed_at_every_step(old, tmp_path):
    """Before each call that names or removes a file: the old model, the new one, or none; never an index without its shards."""
    source, outcomes, step = sharded(tmp_path / "a", 0), [], 0
    while not outcomes or outcomes[-1] != "complete":
        folder = tmp_path / f"b{step}"
        if old:
            cp.convert(sharded(tmp_path / "old", 100), sharded(folder, 100), **WORDS, force=True)
        folder.mkdir(exist_ok=True)
        output = folder / source.name
        killed = killed_at(step, lambda output=output: cp.convert(source, output, **WORDS, force=old))
        if output.exists():
            found = loaded(output)
            outcomes.append("new" if same(found, moved(0)) else "old")
            assert same(found, moved(0 if outcomes[-1] == "new" else 100))
        else:
            assert not old
            outcomes.append("none")
        if not killed:
            outcomes.append("complete")
            named = {*json.loads(output.read_text(encoding="utf-8"))["weight_map"].values()}
            assert {path.name for path in folder.iterdir()} == {output.name, *named}  # the old shards are gone
        assert same(loaded(source), tensors(0))
        step += 1
    first = "old" if old else "none"
    assert outcomes == [first] * outcomes.count(first) + ["new"] * outcomes.count("new") + ["complete"]
    assert min(outcomes.count(first), outcomes.count("new")) > 1


def test_an_index_that_is_named_first_is_noticed(tmp_path, monkeypatch):
    """The comparison above fails where the index gets its name before its shards, as it once did."""
    source = sharded(tmp_path / "a", 0)
    output = tmp_path / "b" / source.name
    output.parent.mkdir()
    init = whole.Staged.__init__

    def wrong(self, *, force):
        init(self, force=force)
        self._siblings = self._files  # all in one list, in the order of their making

    monkeypatch.setattr(whole.Staged, "__init__", wrong)
    assert killed_at(2, lambda: cp.convert(source, output, **WORDS))
    assert output.exists()
    with pytest.raises(FileNotFoundError):
        loaded(output)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".safetensors.index.json"])
@pytest.mark.parametrize("kills", [7, pytest.param(70, marks=pytest.mark.grid)])
def test_killed_at_random_moments(suffix, kills, tmp_path):
    """With and without an older result: the source is intact, and what has the output's name is whole."""
    source = sharded(tmp_path / "a", 0) if suffix.endswith("json") else written(tmp_path / "a.safetensors", tensors(0))
    older = sharded(tmp_path / "c", 100) if suffix.endswith("json") else written(tmp_path / "c.safetensors", tensors(100))
    expected = moved(0), moved(100)
    outcomes = converted_and_killed(kills, source, older, (tmp_path, f"x{suffix}"), loaded, expected, WORDS)
    assert kills < 70 or outcomes == {"old", "new"}
