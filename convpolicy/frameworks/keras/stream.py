"""The random streams of Keras 3: one seed per tensor from Python's ``random``, and the generator of the framework Keras runs on."""

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
CHUNK = 1 << 13  # elements computed at a time, so that they stay in the cache; a multiple of a block
CANDIDATES = 4  # normal numbers drawn for each truncated one on torch


class KerasStream(Stream):
    """The numbers that Keras draws after ``keras.utils.set_random_seed(seed)``.

    Each random tensor has its seed from ``random.randint(1, 10**9)``. Keras draws that integer when a layer is constructed, not when
    it is built. So draw layers in the order of their construction. Bit-identical to Keras 3.15.1. The dtype is that of the layer's
    variables, float32 under a mixed precision policy.

    Args:
        seed: integer in [0, 2**32).

    Source: keras/src/random/seed_generator.py, make_default_seed; keras/src/initializers/random_initializers.py.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed_between(seed, 0, 2**32 - 1))  # noqa: S311 - Keras uses it

    def _tensor(self, seed: int) -> Stream:
        """Return the stream of one tensor."""
        raise NotImplementedError

    def _next(self, dtype: str) -> Stream:
        self.check_dtype(dtype)
        return self._tensor(self._random.randint(1, LARGEST_SEED))

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Draw as ``RandomUniform`` does."""
        return self._next(dtype).uniform(shape, low, high, dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw as ``RandomNormal`` does."""
        return self._next(dtype).normal(shape, mean, std, dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw as ``TruncatedNormal`` does, which always truncates at two standard deviations."""
        if (lower, upper) != (-2.0, 2.0):
            raise InvalidValueError(
                f"lower and upper must be -2 and 2 for stream {self.name!r}, got {lower} and {upper}; pick random_stream='numpy'."
            )
        return self._next(dtype).truncated_normal(shape, mean, std, lower, upper, dtype)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as ``VarianceScaling``, ``Glorot*``, ``He*`` and ``Lecun*`` do: the root of ``scale / max(1, fan)``.

        The scale is the shortest number whose square root is ``gain``. Another scale with that root may differ in float64's last bit.
        """
        variance = variance_scale(gain) / max(1.0, fans.of(fan))
        if distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self.uniform(shape, -limit, limit, dtype)
        if distribution == "truncated_normal":
            return self.truncated_normal(shape, 0.0, math.sqrt(variance) / TRUNCATED_STD, -2.0, 2.0, dtype)
        return self.normal(shape, 0.0, math.sqrt(variance), dtype)


class KerasTensorflowStream(KerasStream):
    """The stream of Keras on TensorFlow: ``tf.random.stateless_*``; normal numbers have the bits of glibc's functions.

    Source: keras/src/backend/tensorflow/random.py.
    """

    name: ClassVar[str] = "keras"

    def _tensor(self, seed: int) -> Stream:
        return TensorflowStream(seed)


class KerasTorchStream(KerasStream):
    """The stream of Keras on torch: a new torch generator for each tensor.

    Source: keras/src/backend/torch/random.py.
    """

    name: ClassVar[str] = "keras-torch"

    def _tensor(self, seed: int) -> Stream:
        return _TorchTensor(seed)


class KerasJaxStream(KerasStream):
    """The stream of Keras on JAX: the key is the pair (seed, 0).

    Bit-identical to JAX on one thread. Differences elsewhere:

    - On several threads JAX splits the outermost axis. This changes float32 normal numbers of a weight with about 1200 elements or
      more, when the outermost axis is the only one with more than 4 elements: on two threads 4 882 of 1 138 056 numbers differed, by
      up to 3 units in the last place. Other shapes and 16-bit dtypes were equal.
    - Where XLA compiles for AVX-512 with FP16, float16 ``a * b + c`` is rounded once instead of twice, so truncated normal and
      uniform numbers differ in the last places. ``XLA_FLAGS=--xla_cpu_max_isa=AVX2`` makes them equal.
    - float64 is refused. Without ``jax_enable_x64`` JAX draws float32 instead, with a warning only.

    Source: keras/src/backend/jax/random.py.
    """

    name: ClassVar[str] = "keras-jax"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float16", "bfloat16")

    def _tensor(self, seed: int) -> Stream:
        return _JaxTensor((seed, 0))


class _TorchTensor(TorchStream):
    """The stream of one tensor on torch; it draws in pieces, as one call of torch would."""

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """Compute ``(high - low) * torch.rand(…) + low``; the factor stays float32, ``low`` is rounded to the dtype."""
        factor = computed(dtype)(high - low)
        values = room(math.prod(shape), dtype)
        for part in chunks(values.size, CHUNK):
            fractions = super().uniform((part.stop - part.start,), 0.0, 1.0, dtype)
            values[part] = times_plus(fractions, factor, number(low, dtype), dtype)
        return values.reshape(shape)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Draw as ``torch.normal`` does."""
        values = room(math.prod(shape), dtype)
        for part in _pieces(values.size):
            values[part] = super().normal((part.stop - part.start,), mean, std, dtype)
        return values.reshape(shape)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Draw four normal numbers for each element; keep the first one inside the bounds, or else the first."""
        factor = computed(dtype)(std)
        values = room(math.prod(shape), dtype)
        for part in _pieces(values.size):
            normals = super().normal((part.stop - part.start, CANDIDATES), 0.0, 1.0, dtype)
            first = ((normals > lower) & (normals < upper)).argmax(axis=1)
            kept = normals[np.arange(len(normals)), first]
            values[part] = times_plus(kept, factor, number(mean, dtype), dtype)
        return values.reshape(shape)


class _JaxTensor(JaxStream):
    """The stream of one tensor on JAX, from one key."""

    name: ClassVar[str] = KerasJaxStream.name
    dtypes: ClassVar[tuple[str, ...]] = KerasJaxStream.dtypes

    def __init__(self, key: Key) -> None:
        self._tensor_key = key

    def _key(self) -> Key:
        return self._tensor_key

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """Compute ``jax.random.normal(…) * std + mean``."""
        return _plus_zero(super().normal(shape, mean, std, dtype))

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Compute ``jax.random.truncated_normal(…) * std + mean``."""
        return _plus_zero(super().truncated_normal(shape, mean, std, lower, upper, dtype))


def _pieces(count: int) -> list[slice]:
    """Return slices for drawing normal numbers on torch with the bits of one draw: the last slice has at least one block."""
    edges = [*range(0, max(count - BLOCK + 1, 1), CHUNK), count]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _plus_zero(values: Values) -> Values:
    """Add 0, as Keras adds a mean of 0, which turns -0 into 0."""
    values += 0.0
    return values
