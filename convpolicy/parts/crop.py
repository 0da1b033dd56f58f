"""`CropRule`: the number of samples that a transposed convolution cuts from each side of its full result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import attrs

from convpolicy.parts.part import declared
from convpolicy.parts.rule import Rule


def _rule_properties(properties: Iterable[str]) -> frozenset[str]:
    return declared(properties, ("causal", "length-multiplying"))


@attrs.frozen(eq=False)
class CropRule(Rule):
    """A rule for the number of samples that a transposed convolution cuts from each side of its full result.

    The full result of ``length`` input samples has ``(length - 1) * stride + e`` samples, where ``e`` is the effective kernel.

    Args:
        name: unique name.
        crops: function ``(kernel, stride, dilation, length, **params) -> (left, right)``. All numbers are in samples of the
            output. ``length`` is the input length, or None if the rule does not need it. A negative result appends zeros, to which
            the layer adds its bias. The function raises ValueError for sizes that the rule does not allow.
        needs_length: True if the cuts depend on the input length, or a function ``(kernel, stride, dilation) -> bool``.
        declares: properties that are true for all sizes and parameters:

            - ``"causal"``: output ``o`` reads no sample after ``o // stride``
            - ``"length-multiplying"``: there are ``length * stride`` outputs
        cuts_full: True for a rule of code that computes the full result and then cuts it. A layer with exact bits does the same,
            since a convolution that leaves out the samples adds numbers in another order.
        alias_of: name of the original rule, if this rule is an alias. Empty for other rules.
        params: see `Part`. A rule that splits an odd total has the parameter ``odd_side``. A rule with the parameter
            ``output_padding`` accepts this argument of `ConvTranspose1d`.
    """

    kind: ClassVar[str] = "crop rule"
    crops: Callable[..., tuple[int, int]] = attrs.field()
    cuts_full: bool = attrs.field(default=False, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_rule_properties)

    @property
    def function(self) -> Callable[..., tuple[int, int]]:
        """The function ``crops``."""
        return self.crops
