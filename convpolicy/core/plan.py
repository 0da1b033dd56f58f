"""`Plan`: the exact padding of one input length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import arithmetic
from convpolicy.arithmetic import LARGEST, integer
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.parts.choice import MOST_WRITTEN
from convpolicy.parts.side import CONSTANT, Arithmetic, Side, Term, has_one_constant

if TYPE_CHECKING:
    from convpolicy.pictures.views import PlanView

MODE_SEPARATOR = ","  # between the modes of the left and the right side, in a plan and on the command line


class _WithOutputs(Protocol):
    @property
    def length_out(self) -> int: ...

    def shortage(self) -> str: ...


Planned = TypeVar("Planned", bound=_WithOutputs)  # a Plan or a TransposedPlan
NO_TERM = Term(0.0, ())  # fills up the side that has fewer terms


@attrs.frozen(cache_hash=True)
class Plan:
    """The exact padding of one input length. Print a plan to see the numbers.

    Lengths are in samples. A negative ``left`` or ``right`` removes samples. ``length_out`` is the output length. ``sides`` describes
    the added elements, each a weighted sum of input samples and the constant (the number that constant padding adds). If `copies`
    is True, each element copies one sample or ``value``, and you can read ``left_sources`` and ``right_sources`` instead of ``sides``.
    """

    length: int
    kernel_size: int
    stride: int
    dilation: int
    left: int
    right: int
    mode: str
    length_out: int
    sides: tuple[Side, Side] = attrs.field(repr=False)
    copies: bool = attrs.field(init=False, repr=False, eq=False)  # True if every added element is one sample or ``value``

    def __attrs_post_init__(self) -> None:
        copies = all(side.copies and not side.learned for side in self.sides) and has_one_constant(self.sides)
        object.__setattr__(self, "copies", copies)

    @property
    def learned(self) -> bool:
        """True if the constant of the padding is a trainable parameter of the layer."""
        return any(side.learned for side in self.sides)

    def _copying_sides(self, name: str) -> tuple[Side, Side]:
        if not self.copies:
            raise InvalidValueError(
                f"{name} must be read from a plan whose added elements copy samples or one number, got mode {self.mode!r}, which has "
                f"sums, learned values or several constants; read plan.sides, or call plan.padded(data)."
            )
        return self.sides

    @property
    def value(self) -> float:
        """The constant of the padding, even if the added elements do not use this number. Valid only if `copies` is True."""
        sides = sorted(self._copying_sides("value"), key=lambda side: not side.has_constant)
        return next((side.value for side in sides if not isinstance(side.value, tuple)), 0.0)

    @property
    def left_sources(self) -> tuple[int, ...]:
        """The input position that each element on the left copies, or -1 for ``value``. Valid only if `copies` is True."""
        return self._copying_sides("left_sources")[0].sources

    @property
    def right_sources(self) -> tuple[int, ...]:
        """The input position that each element on the right copies, or -1 for ``value``. Valid only if `copies` is True."""
        return self._copying_sides("right_sources")[1].sources

    @property
    def effective_kernel(self) -> int:
        """The number of samples that one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)

    @property
    def padded_length(self) -> int:
        """The length of the padded input, ``left + length + right``."""
        return self.left + self.length + self.right

    @property
    def added(self) -> tuple[int, int]:
        """The number of elements added on the left and on the right. A side that removes samples has 0."""
        return max(self.left, 0), max(self.right, 0)

    @property
    def cut(self) -> tuple[int, int]:
        """The number of samples removed on the left and on the right. A side that adds elements has 0."""
        return max(-self.left, 0), max(-self.right, 0)

    @property
    def positions(self) -> tuple[int, ...]:
        """The input position of each element of the padded input, or -1 for ``value``. Valid only if `copies` is True."""
        left, right = self._copying_sides("positions")
        positions = (*left.sources, *range(self.length), *right.sources)
        first, last = self.cut
        return positions[first : len(positions) - last]

    @property
    def is_constant(self) -> bool:
        """True if every added element is ``value``."""
        return self.copies and max((*self.sides[0].sources, *self.sides[1].sources), default=-1) < 0

    def padded(self, data: NDArray[Any], value: Any = None) -> NDArray[Any]:
        """Pad an array: add the elements of the plan and remove the samples that the plan cuts.

        Args:
            data: floating-point array (…, channels, length).
            value: a learned constant, as a number or an array (channels,). None uses the initial value of the constant.

        Returns:
            An array (…, channels, padded_length) of the same dtype.
        """
        arithmetic = Arithmetic.of_numpy(data)
        learned = None if value is None else np.asarray(value, dtype=data.dtype).reshape(-1, 1)
        before, after = (side.added(arithmetic, learned if side.learned else None) for side in self.sides)
        first, last = self.cut
        padded: NDArray[Any] = np.concatenate([before, data, after], axis=-1)
        return padded[..., first : padded.shape[-1] - last]

    def receptive_interval(self, output: int) -> tuple[int, int]:
        """Return the first and the last input position that one output reads; see `arithmetic.receptive_interval`.

        Raises:
            InvalidValueError: the plan has no such output.
        """
        if integer("output", output, 0) >= self.length_out:
            raise InvalidValueError(f"output must be below length_out={self.length_out}, got {output}; pass 0 or more.")
        return arithmetic.receptive_interval(output, self.kernel_size, self.stride, self.dilation, self.left)

    def spans(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last input position that a range of outputs spans."""
        return self.position(first, 0), self.position(last, self.kernel_size - 1)

    def position(self, output: Any, tap: Any) -> Any:
        """Return the input position that a kernel tap of an output reads. ``output`` and ``tap`` are indices or arrays of indices."""
        return arithmetic.tap_position(output, tap, self.stride, self.dilation, self.left)

    def window_terms(self, outputs: NDArray[np.int64]) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Return what each kernel tap of the selected outputs reads, as a list of terms. A tap reads the sum of its terms.

        A term is a pair of arrays of shape (outputs, kernel): the coefficients and the input positions. Position -1 means the
        constant. A coefficient of 0 means that the tap does not use the term.
        """
        read: NDArray[np.int64] = self.position(outputs[:, None], np.arange(self.kernel_size))
        terms = []
        for number in range(max(len(side.terms) for side in self.sides)):
            coefficients, sources = np.full(read.shape, float(number == 0)), read.copy()
            for side, outside, start in zip(self.sides, (read < 0, read >= self.length), (-self.added[0], self.length)):
                term = side.terms[number] if number < len(side.terms) else NO_TERM
                at = read[outside] - start
                sources[outside] = np.array(term.sources, np.int64)[at] if term.sources else CONSTANT
                per_element = isinstance(term.coefficient, tuple)
                coefficients[outside] = np.array(term.coefficient)[at] if per_element else term.coefficient
            terms.append((coefficients, sources))
        return terms

    def window_sources(self, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the input positions (outputs, kernel) that taps read, or -1 for ``value``. Valid only if `copies` is True."""
        self._copying_sides("window_sources")
        return self.window_terms(outputs)[0][1]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Build a plan from a dictionary that `to_dict` returned. You can store the dictionary as JSON in between."""
        fields = dict(data)
        if "sides" in fields:
            sides = [_side(side) for side in fields.pop("sides")]
        else:
            value, names = fields.pop("value"), ("left_sources", "right_sources")
            sides = [Side((Term(1.0, tuple(fields.pop(name))),), value) for name in names]
        return cls(**fields, sides=(sides[0], sides[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: the sizes and the added elements. The format of the elements depends on `copies`."""
        fields = attrs.asdict(self, value_serializer=lambda _i, _f, v: list(v) if isinstance(v, tuple) else v)
        if fields.pop("copies"):
            del fields["sides"]
            fields |= {"value": self.value, "left_sources": list(self.left_sources), "right_sources": list(self.right_sources)}
        return fields

    def shortage(self) -> str:
        """Return the sentence that refuses an input for which the plan has no output."""
        return (
            f"input of length {self.length} is too short: padded to {self.padded_length} samples it is shorter than one window "
            f"of {self.effective_kernel}; pass at least {self.effective_kernel - self.left - self.right} samples."
        )

    def to_svg(self) -> str:
        """Return an SVG picture of the padded input, the source of each added element and the window of each output."""
        from convpolicy.pictures.windows import picture  # imported late: only pictures need it

        return picture({"": self})

    def view(self) -> PlanView:
        """Return what a picture shows of the plan."""
        from convpolicy.pictures.views import PlanView

        return PlanView(self)

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        value = f" {values_text(self.sides)}" if self._shows_value() else ""
        return (
            f"length {self.length}, kernel_size {self.kernel_size}, stride {self.stride}, dilation {self.dilation}: "
            f"left {self.left}, right {self.right}, {self.mode}{value} -> length {self.length_out}"
        )

    def _shows_value(self) -> bool:
        return any(side.value != 0.0 for side in self.sides) or "constant" in self.mode.split(MODE_SEPARATOR)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _side(data: Mapping[str, Any]) -> Side:
    terms = tuple(Term(_frozen(term["coefficient"]), tuple(term["sources"])) for term in data["terms"])
    return Side(terms, _frozen(data["value"]), data["learned"])


def values_text(sides: tuple[Side, ...]) -> str:
    """Return the constants of sides as text: one number, or one per channel; of each side if the sides differ."""
    texts = [f"{'learned, from ' if side.learned else ''}{_value_text(side.value)}" for side in sides]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _value_text(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    if len(value) > MOST_WRITTEN:
        return f"[{len(value)} values from {min(value):g} to {max(value):g}]"
    return f"[{', '.join(f'{number:g}' for number in value)}]"


def check_length(length: Any) -> int:
    """Check that an input length is an integer of 0 or more."""
    if length is None:
        raise InvalidTypeError("length must be an integer, got None; pass the input length in samples.")
    return integer("length", length, 0, LARGEST)


def require_a_window(plan: Planned) -> Planned:
    """Return the plan if it has an output, as every framework requires.

    Args:
        plan: a `Plan` or a `TransposedPlan`.

    Raises:
        InvalidValueError: the input is too short. The message contains the numbers.
    """
    if plan.length_out == 0:
        raise InvalidValueError(plan.shortage())
    return plan
