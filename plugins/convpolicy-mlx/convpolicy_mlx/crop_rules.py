"""The crop rule of ``mlx.nn.ConvTranspose1d``; all numbers are in samples of the output."""

from __future__ import annotations


def mlx_explicit(
    kernel: int, stride: int, dilation: int, length: int | None, *, padding: int, output_padding: int
) -> tuple[int, int]:
    """Arguments of mlx.nn.ConvTranspose1d: (padding, padding - output_padding); beyond e - 1, each number cuts one input sample.

    MLX pads the input, into which it has put ``stride - 1`` zeros after each sample, with ``e - 1 - padding`` zeros on the left and
    ``e - 1 - padding + output_padding`` on the right. A negative number removes samples of the input instead, each with its
    ``stride`` outputs. All integers are allowed, also negative ones.
    Source: mlx/ops.cpp, conv_transpose_general and conv_general; measured on mlx 0.29.4, 0.31.2, 0.32.3 and 0.32.4.
    """
    reach = (kernel - 1) * dilation
    left, right = (cut + max(cut - reach, 0) * (stride - 1) for cut in (padding, padding - output_padding))
    return left, right
