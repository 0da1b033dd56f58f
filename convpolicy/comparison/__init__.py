"""`compare`: the exact differences between two policies or layers."""

from __future__ import annotations

import zlib
from typing import Any

import attrs
import numpy as np

from convpolicy.comparison.aspects import (
    COMMON_ASPECTS,
    COMMON_PLAN_ASPECTS,
    CUT_ASPECTS,
    PLAN_ASPECTS,
    POLICY_ASPECTS,
    SIZES,
    TRANSPOSED_ASPECTS,
    Row,
    plan_rows,
    policy_rows,
)
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import Plan, check_length
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, placed
from convpolicy.layers.capture import Capture, backends_of, capture

__all__ = ["Comparison", "Row", "compare"]

LAYERS = ("Conv1d", "ConvTranspose1d")  # names of a convolution and of a transposed one


@attrs.frozen(repr=False)
class Comparison:
    """The result of `compare`: two policies or layers side by side, for one size and one input length.

    Print the object to see the differences.

    Attributes:
        a, b: names of the policies.
        rows: one row per compared aspect. Rows with equal values are included.
        plans: the padding of each policy, as a `Plan`, or what a transposed convolution cuts, as a `TransposedPlan`. A policy that
            refuses the sizes has None.
    """

    a: str
    b: str
    rows: tuple[Row, ...]
    plans: tuple[Plan | TransposedPlan | None, Plan | TransposedPlan | None]

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
        string. Plans of transposed convolutions are not drawn.
        """
        from convpolicy.pictures.windows import picture  # imported late: only pictures need it

        plans = {name: plan for name, plan in zip(self._titles(), self.plans) if isinstance(plan, Plan)}
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
        lines = [("", *self._titles()), *((row.aspect, *row.texts) for row in self.differences)]
        if len(lines) == 1:
            return f"{self.a} and {self.b} do the same"
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


@attrs.frozen(eq=False)
class _Side:
    """One of the two arguments of `compare`.

    Attributes:
        policy: the policy, or that of the captured layer.
        capture: the captured layer, or None for a policy.
    """

    policy: LayerPolicy
    capture: Capture | None = None

    @classmethod
    def of(cls, argument: str, value: Any) -> _Side:
        if isinstance(value, LayerPolicy):
            return cls(value.checked())
        if not isinstance(value, Capture) and (isinstance(value, str) or not backends_of(value)):
            return cls(named_policy(value).checked())
        with placed(argument):
            captured = value if isinstance(value, Capture) else capture(value)
        return cls(captured.policy, captured)

    def transposed(self) -> _Side:
        """Return the side of the transposed convolution, if this is the side of a whole policy."""
        return _Side(self.policy.half().checked()) if isinstance(self.policy, Policy) and self.capture is None else self

    def plan(self, spec: ConvSpec, length: int) -> tuple[Any, str]:
        """Return the plan and an empty text, or None and the sentence with which the policy refuses the sizes."""
        spec = spec if self.capture is None else self.capture.spec
        try:
            return self.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length), ""
        except ConvPolicyError as error:
            return None, str(error)


def compare(
    a: Any,
    b: Any,
    *,
    kernel_size: int | None = None,
    stride: int | None = None,
    dilation: int | None = None,
    length: int,
    transposed: bool = False,
) -> Comparison:
    """Compare two policies, or two layers, for one size and input length.

    Args:
        a, b: each a name of a policy, a `Policy`, a `TransposedPolicy`, a native layer or a `Capture`. A layer is compared with the
            policy of its kind: a transposed convolution with ``policy.transposed``.
        kernel_size, stride, dilation: sizes of the convolution, in samples. ``stride`` and ``dilation`` are 1 by default. Leave them
            out if ``a`` or ``b`` is a layer, whose sizes are compared.
        length: input length in samples.
        transposed: True compares the transposed convolutions of two policies.

    Returns:
        A printable `Comparison`. If a policy refuses the sizes, the comparison shows the reason instead of numbers. A convolution
        and a transposed one are compared in what they have in common.

    Raises:
        UnknownNameError: a policy is not registered.
        InvalidTypeError, InvalidValueError: a size is not allowed or missing, `capture` refuses a layer, or a policy describes no
            transposed convolution.
    """
    sides = _Side.of("a", a), _Side.of("b", b)
    captures = [side.capture for side in sides if side.capture is not None]
    if transposed or any(captured.spec.transposed for captured in captures):
        sides = sides[0].transposed(), sides[1].transposed()
    spec = _spec({"kernel_size": kernel_size, "stride": stride, "dilation": dilation}, captures)
    checked = check_length(length)
    planned = [side.plan(spec, checked) for side in sides]
    plans, refusals = (planned[0][0], planned[1][0]), (planned[0][1], planned[1][1])
    policies = sides[0].policy, sides[1].policy
    kinds = [policy.is_transposed for policy in policies]
    rows = _layer_rows(captures) if len(captures) == len(sides) else []
    if kinds[0] != kinds[1]:
        rows.insert(0, Row("layer", LAYERS[kinds[0]], LAYERS[kinds[1]]))
        rows += plan_rows(plans, refusals, COMMON_PLAN_ASPECTS) + policy_rows(policies, COMMON_ASPECTS)
    elif kinds[0]:
        rows += plan_rows(plans, refusals, CUT_ASPECTS) + policy_rows(policies, TRANSPOSED_ASPECTS)
    else:
        rows += plan_rows(plans, refusals, PLAN_ASPECTS) + policy_rows(policies, POLICY_ASPECTS)
    return Comparison(policies[0].name, policies[1].name, tuple(rows), plans)


def _spec(sizes: dict[str, int | None], captures: list[Capture]) -> ConvSpec:
    """Return the sizes with which policies are compared: those of the layer on the other side, or the arguments."""
    passed = [name for name, size in sizes.items() if size is not None]
    if captures and passed:
        raise InvalidValueError(
            f"{passed[0]} must be left out when a or b is a layer, whose sizes are compared, got {sizes[passed[0]]}; leave it out."
        )
    if captures:
        return captures[0].spec
    if sizes["kernel_size"] is None:
        raise InvalidTypeError("kernel_size must be passed to compare policies, got None; pass a number of samples, 1 or more.")
    stride, dilation = (1 if sizes[name] is None else sizes[name] for name in ("stride", "dilation"))
    return ConvSpec.of(1, 1, sizes["kernel_size"], stride, dilation, 1)


def _layer_rows(captures: list[Capture]) -> list[Row]:
    """Return the rows about the sizes, the dtype and the parameters of two layers."""
    one, two = captures
    rows = [Row(name, read(one.spec), read(two.spec)) for name, read in SIZES.items()]
    rows.append(Row("dtype", one.dtype, two.dtype))
    for name in ("weight", "bias"):
        mine, theirs = getattr(one, name), getattr(two, name)
        comparable = mine is not None and theirs is not None and mine.shape == theirs.shape
        words = _shown(mine), _shown(theirs)
        if comparable and (name == "bias" or one.spec.transposed == two.spec.transposed):
            apart = np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0)
            words = words[0], f"differs by up to {apart:.3g}"
        rows.append(Row(f"{name} values", _checksum(mine), _checksum(theirs), words))
    return rows


def _shown(values: Any) -> str:
    return "None" if values is None else f"shape {values.shape}"


def _checksum(values: Any) -> str | None:
    """Return a text that is equal for equal arrays; the dtype does not count."""
    if values is None:
        return None
    return f"{values.shape} crc32 {zlib.crc32(np.ascontiguousarray(values, np.float64).tobytes()):08x}"
