"""The main job: one signal through the same call under every policy on every backend, equal to the reference and the frameworks."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch
from helpers.differential import TWO_COMPUTATIONS, Sizes, defined_pads

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore")

CHANNELS_IN, CHANNELS_OUT, GROUPS, LENGTH = 6, 8, 2, 33
SIZES = {"kernel_size": 4, "dilation": 1, "groups": GROUPS}
# what each framework's documents say it does when no padding is asked for
DEFAULT_RULE = {
    "flax": "same_upper",
    "flax-linen": "same_upper",
    "keras": "valid",
    "keras-jax": "valid",
    "keras-torch": "valid",
    "mindspore": "same_upper",
    "mindspore@2.0": "same_upper",
    "paddle": "valid",
    "tensorflow": "valid",
    "torch": "valid",
}
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


def judged(policy, mode, stride, data, weight, bias):
    """The reference, with the pads of the framework's documents rather than of the policy."""
    left, right = defined_pads(cp.Choice(DEFAULT_RULE[policy]), Sizes(4, stride, 1, GROUPS, bias is not None), LENGTH)
    return reference.conv1d(data, weight, bias, left=left, right=right, mode=mode, stride=stride, groups=GROUPS)


@pytest.mark.parametrize("bias", [None, True, False])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", DEFAULT_RULE)
def test_one_call_everywhere(policy, mode, stride, bias):
    """seed=0: the weights are bit-equal on all backends, every output is the float64 reference within the rounding bound."""
    data = np.random.default_rng(1).standard_normal((2, CHANNELS_IN, LENGTH)).astype(np.float32)
    found = {}
    for backend, run in RUN.items():
        layer = cp.Conv1d(
            CHANNELS_IN,
            CHANNELS_OUT,
            **SIZES,
            stride=stride,
            bias=bias,
            padding_mode=mode,
            policy=policy,
            backend=backend,
            seed=0,
        )
        weight, offset = weights(layer)
        found[backend] = (weight.tobytes(), None if offset is None else offset.tobytes())
        ideal = judged(policy, mode, stride, data, weight, offset)
        output = run(layer, data)
        assert output.shape == ideal.output.shape
        assert (np.abs(output - ideal.output) <= reference.tolerance("float32", ideal.terms, ideal.magnitude)).all(), backend
        assert (offset is not None) == (not policy.startswith("mindspore") if bias is None else bias)
    assert len(set(found.values())) == 1


def torch_itself(stride, weight, data):
    """What torch.nn.Conv1d computes with this weight."""
    layer = torch.nn.Conv1d(CHANNELS_IN, CHANNELS_OUT, **SIZES, stride=stride, bias=False)
    layer.load_state_dict({"weight": torch.from_numpy(weight)})
    return layer(torch.from_numpy(data)).detach().numpy()


def mindspore_itself(stride, weight, data):
    """What mindspore.nn.Conv1d computes with this weight."""
    sizes = SIZES | {"group": GROUPS}
    del sizes["groups"]
    layer = mindspore.nn.Conv1d(CHANNELS_IN, CHANNELS_OUT, **sizes, stride=stride, has_bias=False)
    layer.weight.set_data(mindspore.Tensor(np.ascontiguousarray(weight[:, :, None])))
    return layer(mindspore.Tensor(data)).asnumpy()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("policy", "framework"), [("torch", torch_itself), ("mindspore", mindspore_itself)], ids=["torch", "mindspore"]
)
def test_every_backend_is_the_framework(policy, framework, stride):
    """Each backend's layer under a framework's policy and that framework's own layer differ by rounding; on its own backend by no bit."""
    data = np.random.default_rng(2).standard_normal((2, CHANNELS_IN, LENGTH)).astype(np.float32)
    for backend, run in RUN.items():
        layer = cp.Conv1d(
            CHANNELS_IN,
            CHANNELS_OUT,
            **SIZES,
            stride=stride,
            bias=False,
            policy=policy,
            backend=backend,
            weight_init="normal",
            seed=3,
        )
        weight = weights(layer)[0]
        ideal = judged(policy, "zeros", stride, data, weight, None)
        bound = TWO_COMPUTATIONS * reference.tolerance("float32", ideal.terms, ideal.magnitude)
        expected, output = framework(stride, weight, data), run(layer, data)
        assert (np.abs(output - expected) <= (0 if backend == policy else bound)).all(), backend
