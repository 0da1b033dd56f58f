"""The aspects in which two policies or layers are compared, and how their values are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from convpolicy.core.initial_values import in_words
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.parts.layout import Layout


@attrs.frozen
class Row:
    """One aspect of two policies.

    Attributes:
        aspect: what the row compares, e.g. ``"padding rule"``.
        a, b: exact values of the two policies.
        words: both values as readable text. None means that ``str`` converts the values.
    """

    aspect: str
    a: Any
    b: Any
    words: tuple[str, str] | None = attrs.field(default=None, eq=False)

    @property
    def same(self) -> bool:
        """True if both values are equal."""
        return bool(self.a == self.b)

    @property
    def texts(self) -> tuple[str, str]:
        """Both values as readable text. If different values have the same text, the property contains the exact values."""
        exact = str(self.a), str(self.b)
        return exact if self.words is None or (self.words[0] == self.words[1] and not self.same) else self.words


PLAN_ASPECTS: dict[str, Callable[[Plan], Any]] = {
    "left": lambda plan: plan.left,
    "right": lambda plan: plan.right,
    "length_out": lambda plan: plan.length_out,
}
CUT_ASPECTS: dict[str, Callable[[TransposedPlan], Any]] = {
    "cut left": lambda plan: plan.left,
    "cut right": lambda plan: plan.right,
    "length_out": lambda plan: plan.length_out,
}
COMMON_PLAN_ASPECTS: dict[str, Callable[[Any], Any]] = {"length_out": lambda plan: plan.length_out}


def _layout(policy: LayerPolicy) -> Layout:
    layout: Layout = policy.part("layout")[0]
    return layout


POLICY_ASPECTS: dict[str, Callable[[Any], Any]] = {
    "padding rule": lambda policy: str(policy.padding),
    "padding mode": lambda policy: str(policy.padding_mode),
    "bias": lambda policy: policy.bias,
    "weight_init": lambda policy: str(policy.weight_init),
    "bias_init": lambda policy: str(policy.bias_init),
    "weight axes": lambda policy: _layout(policy).axes,
    "data axes": lambda policy: policy.part("data_layout")[0].axes,
    "weight name": lambda policy: _layout(policy).weight,
    "bias name": lambda policy: _layout(policy).bias,
    "weight_norm": lambda policy: policy.weight_norm,
}
# aspects of the policy of a transposed convolution, in the order of the rows
TRANSPOSED_ASPECTS: dict[str, Callable[[Any], Any]] = {
    "crop rule": POLICY_ASPECTS["padding rule"],
    **{aspect: read for aspect, read in POLICY_ASPECTS.items() if aspect != "padding rule"},
    "kernel reversed": lambda policy: _layout(policy).flip,
    "fan_in": lambda policy: _layout(policy).fan_in,
}
# aspects that have the same meaning for a convolution and a transposed one
COMMON_ASPECTS = {aspect: read for aspect, read in POLICY_ASPECTS.items() if aspect not in ("padding rule", "padding mode")}

FANS = {"I": "in_channels // groups * kernel_size", "O": "out_channels // groups * kernel_size"}
# aspect -> function that returns its value as text for people
IN_WORDS: dict[str, Callable[[Any], str]] = {
    "weight_init": lambda policy: in_words(policy.weight_init),
    "bias_init": lambda policy: in_words(policy.bias_init),
    "fan_in": lambda policy: FANS[_layout(policy).fan_in],
}
SIZES: dict[str, Callable[[ConvSpec], Any]] = {
    name: lambda spec, name=name: getattr(spec, name)  # type: ignore[misc]
    for name in ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
}


def cut_words(samples: Any) -> str:
    """Return a number of cut samples as text. A negative number appends zeros."""
    if not isinstance(samples, int) or samples >= 0:
        return str(samples)
    return f"appends {-samples} zero{'s' * (samples < -1)}"


def plan_rows(plans: tuple[Any, Any], refusals: tuple[str, str], aspects: Mapping[str, Callable[[Any], Any]]) -> list[Row]:
    """Return the rows about the plans of both sides. If a side refuses, its reason replaces its numbers."""
    rows = []
    for aspect, read in aspects.items():
        one, two = (f"refused: {refusal}" if plan is None else read(plan) for plan, refusal in zip(plans, refusals))
        rows.append(Row(aspect, one, two, (cut_words(one), cut_words(two)) if aspect in CUT_ASPECTS else None))
    return rows


def policy_rows(policies: tuple[LayerPolicy, LayerPolicy], aspects: Mapping[str, Callable[[Any], Any]]) -> list[Row]:
    """Return the rows about the policies of both sides."""
    rows = []
    for aspect, read in aspects.items():
        words = IN_WORDS.get(aspect)
        texts = None if words is None else (words(policies[0]), words(policies[1]))
        rows.append(Row(aspect, read(policies[0]), read(policies[1]), texts))
    return rows
