"""The backend against ONNX Runtime's own ``auto_pad``, to the bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import convpolicy as cp
from convpolicy_onnx import natives

IN, OUT = 4, 8
POLICIES = {"onnx": None, "onnx-same-upper": "SAME_UPPER", "onnx-same-lower": "SAME_LOWER"}
PADDINGS = {"onnx": (None, "VALID", 0, 1, 3, (2, 1), (0, 4)), "onnx-same-upper": (None,), "onnx-same-lower": (None,)}


def native(spec, padding, weight, bias):
    """A Conv node with this ``auto_pad`` or these ``pads``, as a function run by ONNX Runtime."""
    layer = natives.build(spec, {"padding": padding, "bias": bias is not None})
    natives.give(layer, {"weight": weight, "bias": bias})
    return lambda data: natives.run(layer, data)


@pytest.mark.grid(every=4)
@pytest.mark.parametrize("kernel", range(1, 7))
@pytest.mark.parametrize("policy", POLICIES)
def test_explicit_pads_are_auto_pad_to_the_bit(policy, kernel):
    """Strides 1-3, dilations 1-2, groups 1, 2 and depthwise, with and without bias: the same bits, or a refusal by both."""
    compared = refused = 0
    sizes = itertools.product((1, 2, 3), (1, 2), (1, 2, IN), (True, False), PADDINGS[policy])
    for stride, dilation, groups, bias, padding in sizes:
        spec = cp.ConvSpec.of(IN, OUT, kernel, stride, dilation, groups)
        draw = np.random.default_rng(compared)
        shapes = spec.weight_shape, (OUT,), (2, IN, spec.effective_kernel + 7)
        weight, bias_values, data = (draw.standard_normal(shape).astype(np.float32) for shape in shapes)
        bias_values = bias_values if bias else None
        word = POLICIES[policy] if padding is None else padding
        node = native(spec, word, weight, bias_values)
        if dilation > 1 and policy != "onnx":
            with pytest.raises(cp.InvalidValueError, match=f"dilation must be 1, got 2, which ONNX Runtime refuses .*{word}"):
                cp.Conv1d(IN, OUT, kernel, stride, padding, dilation, groups, policy=policy, backend="onnx")
            with pytest.raises(Exception, match="Dilation not supported for AutoPadType::SAME_UPPER or AutoPadType::SAME_LOW"):
                node(data)
            refused += 1
            continue
        layer = cp.Conv1d(
            IN, OUT, kernel, stride, padding, dilation, groups, bias, policy=policy, backend="onnx",
            weight_init=weight, bias_init=bias_values, seed=0,
        )  # fmt: skip
        for cut in (0, 3, 7):
            expected, actual = (run(data[..., cut:]) for run in (node, layer))
            assert (expected.shape, expected.dtype) == (actual.shape, actual.dtype)
            assert expected.tobytes() == actual.tobytes(), (spec, padding, cut)
        compared += 1
    assert (compared, refused) == ((252, 0) if policy == "onnx" else (18, 18))


@pytest.mark.parametrize(("policy", "skips_from"), [("onnx-same-upper", 3), ("onnx-same-lower", 4)])
def test_where_onnx_runtime_skips_samples_the_policy_refuses(policy, skips_from):
    """With a stride far above the kernel ONNX Runtime's pads become negative; ONNX itself and same_upper start at sample 0."""
    word = POLICIES[policy]
    for kernel, stride in itertools.product((1, 2, 3), range(1, 10)):
        spec = cp.ConvSpec.of(1, 1, kernel, stride, 1, 1)
        skips, first = False, np.zeros((1, 1, kernel), np.float32)
        first[0, 0, 0] = 1
        node = native(spec, word, first, None)
        for length in range(1, 30):
            data = np.arange(1, length + 1, dtype=np.float32)[None, None]
            left = cp.policy("onnx").evolve(padding=word.lower()).plan(kernel, stride, length=length).left
            skips |= node(data)[0, 0, 0] != (0 if left else 1)
        assert skips == (stride - kernel >= skips_from)
        if skips:
            with pytest.raises(
                cp.InvalidValueError, match=rf"stride must be below kernel_size \+ {skips_from}, .*use padding='{word.lower()}'"
            ):
                cp.Conv1d(1, 1, kernel, stride, policy=policy)
        else:
            cp.Conv1d(1, 1, kernel, stride, policy=policy)
