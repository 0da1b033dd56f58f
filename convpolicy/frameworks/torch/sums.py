"""What added elements are, as tensors: sums of coefficients times samples, and constants."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from convpolicy import registry
from convpolicy.frameworks.torch.values import outlasting
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.side import Side, Term

Numbers: TypeAlias = "tuple[float, ...]"


class Part(NamedTuple):
    """One term of every element.

    Attributes:
        coefficient: (elements,) in the dtype of the input, or None where it is 1 throughout.
        samples: int64 (elements,), positions of the input.
        reads: bool (elements,), False where the term adds nothing, or None where it reads everywhere.
    """

    coefficient: Tensor | None
    samples: Tensor
    reads: Tensor | None = None


class Added(NamedTuple):
    """What some added elements are.

    Attributes:
        parts: terms that read samples.
        constants: (1 or channels, elements), added to the terms, or None.
        shares: (elements,), how much of the learned constant is added too, or None.
    """

    parts: tuple[Part, ...] = ()
    constants: Tensor | None = None
    shares: Tensor | None = None

    def only(self, mask: Tensor) -> Added:
        """Return them with finite numbers and positions of the input where a mask (elements,) is False."""

        def masked(numbers: Tensor | None) -> Tensor | None:
            return None if numbers is None else torch.where(mask, numbers, 0)

        parts = tuple(
            Part(masked(coefficient), torch.where(mask, samples, 0), reads) for coefficient, samples, reads in self.parts
        )
        return Added(parts, masked(self.constants), masked(self.shares))

    def elements(self, data: Tensor, value: Tensor | None) -> Tensor:
        """Compute them from an input (…, channels, length) and the learned constant, () or (channels,); (…, channels, elements)."""
        total: Tensor | None = None
        for coefficient, samples, reads in self.parts:
            part = data.index_select(-1, samples)
            if coefficient is not None:
                part = part * coefficient
            if reads is not None:  # an infinity that is not read must not reach the sum
                part = torch.where(reads, part, 0.0)
            total = part if total is None else total + part
        constants = self.constants
        if value is not None and self.shares is not None:
            learned = value.to(data.dtype).reshape(-1, 1) * self.shares
            constants = learned if constants is None else constants + learned
        if total is None:
            assert constants is not None
            return constants.expand(*data.shape[:-1], constants.shape[-1])
        return total if constants is None else total + constants


class Table(NamedTuple):
    """The elements of both sides for one length, left ones first, as plain numbers that torch.compile takes for constants.

    Attributes:
        parts: per term coefficients or None, positions, and whether each is read or None.
        constants: rows of 1 or all channels, or None.
        shares: of the learned constant, or None.
    """

    parts: tuple[tuple[Numbers | None, tuple[int, ...], tuple[bool, ...] | None], ...]
    constants: tuple[Numbers, ...] | None
    shares: Numbers | None

    def added(self, dtype: torch.dtype, device: torch.device) -> Added:
        """Return it as tensors."""

        def floats(numbers: Any) -> Any:
            return None if numbers is None else torch.tensor(numbers, dtype=dtype, device=device)

        parts = tuple(
            Part(
                floats(coefficient),
                torch.tensor(samples, dtype=torch.int64, device=device),
                None if reads is None else torch.tensor(reads, device=device),
            )
            for coefficient, samples, reads in self.parts
        )
        return Added(parts, floats(self.constants), floats(self.shares))


def _plain(array: Any) -> Any:
    return None if array is None else tuple(map(tuple, array.tolist()) if array.ndim > 1 else array.tolist())


def _both(sides: tuple[Side, Side]) -> Side:
    """Return the terms of both sides as those of one, left elements first."""
    missing = [Term(0.0, (0,) * side.width) for side in sides]
    pairs = [[term or nothing for term, nothing in zip(terms, missing)] for terms in zip_longest(*(side.terms for side in sides))]
    return Side(
        tuple(
            Term(
                tuple(float(number) for term in pair for number in np.broadcast_to(term.coefficient, len(term.sources))),
                tuple(source for term in pair for source in term.sources),
            )
            for pair in pairs
        )
    )


def _columns(sides: tuple[Side, Side], rows: list[Any]) -> Any:
    """Join (1 or channels, elements) of both sides, zeros for a side that has none; None where neither has."""
    if all(row is None for row in rows):
        return None
    filled = [np.zeros((1, side.width)) if row is None else np.atleast_2d(row) for side, row in zip(sides, rows)]
    channels = max(row.shape[0] for row in filled)
    return np.concatenate([np.broadcast_to(row, (channels, row.shape[1])) for row in filled], axis=-1)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def table(request: LayerRequest, length: int) -> Table:
    """Return what is added to an input of one length."""
    sides = request.plan(length).sides
    parts = tuple((_plain(coefficient), _plain(samples), _plain(reads)) for coefficient, samples, reads in _both(sides).reads())
    constants = _columns(sides, [None if side.learned else side.constants() for side in sides])
    shares = _columns(sides, [side.shares() if side.learned else None for side in sides])
    if not parts and constants is None and shares is None:  # nothing is added, or sums of nothing
        constants = np.zeros((1, sum(side.width for side in sides)))
    return Table(parts, _plain(constants), None if shares is None else _plain(shares[0]))


@registry.cached(maxsize=256)
def kept(request: LayerRequest, length: int, dtype: torch.dtype, device: torch.device) -> Added:
    """Return `table` as tensors, which eager layers keep per length."""
    with outlasting():
        numbers: Table = table(request, length)
        return numbers.added(dtype, device)


def joined(data: Tensor, added: Added, left: int, value: Tensor | None) -> Tensor:
    """Return the input between its added elements, of which ``left`` come before it."""
    elements = added.elements(data, value)
    return torch.cat([elements[..., :left], data, elements[..., left:]], -1)
