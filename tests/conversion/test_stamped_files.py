"""A stamp comes first: whatever else tells which tensors are weights, it is never contradicted and never forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.checkpoints import digest, random_tensor, written
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.conversion import selecting

# in both layouts (out, kernel or in, …) of the same shape, so that no size tells them apart
TENSORS = {
    "one.conv.weight": random_tensor(0, (8, 3, 3)),
    "two.conv.weight": random_tensor(1, (8, 3, 3)),
    "x": random_tensor(2, (2, 2)),
}
LAYERS = {name: cp.Conv1d(3, 8, 3) for name in ("one.conv", "two.conv")}
WAYS = {
    "a guess": {"guess": True}, "layers": {"layers": LAYERS}, "a map": {"mapping": {"*.conv.weight": "torch"}}, "nothing": {},
    "a name": {"mapping": {"x": {"name": "y"}}},
}  # fmt: skip


@pytest.fixture
def moved(tmp_path):
    """A file of torch's, moved to OWI with its stamp."""
    written(tmp_path / "a.safetensors", TENSORS)
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="torch", target="OWI", guess=True)
    return tmp_path / "b.safetensors"


@pytest.mark.parametrize("way", WAYS)
def test_a_source_that_the_stamp_contradicts(way, moved):
    """Refused, whatever is passed beside it, as the same axes would be moved twice."""
    with pytest.raises(
        cp.InvalidValueError, match=r"source must be 'OWI', as the metadata of .* records, got 'torch'; pass source='OWI'"
    ):
        cp.convert(moved, moved.with_name("c.safetensors"), source="torch", target="OWI", **WAYS[way])
    assert not moved.with_name("c.safetensors").exists()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "a map"])
def test_the_way_back(way, moved, tmp_path):
    """What the stamp knows is moved back, whatever is passed beside it, and a map that renames is followed."""
    cp.convert(moved, tmp_path / "c.safetensors", source="OWI", target="torch", **WAYS[way])
    found = load_file(tmp_path / "c.safetensors")
    assert all(np.array_equal(found[name], TENSORS[name]) for name in TENSORS if name.endswith("weight"))
    assert np.array_equal(found["y" if way == "a name" else "x"], TENSORS["x"])
    assert (digest(tmp_path / "c.safetensors") == digest(tmp_path / "a.safetensors")) == (way != "a name")


def test_a_map_that_the_stamp_contradicts(moved):
    """Named with the tensor and both layouts."""
    with pytest.raises(cp.InvalidValueError, match=r"mapping has the layout 'OIW' for 'one.conv.weight', and .* records 'OWI'"):
        cp.convert(moved, moved.with_name("c.safetensors"), source="OWI", target="torch", mapping={"one.*": "torch"})


def test_a_weight_that_was_left_out(tmp_path):
    """Of a file that was moved in part, the rest is in the original layout: a guess leaves it and says so, layers move it from there."""
    written(tmp_path / "a.safetensors", TENSORS)
    words = {"source": "torch", "target": "OWI", "layers": {"one.conv": LAYERS["one.conv"]}}
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", **words)
    done = cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="OWI", target="OI1W", guess=True)
    found = load_file(tmp_path / "c.safetensors")
    assert np.array_equal(found["one.conv.weight"], TENSORS["one.conv.weight"][:, :, None])
    assert np.array_equal(found["two.conv.weight"], TENSORS["two.conv.weight"])
    assert any(
        "'two.conv.weight' is copied unchanged: " in note and "its original layout, that of torch" in note for note in done.notes
    )
    cp.convert(tmp_path / "b.safetensors", tmp_path / "d.safetensors", source="OWI", target="OI1W", layers=LAYERS)
    found = load_file(tmp_path / "d.safetensors")
    assert all(np.array_equal(found[name], TENSORS[name][:, :, None]) for name in TENSORS if name.endswith("weight"))
    cp.convert(tmp_path / "d.safetensors", tmp_path / "e.safetensors", source="OI1W", target="torch")
    assert digest(tmp_path / "e.safetensors") == digest(tmp_path / "a.safetensors")


def test_layers_of_a_depthwise_weight(tmp_path):
    """A weight that was depthwise in the original goes back to that layout, with layers beside the stamp too."""
    layer = cp.Conv1d(4, 8, 3, groups=4, seed=0)
    (packed,) = cp.layouts()["WIM"].pack({"weight": layer.weight, "bias": None}, 4).values()
    written(tmp_path / "a.safetensors", {"conv.kernel": np.ascontiguousarray(packed)})
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="WIM", target="torch", layers={"conv": layer})
    assert np.array_equal(load_file(tmp_path / "b.safetensors")["conv.weight"], layer.weight)
    for number, words in enumerate(({}, {"layers": {"conv": layer}})):
        cp.convert(tmp_path / "b.safetensors", tmp_path / f"{number}.safetensors", source="torch", target="WIM", **words)
        assert digest(tmp_path / f"{number}.safetensors") == digest(tmp_path / "a.safetensors")


def test_a_stamp_that_is_forgotten_is_noticed(moved, tmp_path, monkeypatch):
    """The comparison of values fails where a guess does not look at the stamp, as it once was."""
    monkeypatch.setattr(selecting, "_by_stamp", lambda *_words, complete: {})
    monkeypatch.setattr(selecting, "_reason_unmoved", lambda *_arguments: "")
    cp.convert(moved, tmp_path / "c.safetensors", source="torch", target="OWI", guess=True)
    assert not np.array_equal(load_file(tmp_path / "c.safetensors")["one.conv.weight"], load_file(moved)["one.conv.weight"])
