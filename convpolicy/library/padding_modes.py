"""Padding modes as index maps. Each drawing pads 1234 by 2 on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.parts.padding import CONSTANT, Indices, PaddingMode
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl


def constant(positions: Indices, length: int) -> Any:
    """A constant: 1234, left 2, right 2 -> vv|1234|vv."""
    return np.full_like(positions, CONSTANT)


def reflect(positions: Indices, length: int) -> Any:
    """Mirrored about the edge sample, which is not repeated: 1234, left 2, right 2 -> 32|1234|32.

    Period ``2 * length - 2``. Source: numpy.pad(mode="reflect"), torch.nn.functional.pad(mode="reflect").
    """
    period = max(2 * length - 2, 1)
    folded = positions % period
    return np.minimum(folded, period - folded)


def symmetric(positions: Indices, length: int) -> Any:
    """Mirrored about the edge, whose sample is repeated: 1234, left 2, right 2 -> 21|1234|43.

    Period ``2 * length``. Source: numpy.pad(mode="symmetric"), tf.pad(mode="SYMMETRIC").
    """
    folded = positions % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def replicate(positions: Indices, length: int) -> Any:
    """The edge sample repeated: 1234, left 2, right 2 -> 11|1234|44.

    Source: torch.nn.functional.pad(mode="replicate"), numpy.pad(mode="edge").
    """
    return np.clip(positions, 0, length - 1)


def circular(positions: Indices, length: int) -> Any:
    """Wrapped around: 1234, left 2, right 2 -> 34|1234|12.

    Period ``length``. Source: torch.nn.functional.pad(mode="circular"), numpy.pad(mode="wrap").
    """
    return positions % length


def _up_to_length(length: int) -> int:
    return length


def _up_to_length_minus_one(length: int) -> int:
    return max(length - 1, 0)


def _any_unless_empty(length: int) -> int:
    return 2**62 if length else 0


@hookimpl
def convpolicy_padding_modes() -> list[PaddingMode]:
    """Return the built-in modes."""
    return [
        PaddingMode("zeros", constant, declares={"causal", "linear"}, description="Zeros: 1234, left 2, right 2 -> 00|1234|00."),
        PaddingMode("constant", constant, declares={"causal"}, params={"value": Param(0.0, finite=False)}),
        PaddingMode("reflect", reflect, declares={"linear"}, limit=_up_to_length_minus_one),
        PaddingMode("symmetric", symmetric, declares={"linear"}, limit=_up_to_length),
        PaddingMode("replicate", replicate, declares={"causal", "linear"}, limit=_any_unless_empty),
        PaddingMode("circular", circular, declares={"linear"}, limit=_up_to_length),
    ]
