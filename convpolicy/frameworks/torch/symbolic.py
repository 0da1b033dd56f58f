"""The built-in padding modes for a symbolic length: indices and coefficients that are computed from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from convpolicy.arithmetic import SIDES
from convpolicy.core.resolution import Mode
from convpolicy.frameworks.torch.sums import Added, Part
from convpolicy.parts.side import Value, value_of

# Python numbers are never added to tensors or multiplied by them here: PT2E quantisers turn such numbers into float tensors


class Place(NamedTuple):
    """The positions of the samples that are added on one side; symbolic integers are tensors.

    Attributes:
        positions: int64 (added,), negative on the left, ``samples`` or more on the right. It may contain positions of the other
            side, which a mask removes later.
        samples: int64 (), length of the input.
        width: int64 (), number of samples added on this side.
        is_left: True when the side precedes the input.
    """

    positions: Tensor
    samples: Tensor
    width: Tensor
    is_left: bool

    @property
    def distance(self) -> Tensor:
        """Distance of each added sample from the edge of the input, 1 or more."""
        return -self.positions if self.is_left else self.positions - (self.samples - 1)

    @property
    def near(self) -> Tensor:
        """Position of the edge sample on this side, for each added sample."""
        return self.inwards(torch.zeros_like(self.positions))

    @property
    def far(self) -> Tensor:
        """Position of the edge sample on the other side, for each added sample."""
        return self.inwards((self.samples - 1).expand_as(self.positions))

    def inwards(self, steps: Tensor) -> Tensor:
        """Return the positions that are ``steps`` samples inside the input, counted from the edge on this side."""
        return steps if self.is_left else (self.samples - 1) - steps


Terms: TypeAlias = "list[Part]"  # their coefficients are int64 or float64


def _reflect(positions: Tensor, length: Tensor) -> Tensor:
    return (length - 1) - (positions.remainder((length + length - 2).clamp(min=1)) - (length - 1)).abs()


def _symmetric(positions: Tensor, length: Tensor) -> Tensor:
    period = length + length
    folded = positions.remainder(period)
    return torch.minimum(folded, period - 1 - folded)


def _circular(positions: Tensor, length: Tensor) -> Tensor:
    return positions.remainder(length)


class Fold(NamedTuple):
    """A mode that mirrors or repeats the input.

    Attributes:
        at: ``(positions, length) -> samples``, for any distance.
        near: ``place -> samples``, for pads that the input is long enough for. A wider pad yields positions outside the input,
            which torch refuses.
        reach: the least difference between input length and pad, in samples.
    """

    at: Callable[[Tensor, Tensor], Tensor]
    near: Callable[[Place], Tensor]
    reach: int


FOLDS = {
    "reflect": Fold(_reflect, lambda p: p.inwards(p.distance), 1),
    "symmetric": Fold(_symmetric, lambda p: p.inwards(p.distance - 1), 0),
    "circular": Fold(_circular, lambda p: p.positions + p.samples if p.is_left else p.positions - p.samples, 0),
}


def _constant(_place: Place, _overflow: str) -> Terms:
    return []


def _replicate(place: Place, _overflow: str) -> Terms:
    return [Part(None, place.near)]


def _folding(mode: str) -> Callable[[Place, str], Terms]:
    fold = FOLDS[mode]

    def terms(place: Place, overflow: str) -> Terms:
        if overflow == "error":
            return [Part(None, fold.near(place))]
        if overflow == "periodic":
            return [Part(None, fold.at(place.positions, place.samples))]
        samples = fold.at(place.positions, torch.maximum(place.samples, place.width - (-fold.reach)))
        return [Part(None, torch.minimum(samples, place.samples - 1), samples < place.samples)]

    return terms


def _odd(mirror: str) -> Callable[[Place, str], Terms]:
    """Return the terms of an odd mode: point reflection at the edge, as in `convpolicy.library.padding_modes`."""
    fold = FOLDS[mirror]

    def terms(place: Place, overflow: str) -> Terms:
        one = torch.ones_like(place.positions)
        if overflow == "error":
            return [Part(one + one, place.near), Part(-one, fold.near(place))]
        folds = torch.div(place.distance - 1, (place.samples - fold.reach).clamp(min=1), rounding_mode="floor")
        half, odd = torch.div(folds, 2, rounding_mode="floor"), folds.remainder(2)
        moved = half + odd
        return [
            Part(half + half + one + one, place.near),
            Part(odd + odd - one, fold.at(place.positions, place.samples)),
            Part(-moved - moved, place.far, moved > 0),
        ]

    return terms


def _extrapolated(place: Place, _overflow: str) -> Terms:
    one = torch.ones_like(place.positions)
    return [Part(one + place.distance, place.near), Part(-place.distance, place.inwards(one))]


def _ramp(place: Place, _overflow: str) -> Terms:
    inner = place.width - place.distance
    return [Part(inner.double() / place.width.double(), place.near, inner > 0)]


def _full_share(place: Place) -> Tensor:
    return torch.ones_like(place.positions, dtype=torch.float64)


def _rising_share(place: Place) -> Tensor:
    return place.distance.double() / place.width.double()


class Symbolic(NamedTuple):
    """A built-in mode for a symbolic length.

    Attributes:
        terms: ``(place, overflow) -> terms`` that read input samples.
        share: ``place -> (added,)``, the factor of the constant in each added sample; None when it is 0.
        reach: the least difference between input length and pad, in samples; None for a mode without such a limit.
        least: the fewest samples of an input.
        extends: True when the mode supports ``overflow="zero-extend"``.
    """

    terms: Callable[[Place, str], Terms]
    share: Callable[[Place], Tensor] | None = None
    reach: int | None = None
    least: int = 1
    extends: bool = True


MODES = {
    "zeros": Symbolic(_constant, _full_share, least=0),
    "constant": Symbolic(_constant, _full_share, least=0),
    "replicate": Symbolic(_replicate),
    **{mode: Symbolic(_folding(mode), reach=fold.reach) for mode, fold in FOLDS.items()},
    "odd": Symbolic(_odd("reflect"), reach=1, extends=False),
    "odd_symmetric": Symbolic(_odd("symmetric"), reach=0, extends=False),
    "extrapolate": Symbolic(_extrapolated, least=2, extends=False),
    "linear_ramp": Symbolic(_ramp, _rising_share, extends=False),
}


class Filling(NamedTuple):
    """How one side is padded: mode, overflow rule, constant, and True when the constant is learned."""

    mode: Symbolic
    overflow: str
    value: Value
    is_learned: bool

    def require_reach(self, length: Any, widest: int) -> None:
        """Let torch refuse an input that is too short for the mode and its widest pad."""
        if self.overflow == "error":
            needed = self.mode.least if self.mode.reach is None else widest + self.mode.reach
            torch._check(length >= needed)  # type: ignore[no-untyped-call]

    def added(self, place: Place, dtype: torch.dtype) -> Added:
        """Return the added samples at the positions of ``place``, for an input of ``dtype``."""
        terms = tuple(
            Part(None if coefficient is None else coefficient.to(dtype), samples, reads)
            for coefficient, samples, reads in self.mode.terms(place, self.overflow)
        )
        share = None if self.mode.share is None else self.mode.share(place)
        if share is None or self.is_learned:
            return Added(terms, shares=None if share is None else share.to(dtype))
        value = torch.tensor(self.value, dtype=torch.float64, device=share.device).reshape(-1, 1)
        return Added(terms, (share * value).to(dtype))


Fillings: TypeAlias = "tuple[Filling, Filling]"


def fillings(modes: tuple[Mode, ...]) -> Fillings | None:
    """Return how both sides are padded, or None where a mode or its overflow rule does not support a symbolic length."""
    sides = []
    for side, (mode, parameters) in zip(SIDES, (modes[0], modes[-1])):
        symbolic, overflow = MODES.get(mode.name), parameters.get("overflow", "error")
        if symbolic is None or (overflow == "zero-extend" and not symbolic.extends):
            return None
        sides.append(Filling(symbolic, overflow, value_of(parameters, side), bool(parameters.get("learned"))))
    return sides[0], sides[1]


def beside(data: Tensor, pads: tuple[int, int], sides: Fillings, value: Tensor | None) -> Tensor:
    """Return the padded input for pads that are the same for every length.

    Args:
        data: (…, channels, length); the length may be symbolic.
        pads: ``(left, right)`` in samples.
        sides: result of `fillings`.
        value: the learned constant, () or (channels,), or None.
    """
    length, device = data.shape[-1], data.device
    parts = [data]
    for is_left, width, side in zip((True, False), pads, sides):
        if width:
            side.require_reach(length, width)
            start, stop = (-width, 0) if is_left else (length, length + width)
            positions = torch.arange(start, stop, device=device)
            place = Place(positions, number(length, device), number(width, device), is_left)
            elements = side.added(place, data.dtype).elements(data, value)
            parts.insert(0 if is_left else len(parts), elements)
    return torch.cat(parts, -1)


def whole(data: Tensor, pads: tuple[Any, Any], sides: Fillings, value: Tensor | None) -> Tensor:
    """Return the padded input, as `beside` does, for pads that may be symbolic.

    Torch would compile one graph for a pad of 1 and another for wider pads. To avoid that, each side is computed at every position
    of the padded input, and a mask selects its own positions.
    """
    length, device = data.shape[-1], data.device
    positions, samples = torch.arange(-pads[0], length + pads[1], device=device), number(length, device)
    masks = positions < 0, positions >= samples
    result = data.index_select(-1, torch.where(masks[0] | masks[1], 0, positions))
    for is_left, width, side, mask in zip((True, False), pads, sides, masks):
        place = Place(positions, samples, number(width, device), is_left)
        added = side.added(place, data.dtype).only(mask)
        result = torch.where(mask, added.elements(data, value), result)
    return result


def number(value: Any, device: torch.device) -> Tensor:
    """Return an integer, which may be symbolic, as a tensor; ONNX cannot take the remainder by a symbolic integer."""
    return torch.full((), value, dtype=torch.int64, device=device)
