"""What the built-in padding modes add to an input whose length is symbolic: indices and coefficients computed from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from convpolicy.arithmetic import SIDES
from convpolicy.core.resolution import Mode
from convpolicy.frameworks.torch.sums import Added, Part
from convpolicy.parts.side import value_of

# no number is added to a tensor or multiplied by one here: PT2E quantisers make float tensors of such numbers


class Place(NamedTuple):
    """Where the elements of one side are; integers of a symbolic length are tensors.

    Attributes:
        positions: int64 (elements,), below 0 or from the length on.
        samples, width: the length and the elements added here.
        is_left: whether they are before the input.
    """

    positions: Tensor
    samples: Tensor
    width: Tensor
    is_left: bool

    @property
    def near(self) -> Tensor:
        """Position of the edge sample of this side, per element."""
        return torch.zeros_like(self.positions) if self.is_left else (self.samples - 1).expand_as(self.positions)

    @property
    def far(self) -> Tensor:
        """Position of the edge sample of the other side, per element."""
        return (self.samples - 1).expand_as(self.positions) if self.is_left else torch.zeros_like(self.positions)

    @property
    def distance(self) -> Tensor:
        """How far each element is from the edge sample, 1 or more."""
        return -self.positions if self.is_left else self.positions - (self.samples - 1)


Coefficient: TypeAlias = "Tensor | None"
Parts: TypeAlias = "list[tuple[Coefficient, Tensor, Tensor | None]]"  # coefficients in int64 or float64, of `Part`


def reflect(positions: Tensor, length: Tensor) -> Tensor:
    """Return the samples of mode reflect, at any distance."""
    return (length - 1) - (positions.remainder((length + length - 2).clamp(min=1)) - (length - 1)).abs()


def symmetric(positions: Tensor, length: Tensor) -> Tensor:
    """Return the samples of mode symmetric, at any distance."""
    period = length + length
    folded = positions.remainder(period)
    return torch.minimum(folded, period - 1 - folded)


def circular(positions: Tensor, length: Tensor) -> Tensor:
    """Return the samples of mode circular, at any distance."""
    return positions.remainder(length)


# the built-in modes that fold, as index maps of tensors at any distance, and how much longer than a pad the input has to be
FOLDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "reflect": (reflect, 1),
    "symmetric": (symmetric, 0),
    "circular": (circular, 0),
}


def _constant(_place: Place, _overflow: str) -> Parts:
    return []


def _replicate(place: Place, _overflow: str) -> Parts:
    return [(None, place.near, None)]


def _folding(mode: str) -> Callable[[Place, str], Parts]:
    fold, reach = FOLDS[mode]

    def parts(place: Place, overflow: str) -> Parts:
        if overflow != "zero-extend":
            return [(None, fold(place.positions, place.samples), None)]
        needed = place.width - (-reach)
        index = fold(place.positions, torch.maximum(place.samples, needed))
        return [(None, torch.minimum(index, place.samples - 1), index < place.samples)]

    return parts


def _turned(mirror: str) -> Callable[[Place, str], Parts]:
    """Mirror about the edge and turn upside down there, as `convpolicy.library.padding_modes` does, again after every fold."""
    fold, skipped = FOLDS[mirror]

    def parts(place: Place, overflow: str) -> Parts:
        reach = (place.samples - skipped).clamp(min=1)
        folds = torch.div(place.distance - 1, reach, rounding_mode="floor")
        half, odd = torch.div(folds, 2, rounding_mode="floor"), folds.remainder(2)
        moved = half + odd
        terms: Parts = [
            (half + half - (-2), place.near, None),
            (odd + odd - 1, fold(place.positions, place.samples), None),
            (-(moved + moved), place.far, moved > 0),
        ]
        return terms if overflow == "periodic" else terms[:2]  # else no plan folds

    return parts


def _extrapolated(place: Place, _overflow: str) -> Parts:
    next_one = torch.ones_like(place.positions) if place.is_left else (place.samples - 2).expand_as(place.positions)
    return [(place.distance - (-1), place.near, None), (-place.distance, next_one, None)]


def _ramp(place: Place, _overflow: str) -> Parts:
    inner = place.width - place.distance
    return [(inner.double() / place.width.double(), place.near, inner > 0)]


def _whole(place: Place) -> Tensor:
    return torch.ones_like(place.positions, dtype=torch.float64)


def _towards_end(place: Place) -> Tensor:
    return place.distance.double() / place.width.double()


class Symbolic(NamedTuple):
    """A built-in mode for a symbolic length.

    Attributes:
        parts: ``(place, overflow) -> terms`` that read samples.
        share: ``place -> (elements,)``, how much of the constant is in each element; None: nothing.
        reach: how many samples longer than its pad an input has to be, or None where the pad does not matter.
        least: fewest samples of an input.
        extends: whether ``overflow="zero-extend"`` is among what it knows.
    """

    parts: Callable[[Place, str], Parts]
    share: Callable[[Place], Tensor] | None = None
    reach: int | None = None
    least: int = 1
    extends: bool = True

    def knows(self, words: Mapping[str, Any]) -> bool:
        """Whether these parameters of the mode are among what it knows."""
        return self.extends or words.get("overflow") != "zero-extend"


MODES = {
    "zeros": Symbolic(_constant, _whole, least=0),
    "constant": Symbolic(_constant, _whole, least=0),
    "replicate": Symbolic(_replicate),
    **{mode: Symbolic(_folding(mode), reach=reach) for mode, (_fold, reach) in FOLDS.items()},
    "odd": Symbolic(_turned("reflect"), reach=1, extends=False),
    "odd_symmetric": Symbolic(_turned("symmetric"), reach=0, extends=False),
    "extrapolate": Symbolic(_extrapolated, least=2, extends=False),
    "linear_ramp": Symbolic(_ramp, _towards_end, extends=False),
}


def are_known(modes: tuple[Mode, ...]) -> bool:
    """Whether `between` knows the modes of a policy."""
    return all(mode.name in MODES and MODES[mode.name].knows(words) for mode, words in modes)


def between(data: Tensor, pads: tuple[Any, Any], is_static: bool, modes: tuple[Mode, ...], value: Tensor | None) -> Tensor:
    """Return the input between its added elements, whose index and coefficients are computed from its length.

    Args:
        data: (…, channels, length), of a length that may be symbolic.
        pads: elements on the left and on the right, which may be symbolic.
        is_static: whether they are the same for every length.
        modes: see `convpolicy.core.policy.Policy.modes`.
        value: the learned constant, () or (channels,), or None.
    """
    parts = [data]
    for side, width, (mode, words) in zip(SIDES, pads, (modes[0], modes[-1])):
        if is_static and not width:
            continue
        widest = max(pads) if is_static and len(modes) == 1 else width
        added = _added(data, side, width, widest, MODES[mode.name], words)
        elements = added.elements(data, value)
        parts = [elements, *parts] if side == "left" else [*parts, elements]
    return torch.cat(parts, -1)


def _added(data: Tensor, side: str, width: Any, widest: Any, mode: Symbolic, words: Mapping[str, Any]) -> Added:
    length, device, is_left = data.shape[-1], data.device, side == "left"
    overflow = words.get("overflow", "error")
    if overflow == "error":
        torch._check(length >= (mode.least if mode.reach is None else widest + mode.reach))  # type: ignore[no-untyped-call]
    start, stop = (-width, 0) if is_left else (length, length + width)
    place = Place(torch.arange(start, stop, device=device), number(length, device), number(width, device), is_left)
    parts = tuple(
        Part(None if coefficient is None else coefficient.to(data.dtype), samples, reads)
        for coefficient, samples, reads in mode.parts(place, overflow)
    )
    share = None if mode.share is None else mode.share(place)
    if share is None or words.get("learned"):
        return Added(parts, shares=None if share is None else share.to(data.dtype))
    constant = torch.tensor(value_of(words, side), dtype=torch.float64, device=device).reshape(-1, 1)
    return Added(parts, torch.where(share > 0, share * constant, 0.0).to(data.dtype))


def number(value: Any, device: torch.device) -> Tensor:
    """Return an integer, which may be symbolic, as a tensor: ONNX has no remainder of a tensor by a symbolic number."""
    return torch.full((), value, dtype=torch.int64, device=device)
