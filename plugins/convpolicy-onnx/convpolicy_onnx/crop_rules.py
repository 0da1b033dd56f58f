"""Crop rules of ONNX Runtime's ConvTranspose; all numbers are in samples of the output.

ONNX Runtime first makes the full result longer by ``output_padding``, and then cuts. It never cuts a negative number: where the full
result is shorter than ``length * stride`` (e < stride), SAME_UPPER and SAME_LOWER cut nothing. The ONNX standard and the reference
evaluator of the package onnx append zeros there: onnx 1.23.2 on the left for SAME_UPPER. The evaluator also fails for groups above 1.

Source: the ONNX operator ConvTranspose; onnxruntime/core/providers/cpu/nn/conv_transpose_attributes.h, ComputeTransposePadAndOutputShape;
measured on ONNX Runtime 1.32.0.
"""

from __future__ import annotations

from convpolicy.arithmetic import effective_kernel, full_length, split


def onnx_same(
    kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str, output_padding: int
) -> tuple[int, int]:
    """ONNX Runtime's SAME: cut e - stride + output_padding if it is positive, then append output_padding zeros on the right.

    Source: onnxruntime/core/providers/cpu/nn/conv_transpose_attributes.h; measured on ONNX Runtime 1.32.0.
    """
    _require_below(output_padding, stride)
    left, right = split(max(effective_kernel(kernel, dilation) - stride + output_padding, 0), odd_side)
    return left, right - output_padding


def onnx_output_shape(
    kernel: int,
    stride: int,
    dilation: int,
    length: int | None,
    *,
    output_shape: int,
    odd_side: str,
    output_padding: int,
) -> tuple[int, int]:
    """ONNX Runtime's output_shape: cut the full result, or append zeros on the right, to output_shape samples at every length.

    The extra sample is cut on the left, with auto_pad=SAME_UPPER on the right.
    Source: as for `onnx_same`.
    """
    _require_below(output_padding, stride)
    full = full_length(length or 0, kernel, stride, dilation)
    if output_shape - full >= stride:
        raise ValueError(
            f"output_shape must be below {full + stride} for an input of length {length}, as ONNX Runtime requires, got {output_shape}; "
            f"pass less."
        )
    left, _right = split(max(full + output_padding - output_shape, 0), odd_side)
    return left, full - output_shape - left


def _require_below(output_padding: int, stride: int) -> None:
    if output_padding and output_padding >= stride:
        raise ValueError(
            f"output_padding must be below stride={stride}, as ONNX Runtime requires, got {output_padding}; pass less, or a pair "
            f"(left, right) as padding."
        )
