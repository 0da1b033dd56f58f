"""What the built-in padding modes add to an input whose length is symbolic: indices and coefficients computed from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from convpolicy.arithmetic import SIDES
from convpolicy.core.resolution import Mode
from convpolicy.frameworks.torch.sums import Added, Part
from convpolicy.parts.side import Value, value_of

# no number is added to a tensor or multiplied by one here: PT2E quantisers make float tensors of such numbers


class Place(NamedTuple):
    """Where the elements of one side are; integers of a symbolic length are tensors.

    Attributes:
        positions: int64 (elements,), below 0 or from the length on; a mask removes those of the other side later.
        samples, width: the length and the elements added here, int64 ().
        is_left: whether they are before the input.
    """

    positions: Tensor
    samples: Tensor
    width: Tensor
    is_left: bool

    @property
    def distance(self) -> Tensor:
        """How far each element is from the edge sample, 1 or more."""
        return -self.positions if self.is_left else self.positions - (self.samples - 1)

    @property
    def near(self) -> Tensor:
        """Position of the edge sample of this side, per element."""
        return self.inwards(torch.zeros_like(self.positions))

    @property
    def far(self) -> Tensor:
        """Position of the edge sample of the other side, per element."""
        return self.inwards((self.samples - 1).expand_as(self.positions))

    def inwards(self, steps: Tensor) -> Tensor:
        """Return the positions so many steps from the edge sample into the input."""
        return steps if self.is_left else (self.samples - 1) - steps


Terms: TypeAlias = "list[Part]"  # with coefficients in int64 or float64


def _reflect(positions: Tensor, length: Tensor) -> Tensor:
    return (length - 1) - (positions.remainder((length + length - 2).clamp(min=1)) - (length - 1)).abs()


def _symmetric(positions: Tensor, length: Tensor) -> Tensor:
    period = length + length
    folded = positions.remainder(period)
    return torch.minimum(folded, period - 1 - folded)


def _circular(positions: Tensor, length: Tensor) -> Tensor:
    return positions.remainder(length)


class Fold(NamedTuple):
    """A mode that folds.

    Attributes:
        at: ``(positions, length) -> samples``, at any distance.
        near: ``place -> samples``, for a pad that the mode reaches; a wider one leaves the input, which torch then refuses.
        reach: how many samples longer than a pad the input has to be.
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


def _turned(mirror: str) -> Callable[[Place, str], Terms]:
    """Mirror about the edge and turn upside down there, again after every fold, as `convpolicy.library.padding_modes` says."""
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


def _whole(place: Place) -> Tensor:
    return torch.ones_like(place.positions, dtype=torch.float64)


def _towards_end(place: Place) -> Tensor:
    return place.distance.double() / place.width.double()


class Symbolic(NamedTuple):
    """A built-in mode for a symbolic length.

    Attributes:
        terms: ``(place, overflow) -> terms`` that read samples.
        share: ``place -> (elements,)``, how much of the constant is in each element; None: nothing.
        reach: how many samples longer than its pad an input has to be, or None where the pad does not matter.
        least: fewest samples of an input.
        extends: whether ``overflow="zero-extend"`` is among what it knows.
    """

    terms: Callable[[Place, str], Terms]
    share: Callable[[Place], Tensor] | None = None
    reach: int | None = None
    least: int = 1
    extends: bool = True


MODES = {
    "zeros": Symbolic(_constant, _whole, least=0),
    "constant": Symbolic(_constant, _whole, least=0),
    "replicate": Symbolic(_replicate),
    **{mode: Symbolic(_folding(mode), reach=fold.reach) for mode, fold in FOLDS.items()},
    "odd": Symbolic(_turned("reflect"), reach=1, extends=False),
    "odd_symmetric": Symbolic(_turned("symmetric"), reach=0, extends=False),
    "extrapolate": Symbolic(_extrapolated, least=2, extends=False),
    "linear_ramp": Symbolic(_ramp, _towards_end, extends=False),
}


class Filling(NamedTuple):
    """What one side is filled with: a mode, its overflow rule, its constant, and whether that is learned."""

    mode: Symbolic
    overflow: str
    value: Value
    is_learned: bool

    def require_reach(self, length: Any, widest: int) -> None:
        """Let torch refuse a length for which the mode does not reach."""
        if self.overflow == "error":
            needed = self.mode.least if self.mode.reach is None else widest + self.mode.reach
            torch._check(length >= needed)  # type: ignore[no-untyped-call]

    def added(self, place: Place, dtype: torch.dtype) -> Added:
        """Return what the elements of a place are, for an input of this dtype."""
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
    """Return what both sides are filled with, or None where a mode or its overflow rule is not known for a symbolic length."""
    found = []
    for side, (mode, words) in zip(SIDES, (modes[0], modes[-1])):
        known, overflow = MODES.get(mode.name), words.get("overflow", "error")
        if known is None or (overflow == "zero-extend" and not known.extends):
            return None
        found.append(Filling(known, overflow, value_of(words, side), bool(words.get("learned"))))
    return found[0], found[1]


def beside(data: Tensor, pads: tuple[int, int], sides: Fillings, value: Tensor | None) -> Tensor:
    """Return the input between elements whose numbers are the same for every length.

    Args:
        data: (…, channels, length), of a length that may be symbolic.
        pads: elements on the left and on the right.
        sides: see `fillings`.
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
    """Return what `beside` does for symbolic numbers of elements, of which torch would make one graph for 1 and another for more.

    So both sides are computed as if every element of the padded input were theirs, and each element is chosen from what it is.
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
    """Return an integer, which may be symbolic, as a tensor: ONNX has no remainder of a tensor by a symbolic number."""
    return torch.full((), value, dtype=torch.int64, device=device)
