"""Padding rules of ONNX Runtime's ``auto_pad``; all numbers are in samples."""

from __future__ import annotations


def onnx_same_upper(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """ONNX Runtime's SAME_UPPER: least pads for ceil(length/stride) outputs, extra sample right; dilation 1, stride < kernel + 3.

    Source: the ONNX operator Conv; onnxruntime/core/providers/common.h, ComputePad; measured on ONNX Runtime 1.32.0.
    """
    total = _total("SAME_UPPER", kernel, stride, dilation, length)
    return total // 2, total - total // 2


def onnx_same_lower(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """ONNX Runtime's SAME_LOWER: least pads for ceil(length/stride) outputs, extra sample left; dilation 1, stride < kernel + 4.

    Source: as for `onnx_same_upper`.
    """
    total = _total("SAME_LOWER", kernel, stride, dilation, length)
    return total - total // 2, total // 2


SKIPS_FROM = {
    "SAME_UPPER": 3,
    "SAME_LOWER": 4,
}  # from this stride - kernel on, ONNX Runtime skips the first samples at some lengths
STANDARD_RULES = {"SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower"}  # the rules of the ONNX standard


def same_needs_length(kernel: int, stride: int, dilation: int) -> bool:
    """Return True where the pads depend on the length; refused sizes do not need one."""
    return stride > 1 and kernel > 1 and dilation == 1 and stride - kernel < min(SKIPS_FROM.values())


def _total(auto_pad: str, kernel: int, stride: int, dilation: int, length: int | None) -> int:
    if dilation > 1:
        raise ValueError(
            f"dilation must be 1, got {dilation}, which ONNX Runtime refuses together with auto_pad={auto_pad}; use "
            f"padding={STANDARD_RULES[auto_pad]!r}, which becomes explicit pads."
        )
    if stride - kernel >= SKIPS_FROM[auto_pad]:
        raise ValueError(
            f"stride must be below kernel_size + {SKIPS_FROM[auto_pad]}, got stride {stride} and kernel_size {kernel}, for which "
            f"ONNX Runtime's {auto_pad} skips the first samples at some lengths; use padding={STANDARD_RULES[auto_pad]!r}."
        )
    # with stride 1 the length does not matter: (length - 1) % 1 == 0
    return max(kernel - 1 - ((1 if length is None else length) - 1) % stride, 0)
