"""NumPy arrays of which torch makes no tensor, reversed, read-only or of another byte order, are read as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import convpolicy as cp

pytestmark = pytest.mark.filterwarnings("error")  # torch warns of arrays that it must not write to
BACKEND = cp.backends()["torch"]
NO_TENSORS = {
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
    "read-only": lambda array: np.broadcast_to(array, array.shape),
    "of another byte order": lambda array: array.astype(array.dtype.newbyteorder()),
}
each_kind = pytest.mark.parametrize("kind", NO_TENSORS)
each_class = pytest.mark.parametrize("make", [cp.Conv1d, cp.ConvTranspose1d])


def random(*shape):
    """Random data, the same at every call."""
    return np.random.default_rng(len(shape)).standard_normal(shape, dtype=np.float32)


@each_kind
@each_class
def test_data_and_weights(make, kind):
    """Outputs, gradients and written weights have the bits of the same numbers in a plain array."""
    change, layer = NO_TENSORS[kind], make(4, 8, 3, backend="torch", seed=0)
    data = random(2, 4, 9)
    output = BACKEND.run(layer, data)
    assert BACKEND.run(layer, change(data)).tobytes() == output.tobytes()
    plain, changed = BACKEND.gradients(layer, data, output), BACKEND.gradients(layer, change(data), change(output))
    assert all(changed[name].tobytes() == plain[name].tobytes() for name in ("input", "weight", "bias"))
    new = {name: random(*value.shape) for name, value in BACKEND.parameters(layer).items()}
    BACKEND.assign(layer, {name: change(value) for name, value in new.items()})
    assert all(value.tobytes() == new[name].tobytes() for name, value in BACKEND.parameters(layer).items())
    tensor = BACKEND.arrays(layer, BACKEND.capture(layer).spec).of_numpy(change(data))
    assert torch.equal(tensor, torch.from_numpy(data))


@each_class
def test_weights_of_a_normalised_layer_are_a_copy(make):
    """What is written does not share the caller's memory."""
    layer = make(4, 8, 3, backend="torch", seed=0, weight_norm=0)
    weight = BACKEND.parameters(layer)["weight"] * 2
    BACKEND.assign(layer, {"weight": weight, "bias": None})
    before = BACKEND.parameters(layer)["weight"].copy()
    weight[:] = 0
    assert BACKEND.parameters(layer)["weight"].tobytes() == before.tobytes()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("policy", ["flax", "flax-linen", "keras", "torch"])
@each_class
def test_initial_weights_in_a_reversed_order(make, policy, kernel):
    """A layout that reverses the kernel, also one of a single tap, gives the bits of the NumPy backend after the same seed."""
    layers = {backend: make(4, 8, kernel, policy=policy, backend=backend, seed=0) for backend in ("torch", "numpy")}
    found, expected = (cp.backends()[name].parameters(layer)["weight"] for name, layer in layers.items())
    assert found.tobytes() == expected.tobytes()
