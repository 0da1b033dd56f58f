"""Added samples as tensors: sums of coefficients times input samples, and constants."""

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
    """One term of the sums: a coefficient times an input sample, for every added sample.

    Attributes:
        coefficient: (added,) in the input's dtype, or None when every coefficient is 1.
        samples: int64 (added,), positions in the input.
        reads: bool (added,), False where the term is 0; None when it is True everywhere.
    """

    coefficient: Tensor | None
    samples: Tensor
    reads: Tensor | None = None


class Added(NamedTuple):
    """Added samples as sums.

    Attributes:
        parts: the terms that read input samples.
        constants: (1 or channels, added), or None.
        shares: (added,), factors of the learned constant, or None.
    """

    parts: tuple[Part, ...] = ()
    constants: Tensor | None = None
    shares: Tensor | None = None

    def only(self, mask: Tensor) -> Added:
        """Return a copy with zeros where ``mask`` (added,) is False, so that every position is valid and every number finite."""

        def masked(numbers: Tensor | None) -> Tensor | None:
            return None if numbers is None else torch.where(mask, numbers, 0)

        parts = tuple(
            Part(masked(coefficient), torch.where(mask, samples, 0), reads) for coefficient, samples, reads in self.parts
        )
        return Added(parts, masked(self.constants), masked(self.shares))

    def elements(self, data: Tensor, value: Tensor | None) -> Tensor:
        """Compute the added samples.

        Args:
            data: (…, channels, length).
            value: the learned constant, () or (channels,), or None.

        Returns:
            (…, channels, added).
        """
        total: Tensor | None = None
        for coefficient, samples, reads in self.parts:
            part = data.index_select(-1, samples)
            if coefficient is not None:
                part = part * coefficient
            if reads is not None:  # a masked sample may be infinite, and infinity times 0 is NaN
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
    """The added samples of both sides for one length, left ones first, as numbers that torch.compile treats as constants.

    Attributes:
        parts: for each term ``(coefficients or None, positions, reads or None)``, see `Part`.
        constants: one row, or a row for each channel; or None.
        shares: factors of the learned constant, or None.
    """

    parts: tuple[tuple[Numbers | None, tuple[int, ...], tuple[bool, ...] | None], ...]
    constants: tuple[Numbers, ...] | None
    shares: Numbers | None

    def added(self, dtype: torch.dtype, device: torch.device) -> Added:
        """Return the table as tensors."""

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
    """Join both sides into one, left samples first."""
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
    """Join the (1 or channels, added) arrays of both sides, with zeros for None; return None if both are None."""
    if all(row is None for row in rows):
        return None
    filled = [np.zeros((1, side.width)) if row is None else np.atleast_2d(row) for side, row in zip(sides, rows)]
    channels = max(row.shape[0] for row in filled)
    return np.concatenate([np.broadcast_to(row, (channels, row.shape[1])) for row in filled], axis=-1)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def table(request: LayerRequest, length: int) -> Table:
    """Return the samples that are added to an input of ``length`` samples."""
    sides = request.plan(length).sides
    parts = tuple((_plain(coefficient), _plain(samples), _plain(reads)) for coefficient, samples, reads in _both(sides).reads())
    constants = _columns(sides, [None if side.learned else side.constants() for side in sides])
    shares = _columns(sides, [side.shares() if side.learned else None for side in sides])
    if not parts and constants is None and shares is None:  # nothing is added, or only empty sums
        constants = np.zeros((1, sum(side.width for side in sides)))
    return Table(parts, _plain(constants), None if shares is None else _plain(shares[0]))


def side_table(side: Side) -> Table:
    """Return the samples of one side."""
    parts = tuple((_plain(coefficient), _plain(samples), _plain(reads)) for coefficient, samples, reads in side.reads())
    constants, shares = (None, side.shares()) if side.learned else (side.constants(), None)
    if not parts and constants is None and shares is None:
        constants = np.zeros((1, side.width))
    return Table(parts, _plain(constants), _plain(shares))


@registry.cached(maxsize=256)
def kept(request: LayerRequest, length: int, dtype: torch.dtype, device: torch.device) -> Added:
    """Return `table` as tensors; eager layers cache them per length."""
    with outlasting():
        numbers: Table = table(request, length)
        return numbers.added(dtype, device)


def joined(data: Tensor, added: Added, left: int, value: Tensor | None) -> Tensor:
    """Return the padded input; the first ``left`` added samples precede the input."""
    elements = added.elements(data, value)
    return torch.cat([elements[..., :left], data, elements[..., left:]], -1)
