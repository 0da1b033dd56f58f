"""`compare`: the exact differences between two policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from convpolicy.core.initial_values import in_words
from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import Plan, check_length
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
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


@attrs.frozen(repr=False)
class Comparison:
    """The result of `compare`: two policies side by side, for one size and one input length.

    Print the object to see the differences.

    Attributes:
        a, b: names of the policies.
        rows: one row per compared aspect. Rows with equal values are included.
        plans: the padding of each policy, as a `Plan`. A policy that refuses the sizes has None.
    """

    a: str
    b: str
    rows: tuple[Row, ...]
    plans: tuple[Plan | None, Plan | None]

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows whose values differ."""
        return tuple(row for row in self.rows if not row.same)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "rows": [{"aspect": row.aspect, "a": row.a, "b": row.b, "same": row.same} for row in self.rows],
            "plans": [plan and plan.to_dict() for plan in self.plans],
        }

    def to_svg(self) -> str:
        """Return an SVG picture of both plans, one below the other.

        The picture outlines the differences. Equal plans are drawn once. If both policies refuse the sizes, the result is an empty
        string.
        """
        from convpolicy.pictures.windows import picture  # imported late: only pictures need it

        plans = {name: plan for name, plan in zip(self._titles(), self.plans) if plan is not None}
        if len(plans) == 2 and len(set(plans.values())) == 1:
            plans = {" and ".join(plans): plans[self._titles()[0]]}
        return picture(plans) if plans else ""

    def _titles(self) -> tuple[str, str]:
        return (self.a, self.b) if self.a != self.b else (f"{self.a} (a)", f"{self.b} (b)")

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # imported late: only notebooks need it

        rows = [(row.aspect, *row.texts) for row in self.differences]
        return self.to_svg() + (table(("", *self._titles()), rows) if rows else text(self))

    def __repr__(self) -> str:
        return f"Comparison({self.a!r}, {self.b!r}: {', '.join(row.aspect for row in self.differences) or 'no difference'})"

    def __str__(self) -> str:
        lines = [("", self.a, self.b), *((row.aspect, *row.texts) for row in self.differences)]
        if len(lines) == 1:
            return f"{self.a} and {self.b} do the same"
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


PLAN_ASPECTS: dict[str, Callable[[Plan], Any]] = {
    "left": lambda plan: plan.left,
    "right": lambda plan: plan.right,
    "length_out": lambda plan: plan.length_out,
}


def _layout(policy: Policy) -> Layout:
    layout: Layout = policy.part("layout")[0]
    return layout


POLICY_ASPECTS: dict[str, Callable[[Policy], Any]] = {
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
# aspect -> function that returns its value as text for people
IN_WORDS: dict[str, Callable[[Policy], str]] = {
    "weight_init": lambda policy: in_words(policy.weight_init),
    "bias_init": lambda policy: in_words(policy.bias_init),
}


def compare(a: str | Policy, b: str | Policy, *, kernel_size: int, stride: int = 1, dilation: int = 1, length: int) -> Comparison:
    """Compare two policies for one size and input length.

    Args:
        a, b: the two policies, each a name or a `Policy`.
        kernel_size, stride, dilation: sizes of the convolution, in samples.
        length: input length in samples.

    Returns:
        A printable `Comparison`. If a policy refuses the sizes, the comparison shows the reason instead of numbers.

    Raises:
        UnknownNameError: a policy is not registered.
        InvalidTypeError, InvalidValueError: a size is not allowed.
    """
    ConvSpec.of(1, 1, kernel_size, stride, dilation, 1)
    check_length(length)
    policies = named_policy(a).checked(), named_policy(b).checked()
    plans: list[Plan | None] = []
    refusals: list[str | None] = []
    for policy in policies:
        try:
            plans.append(policy.plan(kernel_size, stride, dilation, length=length))
            refusals.append(None)
        except ConvPolicyError as error:
            plans.append(None)
            refusals.append(str(error))
    rows = []
    for aspect, read_plan in PLAN_ASPECTS.items():
        values = [f"refused: {refusal}" if plan is None else read_plan(plan) for plan, refusal in zip(plans, refusals)]
        rows.append(Row(aspect, values[0], values[1]))
    for aspect, read in POLICY_ASPECTS.items():
        words = IN_WORDS.get(aspect)
        texts = None if words is None else (words(policies[0]), words(policies[1]))
        rows.append(Row(aspect, read(policies[0]), read(policies[1]), texts))
    return Comparison(policies[0].name, policies[1].name, tuple(rows), (plans[0], plans[1]))
