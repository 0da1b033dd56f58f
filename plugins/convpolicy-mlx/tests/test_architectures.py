"""Checkpoints of architectures, most of transformers, for their twins in MLX: they load whole, and come back with the same bytes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from helpers.architectures import ARCHITECTURES, architecture
from helpers.outlines import outline
from helpers.twin_checks import check_there_and_back
from safetensors.torch import load_file, save_file
from twins import MlxBuilder

import convpolicy as cp


def load(twin, path):
    """Load a file as a user does; MLX raises an error for what is missing or unexpected."""
    twin.load_weights(path, strict=True)


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "mimi"])
def test_there_and_back(name, tmp_path, monkeypatch):
    """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
    monkeypatch.chdir(tmp_path)
    check_there_and_back(name, MlxBuilder(), load, target="mlx", middle="b.safetensors")


def test_a_layer_that_mlx_lacks(tmp_path, monkeypatch):
    """Mimi has a transposed convolution with groups. Its weight is loaded by name; on the way back the same name is an MLX weight
    with other axes, which the report names instead of guessing.
    """
    monkeypatch.chdir(tmp_path)
    model, builder = architecture("mimi"), MlxBuilder()
    twin = builder.build(outline(model))
    save_file(model.state_dict(), "a.safetensors")
    report = cp.convert("a.safetensors", "b.safetensors", source="torch", target="mlx", model=twin)
    assert builder.own == ["decoder.upsample.conv"]
    assert report.loading.complete
    assert any("matched by name, with unchanged axes" in note for note in report.notes)
    load(twin, "b.safetensors")
    back = cp.convert("b.safetensors", "c.safetensors", source="mlx", target="torch", model=model)
    assert not back.missing
    assert not back.unexpected
    assert [name for name, *_rest in back.shape] == ["decoder.upsample.conv.weight"]
    first, last = load_file("a.safetensors"), load_file("c.safetensors")
    assert set(first) - set(last) == {"decoder.upsample.conv.weight"}
    assert all((first[name] == last[name]).all() for name in last)
