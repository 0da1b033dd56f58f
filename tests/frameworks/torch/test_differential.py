"""The torch backend against the real torch.nn.Conv1d, to the bit, and against the float64 reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from helpers.differential import (
    CHANNELS,
    KERNELS,
    MODES,
    RULES,
    Case,
    Choice,
    Sizes,
    defined_pads,
    grid,
    judge,
    native_pads,
    random_cases,
    random_data,
    random_weights,
    same_bits,
)
from torch import nn

import convpolicy as cp

pytestmark = [
    # torch's own remark, made once a process, by its own layer as well as by ours
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
    pytest.mark.usefixtures("one_thread"),
]
PER_RULE_AND_MODE = 25  # random cases of each rule × mode judged by the reference
TORCH_MODES = ("zeros", "reflect", "replicate", "circular")
PAD_MODULES = {
    "zeros": nn.ZeroPad1d,
    "constant": lambda pads: nn.ConstantPad1d(pads, 1.5),
    "reflect": nn.ReflectionPad1d,
    "replicate": nn.ReplicationPad1d,
    "circular": nn.CircularPad1d,
}


def native(sizes: Sizes, padding: int | str = 0, mode: str = "zeros", **keywords: object) -> nn.Conv1d:
    """Build torch's own layer."""
    kernel, stride, dilation, groups, bias = sizes
    return nn.Conv1d(CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups, bias, mode, **keywords)


def ours(sizes: Sizes, padding: object = None, mode: object = None, **keywords: object) -> nn.Conv1d:
    """Build the same layer through the torch policy."""
    kernel, stride, dilation, groups, bias = sizes
    keywords = {"policy": "torch", "backend": "torch"} | keywords
    return cp.Conv1d(CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups, bias, mode, **keywords)


def give_weights(layer: nn.Conv1d, weight: np.ndarray, bias: np.ndarray | None) -> None:
    """Write weight and bias, both of axes as torch has them, into a layer."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias))


@torch.no_grad()
def output(layer: nn.Module, data: np.ndarray) -> np.ndarray:
    """Run a torch layer on an array."""
    return layer(torch.from_numpy(data)).numpy()


@pytest.mark.grid(every=7)
@pytest.mark.parametrize("mode", TORCH_MODES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_torch_policy_on_torch_is_torch_to_the_bit(kernel, mode):
    """The full grid: 'valid', 'same' and whole numbers give the bits of torch.nn.Conv1d with the same weights."""
    signal = random_data(kernel, 22 + 13)  # the longest e is 22
    for number, sizes in enumerate(grid(kernel)):
        weights = random_weights(number, sizes)
        words = ["valid"] + ["same"] * (sizes.stride == 1)
        # torch refuses a reflection as wide as the input, and a wrap wider than it
        pads = [n for n in native_pads(sizes) if mode in ("zeros", "replicate") or n < sizes.effective]
        for padding in (*words, *pads):
            layers = native(sizes, padding, mode), ours(sizes, padding, mode)
            for layer in layers:
                give_weights(layer, *weights)
            for length in sizes.lengths:
                expected, actual = (output(layer, np.ascontiguousarray(signal[..., :length])) for layer in layers)
                same_bits(expected, actual, (sizes, padding, mode, length))


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("mode", PAD_MODULES)
def test_unequal_pads_are_a_torch_pad_module_and_a_convolution(mode):
    """What nn.Conv1d cannot say, (left, right), gives the bits of torch's own pad module before a valid nn.Conv1d."""
    choice = Choice("constant", value=1.5) if mode == "constant" else Choice(mode)
    compared = 0
    for kernel, pads in itertools.product(KERNELS, ((2, 1), (0, 3), (4, 0))):
        for number, sizes in enumerate(grid(kernel)):
            layers = native(sizes), ours(sizes, pads, choice)
            for layer in layers:
                give_weights(layer, *random_weights(number, sizes))
            for length in (sizes.effective + 4, sizes.effective + 9):
                data = random_data(length, length)
                expected = output(nn.Sequential(PAD_MODULES[mode](pads), layers[0]), data)
                same_bits(expected, output(layers[1], data), (sizes, pads, mode, length))
                compared += 1
    assert compared == 8 * 3 * 72 * 2


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("padding", ["valid", 2, (2, 1), "causal", "same_upper"])
def test_the_same_seed_gives_torchs_own_initial_weights(padding, dtype):
    """After torch.manual_seed(s) both draw the same weight and bias, and leave the same random state behind."""
    for seed, kernel in enumerate(KERNELS):
        for sizes in grid(kernel):
            torch.manual_seed(seed)
            expected = native(sizes, dtype=getattr(torch, dtype))
            state = torch.get_rng_state()
            torch.manual_seed(seed)
            actual = ours(sizes, padding, dtype=dtype)
            assert torch.equal(state, torch.get_rng_state()), (sizes, padding)
            assert list(expected.state_dict()) == list(actual.state_dict())
            for name, values in expected.state_dict().items():
                assert values.dtype == actual.state_dict()[name].dtype
                assert torch.equal(values, actual.state_dict()[name]), (sizes, padding, name)


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_rule_and_mode_under_every_policy_is_the_reference(dtype):
    """A seeded sample, 25 cases of each rule × mode in each dtype (9000 in all), over every policy in turn."""
    policies = itertools.cycle(cp.policies())
    total = 0
    for number, case in enumerate(random_cases(PER_RULE_AND_MODE, seed=len(dtype) + int(dtype[-2:]))):
        layer = case.layer(next(policies), "torch", number, dtype)
        data = random_data(number, case.length, dtype=dtype)
        weight, bias = (None if p is None else p.detach().numpy() for p in (layer.weight, layer.bias))
        judge(case, output(layer, data), data, weight, bias, dtype)
        total += 1
    assert total == PER_RULE_AND_MODE * len(RULES) * len(MODES)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_are_the_reference(dtype):
    """float16 and bfloat16: within the bound of the narrow dtype, on weights and inputs that it holds exactly."""
    for number, case in enumerate(random_cases(1, seed=11)):
        layer = case.layer("mindspore", "torch", number, dtype)
        data = torch.from_numpy(random_data(number, case.length)).to(getattr(torch, dtype))
        with torch.no_grad():
            actual = layer(data)
        assert actual.dtype == data.dtype
        weight, bias = (None if p is None else p.detach().double().numpy() for p in (layer.weight, layer.bias))
        judge(case, actual.double().numpy(), data.double().numpy(), weight, bias, dtype)


def test_the_pads_judged_by_are_those_of_the_documents():
    """The judge's own pads, worked out by hand: kernel 4, stride 2, dilation 1, length 9 needs 3, in all, for 5 windows."""
    sizes = Sizes(4, 2, 1, 1, False)
    expected = {
        "same_upper": (1, 2),
        "same_lower": (2, 1),
        "causal": (3, 0),
        "semicausal": (2, 1),
        "full": (3, 3),
        "half": (2, 2),
    }
    assert expected == {name: defined_pads(Choice(name), sizes, 9) for name in expected}
    assert defined_pads(Choice("same_upper"), Sizes(3, 2, 1, 1, False), 10) == (0, 1)
    assert Case(sizes, Choice("same_static", odd_side="left"), Choice("zeros"), 9).sizes.effective == 4
    assert defined_pads(Choice("same_static", odd_side="left"), sizes, 9) == (2, 1)
