"""Crop rules of transposed convolutions that several frameworks and papers share.

All numbers are in samples of the output. ``e`` is the effective kernel, ``(kernel - 1) * dilation + 1``. The full result of ``length``
input samples has ``(length - 1) * stride + e`` samples.
"""

from __future__ import annotations

from convpolicy.arithmetic import SIDES, effective_kernel, split
from convpolicy.parts.crop import CropRule
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl

MULTIPLIES = frozenset({"length-multiplying"})


def explicit(
    kernel: int, stride: int, dilation: int, length: int | None, *, left: int, right: int, output_padding: int
) -> tuple[int, int]:
    """Fixed numbers, with output_padding samples more on the right: (left, right - output_padding).

    It is also written as an int for both sides, or as a pair (left, right).
    Source: torch.nn.ConvTranspose1d, which requires left == right and output_padding < max(stride, dilation).
    """
    if output_padding and output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be below max(stride, dilation) = {max(stride, dilation)}, got {output_padding}; pass less, or a "
            f"pair (left, right) as padding."
        )
    return left, right - output_padding


def excess(kernel: int, stride: int, dilation: int) -> int:
    """Return ``e - stride``, the samples by which the full result is longer than ``length * stride``."""
    return effective_kernel(kernel, dilation) - stride


def at_least_stride(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Cut nothing: (0, 0), or (0, e - stride) for e < stride, which appends zeros up to length * stride samples.

    Source: ``valid`` of Keras, Flax and MindSpore, as measured.
    """
    return 0, min(excess(kernel, stride, dilation), 0)


def same_upper(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Keep length * stride samples: cut e - stride, the extra sample right; appended zeros are all on the right.

    Source: ``same`` of Keras, Flax and MindSpore, ONNX ``SAME_UPPER``, as measured.
    """
    total = excess(kernel, stride, dilation)
    return split(total, odd_side) if total > 0 else (0, total)


def symmetric(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Cut (e - stride) // 2 on both sides: the common padding=(kernel_size - stride) // 2.

    Source: widespread in vocoders, such as HiFi-GAN, models.py, Generator.
    """
    cut = excess(kernel, stride, dilation) // 2
    if cut < 0:
        raise ValueError(
            f"the effective kernel must be at least the stride, got {excess(kernel, stride, dilation) + stride} and {stride}."
        )
    return cut, cut


def causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Cut (0, e - stride): output o reads no sample after o // stride.

    Source: EnCodec and Mimi with trim_right_ratio 1.
    """
    return 0, excess(kernel, stride, dilation)


def _odd_side(side: str) -> dict[str, Param]:
    return {"odd_side": Param(side, kind="name", allowed=SIDES)}


EXPLICIT = CropRule(
    "explicit",
    explicit,
    params={
        "left": Param(0, kind="offset"),
        "right": Param(0, kind="offset"),
        "output_padding": Param(0, kind="integer"),
    },
)
SAME_UPPER = CropRule("same_upper", same_upper, declares=MULTIPLIES, params=_odd_side("right"))


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return the crop rules that several frameworks and papers share."""
    return [
        EXPLICIT,
        CropRule("at_least_stride", at_least_stride),
        SAME_UPPER,
        CropRule(
            "same_lower",
            same_upper,
            declares=MULTIPLIES,
            params=_odd_side("left"),
            description="Keep length * stride samples: cut e - stride, the extra sample left: ONNX SAME_LOWER.",
        ),
        CropRule("symmetric", symmetric),
        CropRule("causal", causal, cuts_full=True, declares={"causal", *MULTIPLIES}),
    ]
