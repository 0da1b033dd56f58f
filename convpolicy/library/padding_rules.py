"""Padding rules. ``e = (kernel - 1) * dilation + 1``; every number is in samples."""

from __future__ import annotations

from convpolicy.arithmetic import SIDES, effective_kernel, same_total, split, static_total
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl

KEEPS = frozenset({"length-preserving"})


def valid(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """No padding: (0, 0).

    Source: torch.nn.Conv1d's default; ``VALID`` of TensorFlow, Flax and ONNX.
    """
    return 0, 0


def explicit(kernel: int, stride: int, dilation: int, length: int | None, *, left: int, right: int) -> tuple[int, int]:
    """Given numbers: (left, right); a plain int is both sides, a pair is (left, right).

    Source: ``pads`` of ONNX Conv; torch takes only left == right.
    """
    return left, right


def same_upper(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Least padding for ceil(length/stride) outputs, max(e - 1 - (length - 1) % stride, 0), extra sample right.

    Source: TensorFlow, MindSpore and Flax ``SAME``, ONNX ``SAME_UPPER``; tensorflow/core/framework/common_shape_fns.cc.
    """
    # with stride 1 the length drops out: (length - 1) % 1 == 0
    return split(same_total(kernel, stride, dilation, 1 if length is None else length), odd_side)


def same_static(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Total e - 1 whatever the stride and the length, extra sample right.

    Source: Flax ``CIRCULAR`` and ``REFLECT``; returnn ``same_static``; the rule of a batch-invariant "same".
    """
    return split(static_total(kernel, dilation), odd_side)


def half(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """kernel // 2 on both sides, dilation not counted: the idiom padding=kernel_size//2.

    Source: torch code at large; with an even kernel it gives one output more than the length at stride 1.
    """
    return kernel // 2, kernel // 2


def full(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """e - 1 on both sides: every window that touches the input.

    Source: numpy.convolve(mode="full").
    """
    total = static_total(kernel, dilation)
    return total, total


def causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - 1, 0): the first output reads only the first sample.

    Source: Keras ``causal``, Flax ``CAUSAL``; van den Oord et al., WaveNet (2016), section 2.1.
    """
    return static_total(kernel, dilation), 0


def semicausal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, stride - 1): each output reads no sample after its own block of stride; (0, e - 1) for stride > e.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, SEMICAUSAL.
    """
    total = static_total(kernel, dilation)
    left = max(effective_kernel(kernel, dilation) - stride, 0)
    return left, total - left


def reverse_causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(0, e - 1): output o reads nothing before sample o * stride.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, REVERSE_CAUSAL.
    """
    return 0, static_total(kernel, dilation)


def semicausal_full(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, e - 1): semicausal, and every window that a sample is in, so that overlap-add gives all of the input back.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, SEMICAUSAL_FULL.
    """
    return semicausal(kernel, stride, dilation, length)[0], static_total(kernel, dilation)


def _odd(side: str) -> dict[str, Param]:
    return {"odd_side": Param(side, kind="name", allowed=SIDES)}


def _same_needs_length(kernel: int, stride: int, dilation: int) -> bool:
    return stride > 1 and kernel > 1


SAME_UPPER = PaddingRule("same_upper", same_upper, needs_length=_same_needs_length, declares=KEEPS, params=_odd("right"))
SAME_LOWER = PaddingRule(
    "same_lower",
    same_upper,
    needs_length=_same_needs_length,
    declares=KEEPS,
    params=_odd("left"),
    description="Least padding for ceil(length/stride) outputs, extra sample left: ONNX SAME_LOWER, lax SAME_LOWER.",
)


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the rules that several frameworks and papers share."""
    return [
        PaddingRule("valid", valid),
        PaddingRule("explicit", explicit, params={"left": Param(0, kind="integer"), "right": Param(0, kind="integer")}),
        SAME_UPPER,
        SAME_LOWER,
        PaddingRule("same_static", same_static, declares=KEEPS, params=_odd("right")),
        PaddingRule("half", half),
        PaddingRule("full", full, declares={"causal"}),
        PaddingRule("causal", causal, declares={"causal", *KEEPS}),
        PaddingRule("semicausal", semicausal, declares={"causal", *KEEPS}),
        PaddingRule("semicausal_full", semicausal_full, declares={"causal"}),
        PaddingRule("reverse_causal", reverse_causal, declares=KEEPS),
    ]
