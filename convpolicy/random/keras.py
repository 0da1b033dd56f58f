"""Keras 3: one Python random integer per tensor, then the generator of the backend that Keras runs on."""

from __future__ import annotations

import math
import random
from typing import ClassVar

import numpy as np

from convpolicy.arithmetic import Fans
from convpolicy.random import philox, threefry
from convpolicy.random.float32 import F32, Singles
from convpolicy.random.stream import Shape, Stream, Values, chunks, seed_between, variance_scale
from convpolicy.random.torch import Mt19937

LARGEST_SEED = 10**9
CHUNK = 1 << 16  # words worked on at a time; a multiple of a block
MODULUS = 2**31 - 2  # TensorFlow takes seeds modulo this
DERIVATION_KEY = (0x3EC8F720, 0x02461E29)


class KerasStream(Stream):
    """``keras.utils.set_random_seed(seed)``: each randomly filled tensor takes ``random.randint(1, 10**9)`` as its own seed.

    The integer is taken when the layer is made, not when it is built; layers drawn here in the order in which they are made are
    those. Source: keras/src/random/seed_generator.py, make_default_seed; keras/src/initializers/random_initializers.py.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed_between(seed, 0, 2**32 - 1))  # noqa: S311 - Keras takes it

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """``RandomUniform``, ``GlorotUniform``, …"""
        self.check_dtype(dtype)
        return self._uniform(self._random.randint(1, LARGEST_SEED), shape, low, high)

    def _uniform(self, seed: int, shape: Shape, low: float, high: float) -> Singles:
        raise NotImplementedError

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, law: str, dtype: str = "float32") -> Values:
        """``VarianceScaling``: ``scale / max(1, fan)`` first, then the root."""
        if law != "uniform":
            return super().scaled(shape, fans, fan, gain, law, dtype)
        limit = math.sqrt(3.0 * (variance_scale(gain) / max(1.0, fans.of(fan))))
        return self.uniform(shape, -limit, limit, dtype)


class KerasTensorflowStream(KerasStream):
    """Keras on TensorFlow: ``tf.random.stateless_uniform``, Philox with a key and counter derived from the seed by Philox."""

    name: ClassVar[str] = "keras"

    def _uniform(self, seed: int, shape: Shape, low: float, high: float) -> Singles:
        derived = philox.block(DERIVATION_KEY, (seed % MODULUS, 0, 0, 0))
        first, span = F32(low), F32(F32(high) - F32(low))
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            words = philox.words((derived[0], derived[1]), part.start // 4, part.stop - part.start, (derived[2], derived[3]))
            fractions = (words & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(F32) - F32(1)
            values[part] = fractions * span + first  # two roundings
        return values.reshape(shape)


class KerasTorchStream(KerasStream):
    """Keras on torch: a fresh torch generator for each tensor."""

    name: ClassVar[str] = "keras-torch"

    def _uniform(self, seed: int, shape: Shape, low: float, high: float) -> Singles:
        generator, span = Mt19937(seed), F32(high - low)
        values = np.empty(math.prod(shape), F32)
        for part in chunks(values.size, CHUNK):
            values[part] = generator.singles(part.stop - part.start) * span + F32(low)
        return values.reshape(shape)


class KerasJaxStream(KerasStream):
    """Keras on JAX: the key is the pair (seed, 0)."""

    name: ClassVar[str] = "keras-jax"

    def _uniform(self, seed: int, shape: Shape, low: float, high: float) -> Singles:
        return threefry.uniform((seed, 0), shape, low, high)
