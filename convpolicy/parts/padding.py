"""How many elements are added on each side: `PaddingRule`. What they are is another idea: see `convpolicy.parts.mode`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs

from convpolicy.arithmetic import integer
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError, raised, said
from convpolicy.parts.part import Part, declared, first_sentence


def _of_a_rule(words: Iterable[str]) -> frozenset[str]:
    return declared(words, ("causal", "length-preserving"))


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
