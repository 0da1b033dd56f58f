"""The sum of taps and the product of each channel: where they are legal, what they compute in other dtypes, and their gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import convpolicy as cp
from convpolicy.frameworks.torch.execution.bound import agrees, bound_of
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS

TAPS, WINDOWS = LOWERINGS["taps"], LOWERINGS["windows"]
SIZES = [(1, 1, 1), (1, 3, 1), (2, 1, 2), (3, 2, 1), (2, 2, 3)]  # stride, dilation, output channels of each input channel


def case(stride, dilation, times, length=23, channels=4, kernel=5, dtype=torch.float64, pads=(2, 1)):
    """An input, a weight, a bias and the work of a depthwise layer, and what torch's own function returns."""
    generator = torch.Generator().manual_seed(stride + 10 * dilation + 100 * times)
    data, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        for shape in ((2, channels, length), (channels * times, 1, kernel), (channels * times,))
    )
    plan = cp.policy("torch").evolve(padding=pads).plan(kernel, stride, dilation, length=length)
    work = Work(plan, channels, lambda x, left, right: F.pad(x, (left, right)))
    return data, weight, bias, work, F.conv1d(F.pad(data, pads), weight, bias, stride, 0, dilation, channels)


@pytest.mark.parametrize("sizes", SIZES)
def test_taps_of_any_depthwise_layer(sizes):
    """With stride, dilation and several output channels of each input channel, with a bias and without one, contiguous."""
    data, weight, bias, work, native = case(*sizes)
    output = TAPS.run(data, weight, bias, work)
    torch.testing.assert_close(output, native, rtol=1e-12, atol=1e-12)
    assert output.is_contiguous()
    torch.testing.assert_close(TAPS.run(data, weight, None, work), native - bias[:, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pads", [(2, 1), (0, 0)])
def test_taps_of_an_input_with_channels_innermost(pads):
    """The output has the same values, and is contiguous, as that of any implementation."""
    data, weight, bias, work, native = case(1, 1, 1, pads=pads)
    output = TAPS.run(data.transpose(1, 2).contiguous().transpose(1, 2), weight, bias, work)
    torch.testing.assert_close(output, native, rtol=1e-12, atol=1e-12)
    assert output.is_contiguous()


@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_of_taps(sizes):
    """Those of differences: the output is changed in place, which must not reach what the backward pass reads."""
    data, weight, bias, work, _native = case(*sizes, length=13)
    leaves = [value.requires_grad_() for value in (data, weight, bias)]
    assert torch.autograd.gradcheck(lambda x, w, b: TAPS.run(x, w, b, work), leaves)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_summed_in_float32(dtype):
    """As torch's own convolution sums them. Sums in 16 bits exceed the bound, so the test would notice them."""
    data, weight, bias, work, _native = case(1, 1, 1, length=400, kernel=300, dtype=dtype)
    data, weight = data.abs(), weight.abs()  # so that the sums grow, and lose what is added to them
    native = F.conv1d(F.pad(data, (2, 1)), weight, bias, groups=4)
    bound = bound_of(data, weight, bias, work, cp.ConvSpec(4, 4, 300, groups=4))
    output = TAPS.run(data, weight, bias, work)
    assert output.dtype == dtype
    assert agrees(native, output, bound)
    summed = bias[:, None] + torch.zeros_like(native)
    for tap, sample in zip(weight.unbind(2), F.pad(data, (2, 1)).unfold(2, 300, 1).unbind(3), strict=True):
        summed += tap * sample
    assert not agrees(native, summed, bound)


def test_products_of_channels_are_small():
    """Windows of a depthwise layer are multiplied below 400 products in a channel; torch multiplies larger ones one by one."""
    policy = cp.policy("torch")
    assert WINDOWS.why_not(policy.plan(3, length=135), 8, 8) == ""  # 133 outputs
    assert WINDOWS.why_not(policy.plan(3, length=136), 8, 8) == "it is pointwise, or depthwise with many outputs"
    assert WINDOWS.why_not(policy.plan(3, length=136), 8, 4) == ""


def test_where_taps_are_not_used():
    """Where there is no output, and where they were never the fastest: many products, unless the kernel has two taps or is dilated."""
    policy = cp.policy("torch")
    assert TAPS.why_not(policy.plan(3, length=2), 8, 8) == "it is not depthwise, or has no outputs"
    most = (1 << 20) // (3 * 8)  # outputs
    assert not TAPS.is_hopeless(policy.plan(3, length=most + 2), 8, 8)
    assert TAPS.is_hopeless(policy.plan(3, length=most + 3), 8, 8)
    assert not TAPS.is_hopeless(policy.plan(3, dilation=2, length=most + 99), 8, 8)
    assert not TAPS.is_hopeless(policy.plan(2, length=2 * most), 8, 8)
