"""Checkpoints of architectures, most of transformers, for their twins in Flax: they load whole, and come back with the same bytes."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("torch", "transformers")

import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402
from helpers.architectures import ARCHITECTURES  # noqa: E402
from helpers.twin_checks import check_there_and_back  # noqa: E402
from helpers.twins.flax import FlaxBuilder  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

OWN = {
    "mimi": ["decoder.upsample.conv"],
    "deep-speech": ["gru"],
}  # a transposed convolution with groups; no bias of the hidden state


def load(twin, path):
    """Replace the whole state of a model; every tensor of the file and of the model has a partner of its shape."""
    state = dict(nnx.to_flat_state(nnx.state(twin, (nnx.Param, nnx.BatchStat))))
    names, file = {".".join(map(str, key)): value for key, value in state.items()}, load_file(path)
    assert set(names) == set(file)
    for name, value in names.items():
        assert value.value.shape == file[name].shape
        value.value = jnp.asarray(file[name])
    nnx.update(twin, nnx.from_flat_state(state))


@pytest.mark.grid(every=3)  # PyTorch is on one side in each room
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_there_and_back(name, tmp_path, monkeypatch):
    """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
    monkeypatch.chdir(tmp_path)
    check_there_and_back(name, FlaxBuilder(), load, target="flax", middle="b.safetensors", own=OWN.get(name, ()))
