"""The random streams ``flax`` and ``flax-linen``: threefry keys, and normal numbers as XLA computes them on the CPU."""

from __future__ import annotations

import hashlib
import math
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.bits.float32 import F32, FRACTION_BITS, Singles, fma, horner, number, rounded, times
from convpolicy.bits.logf import logf
from convpolicy.bits.pieces import Shape, Values, chunks
from convpolicy.bits.threefry import Key
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax import jax_random
from convpolicy.parts.stream import TRUNCATED_STD, Stream, seed_between, variance_scale

Flags: TypeAlias = "NDArray[np.bool_]"
ROOT_2 = F32(math.sqrt(2))
TWO_SIGMA = 0.9544997  # erf(sqrt(2)), rounded as in jax.random.truncated_normal
CHUNK = 1 << 14
UNROLLED = 4  # XLA unrolls the loop over an axis of at most this size
CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
    1.50140941,
)  # fmt: skip
TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
    2.83297682,
)  # fmt: skip
LOG1P_ABOVE = (
    4.5270000862445199635215e-5, 4.9854102823193375972212e-1, 6.5787325942061044846969e0, 2.9911919328553073277375e1,
    6.0949667980987787057556e1, 5.7112963590585538103336e1, 2.0039553499201281259648e1,
)  # fmt: skip
LOG1P_BELOW = (
    1.0, 1.5062909083469192043167e1, 8.3047565967967209469434e1, 2.2176239823732856465394e2, 3.0909872225312059774938e2,
    2.1642788614495947685003e2, 6.0118660497603843919306e1,
)  # fmt: skip
LOG1P_SMALL = F32(0.41421356)
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
    -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip


def erf_inv(x: Singles, scalar: Flags) -> Singles:
    """Return the inverse error function (Giles, 2010) of float32 numbers in (-1, 1).

    Args:
        x: float32 numbers.
        scalar: bool array of the same shape, True where XLA computes the element in a scalar loop, which has another logarithm.
    """
    minus_log = -_log1p(-x * x, scalar)
    near = minus_log < F32(5)
    w = np.where(near, minus_log - F32(2.5), np.sqrt(minus_log) - F32(3))
    polynomial = np.where(near, horner(w, CENTRE), horner(w, TAIL))
    return polynomial * x


def _log1p(t: Singles, scalar: Flags) -> Singles:
    square = t * t
    ratio = horner(t, LOG1P_ABOVE) / horner(t, LOG1P_BELOW)
    small = t + fma(square, F32(-0.5), (t * square) * ratio)
    big = np.abs(t) >= LOG1P_SMALL
    if big.any():
        argument = (t + F32(1))[big]
        small[big] = np.where(scalar[big], _xla_log(argument), logf(argument))
    return small


def _xla_log(x: Singles) -> Singles:
    """Return the natural logarithm of positive normal numbers as XLA's scalar loops compute it."""
    m, exponent = np.frexp(x)
    e = exponent.astype(F32)
    below = m < F32(math.sqrt(0.5))
    e = e - below.astype(F32)
    m = np.where(below, (m - F32(1)) + m, m - F32(1))
    z = m * m
    cube = z * m
    y = fma(fma(F32(LOG[0]), m, F32(LOG[1])), m, F32(LOG[2]))
    y1 = fma(fma(F32(LOG[3]), m, F32(LOG[4])), m, F32(LOG[5]))
    y2 = fma(fma(F32(LOG[6]), m, F32(LOG[7])), m, F32(LOG[8]))
    y = fma(fma(y, cube, y1), cube, y2)
    y = fma(y, cube, F32(-2.12194440e-4) * e)
    m = fma(F32(-0.5), z, m)
    return fma(F32(0.693359375), e, m + y)


def scalar_elements(shape: Shape) -> tuple[Flags, int]:
    """Return which elements XLA (jaxlib 0.7.1, x86-64 with AVX2) computes in its scalar loop.

    XLA computes vectors along one axis: the last axis with more than 4 elements, if at most one unrolled axis follows it. The rest of
    that axis is scalar. A second short axis before an unrolled one is one vector when it has 4 elements, and otherwise scalar.

    Returns:
        Bool array over the positions on that axis, and the number of elements per position.
    """
    inner = 1
    for size in reversed([size for size in shape if size > 1]):
        if size > UNROLLED:
            return np.arange(size) >= _in_vectors(size), inner
        if inner > 1 and inner * size > UNROLLED:
            return np.array([size != UNROLLED]), 1
        inner *= size
    return np.ones(1, bool), 1


def _in_vectors(count: int) -> int:
    if count < 16:
        return 8 if count == 8 else 0
    return 4 * (count // 4) if 20 <= count < 24 or 28 <= count < 32 else 8 * (count // 8)


def _below_one(dtype: str) -> float:
    return 1 - 2.0 ** -(FRACTION_BITS[dtype] + 1)


def _normal(key: Key, shape: Shape, low: float, high: float, dtype: str) -> Values:
    scalar, inner = scalar_elements(shape)
    root = number(ROOT_2, dtype)
    values = jax_random.uniform(key, shape, low, high, dtype).reshape(-1)
    for part in chunks(values.size, CHUNK):
        positions = np.arange(part.start, part.stop) // inner % len(scalar)
        values[part] = times(erf_inv(values[part].astype(F32, copy=False), scalar[positions]), root, dtype)
    return values.reshape(shape)


def _scaled_and_shifted(values: Values, mean: float, std: float, dtype: str) -> Values:
    """Compute ``values * std + mean`` in place; a mean of 0 is not added."""
    flat, factor, offset = values.reshape(-1), number(std, dtype), number(mean, dtype)
    for part in chunks(flat.size, CHUNK):
        product = times(flat[part], factor, dtype)
        flat[part] = rounded(product + offset, dtype) if mean else product
    return values


class JaxStream(Stream):
    """The numbers that Flax's initializers draw, from one key per tensor.

    Bit-identical to flax 0.12.0 and jax 0.7.1 on x86-64 with AVX2 and glibc. Differences elsewhere:

    - Another jaxlib may split its loops differently, which changes a few numbers by up to 3 units in the last place.
    - Where XLA compiles for AVX-512 with FP16, half of the float16 truncated normal and uniform numbers may differ in the last
      places. ``XLA_FLAGS=--xla_cpu_max_isa=AVX2`` makes them equal. float32 and bfloat16 are not affected.

    Source: jax/_src/random.py, jax/_src/nn/initializers.py.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float16", "bfloat16")

    def _key(self) -> Key:
        raise NotImplementedError

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw as ``jax.random.uniform`` does."""
        self.check_dtype(dtype)
        return jax_random.uniform(self._key(), shape, low, high, dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Compute ``jax.random.normal(…) * std + mean``; a mean of 0 is not added."""
        self.check_dtype(dtype)
        return _scaled_and_shifted(_normal(self._key(), shape, -_below_one(dtype), 1.0, dtype), mean, std, dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Compute ``jax.random.truncated_normal(key, -2, 2) * std + mean``; other bounds were not measured and are refused."""
        self.check_dtype(dtype)
        if (lower, upper) != (-2.0, 2.0):
            raise InvalidValueError(
                f"lower and upper must be -2 and 2 for stream {self.name!r}, got {lower} and {upper}; pick random_stream='numpy'."
            )
        most = number(2 * _below_one(dtype), dtype)
        values = _normal(self._key(), shape, -TWO_SIGMA, TWO_SIGMA, dtype)
        return _scaled_and_shifted(np.clip(values, -most, most, out=values), mean, std, dtype)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as ``variance_scaling`` does: each step is rounded to the tensor's dtype."""
        variance = number(variance_scale(gain) / fans.of(fan), dtype)
        if distribution == "uniform":
            values, factor = self.uniform(shape, -1.0, 1.0, dtype), np.sqrt(number(3 * variance, dtype))
        elif distribution == "truncated_normal":
            values = self.truncated_normal(shape, 0.0, 1.0, -2.0, 2.0, dtype)
            factor = number(np.sqrt(variance), dtype) / number(F32(TRUNCATED_STD), dtype)
        else:
            values, factor = self.normal(shape, 0.0, 1.0, dtype), np.sqrt(variance)
        return times(values, number(factor, dtype), dtype)


class NnxStream(JaxStream):
    """The numbers of ``flax.nnx.Rngs(seed)``: every tensor of a layer increases a counter, also a bias of zeros.

    Args:
        seed: integer in [-2**63, 2**63).
    """

    name: ClassVar[str] = "flax"

    def __init__(self, seed: int) -> None:
        self._root = jax_random.key_of(seed_between(seed, -(2**63), 2**63 - 1))
        self._count = -1

    def begin(self, role: str) -> None:
        """Increase the counter."""
        self._count += 1

    def _key(self) -> Key:
        return jax_random.fold_in(self._root, max(self._count, 0))


class LinenStream(JaxStream):
    """The numbers of ``module.init(jax.random.key(seed), x)``: a key depends on the module's path and a counter in the module.

    Args:
        seed: integer in [-2**63, 2**63).
        path: names from the outermost module inwards, e.g. ``"ConvTranspose_0"`` or ``"Block_0/Conv_1"``; empty for a top-level
            module.
    """

    name: ClassVar[str] = "flax-linen"

    def __init__(self, seed: int, path: str = "") -> None:
        self._seed = seed
        self._root = jax_random.key_of(seed_between(seed, -(2**63), 2**63 - 1))
        self._path = tuple(path.split("/")) if path else ()
        self._count = 0

    def at(self, path: str) -> LinenStream:
        """Return the stream of the module at another path, with the same seed."""
        return LinenStream(self._seed, path)

    def begin(self, role: str) -> None:
        """Increase the counter; refuse a second module, which needs a stream with another path."""
        if role == "weight" and self._count:
            raise InvalidValueError(
                "stream 'flax-linen' draws one module, got a second; use stream.at('Conv_1') for the module at that path."
            )
        self._count += 1

    def _key(self) -> Key:
        count = self._count.to_bytes(max((self._count.bit_length() + 7) // 8, 1), "big")
        digest = hashlib.sha1(b"".join(name.encode() for name in self._path) + count, usedforsecurity=False).digest()
        return jax_random.fold_in(self._root, int.from_bytes(digest[:4], "big"))
