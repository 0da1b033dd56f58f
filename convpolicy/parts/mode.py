"""`PaddingMode`: the values of added elements, as an index map or a sum of coefficients times index maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import SIDES, integer
from convpolicy.errors import InvalidValueError, PluginError, raised, shown
from convpolicy.parts.part import Param, Part, declared, first_sentence
from convpolicy.parts.side import CONSTANT, Side, Term, value_of

Indices: TypeAlias = "NDArray[np.int64]"
MOST_DOUBLINGS = 32  # of the length, until the mode reaches the pad; the built-in modes need none
COPIED = 1.0  # the coefficient of an element that copies one sample
NOTHING = (Term(COPIED, ()),)  # the terms of a side without added elements
SIGNATURE = "(positions, length) -> indices, or a list of (coefficient, indices)"


def _mode_properties(properties: Iterable[str]) -> frozenset[str]:
    return declared(properties, ("causal", "linear"))


def _refuse(mode: PaddingMode, widest: int, length: int) -> int:
    limit = mode.limit_of(length)
    raise InvalidValueError(
        f"padding mode {mode.name!r} reaches at most {limit} for length {length}, the plan needs {widest}; pass a longer "
        f"input or choose overflow='periodic' or 'zero-extend'."
    )


def _keep(mode: PaddingMode, widest: int, length: int) -> int:
    return length


def _extend(mode: PaddingMode, widest: int, length: int) -> int:
    """Return the least length at which the mode reaches the pad; the limit must not decrease with the length."""
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


# value of ``overflow`` -> function that returns the length to evaluate the index map at, for a pad wider than the mode reaches
OVERFLOW: dict[str, Callable[[PaddingMode, int, int], int]] = {
    "error": _refuse,
    "periodic": _keep,  # as np.pad of NumPy 2, which reflects repeatedly
    "zero-extend": _extend,  # as EnCodec's pad1d, which appends zeros until the mode reaches and removes them after padding
}
_OVERFLOW_PARAM = Param("error", kind="name", allowed=tuple(OVERFLOW))
# parameters that convpolicy interprets itself and does not pass to ``source`` -> the kinds that they may have
RESERVED = {
    **dict.fromkeys(("value", *SIDES), ("number", "values", "mode")),
    "overflow": ("name",),
    "learned": ("flag",),
}


@attrs.frozen(eq=False)
class PaddingMode(Part):
    """A rule for the values of the elements that padding adds, such as zeros or a reflection of the input.

    Args:
        name: unique name.
        source: vectorised function ``(positions, length, **params) -> indices``. ``positions`` is an integer array with the
            positions of added elements. These positions are below 0, or ``length`` and above. The result has the same shape. It
            contains the input position in ``[0, length)`` that each element copies, or -1 for the constant. The function may
            also return a list of terms ``(coefficient, indices)``. Each element is then the sum of its terms. A coefficient is a
            number or an array of the shape of ``positions``.
        limit: function ``length -> widest pad``. It returns how many elements the mode can add on one side. None means no limit.
            A mode with a limit has the parameter ``overflow`` for wider pads: ``error``, ``periodic`` (as in NumPy 2) or
            ``zero-extend`` (as in EnCodec). For ``periodic``, ``source`` must accept positions at any distance.
        needs_width: True if the values depend on the number of added elements, as in a ramp. ``source`` then receives the
            argument ``width``, the number of elements added on the side of ``positions``.
        declares: properties that are true for all lengths and parameters:

            - ``"causal"``: elements on the left depend only on the first sample and the constant
            - ``"linear"``: the constant is 0. The padded signal is therefore linear in the input.
        params: see `Part`. Parameters are passed to ``source`` by keyword, except for these reserved names:

            - ``value``: the constant
            - ``left``, ``right``: the constant of one side
            - ``learned``: True makes the constant a trainable parameter of the layer
            - ``overflow``: see ``limit``
    """

    kind: ClassVar[str] = "padding mode"
    source: Callable[..., Any] = attrs.field()
    limit: Callable[[int], int] | None = attrs.field(default=None, kw_only=True)
    needs_width: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_mode_properties)
    is_per_side: bool = attrs.field(init=False, repr=False)  # True for the mode that has one mode for each side
    _source_params: tuple[str, ...] = attrs.field(init=False, repr=False)  # the parameters that are passed to ``source``

    def __attrs_post_init__(self) -> None:
        for name, param in self.params.items():
            if param.kind not in RESERVED.get(name, (param.kind,)):
                raise InvalidValueError(
                    f"the parameter {name!r} of padding mode {self.name!r} must be of kind {' or '.join(map(repr, RESERVED[name]))}, "
                    f"got {param.kind!r}; rename it if it is for your function."
                )
        if self.limit is not None and "overflow" not in self.params:
            object.__setattr__(self, "params", MappingProxyType({**self.params, "overflow": _OVERFLOW_PARAM}))
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.source))
        object.__setattr__(self, "is_per_side", any(param.kind == "mode" for param in self.params.values()))
        object.__setattr__(self, "_source_params", tuple(name for name in self.params if name not in RESERVED))

    def side(self, side: str, width: int, length: int, arguments: Mapping[str, Any], widest: int | None = None) -> Side:
        """Return the elements that the mode adds on one side.

        Args:
            side: ``"left"`` or ``"right"``.
            width: number of elements to add, 0 or more.
            length: input length in samples.
            arguments: the mode's parameters, from `Part.arguments`.
            widest: the larger of the left and the right pad, if the mode adds both. The limit applies to this number. None means
                ``width``.

        Raises:
            InvalidValueError: the pad is wider than the mode can fill, and ``overflow`` is ``error``.
            PluginError: ``source`` fails or returns an invalid result, for example a position outside the input. The message
                contains the name of the plugin and the signature that ``source`` must have.
        """
        widest = width if widest is None else widest
        overflow, read_length = arguments.get("overflow", "error"), length
        if not self.reaches(widest, length):
            if length == 0 and overflow == "periodic":
                _refuse(self, widest, length)
            read_length = OVERFLOW[overflow](self, widest, length)
        start = -width if side == "left" else length
        terms = self._terms(np.arange(start, start + width), read_length, length, arguments)
        return Side(terms, value_of(arguments, side), bool(arguments.get("learned", False)))

    def reaches(self, widest: int, length: int) -> bool:
        """Return True if the mode can fill a pad of ``widest`` samples for an input length in samples."""
        return self.limit is None or not widest or self.limit_of(length) >= widest

    def limit_of(self, length: int) -> int:
        """Return the widest pad that the mode can fill for an input length in samples. The mode must have a limit.

        Raises:
            PluginError: the function ``limit`` fails or does not return an integer.
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
        """Call ``source``, check its result and return it as ``(coefficient, indices)`` pairs.

        The indices have the shape of ``positions``.
        """
        params = {name: arguments[name] for name in self._source_params}
        if self.needs_width:
            params["width"] = positions.size
        try:
            result = self.source(positions, length, **params)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed("source", f"length {length}", error, SIGNATURE) from error
        if isinstance(result, np.ndarray):  # skips the checks below in the common case
            return [(COPIED, self._indices(result, positions, length))]
        is_sum = isinstance(result, (list, tuple)) and result and all(isinstance(term, tuple) for term in result)
        return [self._term(term, positions, length) for term in (result if is_sum else [(COPIED, result)])]

    def _indices(self, index: Any, positions: Indices, length: int) -> Indices:
        if index.shape not in ((), positions.shape):
            raise self._wrong(f"return indices of the shape of positions, {positions.shape}, got shape {index.shape}.")
        if index.dtype.kind not in "iu" or index.min() < CONSTANT or index.max() >= length:
            raise self._wrong(f"return integers in [0, {length}) or -1, got {index.tolist()} for positions {positions.tolist()}.")
        return index if index.shape else np.full(positions.shape, index)

    def _array(self, value: Any) -> NDArray[Any]:
        try:
            return np.asarray(value)
        except ValueError:  # rows of different lengths
            raise self._wrong(f"return {SIGNATURE.partition('-> ')[2]}, got {shown(value)}.") from None

    def _term(self, term: Any, positions: Indices, length: int) -> tuple[Any, Indices]:
        if len(term) != 2:
            raise self._wrong(f"return pairs of a coefficient and indices, got a tuple of {len(term)}; it is {SIGNATURE}.")
        coefficient, index = self._array(term[0]), self._indices(self._array(term[1]), positions, length)
        if coefficient.shape not in ((), positions.shape):
            raise self._wrong(f"return coefficients of the shape of positions, {positions.shape}, got shape {coefficient.shape}.")
        if coefficient.dtype.kind not in "iuf" or not np.isfinite(coefficient).all():
            raise self._wrong(f"return finite coefficients, got {coefficient.tolist()} for positions {positions.tolist()}.")
        return float(coefficient) if coefficient.ndim == 0 else coefficient.astype(np.float64), index

    def _terms(self, positions: Indices, read_length: int, length: int, arguments: Mapping[str, Any]) -> tuple[Term, ...]:
        if not positions.size:
            return NOTHING
        mapped = self.mapped(positions, read_length, arguments)
        if read_length != length:  # zero-extended: elements within the extension, or that read from it, are the constant
            inside = (positions >= length) & (positions < read_length)
            copies = len(mapped) == 1 and np.ndim(mapped[0][0]) == 0 and mapped[0][0] == COPIED
            for number, (coefficient, index) in enumerate(mapped):
                share = coefficient if copies else np.where(inside, float(number == 0), coefficient)
                mapped[number] = share, np.where(inside | (index >= length), CONSTANT, index)
        return tuple(Term(_plain(coefficient), tuple(index.tolist())) for coefficient, index in mapped)


def _plain(coefficient: Any) -> float | tuple[float, ...]:
    """Return coefficients per element as one number if all are equal, else as a tuple."""
    if isinstance(coefficient, float):
        return coefficient
    return float(coefficient[0]) if (coefficient == coefficient[0]).all() else tuple(coefficient.tolist())
