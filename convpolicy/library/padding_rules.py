"""Padding rules that several frameworks and papers share.

All numbers are in samples. ``e`` is the effective kernel, ``(kernel - 1) * dilation + 1``.
"""

from __future__ import annotations

from convpolicy.arithmetic import SIDES, effective_kernel, same_total, split, static_total
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl

KEEPS = frozenset({"length-preserving"})


def valid(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """No padding: (0, 0).

    Source: default of torch.nn.Conv1d; ``VALID`` of TensorFlow, Flax and ONNX.
    """
    return 0, 0


def explicit(kernel: int, stride: int, dilation: int, length: int | None, *, left: int, right: int) -> tuple[int, int]:
    """Fixed numbers: (left, right); also written as an int for both sides, or as a pair (left, right).

    Source: ``pads`` of ONNX Conv; torch accepts only left == right.
    """
    return left, right


def same_upper(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Least padding for ceil(length/stride) outputs, max(e - 1 - (length - 1) % stride, 0), extra sample right.

    Source: TensorFlow, MindSpore and Flax ``SAME``, ONNX ``SAME_UPPER``; tensorflow/core/framework/common_shape_fns.cc.
    """
    # with stride 1 the result does not depend on the length, since (length - 1) % 1 == 0
    return split(same_total(kernel, stride, dilation, 1 if length is None else length), odd_side)


def same_static(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Total padding e - 1 for every stride and length, extra sample right.

    Source: Flax ``CIRCULAR`` and ``REFLECT``; RETURNN ``same_static``.
    """
    return split(static_total(kernel, dilation), odd_side)


def half(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """kernel // 2 on both sides, without regard to dilation: the common padding=kernel_size//2.

    With an even kernel and stride 1 there is one output more than input samples.
    Source: widespread in code for torch.
    """
    return kernel // 2, kernel // 2


def full(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """e - 1 on both sides: one output for every window that overlaps the input.

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
    """(e - stride, stride - 1): output o reads no sample after (o + 1) * stride - 1; (0, e - 1) for stride > e.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, SEMICAUSAL.
    """
    total = static_total(kernel, dilation)
    left = max(effective_kernel(kernel, dilation) - stride, 0)
    return left, total - left


def reverse_causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(0, e - 1): output o reads no sample before o * stride.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, REVERSE_CAUSAL.
    """
    return 0, static_total(kernel, dilation)


def semicausal_full(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, e - 1): semicausal, with all windows that overlap the input, so that overlap-add restores it.

    Source: Google sequence-layers 0.2, convolution_explicit_padding, SEMICAUSAL_FULL.
    """
    return semicausal(kernel, stride, dilation, length)[0], static_total(kernel, dilation)


def _odd_side(side: str) -> dict[str, Param]:
    return {"odd_side": Param(side, kind="name", allowed=SIDES)}


def _same_needs_length(kernel: int, stride: int, dilation: int) -> bool:
    return stride > 1 and kernel > 1


SAME_UPPER = PaddingRule("same_upper", same_upper, needs_length=_same_needs_length, declares=KEEPS, params=_odd_side("right"))
SAME_LOWER = PaddingRule(
    "same_lower",
    same_upper,
    needs_length=_same_needs_length,
    declares=KEEPS,
    params=_odd_side("left"),
    description="Least padding for ceil(length/stride) outputs, extra sample left: ONNX SAME_LOWER, lax SAME_LOWER.",
)


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the padding rules that several frameworks and papers share."""
    return [
        PaddingRule("valid", valid),
        PaddingRule("explicit", explicit, params={"left": Param(0, kind="integer"), "right": Param(0, kind="integer")}),
        SAME_UPPER,
        SAME_LOWER,
        PaddingRule("same_static", same_static, declares=KEEPS, params=_odd_side("right")),
        PaddingRule("half", half),
        PaddingRule("full", full, declares={"causal"}),
        PaddingRule("causal", causal, declares={"causal", *KEEPS}),
        PaddingRule("semicausal", semicausal, declares={"causal", *KEEPS}),
        PaddingRule("semicausal_full", semicausal_full, declares={"causal"}),
        PaddingRule("reverse_causal", reverse_causal, declares=KEEPS),
    ]
