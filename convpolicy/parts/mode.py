"""What the added elements are: `PaddingMode`, an index map or a sum of coefficients times index maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import SIDES, integer
from convpolicy.errors import InvalidValueError, PluginError, raised
from convpolicy.parts.padding import declared
from convpolicy.parts.part import Param, Part, first_sentence
from convpolicy.parts.side import CONSTANT, Side, Term, value_of

Indices: TypeAlias = "NDArray[np.int64]"
MOST_DOUBLINGS = 32  # of an input that is extended until a limit reaches a pad; a mirror's takes none
SIGNATURE = "(positions, length) -> indices, or a list of (coefficient, indices)"


def _of_a_mode(words: Iterable[str]) -> frozenset[str]:
    return declared(words, ("causal", "linear"))


def _refuse(mode: PaddingMode, widest: int, length: int) -> int:
    limit = mode.limit_of(length)
    raise InvalidValueError(
        f"padding mode {mode.name!r} reaches at most {limit} for length {length}, the plan needs {widest}; pass a longer "
        f"input or choose overflow='periodic' or 'zero-extend'."
    )


def _keep(mode: PaddingMode, widest: int, length: int) -> int:
    return length


def _extend(mode: PaddingMode, widest: int, length: int) -> int:
    """Return the least length at which the mode reaches; a limit does not fall with the length."""
    low, high = length, length + max(widest - mode.limit_of(length), 1)
    for _ in range(MOST_DOUBLINGS):
        if mode.limit_of(high) >= widest:
            break
        low, high = high, 2 * high
    else:
        raise PluginError(
            f"padding mode {mode.name!r} ({mode.provider}) must have a limit that grows with the length, got {mode.limit_of(high)} for "
            f"length {high}, where {widest} are needed."
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mode.limit_of(middle) >= widest else (middle, high)
    return high


# What to do when a pad is wider than the mode reaches: the length to read the index map at.
OVERFLOW: dict[str, Callable[[PaddingMode, int, int], int]] = {
    "error": _refuse,
    "periodic": _keep,  # numpy 2's np.pad: reflect again and again
    "zero-extend": _extend,  # EnCodec's pad1d: zeros on the right until it reaches, then cut
}
_OVERFLOW_PARAM = Param("error", kind="name", allowed=tuple(OVERFLOW))
# parameters with a meaning of their own, which no index map gets, and the kinds they may have
RESERVED = {
    **dict.fromkeys(("value", *SIDES), ("number", "values", "mode")),
    "overflow": ("name",),
    "learned": ("flag",),
}


@attrs.frozen(eq=False)
class PaddingMode(Part):
    """What the added elements are.

    Args:
        name: unique name.
        source: ``(positions, length, **params) -> indices``: for an integer array of positions (below 0 or from ``length`` on),
            the input position each one repeats, in ``[0, length)``, or -1 for the constant; or a list of
            ``(coefficient, indices)``, whose sum each element is. A coefficient is a number or an array of the shape of
            positions. Vectorised NumPy.
        limit: ``length -> widest pad`` the mode is defined for; None where every width is. A mode with a limit gets the
            parameter ``overflow``: ``error``, ``periodic`` (as numpy 2) or ``zero-extend`` (as EnCodec);
            for ``periodic`` the map must hold at any distance.
        needs_width: True for a mode whose elements depend on how many there are, as those of a ramp do; ``source`` then gets
            ``width``, the elements added on the side of the positions.
        declares: what holds for all lengths and parameters: ``"causal"``, the elements on the left read nothing but the first
            sample and the constant; ``"linear"``, the constant is 0, so that the padded signal is linear in the input.
        params: see `Part`. ``value`` is the constant, ``left`` and ``right`` are those of one side, ``overflow`` and ``learned``
            say how; all others are passed to ``source`` by keyword.
    """

    kind: ClassVar[str] = "padding mode"
    source: Callable[..., Any] = attrs.field()
    limit: Callable[[int], int] | None = attrs.field(default=None, kw_only=True)
    needs_width: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_of_a_mode)

    def __attrs_post_init__(self) -> None:
        for name, param in self.params.items():
            if param.kind not in RESERVED.get(name, (param.kind,)):
                raise InvalidValueError(
                    f"the parameter {name!r} of padding mode {self.name!r} must be of kind {' or '.join(map(repr, RESERVED[name]))}, "
                    f"got {param.kind!r}; give it another name if it is for your function."
                )
        if self.limit is not None and "overflow" not in self.params:
            object.__setattr__(self, "params", MappingProxyType({**self.params, "overflow": _OVERFLOW_PARAM}))
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.source))

    @property
    def is_per_side(self) -> bool:
        """True for the mode that names another mode for each side."""
        return any(param.kind == "mode" for param in self.params.values())

    def side(self, side: str, width: int, length: int, arguments: Mapping[str, Any], widest: int | None = None) -> Side:
        """Return what the elements of one side are.

        Args:
            side: ``"left"`` or ``"right"``.
            width: elements added there, 0 or more.
            length: input length in samples.
            arguments: the mode's parameters, from `Part.arguments`.
            widest: the wider of both pads, where this mode adds both; they reach for it together. None: ``width``.

        Raises:
            InvalidValueError: the pad is wider than the mode reaches and ``overflow`` is ``error``.
            PluginError: the function fails, or gives a position outside the input, terms of unequal shapes, or coefficients
                that are not finite; holds the plugin and the signature expected.
        """
        widest = width if widest is None else widest
        overflow, read_length = arguments.get("overflow", "error"), length
        if self.limit is not None and widest and self.limit_of(length) < widest:
            if length == 0 and overflow == "periodic":
                _refuse(self, widest, length)
            read_length = OVERFLOW[overflow](self, widest, length)
        start = -width if side == "left" else length
        terms = self._terms(np.arange(start, start + width), read_length, length, arguments)
        return Side(terms, value_of(arguments, side), bool(arguments.get("learned", False)))

    def limit_of(self, length: int) -> int:
        """Return the widest pad that the mode reaches for a length in samples, for a mode that has a limit.

        Raises:
            PluginError: the function fails or returns something else than an integer.
        """
        assert self.limit is not None
        try:
            return integer("limit", self.limit(length))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed("limit", f"length {length}", error, "length -> widest pad") from error

    def _failed(self, function: str, case: str, error: BaseException, signature: str) -> PluginError:
        return PluginError(
            f"padding mode {self.name!r} ({self.provider}): {function} failed for {case}: {raised(error)}; it must be {signature}."
        )

    def _wrong(self, text: str) -> PluginError:
        return PluginError(f"padding mode {self.name!r} ({self.provider}) must {text}")

    def mapped(self, positions: Indices, length: int, arguments: Mapping[str, Any]) -> list[tuple[Any, Indices]]:
        """Return what ``source`` gives, checked: ``(coefficient, indices)`` pairs, the indices of the shape of ``positions``."""
        words = {name: value for name, value in arguments.items() if name not in RESERVED}
        if self.needs_width:
            words["width"] = positions.size
        try:
            given = self.source(positions, length, **words)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed("source", f"length {length}", error, SIGNATURE) from error
        is_sum = isinstance(given, (list, tuple)) and given and all(isinstance(term, tuple) for term in given)
        return [self._checked(term, positions, length) for term in (given if is_sum else [(1.0, given)])]

    def _checked(self, term: Any, positions: Indices, length: int) -> tuple[Any, Indices]:
        try:
            coefficient, index = (np.asarray(part) for part in term)
        except ValueError:
            raise self._wrong(
                f"give pairs of a coefficient and indices, got a tuple of {len(term)}; it is {SIGNATURE}."
            ) from None
        if index.shape not in ((), positions.shape) or coefficient.shape not in ((), positions.shape):
            raise self._wrong(
                f"give terms of the shape of positions, {positions.shape}, got a coefficient of shape {coefficient.shape} "
                f"and indices of shape {index.shape}."
            )
        if index.dtype.kind not in "iu" or (index < CONSTANT).any() or (index >= length).any():
            raise self._wrong(f"map to integers in [0, {length}) or -1, got {index.tolist()} for positions {positions.tolist()}.")
        if coefficient.dtype.kind not in "iuf" or not np.isfinite(coefficient).all():
            raise self._wrong(f"give finite coefficients, got {coefficient.tolist()} for positions {positions.tolist()}.")
        return coefficient.astype(np.float64), np.broadcast_to(index, positions.shape).astype(np.int64)

    def _terms(self, positions: Indices, read_length: int, length: int, arguments: Mapping[str, Any]) -> tuple[Term, ...]:
        if not positions.size:
            return (Term(1.0, ()),)
        mapped = self.mapped(positions, read_length, arguments)
        if read_length != length:  # zero-extended: positions now inside the extension are the constant, and so is what reads it
            inside = (positions >= length) & (positions < read_length)
            for number, (coefficient, index) in enumerate(mapped):
                share = np.where(inside, float(number == 0), coefficient) if inside.any() and len(mapped) > 1 else coefficient
                mapped[number] = share, np.where(inside | (index >= length), CONSTANT, index)
        return tuple(
            Term(float(coefficient) if coefficient.ndim == 0 else _plain(coefficient), tuple(index.tolist()))
            for coefficient, index in mapped
        )


def _plain(coefficient: Any) -> float | tuple[float, ...]:
    """Return coefficients per element, as one number where all are the same."""
    return float(coefficient[0]) if (coefficient == coefficient[0]).all() else tuple(coefficient.tolist())
