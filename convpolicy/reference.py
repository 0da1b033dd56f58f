"""The reference implementation: plain float64 loops that share no code with the backends, rules and modes that they check.

The loops are simple and slow. They follow a padding mode step by step and sum a window element by element. For each output, they
also return the sum of absolute values. `tolerance` uses this sum to bound the rounding error.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import unknown_name

# Unit roundoff of each dtype: half the distance from 1 to the next number (IEEE 754; bfloat16 has 8 significant bits).
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# Smallest rounding step near zero: half the smallest subnormal number. float64 has all of it, since its half is 0.0 in Python.
UNDERFLOW_STEP = {"float64": 2.0**-1074, "float32": 2.0**-150, "float16": 2.0**-25, "bfloat16": 2.0**-134}


Element: TypeAlias = tuple[float, float]  # one element of a padded signal: its value, and the sum of magnitudes of its terms
SUMS = ("odd", "odd_symmetric", "extrapolate")
# mode -> samples by which the input must be longer than the pad
REACHES = {"reflect": 1, "odd": 1, "symmetric": 0, "odd_symmetric": 0, "circular": 0}
LEAST = {"replicate": 1, "linear_ramp": 1, "extrapolate": 2}  # mode -> shortest input, for a pad of any width
SUM_ROUNDINGS = 8  # roundings in one added element: three coefficients, their products and two sums


class Reference(NamedTuple):
    """The result of `conv1d`.

    Attributes:
        output: float64 array (batch, out, length_out).
        magnitude: float64 array of the same shape. It contains the sum of ``|weight · input|``, plus ``|bias|``.
        terms: number of products per output, plus 1 for the bias.
    """

    output: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    terms: int


def tolerance(dtype: str, terms: int, magnitude: Any) -> Any:
    """Return a bound on the rounding error of a sum. The bound is valid for any order of summation.

    The bound is ``gamma_n · magnitude``, plus ``n`` times the largest rounding error near 0. Here,
    ``gamma_n = n·u / (1 - n·u)``, ``u`` is the unit roundoff and ``n = terms + 1``.

    Args:
        dtype: name of the dtype of the computation, for example ``"float32"``.
        terms: number of products per output, including the bias.
        magnitude: sum of absolute values that `conv1d` returns.

    Returns:
        The bound, in the shape of ``magnitude``. Two computations of the same sum differ by at most twice this bound.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1.
    """
    if dtype not in UNIT_ROUNDOFF:
        raise unknown_name("dtype", dtype, UNIT_ROUNDOFF)
    rounding = (terms + 1) * UNIT_ROUNDOFF[dtype]
    if rounding >= 1:
        raise ValueError(f"terms={terms} is too many for {dtype}: there is no bound; use a wider dtype.")
    return rounding / (1 - rounding) * magnitude + (terms + 1) * UNDERFLOW_STEP[dtype]


def walk(position: int, length: int, mode: str) -> int:
    """Return the input position that an added element copies. The search starts at the edge and moves one sample at a time.

    Args:
        position: position of the added element. It is below 0, or ``length`` and above.
        length: input length in samples.
        mode: ``reflect``, ``symmetric``, ``replicate`` or ``circular``. For ``zeros`` and ``constant`` the result is -1.
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


def summed(position: int, signal: list[float], mode: str) -> Element:
    """Return one element of a padded signal, for a mode whose elements are sums. The equation of the mode gives the value.

    Args:
        position: position of the element. At a position within the signal, the result is the sample.
        signal: one channel.
        mode: one of

            - ``odd``: ``f(edge ± d) = 2 f(edge) - f(edge ∓ d)``
            - ``odd_symmetric``: like ``odd``, but reflected about the border between the edge sample and the first added element
            - ``extrapolate``: ``2 a - b``, where ``a`` is the previous element and ``b`` is the element before ``a``

    Returns:
        The element, and the sum of the absolute values of its terms.
    """
    last = len(signal) - 1
    if 0 <= position <= last:
        return signal[position], abs(signal[position])
    if last == 0:
        return signal[0], abs(signal[0])
    edge, step = (0, -1) if position < 0 else (last, 1)
    if mode == "extrapolate":
        inner, outer = signal[edge - step], signal[edge]
        distance = abs(position - edge)
        return outer + distance * (outer - inner), abs(outer) * (1 + distance) + abs(inner) * distance
    mirrored = 2 * edge - position + (step if mode == "odd_symmetric" else 0)
    value, magnitude = summed(mirrored, signal, mode)
    return 2 * signal[edge] - value, 2 * abs(signal[edge]) + magnitude


def ramp(position: int, signal: list[float], left: int, right: int, ends: tuple[float, float]) -> Element:
    """Return one element on the straight line from the edge sample to an end value, the outermost element."""
    edge, end, width, distance = (
        (signal[0], ends[0], left, -position) if position < 0 else (signal[-1], ends[1], right, position - len(signal) + 1)
    )
    near, far = (width - distance) / width, distance / width
    return edge * near + end * far, abs(edge) * near + abs(end) * far


def pad(
    signal: list[float],
    left: int,
    right: int,
    mode: str | tuple[str, str] = "zeros",
    value: float | tuple[float, float] = 0.0,
    overflow: str = "error",
) -> list[float]:
    """Return one padded channel as a list of floats; see `elements`."""
    return [element for element, _magnitude in elements(signal, left, right, mode, value, overflow)]


def elements(
    signal: list[float],
    left: int,
    right: int,
    mode: str | tuple[str, str] = "zeros",
    value: float | tuple[float, float] = 0.0,
    overflow: str = "error",
) -> list[Element]:
    """Return one padded channel. Each element comes with the sum of the absolute values of its terms.

    Args:
        signal: one channel, as floats.
        left, right: number of samples to add.
        mode: one mode for both sides, or a pair (left, right).
        value: one constant for both sides, or a pair (left, right).
        overflow: ``"zero-extend"`` follows EnCodec's three steps. With another value, a mode repeats at any distance.
    """
    before, after = mode if isinstance(mode, tuple) else (mode, mode)
    low, high = value if isinstance(value, tuple) else (value, value)
    if before != after:
        halves = [elements(signal, left, right, side_mode, value, overflow) for side_mode in (before, after)]
        return halves[0][: left + len(signal)] + halves[1][left + len(signal) :]
    if overflow == "zero-extend" and max(left, right) and before in {**REACHES, **LEAST}:
        needed = max(left, right) + REACHES[before] if before in REACHES else LEAST[before]
        extra = max(needed - len(signal), 0)
        longer = elements(signal + [high] * extra, left, right, before, value, "periodic")
        return longer[: len(longer) - extra]
    padded = []
    for position in range(-left, len(signal) + right):
        if before in SUMS:
            padded.append(summed(position, signal, before))
        elif before == "linear_ramp" and not 0 <= position < len(signal):
            padded.append(ramp(position, signal, left, right, (low, high)))
        else:
            source = position if 0 <= position < len(signal) else walk(position, len(signal), before)
            element = (low if position < 0 else high) if source < 0 else signal[source]
            padded.append((element, abs(element)))
    return padded


def conv1d(
    data: Any,
    weight: Any,
    bias: Any = None,
    *,
    left: int = 0,
    right: int = 0,
    mode: str | tuple[str, str] = "zeros",
    value: Any = 0.0,
    overflow: str = "error",
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Reference:
    """Compute a 1-D convolution in float64 with plain loops.

    Args:
        data: array (batch, channels, length).
        weight: array (out, in/groups, kernel).
        bias: array (out,), or None.
        left, right: number of samples to add.
        mode, overflow: how the added samples get their values; see `elements`.
        value: the constant, as a number or an array (channels,), or a pair (left, right) of constants.
        stride, dilation: in samples.
        groups: groups of the convolution.

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
        pairs = value if isinstance(value, tuple) else (value, value)
        constants = [np.broadcast_to(np.asarray(number, np.float64), (len(channels),)).tolist() for number in pairs]
        padded = [elements(channel, left, right, mode, pair, overflow) for channel, pair in zip(channels, zip(*constants))]
        starts = range(0, len(padded[0]) - (taps - 1) * dilation, stride)
        item, item_magnitude = [], []
        for out, kernel in enumerate(kernels):
            first = out // out_per_group * in_per_group
            row, row_magnitude = [], []
            for start in starts:
                total, magnitude = biases[out], abs(biases[out])
                for offset in range(in_per_group):
                    for tap in range(taps):
                        element, size = padded[first + offset][start + tap * dilation]
                        total += kernel[offset][tap] * element
                        magnitude += abs(kernel[offset][tap]) * size
                row.append(total)
                row_magnitude.append(magnitude)
            item.append(row)
            item_magnitude.append(row_magnitude)
        outputs.append(item)
        magnitudes.append(item_magnitude)
    modes = set(mode) if isinstance(mode, tuple) else {mode}
    roundings = SUM_ROUNDINGS if modes & {*SUMS, "linear_ramp"} else 0
    return Reference(np.array(outputs), np.array(magnitudes), in_per_group * taps + 1 + roundings)


def conv_transpose1d(
    data: Any,
    weight: Any,
    bias: Any = None,
    *,
    left: int = 0,
    right: int = 0,
    mode: str = "zeros",
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Reference:
    """Compute a transposed 1-D convolution in float64: add each product of a sample and a weight to the output that it reaches.

    Args:
        data: array (batch, in, length).
        weight: array (in, out/groups, kernel).
        bias: array (out,), or None.
        left, right: number of samples cut from the full result. A negative number appends zeros.
        mode: ``"zeros"`` drops products that reach no output. ``"circular"`` adds them to the other end.
        stride, dilation: in samples.
        groups: groups of the convolution.

    Returns:
        A `Reference`.
    """
    batches = np.asarray(data, dtype=np.float64).tolist()
    kernels = np.asarray(weight, dtype=np.float64).tolist()
    out_per_group, taps = len(kernels[0]), len(kernels[0][0])
    out_channels, in_per_group = out_per_group * groups, len(kernels) // groups
    biases = [0.0] * out_channels if bias is None else np.asarray(bias, dtype=np.float64).tolist()
    length_out = (np.shape(data)[2] - 1) * stride + (taps - 1) * dilation + 1 - left - right
    outputs = np.broadcast_to(np.reshape(biases, (-1, 1)), (len(batches), out_channels, length_out)).copy()
    magnitudes, terms = np.abs(outputs), np.ones(length_out, np.int64)
    for item, channels in enumerate(batches):
        for channel, samples in enumerate(channels):
            group = channel // in_per_group
            for out in range(group * out_per_group, (group + 1) * out_per_group):
                for sample, number in enumerate(samples):
                    for tap in range(taps):
                        target = sample * stride + tap * dilation - left
                        target = target % length_out if mode == "circular" else target
                        if 0 <= target < length_out:
                            product = number * kernels[channel][out % out_per_group][tap]
                            outputs[item, out, target] += product
                            magnitudes[item, out, target] += abs(product)
                            terms[target] += item == 0 and out == 0
    return Reference(outputs, magnitudes, int(terms.max(initial=1)))
