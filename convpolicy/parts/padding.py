"""`PaddingRule`: the number of elements added on each side. `convpolicy.parts.mode` defines their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import attrs

from convpolicy.parts.part import declared
from convpolicy.parts.rule import Rule


def _rule_properties(properties: Iterable[str]) -> frozenset[str]:
    return declared(properties, ("causal", "length-preserving"))


@attrs.frozen(eq=False)
class PaddingRule(Rule):
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
    drops_outputs: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_rule_properties)

    @property
    def function(self) -> Callable[..., tuple[int, int]]:
        """The function ``pads``."""
        return self.pads
