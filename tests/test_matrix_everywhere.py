"""The main job: one signal through the same call under every policy on every backend, with the same weights, equal to the reference."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch

import convpolicy as cp
from convpolicy import reference

SIZES = {"kernel_size": 4, "stride": 1, "dilation": 1}
LENGTH, GROUPS = 33, 2
RUN = {
    "numpy": lambda layer, data: layer(data),
    "torch": lambda layer, data: layer(torch.from_numpy(data)).detach().numpy(),
    "mindspore": lambda layer, data: layer(mindspore.Tensor(data)).asnumpy(),
}
MODES = ("zeros", "replicate", "reflect", "symmetric", "circular")


def weights(layer):
    """Weight (out, in/groups, kernel) and bias of a layer of any backend, as NumPy arrays."""
    arrays = []
    for parameter in (layer.weight, layer.bias):
        if parameter is None or isinstance(parameter, np.ndarray):
            arrays.append(parameter)
        else:
            arrays.append(parameter.detach().numpy() if isinstance(parameter, torch.Tensor) else parameter.asnumpy())
    return (arrays[0] if arrays[0].ndim == 3 else arrays[0][:, :, 0]), arrays[1]


@pytest.mark.parametrize("bias", [None, True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", cp.policies())
def test_one_call_everywhere(policy, mode, bias):
    """seed=0: the weights are bit-equal on all backends, every output is the float64 reference within the rounding bound."""
    data = np.random.default_rng(1).standard_normal((2, 6, LENGTH)).astype(np.float32)
    found = {}
    for backend, run in RUN.items():
        layer = cp.Conv1d(6, 8, **SIZES, groups=GROUPS, bias=bias, padding_mode=mode, policy=policy, backend=backend, seed=0)
        weight, offset = weights(layer)
        found[backend] = (weight.tobytes(), None if offset is None else offset.tobytes())
        plan = cp.policy(policy).evolve(padding_mode=mode).plan(4, length=LENGTH)
        ideal = reference.conv1d(data, weight, offset, left=plan.left, right=plan.right, mode=mode, groups=GROUPS)
        output = run(layer, data)
        assert output.shape == ideal.output.shape
        assert (np.abs(output - ideal.output) <= reference.tolerance("float32", ideal.terms, ideal.magnitude)).all(), backend
        assert (offset is not None) == (cp.policy(policy).bias if bias is None else bias)
    assert len(set(found.values())) == 1
