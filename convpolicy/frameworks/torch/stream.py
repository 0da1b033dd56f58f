"""The random stream ``torch``: mt19937, and torch's fills of CPU tensors as its default build runs them with AVX2 and FMA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.bits.float32 import F32, Doubles, Singles, affine, fma, fma64, horner, rounded
from convpolicy.bits.pieces import Shape, Values, each, in_order
from convpolicy.errors import InvalidValueError
from convpolicy.parts.stream import Stream, seed_between

CHUNK = 1 << 16  # elements computed at a time, few for the cache and many for threads that share a lock; a multiple of BLOCK
BLOCK = 16  # normal numbers are drawn in blocks of this size
NARROW = ("float16", "bfloat16")
LEAST_MASS = 0.3  # for a narrower interval torch 2.13 uses another algorithm


class Mt19937:
    """The 32-bit integers of torch's CPU generator after ``torch.manual_seed(seed)``; only ``seed mod 2**32`` matters."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed % 2**32)

    def integers(self, count: int) -> NDArray[np.uint32]:
        """Return the next ``count`` integers."""
        return self._random.randint(0, 2**32, count, dtype=np.uint32)

    def doubles(self, count: int) -> Doubles:
        """Return the next float64 uniforms; see `doubles_of`."""
        return doubles_of(self.integers(2 * count))


def singles_of(integers: NDArray[np.uint32]) -> Singles:
    """Return float32 uniforms in [0, 1) from the low 24 bits of one integer each."""
    integers &= np.uint32(0xFFFFFF)
    return integers.astype(F32) * F32(2.0**-24)


def doubles_of(integers: NDArray[np.uint32]) -> Doubles:
    """Return float64 uniforms of 53 bits in [0, 1), from two integers each, the high one first."""
    pairs = integers.astype(np.uint64)
    return ((pairs[0::2] << np.uint64(32) | pairs[1::2]) & np.uint64(2**53 - 1)) * 2.0**-53


class TorchStream(Stream):
    """The numbers that torch draws on the CPU after ``torch.manual_seed(seed)``.

    Bit-identical to torch 2.13 on x86-64 with AVX2 and FMA. Elsewhere:

    - Torch 1.9 draws the same float32 numbers, except truncated normal ones, and the same float64 uniform numbers.
    - Without FMA (``ATEN_CPU_CAPABILITY=default``) uniform numbers differ in the last bit.

    Args:
        seed: integer in [-2**63, 2**64).

    Source: aten/src/ATen/native/cpu/DistributionTemplates.h, torch/nn/init.py.
    """

    name: ClassVar[str] = "torch"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        self._generator = Mt19937(seed_between(seed, -(2**63), 2**64 - 1))
        self._spare: float | None = None

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw as ``Tensor.uniform_`` does: one 32-bit integer per element, two for float64."""
        self.check_dtype(dtype)
        count = math.prod(shape)
        if dtype == "float64":
            wide = fma64(self._generator.doubles(count), high - low, low)
            return np.where(wide == high, low, wide).reshape(shape)
        first, last = F32(low), F32(high)
        scale = float(F32(last - first)) * 2.0**-24
        values = np.empty(count, F32)

        def place(part: slice, integers: NDArray[np.uint32]) -> None:
            integers &= np.uint32(0xFFFFFF)
            affine(integers, scale, first, values[part], 2**24 - 1)

        in_order(self._generator.integers, place, count, CHUNK)
        values = rounded(values, dtype)
        if rounded(fma(F32(1 - 2.0**-24), F32(last - first), first), dtype) == rounded(last, dtype):
            values[values == rounded(last, dtype)] = rounded(first, dtype)  # keeps [low, high) after rounding
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw as ``Tensor.normal_`` does on a contiguous tensor: Box-Muller in blocks of 16, or in pairs below 16 elements."""
        self.check_dtype(dtype)
        count = math.prod(shape)
        if count < BLOCK:
            few = np.array([self._one_normal() for _ in range(count)])
            return rounded(_narrowed(fma64(few, std, mean), dtype), dtype).reshape(shape)
        wide = dtype == "float64"
        uniforms: Callable[[Any], Any] = doubles_of if wide else singles_of
        box_muller: Callable[..., Any] = _box_muller64 if wide else _box_muller
        whole = count - count % BLOCK
        values = np.empty(count, np.float64 if wide else F32)

        def draw(elements: int) -> NDArray[np.uint32]:
            return self._generator.integers(2 * elements if wide else elements)

        def place(part: slice, integers: NDArray[np.uint32]) -> None:
            values[part] = box_muller(uniforms(integers), mean, std)

        in_order(draw, place, whole, CHUNK)
        if whole < count:  # redraws the last 16 elements, some of them for the second time
            if dtype not in NARROW:
                draw(count - whole)  # those that are redrawn had their own numbers
            values[-BLOCK:] = box_muller(uniforms(draw(BLOCK)), mean, std)
        return rounded(values, dtype).reshape(shape)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw as ``torch.nn.init.trunc_normal_`` of 2.13 does: redraw the whole tensor until every element was inside once."""
        mass = _normal_cdf(upper) - _normal_cdf(lower)
        if mass <= LEAST_MASS:
            raise InvalidValueError(
                f"lower and upper must contain more than {LEAST_MASS} of the distribution for stream 'torch', got {mass:.3f}; widen "
                f"them or draw from random_stream='numpy'."
            )
        low, high = (rounded(_narrowed(mean + bound * std, dtype), dtype) for bound in (lower, upper))
        values = self.normal(shape, mean, std, dtype)
        while (outside := (values < low) | (values > high)).any():
            values = np.where(outside, self.normal(shape, mean, std, dtype), values)
        return values

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as `Stream.scaled` does, but round ``xavier_*`` as torch does: it multiplies by ``sqrt(2 / (fan_in + fan_out))``."""
        if fan == "fan_avg" and distribution != "truncated_normal":
            std = gain * math.sqrt(2.0 / float(fans.fan_in + fans.fan_out))
            bound = math.sqrt(3.0) * std
            return self.uniform(shape, -bound, bound, dtype) if distribution == "uniform" else self.normal(shape, 0.0, std, dtype)
        return super().scaled(shape, fans, fan, gain, distribution, dtype)

    def _one_normal(self) -> float:
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        first, second = self._generator.doubles(2).tolist()
        radius = math.sqrt(-2.0 * math.log1p(-second))
        angle = 2.0 * math.pi * first
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _box_muller(fractions: Singles, mean: float, std: float) -> Singles:
    """Turn whole blocks of 16 uniforms into normals: the first 8 give radii, the last 8 angles."""
    blocks = fractions.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(F32(-2) * log(F32(1) - blocks[:, 0]))
    sine, cosine = sincos(F32(2 * math.pi) * blocks[:, 1])
    both = np.stack([radius * cosine, radius * sine], axis=1)
    return fma(both, F32(std), F32(mean)).reshape(-1)


def _box_muller64(fractions: Doubles, mean: float, std: float) -> Doubles:
    """Compute `_box_muller` in float64, where torch calls the C library's functions, as Python's ``math`` does."""
    blocks = fractions.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(-2.0 * each(math.log, 1.0 - blocks[:, 0]))
    angle = 2.0 * math.pi * blocks[:, 1]
    both = np.stack([radius * each(math.cos, angle), radius * each(math.sin, angle)], axis=1)
    return fma64(both, std, mean).reshape(-1)


def _narrowed(values: Any, dtype: str) -> Any:
    return values if dtype == "float64" else F32(values)


LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
    -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip


def log(x: Singles) -> Singles:
    """Return the natural logarithm of positive numbers as Cephes' logf does, with fused multiply-adds."""
    m, exponent = np.frexp(x)
    e = exponent.astype(F32)
    small = m < F32(math.sqrt(0.5))
    e = e - small.astype(F32)
    m = np.where(small, (m - F32(1)) + m, m - F32(1))
    z = m * m
    y = horner(m, LOG) * m
    y = fma(y, z, e * F32(-2.12194440e-4))
    y = y - z * F32(0.5)
    return fma(e, F32(0.693359375), m + y)


COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
QUARTER_TURN = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)


def sincos(t: Singles) -> tuple[Singles, Singles]:
    """Return sine and cosine of non-negative angles as Cephes' sinf and cosf do, with fused multiply-adds."""
    j = ((t * F32(1.27323954473516)).astype(np.int32) + 1) & ~1
    y = j.astype(F32)
    for piece in QUARTER_TURN:
        t = fma(y, F32(piece), t)
    z = t * t
    c = horner(z, COS) * z
    c = fma(c, z, z * F32(-0.5)) + F32(1)
    s = horner(z, SIN) * z
    s = fma(s, t, t)
    use = (j & 2) == 0
    sine = np.where(use, s, c) * np.where(j & 4, F32(-1), F32(1))
    cosine = np.where(use, c, s) * np.where((j - 2) & 4, F32(1), F32(-1))
    return sine, cosine
