"""What the elements added on one side are: a sum of coefficients times input samples, or the constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidValueError
from convpolicy.parts.choice import FrozenArray

Array: TypeAlias = "NDArray[Any]"
CONSTANT = -1  # in an index map: not a sample of the input but the constant value
Value: TypeAlias = "float | tuple[float, ...]"  # of the constant: one number, or one per channel


@attrs.frozen(cache_hash=True)
class Term:
    """A coefficient times what an index map reads.

    Args:
        coefficient: one number for all elements, or one per element.
        sources: per element the input position, or -1 for the constant.
    """

    coefficient: float | tuple[float, ...]
    sources: tuple[int, ...]

    @property
    def is_copy(self) -> bool:
        """True when every element is one sample, or the constant, as it is."""
        return self.coefficient == 1.0


class Read(NamedTuple):
    """One term, ready to be computed from the input.

    Attributes:
        coefficient: float64 (elements,), or None where it is 1 throughout.
        samples: int64 (elements,), input positions in [0, length); 0 where nothing is read.
        reads: bool (elements,), False where the term reads nothing, or None where it reads everywhere.
    """

    coefficient: Array | None
    samples: Array
    reads: Array | None


@attrs.frozen(cache_hash=True)
class Side:
    """What the elements added on one side are: each is the sum of its terms.

    Args:
        terms: one or more, all of as many elements.
        value: the constant that source -1 stands for: a number, or one per channel.
        learned: True when the constant is a parameter of the layer, and ``value`` what it starts from.
    """

    terms: tuple[Term, ...]
    value: Value = 0.0
    learned: bool = False

    @property
    def width(self) -> int:
        """Elements added."""
        return len(self.terms[0].sources)

    @property
    def sources(self) -> tuple[int, ...]:
        """What each element repeats, for a side that copies."""
        return self.terms[0].sources

    @property
    def copies(self) -> bool:
        """True when every element repeats a sample or the constant."""
        return len(self.terms) == 1 and self.terms[0].is_copy

    @property
    def has_constant(self) -> bool:
        """True when some element reads the constant."""
        return any(CONSTANT in term.sources for term in self.terms)

    @property
    def has_value(self) -> bool:
        """True when the constant may be anything but 0."""
        return self.learned or bool(np.any(np.asarray(self.value) != 0))

    def element(self, place: int) -> tuple[tuple[float, int], ...]:
        """Return coefficient and source of each term that adds something to one element."""
        pairs = (
            (term.coefficient[place] if isinstance(term.coefficient, tuple) else term.coefficient, term.sources[place])
            for term in self.terms
        )
        return tuple((share, source) for share, source in pairs if share and (source >= 0 or self.has_value))

    def reads(self) -> list[Read]:
        """Return the terms that read samples, as arrays; see `Read`."""
        found = []
        for term in self.terms:
            index = np.array(term.sources, dtype=np.int64)
            coefficient = np.broadcast_to(np.asarray(term.coefficient, dtype=np.float64), index.shape)
            reads = (index >= 0) & (coefficient != 0)
            if reads.any():
                plain = bool((coefficient[reads] == 1).all())
                found.append(
                    Read(
                        None if plain else np.where(reads, coefficient, 0.0),
                        np.where(reads, index, 0),
                        None if reads.all() else reads,
                    )
                )
        return found

    def shares(self) -> Array | None:
        """Return float64 (elements,): how much of the constant is in each element, or None where no element holds any."""
        shares = np.zeros(self.width)
        for term in self.terms:
            shares += np.where(np.array(term.sources, dtype=np.int64) == CONSTANT, term.coefficient, 0.0)
        return shares if shares.any() else None

    def constants(self) -> Array | None:
        """Return float64 (1 or channels, elements): what the constant adds to each element, or None where it adds nothing."""
        shares = self.shares()
        if shares is None:
            return None
        values = np.atleast_1d(np.asarray(self.value, dtype=np.float64))[:, None]
        with np.errstate(invalid="ignore"):  # infinity is a constant, and a share of 0 leaves it out
            return np.where(shares == 0, 0.0, shares * values)

    def added(self, arithmetic: Arithmetic, value: Any = None) -> Any:
        """Compute the elements with a framework's own functions, so that gradients pass.

        Args:
            arithmetic: those functions, on the input that is padded.
            value: the learned constant instead of the side's own, of a shape that broadcasts against elements: a scalar,
                (channels, 1), or (1, channels) where channels are last.

        Returns:
            (…, channels, elements), or (…, elements, channels) where channels are last, in the framework's own arrays.
        """
        here = arithmetic
        total = None
        for coefficient, samples, reads in self.reads():
            part = here.take(samples)
            if coefficient is not None:
                part = part * here.array(here.place(coefficient))
            if reads is not None:  # an infinity that is not read must not reach the sum
                part = here.where(here.place(reads), part)
            total = part if total is None else total + part
        constants = self._constants(here, value)
        if total is None:
            return here.broadcast(here.array(here.place(np.zeros((1, self.width)))) if constants is None else constants)
        return total if constants is None else total + constants

    def _constants(self, arithmetic: Arithmetic, value: Any) -> Any:
        numbers = self.constants() if value is None else self.shares()
        if numbers is None:
            return None
        placed = arithmetic.array(arithmetic.place(np.atleast_2d(numbers)))
        return placed if value is None else placed * value


class Arithmetic(NamedTuple):
    """What a side's elements are computed with: a framework's own functions, on one input.

    A backend whose plan does not copy makes one and passes it to `Side.added`, for the left and for the right side. `of_numpy` is
    an example.

    Attributes:
        take: ``int64 (elements,) -> (…, channels, elements)``: these samples of the input.
        array: ``float64 array -> array`` of the framework, in the dtype of the input.
        where: ``(bool array, array) -> array``: 0 where False.
        broadcast: ``array -> array`` with all axes of the input.
        channels_last: True where elements come before channels.
    """

    take: Callable[[Array], Any]
    array: Callable[[Array], Any]
    where: Callable[[Array, Any], Any]
    broadcast: Callable[[Any], Any]
    channels_last: bool = False

    def place(self, numbers: Array) -> Array:
        """Return numbers (elements,) or (channels, elements) so that they broadcast against elements of the input."""
        return np.atleast_2d(numbers).T if self.channels_last else numbers

    @classmethod
    def of_numpy(cls, data: Array) -> Arithmetic:
        """Return NumPy's, on an input (…, channels, length)."""
        return cls(
            take=lambda index: data[..., index],
            array=lambda numbers: numbers.astype(data.dtype),
            where=lambda reads, part: np.where(reads, part, np.zeros((), data.dtype)),
            broadcast=lambda numbers: np.broadcast_to(numbers, (*data.shape[:-1], numbers.shape[-1])),
        )


def value_of(arguments: Mapping[str, Any], side: str) -> Value:
    """Return the constant of one side: the mode's parameter ``left`` or ``right`` where given, else ``value``, else 0."""
    value = arguments.get(side)
    value = arguments.get("value", 0.0) if value is None else value
    return tuple(value.array.tolist()) if isinstance(value, FrozenArray) else float(value)


def has_one_constant(sides: tuple[Side, ...]) -> bool:
    """Whether one number stands for the constant of all sides that read it."""
    values = [side.value for side in sides if side.has_constant]
    if any(isinstance(value, tuple) for value in values):
        return False
    return all(value == values[0] or {str(value), str(values[0])} == {"nan"} for value in values)


def require_channels(value: Value, channels: int) -> None:
    """Refuse a constant per channel for a layer that has another number of channels.

    Raises:
        InvalidValueError: holds both numbers.
    """
    if isinstance(value, tuple) and len(value) != channels:
        raise InvalidValueError(
            f"padding_mode must give one value, or one for each of the {channels} input channels, got {len(value)} values; "
            f"pass an array of shape ({channels},)."
        )
