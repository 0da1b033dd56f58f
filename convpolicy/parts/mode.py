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
from convpolicy.parts.part import Param, Part, declared, first_sentence
from convpolicy.parts.side import CONSTANT, Side, Term, value_of

Indices: TypeAlias = "NDArray[np.int64]"
MOST_DOUBLINGS = 32  # of an input that is extended until a limit reaches a pad; a mirror's takes none
COPIED = 1.0  # the coefficient of an element that is one sample as it is
NOTHING = (Term(COPIED, ()),)  # of a side to which nothing is added
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
    is_per_side: bool = attrs.field(init=False, repr=False)  # the mode that names another mode for each side
    _own: tuple[str, ...] = attrs.field(init=False, repr=False)  # the parameters that ``source`` gets

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
        object.__setattr__(self, "is_per_side", any(param.kind == "mode" for param in self.params.values()))
        object.__setattr__(self, "_own", tuple(name for name in self.params if name not in RESERVED))

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
        words = {name: arguments[name] for name in self._own}
        if self.needs_width:
            words["width"] = positions.size
        try:
            given = self.source(positions, length, **words)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed("source", f"length {length}", error, SIGNATURE) from error
        if isinstance(given, np.ndarray):  # the common case pays nothing more
            return [(COPIED, self._indices(given, positions, length))]
        is_sum = isinstance(given, (list, tuple)) and given and all(isinstance(term, tuple) for term in given)
        return [self._term(term, positions, length) for term in (given if is_sum else [(COPIED, given)])]

    def _indices(self, index: Any, positions: Indices, length: int) -> Indices:
        if index.shape not in ((), positions.shape):
            raise self._wrong(f"give indices of the shape of positions, {positions.shape}, got shape {index.shape}.")
        if index.dtype.kind not in "iu" or index.min() < CONSTANT or index.max() >= length:
            raise self._wrong(f"map to integers in [0, {length}) or -1, got {index.tolist()} for positions {positions.tolist()}.")
        return index if index.shape else np.full(positions.shape, index)

    def _term(self, term: Any, positions: Indices, length: int) -> tuple[Any, Indices]:
        if len(term) != 2:
            raise self._wrong(f"give pairs of a coefficient and indices, got a tuple of {len(term)}; it is {SIGNATURE}.")
        coefficient, index = np.asarray(term[0]), self._indices(np.asarray(term[1]), positions, length)
        if coefficient.shape not in ((), positions.shape):
            raise self._wrong(f"give coefficients of the shape of positions, {positions.shape}, got shape {coefficient.shape}.")
        if coefficient.dtype.kind not in "iuf" or not np.isfinite(coefficient).all():
            raise self._wrong(f"give finite coefficients, got {coefficient.tolist()} for positions {positions.tolist()}.")
        return float(coefficient) if coefficient.ndim == 0 else coefficient.astype(np.float64), index

    def _terms(self, positions: Indices, read_length: int, length: int, arguments: Mapping[str, Any]) -> tuple[Term, ...]:
        if not positions.size:
            return NOTHING
        mapped = self.mapped(positions, read_length, arguments)
        if read_length != length:  # zero-extended: positions now inside the extension are the constant, and so is what reads it
            inside = (positions >= length) & (positions < read_length)
            copies = len(mapped) == 1 and np.ndim(mapped[0][0]) == 0 and mapped[0][0] == COPIED
            for number, (coefficient, index) in enumerate(mapped):
                share = coefficient if copies else np.where(inside, float(number == 0), coefficient)
                mapped[number] = share, np.where(inside | (index >= length), CONSTANT, index)
        return tuple(Term(_plain(coefficient), tuple(index.tolist())) for coefficient, index in mapped)


def _plain(coefficient: Any) -> float | tuple[float, ...]:
    """Return coefficients per element, as one number where all are the same."""
    if isinstance(coefficient, float):
        return coefficient
    return float(coefficient[0]) if (coefficient == coefficient[0]).all() else tuple(coefficient.tolist())
