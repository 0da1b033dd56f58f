"""The independent reference: plain float64 loops that share no code with any backend, rule or index map.

It is slow on purpose. A padding mode is walked step by step, a window is summed element by element, and beside every
output stands the sum of magnitudes that a rounding bound needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import unknown_name

# Unit roundoff of each dtype: half the distance from 1 to the next number (IEEE 754; bfloat16 has 8 significant bits).
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# Smallest rounding step near zero: half the smallest subnormal number; all of it for float64, whose half is 0.0 in Python.
UNDERFLOW_STEP = {"float64": 2.0**-1074, "float32": 2.0**-150, "float16": 2.0**-25, "bfloat16": 2.0**-134}


class Reference(NamedTuple):
    """What `conv1d` returns.

    Attributes:
        output: float64 (batch, out, length_out).
        magnitude: float64 of the same shape, the sum of |weight · input| plus |bias|.
        terms: number of products summed per output, plus one for the bias.
    """

    output: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    terms: int


def tolerance(dtype: str, terms: int, magnitude: Any) -> Any:
    """Bound the error of any summation order in a dtype.

    ``gamma_n · magnitude`` with ``gamma_n = n·u / (1 - n·u)`` and ``n = terms + 1`` (a product and n - 1 additions each),
    plus one rounding of the smallest number per term.

    Args:
        dtype: name of the dtype computed in, ``"float32"``, ….
        terms: products summed per output, bias included.
        magnitude: sum of absolute values, from `conv1d`.

    Returns:
        The bound, of the shape of ``magnitude``. Two computations of the same sum differ by at most twice that.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1.
    """
    if dtype not in UNIT_ROUNDOFF:
        raise unknown_name("dtype", dtype, UNIT_ROUNDOFF)
    rounding = (terms + 1) * UNIT_ROUNDOFF[dtype]
    if rounding >= 1:
        raise ValueError(f"terms={terms} is too many for {dtype}: no bound holds; use a wider dtype.")
    return rounding / (1 - rounding) * magnitude + (terms + 1) * UNDERFLOW_STEP[dtype]


def walk(position: int, length: int, mode: str) -> int:
    """Find, by stepping one sample at a time from the edge, the input position that a padded position repeats.

    Args:
        position: below 0 or from ``length`` on.
        length: input length in samples.
        mode: ``reflect``, ``symmetric``, ``replicate`` or ``circular``; zeros and constant give -1.
    """
    if mode in ("zeros", "constant"):
        return -1
    if mode not in ("reflect", "symmetric", "replicate", "circular"):
        raise unknown_name("reference mode", mode, ["zeros", "constant", "reflect", "symmetric", "replicate", "circular"])
    here, direction, steps = (0, 1, -position) if position < 0 else (length - 1, -1, position - length + 1)
    if mode == "circular":
        for _ in range(steps):
            here = (here - direction) % length
        return here
    if mode == "replicate" or length == 1:
        return here
    if mode == "symmetric":
        steps -= 1  # the first step stays on the edge sample
    for _ in range(steps):
        if 0 <= here + direction < length:
            here += direction
        else:
            direction = -direction
            if mode == "reflect":
                here += direction
    return here


def pad(
    signal: list[float], left: int, right: int, mode: str = "zeros", value: float = 0.0, overflow: str = "error"
) -> list[float]:
    """Pad one channel, as a list of floats; ``overflow="zero-extend"`` writes EnCodec's three steps out."""
    if overflow == "zero-extend" and mode in ("reflect", "symmetric", "circular"):
        needed = max(left, right) + (1 if mode == "reflect" else 0)
        extra = max(needed - len(signal), 0)
        longer = pad(signal + [value] * extra, left, right, mode, value, "periodic")
        return longer[: len(longer) - extra]
    padded = []
    for position in range(-left, len(signal) + right):
        source = position if 0 <= position < len(signal) else walk(position, len(signal), mode)
        padded.append(value if source < 0 else signal[source])
    return padded


def conv1d(
    data: Any,
    weight: Any,
    bias: Any = None,
    *,
    left: int = 0,
    right: int = 0,
    mode: str = "zeros",
    value: float = 0.0,
    overflow: str = "error",
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Reference:
    """Cross-correlate, loop by loop, in float64.

    Args:
        data: (batch, channels, length).
        weight: (out, in/groups, kernel).
        bias: (out,) or None.
        left, right, mode, value, overflow: the padding, in samples.
        stride, dilation, groups: of the convolution.

    Returns:
        A `Reference`.
    """
    batches = np.asarray(data, dtype=np.float64).tolist()
    kernels = np.asarray(weight, dtype=np.float64).tolist()
    biases = [0.0] * len(kernels) if bias is None else np.asarray(bias, dtype=np.float64).tolist()
    taps = len(kernels[0][0])
    out_per_group = len(kernels) // groups
    in_per_group = len(kernels[0])
    outputs, magnitudes = [], []
    for channels in batches:
        padded = [pad(channel, left, right, mode, value, overflow) for channel in channels]
        starts = range(0, len(padded[0]) - (taps - 1) * dilation, stride)
        item, item_magnitude = [], []
        for out, kernel in enumerate(kernels):
            first = out // out_per_group * in_per_group
            row, row_magnitude = [], []
            for start in starts:
                total, magnitude = biases[out], abs(biases[out])
                for offset in range(in_per_group):
                    for tap in range(taps):
                        product = kernel[offset][tap] * padded[first + offset][start + tap * dilation]
                        total += product
                        magnitude += abs(product)
                row.append(total)
                row_magnitude.append(magnitude)
            item.append(row)
            item_magnitude.append(row_magnitude)
        outputs.append(item)
        magnitudes.append(item_magnitude)
    return Reference(np.array(outputs), np.array(magnitudes), in_per_group * taps + 1)
