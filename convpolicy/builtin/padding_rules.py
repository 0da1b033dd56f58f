"""Padding rules. ``e = (kernel - 1) * dilation + 1``; every number is in samples."""

from __future__ import annotations

from convpolicy.arithmetic import SIDES, effective_kernel, same_total, split, static_total
from convpolicy.hookspecs import hookimpl
from convpolicy.padding import PaddingRule
from convpolicy.parts import Param

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
    """Least padding for ceil(length/stride) outputs, max(e - 1 - (length - 1) % stride, 0), odd element right.

    Source: TensorFlow, MindSpore and Flax ``SAME``, ONNX ``SAME_UPPER``; tensorflow/core/framework/common_shape_fns.cc.
    """
    # with stride 1 the length drops out: (length - 1) % 1 == 0
    return split(same_total(kernel, stride, dilation, 1 if length is None else length), odd_side)


def same_static(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Total e - 1 whatever the stride and the length, odd element right.

    Source: Flax ``CIRCULAR`` and ``REFLECT``; returnn ``same_static``; the rule of a batch-invariant "same".
    """
    return split(static_total(kernel, dilation), odd_side)


def torch_same(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """What torch's padding='same' does: total e - 1, odd element right, stride 1 only.

    Source: torch/nn/modules/conv.py, _ConvNd.__init__; measured on torch 1.9.0 and 2.13.0.
    """
    return _torch_split(kernel, stride, dilation, "right")


def torch_left(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Total e - 1, odd element left, stride 1 only: as MindSpore's page describes torch; torch itself pads right.

    Source: MindSpore r2.0, "Function Differences with torch.nn.Conv1d"; torch 1.9.0 and 2.13.0 measured to put the odd
    element on the right (see `torch_same`).
    """
    return _torch_split(kernel, stride, dilation, "left")


def _torch_split(kernel: int, stride: int, dilation: int, odd_side: str) -> tuple[int, int]:
    if stride != 1:
        raise ValueError(f"stride must be 1, got {stride}, as in torch; use 'same_upper' or 'same_static' with a stride.")
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


def paddle_same(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """As same_upper, for dilation 1 only: Paddle's 'SAME' computes any other layer with dilation 1, without saying so.

    Source: paddle/phi/kernels/cpu/conv_util.h, UpdatePaddingAndDilation.
    """
    if dilation > 1:
        raise ValueError(
            f"dilation must be 1, got {dilation}, which Paddle's 'SAME' would silently take for 1; pass 1 for what Paddle computes "
            f"or padding='same_upper' for what was meant."
        )
    return same_upper(kernel, stride, dilation, length, odd_side="right")


def _odd(side: str) -> dict[str, Param]:
    return {"odd_side": Param(side, kind="name", allowed=SIDES)}


def _same_needs_length(kernel: int, stride: int, dilation: int) -> bool:
    return stride > 1 and kernel > 1


def _same(name: str, side: str, description: str = "") -> PaddingRule:
    return PaddingRule(
        name, same_upper, needs_length=_same_needs_length, declares=KEEPS, params=_odd(side), description=description
    )


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the built-in rules."""
    return [
        PaddingRule("valid", valid),
        PaddingRule("explicit", explicit, params={"left": Param(0, kind="integer"), "right": Param(0, kind="integer")}),
        _same("same_upper", "right"),
        _same(
            "same_lower",
            "left",
            "Least padding for ceil(length/stride) outputs, odd element left: ONNX SAME_LOWER, lax SAME_LOWER.",
        ),
        PaddingRule("same_static", same_static, declares=KEEPS, params=_odd("right")),
        PaddingRule("torch_same", torch_same, declares=KEEPS),
        PaddingRule("paddle_same", paddle_same, needs_length=_same_needs_length, declares=KEEPS),
        PaddingRule("half", half),
        PaddingRule("full", full, declares={"causal"}),
        PaddingRule("causal", causal, declares={"causal", *KEEPS}),
        PaddingRule("semicausal", semicausal, declares={"causal", *KEEPS}),
        PaddingRule("torch-left", torch_left, declares=KEEPS),
        _same("tf-right", "right", "TensorFlow's SAME, odd element right: same_upper under the design card's name."),
        _same(
            "mindspore-right",
            "right",
            "MindSpore's pad_mode='same', odd element right and stride-aware as measured: same_upper under the card's name.",
        ),
    ]
