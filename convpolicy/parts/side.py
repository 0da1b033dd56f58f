"""`Side`: the elements that padding adds on one side. Each is a weighted sum of input samples and of a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import FrozenArray

Array: TypeAlias = "NDArray[Any]"
CONSTANT = -1  # index of the constant in an index map
Value: TypeAlias = "float | tuple[float, ...]"  # the constant: one number, or one per channel


@attrs.frozen(cache_hash=True)
class Term:
    """One term of each element of a side: a coefficient times an input sample, or times the constant.

    Args:
        coefficient: one number for all elements, or one per element.
        sources: the input position that each element reads, or -1 for the constant.
    """

    coefficient: float | tuple[float, ...]
    sources: tuple[int, ...]

    @property
    def is_copy(self) -> bool:
        """True if every element equals one sample or the constant."""
        return self.coefficient == 1.0


class Read(NamedTuple):
    """One term as arrays, ready to be computed from the input.

    Attributes:
        coefficient: float64 array (elements,), or None if all coefficients are 1.
        samples: int64 array (elements,) of input positions in [0, length). An element that reads no sample has 0.
        reads: bool array (elements,). It is False for an element that reads no sample. None if all elements read a sample.
    """

    coefficient: Array | None
    samples: Array
    reads: Array | None


@attrs.frozen(cache_hash=True)
class Side:
    """The elements that padding adds on one side. Each element is the sum of its terms.

    Args:
        terms: one or more terms with the same number of elements.
        value: the constant: one number, or one number per channel. A term at position -1 reads the constant.
        learned: True if the constant is a trainable parameter of the layer. Its initial value is ``value``.
    """

    terms: tuple[Term, ...]
    value: Value = 0.0
    learned: bool = False

    @property
    def width(self) -> int:
        """The number of added elements."""
        return len(self.terms[0].sources)

    @property
    def sources(self) -> tuple[int, ...]:
        """The input position that each element copies, or -1 for the constant. Valid only if `copies` is True."""
        return self.terms[0].sources

    @property
    def copies(self) -> bool:
        """True if every element equals one sample or the constant."""
        return len(self.terms) == 1 and self.terms[0].is_copy

    @property
    def has_constant(self) -> bool:
        """True if at least one element reads the constant."""
        return any(CONSTANT in term.sources for term in self.terms)

    @property
    def has_value(self) -> bool:
        """True if the constant is learned or not 0."""
        return self.learned or bool(np.any(np.asarray(self.value) != 0))

    def element(self, place: int) -> tuple[tuple[float, int], ...]:
        """Return the coefficient and the source of each nonzero term of one element.

        Args:
            place: index of the element, from 0.
        """
        pairs = (
            (term.coefficient[place] if isinstance(term.coefficient, tuple) else term.coefficient, term.sources[place])
            for term in self.terms
        )
        return tuple((share, source) for share, source in pairs if share and (source >= 0 or self.has_value))

    def part(self, first: int, end: int, shift: int = 0) -> Side:
        """Return the elements from ``first`` to ``end``, that one not included, whose sources are ``shift`` samples later."""
        terms = []
        for term in self.terms:
            sources = tuple(CONSTANT if source == CONSTANT else source + shift for source in term.sources[first:end])
            coefficient = term.coefficient[first:end] if isinstance(term.coefficient, tuple) else term.coefficient
            terms.append(Term(coefficient, sources))
        return attrs.evolve(self, terms=tuple(terms))

    def reads(self) -> list[Read]:
        """Return the terms that read input samples, as arrays. See `Read`."""
        reads_of_terms = []
        for term in self.terms:
            index = np.array(term.sources, dtype=np.int64)
            coefficient = np.broadcast_to(np.asarray(term.coefficient, dtype=np.float64), index.shape)
            reads = (index >= 0) & (coefficient != 0)
            if reads.any():
                plain = bool((coefficient[reads] == 1).all())
                reads_of_terms.append(
                    Read(
                        None if plain else np.where(reads, coefficient, 0.0),
                        np.where(reads, index, 0),
                        None if reads.all() else reads,
                    )
                )
        return reads_of_terms

    def shares(self) -> Array | None:
        """Return the coefficient of the constant in each element, a float64 array (elements,). None if all are 0."""
        shares = np.zeros(self.width)
        for term in self.terms:
            shares += np.where(np.array(term.sources, dtype=np.int64) == CONSTANT, term.coefficient, 0.0)
        return shares if shares.any() else None

    def constants(self) -> Array | None:
        """Return what the constant contributes to each element, a float64 array (1 or channels, elements). None if all are 0."""
        shares = self.shares()
        if shares is None:
            return None
        values = np.atleast_1d(np.asarray(self.value, dtype=np.float64))[:, None]
        with np.errstate(invalid="ignore"):  # an infinite constant times a share of 0 is 0
            return np.where(shares == 0, 0.0, shares * values)

    def added(self, arithmetic: Arithmetic, value: Any = None) -> Any:
        """Compute the added elements with the functions of a framework, so that the framework can compute gradients.

        Args:
            arithmetic: the framework's functions, bound to the input.
            value: the learned constant, or None for ``self.value``. It is a scalar or an array (channels, 1). If channels are the
                last axis, the array is (1, channels).

        Returns:
            An array of the framework, (…, channels, elements). If channels are the last axis, it is (…, elements, channels).
        """
        total = None
        for coefficient, samples, reads in self.reads():
            part = arithmetic.take(samples)
            if coefficient is not None:
                part = part * arithmetic.array(arithmetic.place(coefficient))
            if reads is not None:  # keeps an infinity that is not read out of the sum
                part = arithmetic.where(arithmetic.place(reads), part)
            total = part if total is None else total + part
        constants = self._constants(arithmetic, value)
        if total is None and constants is None:
            constants = arithmetic.array(arithmetic.place(np.zeros((1, self.width))))
        if total is None:
            return arithmetic.broadcast(constants)
        return total if constants is None else total + constants

    def _constants(self, arithmetic: Arithmetic, value: Any) -> Any:
        numbers = self.constants() if value is None else self.shares()
        if numbers is None:
            return None
        constants = arithmetic.array(arithmetic.place(np.atleast_2d(numbers)))
        return constants if value is None else constants * value


class Arithmetic(NamedTuple):
    """The functions of a framework that compute added elements from one input.

    If the elements of a plan are not copies of samples, a backend creates an `Arithmetic`. It passes the object to `Side.added` for the
    left and the right side. See `of_numpy` for an example.

    Attributes:
        take: function that takes an int64 array (elements,) of positions and returns these samples, (…, channels, elements).
        array: function that converts a float64 array to an array of the framework, in the dtype of the input.
        where: function ``(bool array, array) -> array`` that replaces an element by 0 if the bool is False.
        broadcast: function that broadcasts an array to all axes of the input.
        channels_last: True if channels are the last axis of the input.
    """

    take: Callable[[Array], Any]
    array: Callable[[Array], Any]
    where: Callable[[Array, Any], Any]
    broadcast: Callable[[Any], Any]
    channels_last: bool = False

    def place(self, numbers: Array) -> Array:
        """Return numbers (elements,) or (channels, elements) in a shape that broadcasts against elements of the input."""
        return np.atleast_2d(numbers).T if self.channels_last else numbers

    @classmethod
    def of_numpy(cls, data: Array) -> Arithmetic:
        """Return the functions of NumPy for an input (…, channels, length)."""
        return cls(
            take=lambda index: data[..., index],
            array=lambda numbers: numbers.astype(data.dtype),
            where=lambda reads, part: np.where(reads, part, np.zeros((), data.dtype)),
            broadcast=lambda numbers: np.broadcast_to(numbers, (*data.shape[:-1], numbers.shape[-1])),
        )


def value_of(arguments: Mapping[str, Any], side: str) -> Value:
    """Return the constant of one side: the mode's parameter ``left`` or ``right`` if set, else ``value``, else 0."""
    value = arguments.get(side)
    value = arguments.get("value", 0.0) if value is None else value
    return tuple(value.array.tolist()) if isinstance(value, FrozenArray) else float(value)


def has_one_constant(sides: tuple[Side, ...]) -> bool:
    """Return True if all sides that read the constant have the same number for it."""
    values = [side.value for side in sides if side.has_constant]
    if any(isinstance(value, tuple) for value in values):
        return False
    return all(value == values[0] or {str(value), str(values[0])} == {"nan"} for value in values)


def require_channels(value: Value, channels: int) -> None:
    """Refuse constants per channel for a layer that has another number of channels.

    Raises:
        InvalidValueError: the numbers differ. The message contains both.
    """
    if isinstance(value, tuple) and len(value) != channels:
        raise InvalidValueError(
            f"padding_mode must have one value, or one for each of the {channels} input channels, got {len(value)} values; "
            f"pass an array of shape ({channels},)."
        )
