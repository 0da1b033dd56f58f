"""Transposed convolutions for the tests of a framework: what is cut by the published definitions, and exact gradients.

Nothing here uses the plans of the package, only its float64 reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from helpers.transposed import IN, OUT, TWO_COMPUTATIONS, Sizes, random

import convpolicy as cp
from convpolicy import reference
from convpolicy.parts.layout import Layout

LENGTHS = (1, 4, 11)


def weights(seed: int, sizes: Sizes, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Random weight (in, out/groups, kernel) and bias."""
    return random(seed, IN, OUT // sizes.groups, sizes.kernel, dtype=dtype), random(seed + 1, OUT, dtype=dtype)


def same_cut(sizes: Sizes) -> tuple[int, int]:
    """'same' of Keras, Flax and MindSpore: length * stride samples stay, the extra sample is cut on the right."""
    total = sizes.effective - sizes.stride
    return (total // 2, total - total // 2) if total > 0 else (0, total)


def valid_cut(sizes: Sizes) -> tuple[int, int]:
    """'valid' of Keras, Flax and MindSpore: at least length * stride samples."""
    return 0, min(sizes.effective - sizes.stride, 0)


def forward_same_cut(sizes: Sizes, length: int) -> tuple[int, int]:
    """Paddle's 'SAME': the pads of the convolution of an input of this length, dilation 1."""
    total = max((-(-length // sizes.stride) - 1) * sizes.stride + sizes.kernel - length, 0)
    return total // 2, total - total // 2


def gradients(
    data: Any, weight: Any, upstream: Any, cut: tuple[int, int], sizes: Sizes, mode: str = "zeros"
) -> dict[str, tuple[Any, Any]]:
    """The gradients of ``sum(output * upstream)`` in float64, each with its rounding bound for float32."""
    length, length_out = data.shape[2], upstream.shape[2]
    per_in, per_out = IN // sizes.groups, OUT // sizes.groups
    value = {name: np.zeros(array.shape) for name, array in (("input", data), ("weight", weight))}
    size = {name: array.copy() for name, array in value.items()}
    for sample, tap, channel in itertools.product(range(length), range(sizes.kernel), range(IN)):
        target = sample * sizes.stride + tap * sizes.dilation - cut[0]
        target = target % length_out if mode == "circular" else target
        if not 0 <= target < length_out:
            continue
        first = channel // per_in * per_out
        above = upstream[:, first : first + per_out, target].astype(float)  # (batch, out/groups)
        to_input = above * weight[channel, :, tap]
        to_weight = above * data[:, channel, sample, None]
        value["input"][:, channel, sample] += to_input.sum(1)
        size["input"][:, channel, sample] += np.abs(to_input).sum(1)
        value["weight"][channel, :, tap] += to_weight.sum(0)
        size["weight"][channel, :, tap] += np.abs(to_weight).sum(0)
    value["bias"], size["bias"] = upstream.sum((0, 2), dtype=float), np.abs(upstream).sum((0, 2), dtype=float)
    terms = {"input": per_out * sizes.kernel, "weight": len(data) * length, "bias": len(data) * length_out}
    return {
        name: (value[name], TWO_COMPUTATIONS * reference.tolerance("float32", count + 1, size[name]))
        for name, count in terms.items()
    }


def judge_gradients(found: dict[str, Any], expected: dict[str, tuple[Any, Any]]) -> None:
    """Assert that gradients are the exact ones within their bounds."""
    for name, (value, bound) in expected.items():
        assert found[name].shape == value.shape, name
        assert (np.abs(found[name] - value) <= bound).all(), name


def same_bits(one: Any, other: Any, case: Any) -> None:
    """Assert that two arrays have equal dtype, shape and bits."""
    assert (one.dtype, one.shape) == (other.dtype, other.shape), case
    assert one.tobytes() == other.tobytes(), case


class SwappedFans:
    """A plugin with a layout of transposed weights whose fans are those of Conv1d."""

    @cp.hookimpl
    def convpolicy_layouts(self) -> list[Layout]:
        """Return the layout."""
        return [Layout("IOW-swapped", "IOW", transposed=True, fan_in="I")]


@contextmanager
def swapped_fans() -> Iterator[str]:
    """Yield the name of a layout that counts the fans of transposed weights on the other side."""
    cp.register(SwappedFans(), "swapped-fans")
    try:
        yield "IOW-swapped"
    finally:
        cp.unregister("swapped-fans")
