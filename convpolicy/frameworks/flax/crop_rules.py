"""Crop rules of Flax's transposed convolutions: its numbers, and the names that it passes on to ``jax.lax``.

All numbers are in samples of the output. ``e`` is the effective kernel, ``(kernel - 1) * dilation + 1``.
"""

from __future__ import annotations

from convpolicy.arithmetic import effective_kernel, split
from convpolicy.parts.crop import CropRule
from convpolicy.parts.part import Param


def lax_pads(kernel: int, stride: int, dilation: int, length: int | None, *, left: int, right: int) -> tuple[int, int]:
    """Flax's numbers: pads of the dilated input, which cut (e - 1 - left, e - 1 - right).

    Source: jax/_src/lax/convolution.py, conv_transpose, as measured on jax 0.7.1.
    """
    reach = effective_kernel(kernel, dilation) - 1
    return reach - left, reach - right


def lax_same(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """Flax's 'same' in small letters: cut e - 1, the extra sample left; stride 1 only.

    Source: jax/_src/lax/convolution.py, conv_general_dilated, as measured on jax 0.7.1.
    """
    _require_stride_1(stride, "SAME")
    return split(effective_kernel(kernel, dilation) - 1, odd_side)


def lax_valid(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Flax's 'valid' in small letters: cut e - 1 on each side; stride 1 only.

    Source: jax/_src/lax/convolution.py, conv_general_dilated, as measured on jax 0.7.1.
    """
    _require_stride_1(stride, "VALID")
    reach = effective_kernel(kernel, dilation) - 1
    return reach, reach


def _require_stride_1(stride: int, other: str) -> None:
    if stride != 1:
        raise ValueError(f"stride must be 1, got {stride}, as in Flax, which passes this name on to jax.lax; pass {other!r}.")


LAX_SAME = CropRule(
    "lax_same",
    lax_same,
    declares={"length-multiplying"},
    params={"odd_side": Param("left", kind="name", allowed=("left", "right"))},
)
RULES = [
    CropRule("lax_pads", lax_pads, params={"left": Param(0, kind="offset"), "right": Param(0, kind="offset")}),
    LAX_SAME,
    LAX_SAME.alias("lax_same_lower", "Flax's 'SAME_LOWER', the extra sample right; stride 1 only.", odd_side="right"),
    CropRule("lax_valid", lax_valid),
]
