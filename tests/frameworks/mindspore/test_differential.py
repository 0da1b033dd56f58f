"""The MindSpore backend, in PyNative mode, against the real mindspore.nn.Conv1d, torch.nn.Conv1d and the reference."""

from __future__ import annotations

import itertools

import mindspore
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
    grid,
    judge,
    native_pads,
    random_cases,
    random_data,
    random_weights,
    referee,
    same_bits,
    same_within,
)
from mindspore import Tensor, nn, ops

import convpolicy as cp

pytestmark = pytest.mark.needs("torch")

PER_RULE_AND_MODE = 8  # random cases of each rule × mode judged by the reference
PORTED = 4  # lengths of each layer compared across frameworks
PADS = {  # MindSpore's own ways to pad data (batch, channels, length)
    "constant": lambda pads: lambda x: ops.pad(x, pads, mode="constant", value=1.5),
    "reflect": lambda pads: lambda x: ops.pad(x, pads, mode="reflect"),
    "replicate": lambda pads: lambda x: ops.pad(x, pads, mode="replicate"),
    "circular": lambda pads: lambda x: ops.pad(x, pads, mode="circular"),
    "symmetric": lambda pads: nn.Pad(((0, 0), (0, 0), pads), mode="SYMMETRIC"),
}


@pytest.fixture(autouse=True, scope="module")
def run_at_once():
    """PyNative calls as small as these run fifteen times as fast without MindSpore's pipeline of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    mindspore.runtime.launch_blocking()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def numbered(request):
    """A function from sizes to the numbered ones that are compared: every thirteenth, with ``--grid`` all of them."""
    step = 1 if request.config.getoption("--grid") else 13  # shares no factor with the 72 sizes of a kernel
    return lambda sizes, first=0: itertools.islice(enumerate(sizes), first % step, None, step)


def native(sizes: Sizes, pad_mode: str, padding: int = 0, **keywords: object) -> nn.Conv1d:
    """Build MindSpore's own layer."""
    kernel, stride, dilation, groups, bias = sizes
    return nn.Conv1d(CHANNELS, CHANNELS, kernel, stride, pad_mode, padding, dilation, groups, bias, **keywords)


def ours(sizes: Sizes, padding: object = None, mode: object = None, **keywords: object) -> nn.Conv1d:
    """Build the same layer through a policy, MindSpore's own unless said otherwise."""
    kernel, stride, dilation, groups, bias = sizes
    keywords = {"policy": "mindspore", "backend": "mindspore"} | keywords
    return cp.Conv1d(CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups, bias, mode, **keywords)


def give_weights(layer: nn.Conv1d, weight: np.ndarray, bias: np.ndarray | None) -> None:
    """Write a weight (out, in/groups, kernel) and a bias into a MindSpore layer."""
    layer.weight.set_data(Tensor(weight[:, :, None]))
    if bias is not None:
        layer.bias.set_data(Tensor(bias))


def weights_of(layer: nn.Conv1d) -> list[np.ndarray | None]:
    """Read weight and bias."""
    return [None if p is None else p.asnumpy() for p in (layer.weight, layer.bias)]


def output(layer: object, data: np.ndarray) -> np.ndarray:
    """Run a MindSpore layer on an array."""
    return layer(Tensor(data)).asnumpy()


@torch.no_grad()
def torch_output(layer: torch.nn.Module, data: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Run a torch layer on an array with the weights given."""
    layer.weight.copy_(torch.from_numpy(weight))
    if bias is not None:
        layer.bias.copy_(torch.from_numpy(bias))
    return layer(torch.from_numpy(data)).numpy()


def every_native_padding(sizes: Sizes) -> list[tuple[str, int]]:
    """The (pad_mode, padding) that MindSpore's own layer takes."""
    return [("same", 0), ("valid", 0), *(("pad", number) for number in native_pads(sizes))]


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", KERNELS)
def test_mindspore_policy_on_mindspore_is_mindspore_to_the_bit(kernel, numbered):
    """The full grid at every length with 'same'; 'valid' and whole numbers take turns at the lengths: the bits of its own layer."""
    signal = random_data(kernel, 22 + 13)  # the longest e is 22
    for number, sizes in numbered(grid(kernel), kernel):
        weights = random_weights(number, sizes)
        others = every_native_padding(sizes)[1:]
        for turn, (pad_mode, padding) in enumerate([("same", 0), *others]):
            layers = native(sizes, pad_mode, padding), ours(sizes, padding if pad_mode == "pad" else pad_mode)
            for layer in layers:
                give_weights(layer, *weights)
            for length in sizes.lengths[turn - 1 :: len(others)] if turn else sizes.lengths:
                data = np.ascontiguousarray(signal[..., :length])
                same_bits(output(layers[0], data), output(layers[1], data), (sizes, pad_mode, padding, length))


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("mode", PADS)
def test_other_modes_are_mindspores_own_pad_and_a_convolution(mode, numbered):
    """Every mode that MindSpore can pad with, at equal and unequal pads: the bits of that pad and a valid nn.Conv1d."""
    choice = Choice("constant", value=1.5) if mode == "constant" else Choice(mode)
    compared = 0
    for kernel, pads in itertools.product(KERNELS, ((2, 1), (0, 3), (2, 2))):
        for number, sizes in numbered(grid(kernel), kernel):
            layers = native(sizes, "valid"), ours(sizes, pads, choice)
            for layer in layers:
                give_weights(layer, *random_weights(number, sizes))
            data = random_data(number, sizes.effective + 4 + number % 10)
            expected = layers[0](PADS[mode](pads)(Tensor(data))).asnumpy()
            same_bits(expected, output(layers[1], data), (sizes, pads, mode))
            compared += 1
    assert compared in (8 * 3 * 72, sum(3 * len(range(kernel % 13, 72, 13)) for kernel in KERNELS))


@pytest.mark.parametrize(
    ("policy", "initial"), [("mindspore", {}), ("mindspore@2.0", {"weight_init": "normal", "bias_init": "zeros"})]
)
@pytest.mark.parametrize("padding", ["same", 2, (2, 1), "same_lower"])
def test_the_same_seed_gives_mindspores_own_initial_weights(padding, policy, initial):
    """After mindspore.set_seed(s) both draw the same weight and bias, for the defaults of either version."""
    for seed, kernel in enumerate(KERNELS):
        for sizes in grid(kernel):
            if sizes.stride == 1:
                mindspore.set_seed(seed)
                expected = native(sizes, "valid", **initial)
                mindspore.set_seed(seed)
                actual = ours(sizes, padding, policy=policy)
                for one, other in zip(weights_of(expected), weights_of(actual), strict=True):
                    assert (one is None) == (other is None)
                    if one is not None:
                        same_bits(one, other, (sizes, padding))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_rule_and_mode_under_every_policy_is_the_reference(dtype, request):
    """A seeded sample, with ``--grid`` 8 cases of each rule × mode in each dtype, else 1, over every policy in turn."""
    policies = itertools.cycle(cp.policies())
    total, each = 0, PER_RULE_AND_MODE if request.config.getoption("--grid") else 1
    for number, case in enumerate(random_cases(each, seed=len(dtype) + int(dtype[-2:]))):
        layer = case.layer(next(policies), "mindspore", number, dtype)
        data = random_data(number, case.length, dtype=dtype)
        judge(case, output(layer, data), data, *weights_of(layer), dtype)
        total += 1
    assert total == each * len(RULES) * len(MODES)


def test_float16_is_the_reference():
    """One case of each rule × mode in float16, within its bound, on weights and inputs that it holds exactly."""
    for number, case in enumerate(random_cases(1, seed=11)):
        layer = case.layer("torch", "mindspore", number, "float16")
        data = random_data(number, case.length, dtype="float16")
        actual = output(layer, data)
        assert actual.dtype == data.dtype
        judge(case, actual, data, *weights_of(layer), "float16")


@pytest.mark.parametrize("kernel", KERNELS)
def test_mindspore_policy_on_torch_is_mindspore_up_to_rounding(kernel, numbered):
    """Ported to torch: every size and padding of the grid, at 4 lengths each, is what mindspore.nn.Conv1d computes."""
    for number, sizes in numbered(grid(kernel), kernel):
        weights = random_weights(number, sizes)
        for pad_mode, padding in every_native_padding(sizes):
            rule = {"same": Choice("same_upper"), "valid": Choice("valid")}.get(pad_mode)
            rule = rule or Choice("explicit", left=padding, right=padding)
            real, ported = native(sizes, pad_mode, padding), ours(sizes, padding or pad_mode, backend="torch")
            give_weights(real, *weights)
            for length in sizes.lengths[number % 3 :: len(sizes.lengths) // PORTED]:
                data = random_data(length, length)
                judged = referee(Case(sizes, rule, Choice("zeros"), length), data, *weights)
                expected = output(real, data)
                same_within(expected, torch_output(ported, data, *weights), judged, "float32", (sizes, pad_mode, length))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_torch_policy_on_mindspore_is_torch_up_to_rounding(mode, numbered):
    """Ported to MindSpore: every size of the grid, 'same' and numbers, at one length each, is what torch.nn.Conv1d computes."""
    compared = 0
    for number, sizes in numbered(itertools.chain.from_iterable(map(grid, KERNELS)), len(mode)):
        kernel, stride, dilation, groups, bias = sizes
        weights, length = random_weights(number, sizes), sizes.lengths[3 + number % 11]
        data = random_data(number, length)
        for padding in (["same"] if stride == 1 else []) + [0, 2]:
            rule = Choice("torch_same") if padding == "same" else Choice("explicit", left=padding, right=padding)
            real = torch.nn.Conv1d(CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups, bias, mode)
            ported = ours(sizes, padding, mode, policy="torch")
            give_weights(ported, *weights)
            judged = referee(Case(sizes, rule, Choice(mode), length), data, *weights)
            expected = torch_output(real, data, *weights)
            same_within(expected, output(ported, data), judged, "float32", (sizes, padding, mode, length))
            compared += 1
    assert compared == 8 * 72 * 2 + 8 * 18 or 85 < compared < 115
