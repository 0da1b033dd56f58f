"""Checks of padding rules and of crop rules: two integers that depend on the sizes only, true declarations, and a layer with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import numpy as np

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.parts.rule import Rule
from convpolicy.reference import Reference, tolerance
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import (
    MAX_EXAMPLES,
    SIZES,
    Sizes,
    check_names,
    check_signature,
    choices,
    offered,
    refuses,
    require,
    smallest,
)
from convpolicy.testing.ladder import Check
from convpolicy.testing.probe import PROPERTIES, layer_of, plan_of

SIGNATURE = ("kernel", "stride", "dilation", "length")


@attrs.frozen
class RuleKind:
    """What the checks of padding rules and of crop rules differ in.

    Args:
        function: name of the rule's function, ``"pads"`` or ``"crops"``.
        numbers: plural noun for what the function returns.
        expression: text of an expression for a policy with the rule ``{choice}``, for the line that reproduces a failure.
        policy: function that returns a policy for a choice of the rule.
        reference: the convolution in float64, a function of the data, the weight, the bias and the sizes.
    """

    function: str
    numbers: str
    expression: str
    policy: Callable[[Choice], LayerPolicy]
    reference: Callable[..., Reference]


def checks(rule: Any, max_examples: int = MAX_EXAMPLES, *, kind: RuleKind) -> list[Check]:
    """Return the checks of a rule, lowest rung first, with one for each property that it declares."""

    def line(sizes: Sizes, choice: Choice) -> str:
        kernel, stride, dilation, length = sizes
        policy = kind.expression.format(choice=repr(choice))
        return f"import convpolicy; from convpolicy import Choice; print({policy}.plan({kernel}, {stride}, {dilation}, length={length}))"

    def each(check: Callable[..., Any]) -> None:
        smallest(partial(check, rule), max_examples, line=line, sizes=SIZES, choice=choices(rule))

    def probed(name: str) -> None:
        with offered(rule) as registered_name:

            def check(_rule: Rule, sizes: Sizes, choice: Choice) -> None:
                try:
                    PROPERTIES[name](kind.policy(choice.evolve(registered_name)), sizes)
                except ConvPolicyError as error:
                    raise type(error)(f"{choice}: {error}") if choice.params else error from None

            each(check)

    rows: list[tuple[str, str, Callable[[], None]]] = [
        ("names", "names", partial(check_names, rule)),
        ("signature", "signatures", partial(_signature, rule, kind.function)),
        (kind.function, "shapes and dtypes", partial(each, _resolved)),
        ("accepts", "shapes and dtypes", partial(_accepts, rule)),
        ("repeatable", "values", partial(each, _repeatable)),
        ("values", "values", partial(each, partial(_values, kind=kind))),
    ]
    if rule.needs_length is not True:
        rows.append(("static", "values", partial(each, partial(_static, verb=kind.function))))
    rows += [(name, "values", partial(probed, name)) for name in sorted(rule.declares)]
    return [Check(rule, *check) for check in rows]


def _signature(rule: Rule, function: str) -> None:
    check_signature(function, rule.function, SIGNATURE, rule.params)
    if not isinstance(rule.needs_length, bool):
        check_signature("needs_length", rule.needs_length, SIGNATURE[:3])


def _resolved(rule: Rule, sizes: Sizes, choice: Choice) -> tuple[int, int] | None:
    """Return the rule's numbers as (left, right), or None if the rule refuses these sizes.

    Raises:
        PluginError: the function is wrong.
    """
    numbers: tuple[int, int] | None = refuses(lambda: rule.resolve(*sizes, rule.arguments(choice)))
    return numbers


def _accepts(rule: Rule) -> None:
    tried = [Sizes(kernel, stride, 1, length) for kernel in (1, 2, 3) for stride in (1, 2) for length in (5, 8)]
    require(
        any(_resolved(rule, sizes, Choice(rule.name)) is not None for sizes in tried),
        f"it refuses every size, from {tried[0]} to {tried[-1]}; raise ValueError only for sizes that it does not allow.",
    )


def _repeatable(rule: Rule, sizes: Sizes, choice: Choice) -> None:
    first = _resolved(rule, sizes, choice)
    _resolved(rule, sizes._replace(kernel=sizes.kernel + 1, length=sizes.length + 3), choice)
    again = _resolved(rule, sizes, choice)
    require(first == again, f"it returns {first} and then {again} for {choice}, {sizes}; let it depend on its arguments only.")


def _static(rule: Rule, sizes: Sizes, choice: Choice, *, verb: str) -> None:
    """The numbers are the same with and without the input length, which a static rule does not get."""
    kernel, stride, dilation, length = sizes
    without_length = _resolved(rule, sizes, choice)
    if without_length is None or not rule.is_static(kernel, stride, dilation):
        return
    try:
        with_length = tuple(int(number) for number in rule.function(kernel, stride, dilation, length, **rule.arguments(choice)))
    except ValueError as error:
        require(False, f"declared static, but refuses one length: {error} for {sizes}; set needs_length=True.")
    require(
        with_length == without_length,
        f"declared static, but {verb} {with_length} for {sizes} and {without_length} without the length; set needs_length=True.",
    )


def _values(rule: Rule, sizes: Sizes, choice: Choice, *, kind: RuleKind) -> None:
    """A layer with the rule equals the float64 reference with the numbers that the rule returns."""
    numbers = _resolved(rule, sizes, choice)
    with offered(rule) as name:
        policy = kind.policy(choice.evolve(name))
        if numbers is None or plan_of(policy, sizes) is None:
            return
        data = np.random.default_rng(sizes.length).integers(-9, 9, (1, 1, sizes.length))
        output = layer_of(policy, sizes)(data[0])
    left, right = numbers
    bias = [1.0] if policy.bias else None
    ideal = kind.reference(
        data, np.ones((1, 1, sizes.kernel)), bias, left=left, right=right, stride=sizes.stride, dilation=sizes.dilation
    )
    bound = TWO_COMPUTATIONS * tolerance("float64", ideal.terms, ideal.magnitude)
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(
        same,
        f"a layer returns {output.tolist()}, and with {kind.numbers} {numbers} {ideal.output[0].tolist()} is expected, for {sizes}.",
    )
