"""The random stream ``mlx``: the numbers of ``mlx.nn.Conv1d`` and ``mlx.nn.init`` after ``mx.random.seed``, in NumPy."""

from __future__ import annotations

import math
from typing import ClassVar

from convpolicy import InvalidValueError, Stream
from convpolicy.arithmetic import Fans
from convpolicy.bits.float32 import number, rounded, times_plus
from convpolicy.parts.stream import TRUNCATED_STD, seed_between
from convpolicy_mlx import bits
from convpolicy_mlx.bits import Shape, Values

LARGEST_SEED = 2**64 - 1


class MlxStream(Stream):
    """The numbers that MLX draws after ``mx.random.seed(seed)``.

    Each tensor splits a key from MLX's global key. A tensor of zeros splits none. Bit-identical to mlx 0.29.4, 0.31.2, 0.32.3 and
    0.32.4 on the CPU of x86-64 Linux. On Apple GPUs, normal numbers may differ in the last bits, since their logarithm differs.

    Args:
        seed: integer in [0, 2**64), as for ``mx.random.seed``.
        init_dtype: ``"float32"`` draws in float32 and converts, as ``nn.Conv1d`` followed by ``set_dtype`` does. ``"same"`` draws
            in the tensor's dtype, as ``nn.init.normal(dtype=…)`` does.

    Raises:
        InvalidTypeError, InvalidValueError: MLX refuses the seed; the message contains the seed and the range.
    """

    name: ClassVar[str] = "mlx"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def __init__(self, seed: int, init_dtype: str = "float32") -> None:
        self.key = bits.key_of(seed_between(seed, 0, LARGEST_SEED))
        self._init_dtype = init_dtype

    def _next(self) -> bits.Key:
        self.key, tensor_key = bits.split(self.key)
        return tensor_key

    def _drawn_in(self, dtype: str) -> str:
        self.check_dtype(dtype)
        if self._init_dtype != "same":
            return "float32"
        if dtype == "float64":
            raise InvalidValueError(
                "random stream 'mlx' cannot draw float64 with init_dtype='same', as MLX cannot; leave init_dtype out."
            )
        return dtype

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Values:
        """``mx.random.uniform(low, high, shape)``."""
        drawn_in = self._drawn_in(dtype)
        return rounded(bits.uniform(self._next(), shape, low, high, drawn_in), dtype)

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Values:
        """``mx.random.normal(shape, loc=mean, scale=std)``."""
        drawn_in = self._drawn_in(dtype)
        return rounded(bits.normal(self._next(), shape, mean, std, drawn_in), dtype)

    def truncated_normal(
        self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Values:
        """Compute ``mx.random.truncated_normal(lower, upper, shape) * std + mean``; MLX has no initializer for it."""
        drawn_in = self._drawn_in(dtype)
        values = bits.truncated_normal(self._next(), shape, lower, upper, drawn_in)
        return rounded(times_plus(values, number(std, drawn_in), number(mean, drawn_in), drawn_in), dtype)

    def scaled(self, shape: Shape, fans: Fans, fan: str, gain: float, distribution: str, dtype: str = "float32") -> Values:
        """Draw as ``mlx.nn.init.he_uniform``, ``he_normal``, ``glorot_uniform`` and ``glorot_normal`` do with a gain."""
        size = fans.of(fan)
        if distribution == "uniform":
            limit = gain * math.sqrt(3.0 / size)
            return self.uniform(shape, -limit, limit, dtype)
        # he_normal divides by the root, glorot_normal takes the root of the quotient
        std = gain * math.sqrt(1.0 / size) if fan == "fan_avg" else gain / math.sqrt(size)
        if distribution == "truncated_normal":
            return self.truncated_normal(shape, 0.0, std / TRUNCATED_STD, -2.0, 2.0, dtype)
        return self.normal(shape, 0.0, std, dtype)
