"""`ConvSpec`, the sizes asked for, and `Plan`, exactly what will be done to one spatial axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import arithmetic
from convpolicy.arithmetic import LARGEST, integer, single
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.parts.choice import MOST_WRITTEN
from convpolicy.parts.side import CONSTANT, Arithmetic, Side, Term, has_one_constant

MODE_SEPARATOR = ","  # between the modes of both sides, in a plan and on the command line
NO_TERM = Term(0.0, ())  # of a side that has fewer terms than the other one


@attrs.frozen(cache_hash=True)
class ConvSpec:
    """Sizes of one convolution.

    Args:
        in_channels, out_channels: channels, 1 or more, each divisible by ``groups``.
        kernel_size, stride, dilation: samples, 1 or more.
        groups: blocked connections from input to output channels.

    Raises:
        InvalidTypeError, InvalidValueError: holds the argument, what came and what is allowed.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    @classmethod
    def of(cls, in_channels: Any, out_channels: Any, kernel_size: Any, stride: Any, dilation: Any, groups: Any) -> ConvSpec:
        """Check every size at the edge and build the spec."""
        spec = cls(
            integer("in_channels", in_channels, 1, LARGEST),
            integer("out_channels", out_channels, 1, LARGEST),
            integer("kernel_size", single("kernel_size", kernel_size), 1, LARGEST),
            integer("stride", single("stride", stride), 1, LARGEST),
            integer("dilation", single("dilation", dilation), 1, LARGEST),
            integer("groups", groups, 1, LARGEST),
        )
        for argument in ("in_channels", "out_channels"):
            channels = getattr(spec, argument)
            if channels % spec.groups:
                raise InvalidValueError(
                    f"{argument} must be divisible by groups, got {argument}={channels} and groups={spec.groups}; "
                    f"pass a multiple of {spec.groups}."
                )
        return spec

    @property
    def weight_shape(self) -> tuple[int, int, int]:
        """``(out_channels, in_channels // groups, kernel_size)``, axes OIW."""
        return self.out_channels, self.in_channels // self.groups, self.kernel_size

    @property
    def fans(self) -> arithmetic.Fans:
        """`arithmetic.fans` of this weight."""
        return arithmetic.fans(self.in_channels, self.out_channels, self.kernel_size, self.groups)

    @property
    def effective_kernel(self) -> int:
        """Samples one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)


@attrs.frozen(cache_hash=True)
class Plan:
    """Exactly what will be done to one axis: frozen, hashable, printable, and free of any framework.

    All lengths in samples. A negative ``left`` or ``right`` is cut away instead of added. ``sides`` say what each added element is:
    a sum of coefficients times samples, or the constant. Where `copies` is True each is one sample or one number, and
    ``left_sources``, ``right_sources`` and ``value`` say which; a backend needs nothing else.
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
    copies: bool = attrs.field(init=False, repr=False, eq=False)  # every added element is one sample, or the one number ``value``

    def __attrs_post_init__(self) -> None:
        copies = all(side.copies and not side.learned for side in self.sides) and has_one_constant(self.sides)
        object.__setattr__(self, "copies", copies)

    @property
    def learned(self) -> bool:
        """True when the constant is a parameter of the layer."""
        return any(side.learned for side in self.sides)

    def _copied(self, name: str) -> tuple[Side, Side]:
        if not self.copies:
            raise InvalidValueError(
                f"{name} must be read of a plan whose added elements copy samples or one number, got mode {self.mode!r}, which gives "
                f"sums, learned values or several constants; read plan.sides, or call plan.padded(data)."
            )
        return self.sides

    @property
    def value(self) -> float:
        """The constant, for a plan that copies; of one that adds none of it the number that was given, else 0."""
        sides = sorted(self._copied("value"), key=lambda side: not side.has_constant)
        return next((side.value for side in sides if not isinstance(side.value, tuple)), 0.0)

    @property
    def left_sources(self) -> tuple[int, ...]:
        """Per element added on the left the input position it repeats, or -1 for ``value``, for a plan that copies."""
        return self._copied("left_sources")[0].sources

    @property
    def right_sources(self) -> tuple[int, ...]:
        """Per element added on the right the input position it repeats, or -1 for ``value``, for a plan that copies."""
        return self._copied("right_sources")[1].sources

    @property
    def effective_kernel(self) -> int:
        """Samples one window spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)

    @property
    def padded_length(self) -> int:
        """``left + length + right``."""
        return self.left + self.length + self.right

    @property
    def added(self) -> tuple[int, int]:
        """Elements added on the left and on the right, 0 where some are cut away."""
        return max(self.left, 0), max(self.right, 0)

    @property
    def cut(self) -> tuple[int, int]:
        """Elements cut away on the left and on the right, 0 where some are added."""
        return max(-self.left, 0), max(-self.right, 0)

    @property
    def positions(self) -> tuple[int, ...]:
        """The input position of every element that is convolved, or -1 for ``value``, for a plan that copies; ``padded_length`` of them."""
        left, right = self._copied("positions")
        everything = (*left.sources, *range(self.length), *right.sources)
        first, last = self.cut
        return everything[first : len(everything) - last]

    @property
    def is_constant(self) -> bool:
        """True when every added element is ``value``."""
        return self.copies and max((*self.sides[0].sources, *self.sides[1].sources), default=-1) < 0

    def padded(self, data: NDArray[Any], value: Any = None) -> NDArray[Any]:
        """Return what is convolved.

        Args:
            data: (…, channels, length), floating.
            value: the learned constant, a number or (channels,), for a plan that has one; None: what it starts from.

        Returns:
            (…, channels, padded_length), of the same dtype.
        """
        arithmetic = Arithmetic.of_numpy(data)
        learned = None if value is None else np.asarray(value, dtype=data.dtype).reshape(-1, 1)
        before, after = (side.added(arithmetic, learned if side.learned else None) for side in self.sides)
        first, last = self.cut
        everything: NDArray[Any] = np.concatenate([before, data, after], axis=-1)
        return everything[..., first : everything.shape[-1] - last]

    def receptive_interval(self, output: int) -> tuple[int, int]:
        """Return the first and last input position that one output reads; see `arithmetic.receptive_interval`.

        Raises:
            InvalidValueError: no such output.
        """
        if integer("output", output, 0) >= self.length_out:
            raise InvalidValueError(f"output must be below length_out={self.length_out}, got {output}; pass 0 or more.")
        return arithmetic.receptive_interval(output, self.kernel_size, self.stride, self.dilation, self.left)

    def position(self, output: Any, tap: Any) -> Any:
        """Return the input position that one tap of one output reads, or arrays of both; from ``length`` on or below 0 it is padding."""
        return output * self.stride - self.left + tap * self.dilation

    def window_terms(self, outputs: NDArray[np.int64]) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Return what each tap of these outputs reads: the sum of terms of coefficients and input positions, each (outputs, kernel).

        A position is -1 where a tap reads the constant; a coefficient is 0 where a term adds nothing.
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
        """Return (outputs, kernel): the input position that each tap of these outputs reads, or -1 for ``value``, for a plan that copies."""
        self._copied("window_sources")
        return self.window_terms(outputs)[0][1]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan that gave this ``to_dict``, also when it went through JSON."""
        fields = dict(data)
        if "sides" in fields:
            sides = [_side(side) for side in fields.pop("sides")]
        else:
            value, names = fields.pop("value"), ("left_sources", "right_sources")
            sides = [Side((Term(1.0, tuple(fields.pop(name))),), value) for name in names]
        return cls(**fields, sides=(sides[0], sides[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain data, ready for JSON; of a plan that copies its sources and value, of another its terms."""
        fields = attrs.asdict(self, value_serializer=lambda _i, _f, v: list(v) if isinstance(v, tuple) else v)
        if fields.pop("copies"):
            del fields["sides"]
            fields |= {"value": self.value, "left_sources": list(self.left_sources), "right_sources": list(self.right_sources)}
        return fields

    def to_svg(self) -> str:
        """Return a picture: the padded input, what each added element repeats, and the window of every output."""
        from convpolicy.pictures.windows import picture  # here: only to show it

        return picture({"": self})

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        value = f" {values_text(self.sides)}" if self._says_value() else ""
        return (
            f"length {self.length}, kernel_size {self.kernel_size}, stride {self.stride}, dilation {self.dilation}: "
            f"left {self.left}, right {self.right}, {self.mode}{value} -> length {self.length_out}"
        )

    def _says_value(self) -> bool:
        return any(side.value != 0.0 for side in self.sides) or "constant" in self.mode.split(MODE_SEPARATOR)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _side(data: Mapping[str, Any]) -> Side:
    terms = tuple(Term(_frozen(term["coefficient"]), tuple(term["sources"])) for term in data["terms"])
    return Side(terms, _frozen(data["value"]), data["learned"])


def values_text(sides: tuple[Side, ...]) -> str:
    """Return the constants of sides as text: one number, one per channel, and per side where they differ."""
    texts = [f"{'learned, from ' if side.learned else ''}{_value_text(side.value)}" for side in sides]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _value_text(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    if len(value) > MOST_WRITTEN:
        return f"[{len(value)} values from {min(value):g} to {max(value):g}]"
    return f"[{', '.join(f'{number:g}' for number in value)}]"


def check_length(length: Any) -> int:
    """Check an input length at the edge: an integer of 0 or more."""
    if length is None:
        raise InvalidTypeError("length must be an integer, got None; pass the input length in samples.")
    return integer("length", length, 0, LARGEST)


def require_a_window(plan: Plan) -> Plan:
    """Return the plan when at least one window fits, as every framework's layer requires.

    Raises:
        InvalidValueError: the padded input is shorter than the effective kernel; holds both numbers.
    """
    if plan.length_out == 0:
        raise InvalidValueError(
            f"input of length {plan.length} is too short: padded to {plan.padded_length} samples it does not hold one window "
            f"of {plan.effective_kernel}; pass at least {plan.effective_kernel - plan.left - plan.right} samples."
        )
    return plan
