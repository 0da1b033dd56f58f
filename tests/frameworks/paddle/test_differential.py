"""The backend against the real paddle.nn.Conv1D, to the bit."""

from __future__ import annotations

import itertools

import numpy as np
import paddle
import pytest
from paddle import nn

import convpolicy as cp

IN, OUT = 4, 8
BACKEND = cp.backends()["paddle"]


def give(layer, weight, bias):
    """Write the weights."""
    layer.weight.set_value(weight)
    if bias is not None:
        layer.bias.set_value(bias)
    return layer


def paddings(dilation):
    """Everything Paddle's layer takes: words, numbers, pairs, and modes with one number."""
    yield from ((padding, "zeros") for padding in ("VALID", "valid", 0, 1, 3, (2, 1), (0, 4)))
    if dilation == 1:
        yield from (("SAME", "zeros"), ("same", "zeros"))
    yield from itertools.product((1, 2), ("reflect", "replicate", "circular"))


@pytest.mark.grid(every=5)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", range(1, 7))
def test_the_policy_paddle_is_paddles_own_layer_to_the_bit(kernel, dtype):
    """Strides 1-3, dilations 1-2, groups 1, 2 and depthwise, with and without bias, every padding: the same bits."""
    compared = 0
    for stride, dilation, groups, bias in itertools.product((1, 2, 3), (1, 2), (1, 2, IN), (True, False)):
        draw = np.random.default_rng(compared)
        shapes = (OUT, IN // groups, kernel), (OUT,), (2, IN, (kernel - 1) * dilation + 11)
        weight, bias_values, data = (draw.standard_normal(shape).astype(dtype) for shape in shapes)
        for padding, mode in paddings(dilation):
            sizes = {"stride": stride, "dilation": dilation, "groups": groups}
            ours = cp.Conv1d(
                IN, OUT, kernel, padding=padding, padding_mode=mode, bias=bias, policy="paddle", backend="paddle", dtype=dtype, **sizes
            )  # fmt: skip
            own_padding = list(padding) if isinstance(padding, tuple) else padding
            own = nn.Conv1D(
                IN, OUT, kernel, padding=own_padding, padding_mode=mode, bias_attr=None if bias else False, dtype=dtype, **sizes
            )  # fmt: skip
            assert list(ours.state_dict()) == list(own.state_dict())
            assert isinstance(ours, nn.Conv1D)
            assert (type(ours) is nn.Conv1D) == (mode != "circular")
            for cut in (0, 5, 8):
                expected, actual = (
                    BACKEND.run(give(layer, weight, bias_values if bias else None), data[..., cut:]) for layer in (own, ours)
                )
                assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
                assert expected.tobytes() == actual.tobytes(), (sizes, padding, mode, cut)
        compared += 1
    assert compared == 36


def test_a_stride_above_the_kernel_and_same():
    """Paddle's SAME is the rule also where it adds nothing: strides up to 8, all lengths up to 19."""
    for kernel, stride in itertools.product(range(1, 5), range(1, 9)):
        own = nn.Conv1D(1, 1, kernel, stride, "SAME", bias_attr=False)
        for length in range(1, 20):
            data = np.random.default_rng(length).standard_normal((1, 1, length)).astype("float32")
            plan = cp.policy("paddle").evolve(padding="SAME").plan(kernel, stride, length=length)
            expected = nn.functional.conv1d(paddle.to_tensor(data), own.weight, stride=stride, padding=[plan.left, plan.right])
            assert BACKEND.run(own, data).tobytes() == expected.numpy().tobytes(), (kernel, stride, length)


def test_same_that_resets_the_dilation():
    """Paddle computes SAME with dilation 1 whatever was asked for; the policy refuses it and names what to ask for."""
    own = nn.Conv1D(1, 1, 3, padding="SAME", dilation=2, bias_attr=False)
    undilated = give(nn.Conv1D(1, 1, 3, padding="SAME", bias_attr=False), own.weight.numpy(), None)
    data = np.random.default_rng(0).standard_normal((1, 1, 9)).astype("float32")
    assert BACKEND.run(own, data).tobytes() == BACKEND.run(undilated, data).tobytes()
    with pytest.raises(
        cp.ConvPolicyError, match=r"dilation must be 1, got 2, which Paddle's 'SAME' silently sets to 1; .*same_upper"
    ):
        cp.Conv1d(1, 1, 3, padding="SAME", dilation=2, policy="paddle", backend="paddle")
    meant = cp.Conv1d(1, 1, 3, 2, "same_upper", 2, policy="paddle", backend="paddle")
    assert meant.plan(9).left == 2
    assert BACKEND.run(meant, data).shape == (1, 1, 5)
