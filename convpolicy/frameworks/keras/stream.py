"""Keras 3: one Python random integer per tensor, then the generator of the backend that Keras runs on."""

from __future__ import annotations

import itertools
import math
import random
from typing import ClassVar

import numpy as np

from convpolicy.arithmetic import Fans
from convpolicy.bits.float32 import computed, number, room, times_plus
from convpolicy.bits.pieces import Shape, Values, chunks
from convpolicy.bits.threefry import Key
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax.stream import JaxStream
from convpolicy.frameworks.keras.tensorflow_stream import TensorflowStream
from convpolicy.frameworks.torch.stream import BLOCK, TorchStream
from convpolicy.parts.stream import TRUNCATED_STD, Stream, seed_between, variance_scale

LARGEST_SEED = 10**9
CHUNK = 1 << 13  # elements worked on at a time, to stay in the cache; a multiple of a block
CANDIDATES = 4  # normals drawn for each truncated one on torch


class KerasStream(Stream):
    """``keras.utils.set_random_seed(seed)``: each randomly filled tensor takes ``random.randint(1, 10**9)`` as its own seed.

    The integer is taken when the layer is made, not when it is built; layers drawn here in the order in which they are made are
    those. A seed is from 0 to 2**32 - 1, what Keras passes on to NumPy.
    Exact against Keras 3.15.1; dtype is that of the layer's variables, float32 under a mixed precision policy.
    Source: keras/src/random/seed_generator.py, make_default_seed; keras/src/initializers/random_initializers.py.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed_between(seed, 0, 2**32 - 1))  # noqa: S311 - Keras takes it

    def _tensor(self, seed: int) -> Stream:
        """Return what one tensor is drawn from."""
        raise NotImplementedError

    def _next(self, dtype: str) -> Stream:
        self.check_dtype(dtype)
        return self._tensor(self._random.randint(1, LARGEST_SEED))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """``RandomUniform``."""
        return self._next(dtype).uniform(shape, low, high, dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """``RandomNormal``."""
        return self._next(dtype).normal(shape, mean, std, dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """``TruncatedNormal``, which knows no bounds but two standard deviations."""
        if (lower, upper) != (-2.0, 2.0):
            raise InvalidValueError(
                f"stream {self.name!r} cuts at -2 and 2 only, got {lower} and {upper}; pick random_stream='numpy'."
            )
        return self._next(dtype).truncated_normal(shape, mean, std, lower, upper, dtype)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """``VarianceScaling``, of which ``Glorot*``, ``He*`` and ``Lecun*`` are cases: ``scale / max(1, fan)`` first, then the root.

        The scale is the shortest number whose root the gain is; another scale with that root may differ in float64's last bit.
        """
        variance = variance_scale(gain) / max(1.0, fans.of(fan))
        if distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self.uniform(shape, -limit, limit, dtype)
        if distribution == "truncated_normal":
            return self.truncated_normal(shape, 0.0, math.sqrt(variance) / TRUNCATED_STD, -2.0, 2.0, dtype)
        return self.normal(shape, 0.0, math.sqrt(variance), dtype)


class KerasTensorflowStream(KerasStream):
    """Keras on TensorFlow: ``tf.random.stateless_*``, whose bits in the normal laws are those of glibc.

    Source: keras/src/backend/tensorflow/random.py.
    """

    name: ClassVar[str] = "keras"

    def _tensor(self, seed: int) -> Stream:
        return TensorflowStream(seed)


class KerasTorchStream(KerasStream):
    """Keras on torch: a fresh torch generator for each tensor.

    Source: keras/src/backend/torch/random.py.
    """

    name: ClassVar[str] = "keras-torch"

    def _tensor(self, seed: int) -> Stream:
        return _TorchTensor(seed)


class KerasJaxStream(KerasStream):
    """Keras on JAX: the key is the pair (seed, 0).

    The bits are those of JAX on one thread. On more it cuts the outermost axis, which shows in float32 normals where that is the
    only axis of more than 4 elements and the weight has some 1200 or more: on two threads 4 882 of 1 138 056 values differed, by up
    to 3 units in the last place. Kernels of another shape, and 16 bits, were the same on one and two.
    Where XLA compiles for AVX-512 with FP16, float16 ``a * b + c`` is rounded once and not twice, so that truncated normals and
    uniforms differ in the last places (``XLA_FLAGS=--xla_cpu_max_isa=AVX2`` gives those drawn here); other laws and dtypes do not.
    float64 is refused: without ``jax_enable_x64`` JAX draws float32 instead, and says so in a warning only.
    Source: keras/src/backend/jax/random.py.
    """

    name: ClassVar[str] = "keras-jax"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float16", "bfloat16")

    def _tensor(self, seed: int) -> Stream:
        return _JaxTensor((seed, 0))


class _TorchTensor(TorchStream):
    """One tensor from one torch generator, drawn in pieces."""

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """``(high - low) * torch.rand(…) + low``: the factor stays float32, the summand is rounded to the dtype."""
        factor = computed(dtype)(high - low)
        values = room(math.prod(shape), dtype)
        for part in chunks(values.size, CHUNK):
            fractions = super().uniform((part.stop - part.start,), 0.0, 1.0, dtype)
            values[part] = times_plus(fractions, factor, number(low, dtype), dtype)
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """``torch.normal``."""
        values = room(math.prod(shape), dtype)
        for part in _pieces(values.size):
            values[part] = super().normal((part.stop - part.start,), mean, std, dtype)
        return values.reshape(shape)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Of four normals for each element the first inside, or the first of all."""
        factor = computed(dtype)(std)
        values = room(math.prod(shape), dtype)
        for part in _pieces(values.size):
            normals = super().normal((part.stop - part.start, CANDIDATES), 0.0, 1.0, dtype)
            first = ((normals > lower) & (normals < upper)).argmax(axis=1)
            chosen = normals[np.arange(len(normals)), first]
            values[part] = times_plus(chosen, factor, number(mean, dtype), dtype)
        return values.reshape(shape)


class _JaxTensor(JaxStream):
    """One tensor from one key."""

    name: ClassVar[str] = KerasJaxStream.name
    dtypes: ClassVar[tuple[str, ...]] = KerasJaxStream.dtypes

    def __init__(self, key: Key) -> None:
        self._own_key = key

    def _key(self) -> Key:
        return self._own_key

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """``jax.random.normal(…) * std + mean``."""
        return _plus_zero(super().normal(shape, mean, std, dtype))

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """``jax.random.truncated_normal(…) * std + mean``."""
        return _plus_zero(super().truncated_normal(shape, mean, std, lower, upper, dtype))


def _pieces(count: int) -> list[slice]:
    """Return slices that torch's normals are drawn in as if in one: the last holds a block, if the whole does."""
    edges = [*range(0, max(count - BLOCK + 1, 1), CHUNK), count]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _plus_zero(values: Values) -> Values:
    """Keras adds a mean of 0 too, which turns -0 into 0."""
    values += 0.0
    return values
