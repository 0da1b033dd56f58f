"""The built-in padding modes: index maps and sums of index maps.

The example in each description pads four samples by 2 on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.arithmetic import SIDES
from convpolicy.parts.mode import Indices, PaddingMode
from convpolicy.parts.part import Param
from convpolicy.parts.side import CONSTANT
from convpolicy.registry.marks import hookimpl


def constant(positions: Indices, length: int) -> Any:
    """A constant: 1234, left 2, right 2 -> vv|1234|vv."""
    return np.full_like(positions, CONSTANT)


def reflect(positions: Indices, length: int) -> Any:
    """Mirror image about the edge sample: 1234, left 2, right 2 -> 32|1234|32.

    Period ``2 * length - 2``. Source: numpy.pad(mode="reflect"), torch.nn.functional.pad(mode="reflect").
    """
    period = max(2 * length - 2, 1)
    folded = positions % period
    return np.minimum(folded, period - folded)


def symmetric(positions: Indices, length: int) -> Any:
    """Mirror image that repeats the edge sample: 1234, left 2, right 2 -> 21|1234|43.

    Period ``2 * length``. Source: numpy.pad(mode="symmetric"), tf.pad(mode="SYMMETRIC").
    """
    folded = positions % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def replicate(positions: Indices, length: int) -> Any:
    """Copies of the edge sample: 1234, left 2, right 2 -> 11|1234|44.

    Source: torch.nn.functional.pad(mode="replicate"), numpy.pad(mode="edge").
    """
    return np.clip(positions, 0, length - 1)


def circular(positions: Indices, length: int) -> Any:
    """Samples from the opposite end: 1234, left 2, right 2 -> 34|1234|12.

    Period ``length``. Source: torch.nn.functional.pad(mode="circular"), numpy.pad(mode="wrap").
    """
    return positions % length


def _outwards(positions: Indices, length: int) -> tuple[Any, Any, Any, Any]:
    """Return, for each position, its distance from the near edge, the index of the near and of the far edge, and the inward step."""
    left = positions < 0
    far = length - 1
    return np.where(left, -positions, positions - far), np.where(left, 0, far), np.where(left, far, 0), np.where(left, 1, -1)


def _odd_terms(positions: Indices, length: int, reach: int, skipped: int) -> Any:
    """Return the terms of an odd reflection, ``f(edge + d) = 2 f(edge) - f(edge - d)``.

    The signal is folded at each edge after every ``reach`` elements. A second fold adds twice the difference of the edges.
    """
    distance, near, far, inwards = _outwards(positions, length)
    folds, step = np.divmod(distance - 1, max(reach, 1))
    is_odd = folds % 2 == 1
    inner = np.clip(np.where(is_odd, reach - 1 - step, step + skipped), 0, length - 1)
    terms = [(2.0 * (folds // 2 + 1), near), (np.where(is_odd, 1.0, -1.0), near + inwards * inner)]
    far_folds = folds // 2 + is_odd
    return [*terms, (-2.0 * far_folds, far)] if far_folds.any() else terms


def odd(positions: Indices, length: int) -> Any:
    """Twice the edge sample minus the mirror image: 4556, left 2, right 2 -> 33|4556|77.

    Source: scipy.signal's padtype "odd" (odd_ext), numpy.pad(mode="reflect", reflect_type="odd").
    """
    return _odd_terms(positions, length, length - 1, 1)


def odd_symmetric(positions: Indices, length: int) -> Any:
    """Twice the edge sample minus the mirror image that repeats it: 4556, left 2, right 2 -> 34|4556|67.

    Source: numpy.pad(mode="symmetric", reflect_type="odd").
    """
    return _odd_terms(positions, length, length, 0)


def extrapolate(positions: Indices, length: int) -> Any:
    """Straight line through the two samples at the edge: 4556, left 2, right 2 -> 23|4556|78.

    An input of one sample is repeated.
    """
    distance, near, _far, inwards = _outwards(positions, length)
    return [(1.0 + distance, near), (-1.0 * distance, np.clip(near + inwards, 0, length - 1))]


def linear_ramp(positions: Indices, length: int, width: int) -> Any:
    """Straight line from the edge sample to an end value, here 0: 2468, left 2, right 2 -> 01|2468|40.

    The outermost element has the end value.
    Source: numpy.pad(mode="linear_ramp").
    """
    distance, near, _far, _inwards = _outwards(positions, length)
    return [((width - distance) / width, near), (distance / width, np.full_like(positions, CONSTANT))]


def per_side(positions: Indices, length: int) -> Any:
    """A mode for each side, here reflect and zeros: 1234, left 2, right 2 -> 32|1234|00.

    Written as ``padding_mode=("reflect", "zeros")``.
    """
    raise NotImplementedError("a plan uses the modes of the two sides")


def _two_samples(length: int) -> int:
    return 2**62 if length > 1 else 0


def _up_to_length(length: int) -> int:
    return length


def _up_to_length_minus_one(length: int) -> int:
    return max(length - 1, 0)


def _any_unless_empty(length: int) -> int:
    return 2**62 if length else 0


CONSTANTS = {  # each is a number, or one number per channel; left and right override value on one side
    "value": Param(0.0, kind="values", finite=False),
    "left": Param(None, kind="values", finite=False),
    "right": Param(None, kind="values", finite=False),
}
ENDS = {name: Param(param.default, kind="values") for name, param in CONSTANTS.items()}


@hookimpl
def convpolicy_padding_modes() -> list[PaddingMode]:
    """Return the built-in padding modes."""
    return [
        PaddingMode("zeros", constant, declares={"causal", "linear"}, description="Zeros: 1234, left 2, right 2 -> 00|1234|00."),
        PaddingMode("constant", constant, declares={"causal"}, params=CONSTANTS | {"learned": Param(False, kind="flag")}),
        PaddingMode("reflect", reflect, declares={"linear"}, limit=_up_to_length_minus_one),
        PaddingMode("symmetric", symmetric, declares={"linear"}, limit=_up_to_length),
        PaddingMode("replicate", replicate, declares={"causal", "linear"}, limit=_any_unless_empty),
        PaddingMode("circular", circular, declares={"linear"}, limit=_up_to_length),
        PaddingMode("odd", odd, declares={"linear"}, limit=_up_to_length_minus_one),
        PaddingMode("odd_symmetric", odd_symmetric, declares={"linear"}, limit=_up_to_length),
        PaddingMode("extrapolate", extrapolate, declares={"linear"}, limit=_two_samples),
        PaddingMode("linear_ramp", linear_ramp, declares={"causal"}, limit=_any_unless_empty, needs_width=True, params=ENDS),
        PaddingMode("per_side", per_side, params={side: Param("zeros", kind="mode") for side in SIDES}),
    ]
