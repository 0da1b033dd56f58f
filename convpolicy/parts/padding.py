"""How many elements are added (`PaddingRule`) and what they are (`PaddingMode`): two ideas, never mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import integer
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, PluginError, nearest, raised, said, shown
from convpolicy.parts.part import Param, Part, first_sentence

Indices: TypeAlias = "NDArray[np.int64]"
MOST_STEPS = 10_000  # in which a limit has to reach a pad; a mirror's takes two
CONSTANT = -1  # in an index map: not a sample of the input but the constant value


def _words(words: Iterable[str], allowed: tuple[str, ...]) -> frozenset[str]:
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise InvalidTypeError(f"declares must be a set of words, got {shown(words)}; pass for example {{{allowed[0]!r}}}.")
    found = frozenset(words)
    for word in found:
        if word not in allowed:
            raise InvalidValueError(f"declares must be of {', '.join(allowed)}, got {shown(word)}.{nearest(word, allowed)}")
    return found


def _of_a_rule(words: Iterable[str]) -> frozenset[str]:
    return _words(words, ("causal", "length-preserving"))


def _of_a_mode(words: Iterable[str]) -> frozenset[str]:
    return _words(words, ("causal", "linear"))


@attrs.frozen(eq=False)
class PaddingRule(Part):
    """How many elements go on each side, as pure integers.

    Args:
        name: unique name.
        pads: ``(kernel, stride, dilation, length, **params) -> (left, right)``, all in samples; ``length`` is None
            when the rule does not need it. A negative number is cut away instead of added. Raise ValueError for sizes that
            the rule does not allow.
        drops_outputs: True for a rule that stands for ``left`` on both sides and outputs dropped at the end, which a backend need
            not compute; one whose bits depend on it may compute them all the same.
        needs_length: True, or a function of ``(kernel, stride, dilation)``, when the result depends on the length; otherwise the
            rule is static.
        declares: what holds for all sizes and parameters: ``"causal"``, with constant elements output ``o`` reads no sample
            after its own hop, ``(o + 1) * stride - 1``; ``"length-preserving"``, there are ``ceil(length / stride)`` outputs.
        alias_of: name of the rule that this one is another name of; empty for a rule itself.
        params: see `Part`; a rule that splits an odd total has ``odd_side``.
    """

    kind: ClassVar[str] = "padding rule"
    pads: Callable[..., tuple[int, int]] = attrs.field()
    needs_length: bool | Callable[[int, int, int], bool] = attrs.field(default=False, kw_only=True)
    drops_outputs: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_of_a_rule)
    alias_of: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.pads))

    def alias(self, name: str, description: str, **defaults: Any) -> PaddingRule:
        """Return this rule under another name.

        Args:
            name: the other name.
            description: what the name stands for; the part's own description names this rule before it.
            **defaults: parameters whose default differs under this name.
        """
        params = {key: attrs.evolve(param, default=defaults.get(key, param.default)) for key, param in self.params.items()}
        said = f"({', '.join(f'{key}={value}' for key, value in defaults.items())})" if defaults else ""
        return attrs.evolve(
            self, name=name, params=params, alias_of=self.name, description=f"Alias of {self.name}{said}: {description}"
        )

    def is_static(self, kernel: int, stride: int, dilation: int) -> bool:
        """Return True when every length gets the same pads."""
        needs = self.needs_length
        try:
            return not (needs(kernel, stride, dilation) if callable(needs) else needs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"padding rule {self.name!r} ({self.provider}): needs_length failed for kernel {kernel}, stride {stride}, "
                f"dilation {dilation}: {raised(error)}."
            ) from error

    def resolve(
        self, kernel: int, stride: int, dilation: int, length: int | None, arguments: Mapping[str, Any]
    ) -> tuple[int, int]:
        """Return ``(left, right)``, checked.

        Args:
            kernel, stride, dilation: in samples.
            length: input length in samples; may be None where the rule is static.
            arguments: the rule's parameters, from `Part.arguments`.

        Raises:
            InvalidValueError: the rule refuses these sizes; holds the rule's own sentence.
            PluginError: the function fails or returns something else than two integers.
        """
        known_length = None if self.is_static(kernel, stride, dilation) else length
        try:
            left, right = self.pads(kernel, stride, dilation, known_length, **arguments)
            return integer("left", left), integer("right", right)
        except ConvPolicyError as error:
            raise PluginError(f"padding rule {self.name!r} ({self.provider}) must give two integers: {error}") from error
        except ValueError as error:
            raise InvalidValueError(f"padding rule {self.name!r}: {said(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            hint = "; set needs_length=True if it reads the length" if known_length is None else ""
            raise PluginError(
                f"padding rule {self.name!r} ({self.provider}) failed for kernel {kernel}, stride {stride}, dilation "
                f"{dilation}, length {known_length}: {said(error) or type(error).__name__}{hint}."
            ) from error


def _refuse(mode: PaddingMode, widest: int, length: int) -> int:
    limit = mode.limit_of(length)
    raise InvalidValueError(
        f"padding mode {mode.name!r} reaches at most {limit} for length {length}, the plan needs {widest}; pass a longer "
        f"input or choose overflow='periodic' or 'zero-extend'."
    )


def _keep(mode: PaddingMode, widest: int, length: int) -> int:
    return length


def _extend(mode: PaddingMode, widest: int, length: int) -> int:
    extended = length
    for _step in range(MOST_STEPS):
        reach = mode.limit_of(extended)
        if reach >= widest:
            return extended
        extended += widest - reach
    raise PluginError(
        f"padding mode {mode.name!r} ({mode.provider}) must have a limit that grows with the length, got {reach} for length {extended}, "
        f"where {widest} are needed."
    )


# What to do when a pad is wider than the mode reaches: the length to read the index map at.
OVERFLOW: dict[str, Callable[[PaddingMode, int, int], int]] = {
    "error": _refuse,
    "periodic": _keep,  # numpy 2's np.pad: reflect again and again
    "zero-extend": _extend,  # EnCodec's pad1d: zeros on the right until it reaches, then cut
}
MODE_PARAMS = (("value", "number"), ("overflow", "name"))
_OVERFLOW_PARAM = Param("error", kind="name", allowed=tuple(OVERFLOW))


@attrs.frozen(eq=False)
class PaddingMode(Part):
    """What the added elements are, as an index map.

    Args:
        name: unique name.
        source: ``(positions, length) -> indices``: for an integer array of positions (below 0 or from ``length`` on),
            the input position each one repeats, in ``[0, length)``, or -1 for the constant. Vectorised NumPy.
        limit: ``length -> widest pad`` the mode is defined for; None where every width is. A mode with a limit gets the
            parameter ``overflow``: ``error``, ``periodic`` (as numpy 2) or ``zero-extend`` (as EnCodec);
            for ``periodic`` the map must hold at any distance.
        declares: what holds for all lengths and parameters: ``"causal"``, the elements on the left repeat nothing but the first
            sample and the constant; ``"linear"``, the constant is 0, so that the padded signal is linear in the input.
        params: ``value``, a number, is the constant; there is no other, as ``source`` gets none.
    """

    kind: ClassVar[str] = "padding mode"
    source: Callable[[Indices, int], Any] = attrs.field()
    limit: Callable[[int], int] | None = attrs.field(default=None, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_of_a_mode)

    def __attrs_post_init__(self) -> None:
        for name, param in self.params.items():
            if (name, param.kind) not in MODE_PARAMS:
                raise InvalidValueError(
                    f"padding mode {self.name!r} can only have the parameter 'value' of kind 'number', got {name!r} of kind "
                    f"{param.kind!r}, which no function of it would get; leave it out, or offer a mode for each value."
                )
        if self.limit is not None and "overflow" not in self.params:
            object.__setattr__(self, "params", MappingProxyType({**self.params, "overflow": _OVERFLOW_PARAM}))
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.source))

    def sources(self, left: int, right: int, length: int, overflow: str = "error") -> tuple[Indices, Indices]:
        """Return what each added element repeats.

        Args:
            left, right: pads in samples.
            length: input length in samples.
            overflow: name of the overflow rule; only read when the mode has a limit.

        Returns:
            Two int64 arrays of shapes (left,) and (right,): input positions, or -1 for the constant.

        Raises:
            InvalidValueError: the pads are wider than the mode reaches and ``overflow`` is ``error``.
            PluginError: the index map gives a position outside the input.
        """
        widest, read_length = max(left, right), length
        if self.limit is not None and widest and self.limit_of(length) < widest:
            if length == 0 and overflow == "periodic":
                _refuse(self, widest, length)
            read_length = OVERFLOW[overflow](self, widest, length)
        before = self._read(np.arange(-left, 0), read_length, length)
        after = self._read(np.arange(length, length + right), read_length, length)
        return before, after

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
            raise self._failed("limit", f"length {length}", error) from error

    def _failed(self, function: str, case: str, error: BaseException) -> PluginError:
        return PluginError(f"padding mode {self.name!r} ({self.provider}): {function} failed for {case}: {raised(error)}.")

    def _read(self, positions: Indices, read_length: int, length: int) -> Indices:
        if not positions.size:
            return positions
        inside = positions < read_length
        try:
            mapped = np.broadcast_to(np.asarray(self.source(positions, read_length)), positions.shape)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed("source", f"length {read_length}", error) from error
        if mapped.dtype.kind not in "iu" or (mapped < CONSTANT).any() or (mapped >= read_length).any():
            raise PluginError(
                f"padding mode {self.name!r} ({self.provider}) must map to integers in [0, {read_length}) or -1, "
                f"got {mapped.tolist()} for positions {positions.tolist()}."
            )
        if read_length == length:
            return mapped.astype(np.int64)
        # zero-extended: positions now inside the extension are themselves, and the extension is constant
        mapped = np.where(inside & (positions >= 0), positions, mapped)
        return np.where(mapped >= length, CONSTANT, mapped).astype(np.int64)
