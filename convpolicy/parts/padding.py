"""`PaddingRule`: the number of elements added on each side. `convpolicy.parts.mode` defines their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs

from convpolicy.arithmetic import integer
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError, raised, said, shown
from convpolicy.parts.part import Part, declared, first_sentence


def _rule_properties(properties: Iterable[str]) -> frozenset[str]:
    return declared(properties, ("causal", "length-preserving"))


@attrs.frozen(eq=False)
class PaddingRule(Part):
    """A rule for the number of elements that padding adds on each side.

    Args:
        name: unique name.
        pads: function ``(kernel, stride, dilation, length, **params) -> (left, right)``. All numbers are in samples.
            ``length`` is None if the rule does not need it. A negative result removes samples. The function raises ValueError
            for sizes that the rule does not allow.
        drops_outputs: True if the reference code pads ``left`` on both sides and drops outputs at the end. A backend can skip
            the dropped outputs. It can also compute them, to reproduce the bits of the reference code.
        needs_length: True if the pads depend on the input length, or a function ``(kernel, stride, dilation) -> bool``.
        declares: properties that are true for all sizes and parameters:

            - ``"causal"``: with constant padding, output ``o`` reads no sample after ``(o + 1) * stride - 1``
            - ``"length-preserving"``: there are ``ceil(length / stride)`` outputs
        alias_of: name of the original rule, if this rule is an alias. Empty for other rules.
        params: see `Part`. A rule that splits an odd total has the parameter ``odd_side``.
    """

    kind: ClassVar[str] = "padding rule"
    pads: Callable[..., tuple[int, int]] = attrs.field()
    needs_length: bool | Callable[[int, int, int], bool] = attrs.field(default=False, kw_only=True)
    drops_outputs: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_rule_properties)
    alias_of: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.pads))

    def alias(self, name: str, description: str, **defaults: Any) -> PaddingRule:
        """Return an alias of this rule.

        Args:
            name: name of the alias.
            description: meaning of the name. The text ``"Alias of RULE: "`` is put before the description.
            **defaults: new default values of parameters.
        """
        params = {key: attrs.evolve(param, default=defaults.get(key, param.default)) for key, param in self.params.items()}
        settings = f"({', '.join(f'{key}={value}' for key, value in defaults.items())})" if defaults else ""
        return attrs.evolve(
            self, name=name, params=params, alias_of=self.name, description=f"Alias of {self.name}{settings}: {description}"
        )

    def is_static(self, kernel: int, stride: int, dilation: int) -> bool:
        """Return True if the pads are the same for every input length."""
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
        """Return the pads ``(left, right)`` in samples for one input length.

        Args:
            kernel, stride, dilation: sizes of the convolution, in samples.
            length: input length in samples. It may be None if the rule does not depend on the length.
            arguments: the rule's parameters, from `Part.arguments`.

        Raises:
            InvalidValueError: the rule refuses these sizes. The message contains the reason.
            PluginError: the function ``pads`` fails or does not return two integers.
        """
        known_length = None if self.is_static(kernel, stride, dilation) else length
        try:
            pads = self.pads(kernel, stride, dilation, known_length, **arguments)
        except ConvPolicyError as error:
            raise PluginError(f"padding rule {self.name!r} ({self.provider}) must return two integers: {error}") from error
        except ValueError as error:
            raise InvalidValueError(f"padding rule {self.name!r}: {said(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reads_length = known_length is None and isinstance(error, TypeError)
            hint = "; set needs_length=True if it reads the length" if reads_length else ""
            raise PluginError(
                f"padding rule {self.name!r} ({self.provider}) failed for kernel {kernel}, stride {stride}, dilation "
                f"{dilation}, length {known_length}: {raised(error)}{hint}."
            ) from error
        try:
            left, right = pads
        except (TypeError, ValueError):
            raise PluginError(
                f"padding rule {self.name!r} ({self.provider}) must return (left, right), got {shown(pads)}."
            ) from None
        try:
            return integer("left", left), integer("right", right)
        except ConvPolicyError as error:
            raise PluginError(f"padding rule {self.name!r} ({self.provider}) must return two integers: {error}") from error
