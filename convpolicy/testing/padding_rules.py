"""Checks of a padding rule: it returns two integers that depend on the sizes only, and its declared properties are true."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.parts.padding import PaddingRule
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


def checks(rule: PaddingRule, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a padding rule, lowest rung first, with one for each property that it declares."""
    rows = [
        ("names", "names", partial(check_names, rule)),
        ("signature", "signatures", partial(_signature, rule)),
        ("pads", "shapes and dtypes", partial(_each, rule, max_examples, _pads)),
        ("accepts", "shapes and dtypes", partial(_accepts, rule)),
        ("repeatable", "values", partial(_each, rule, max_examples, _repeatable)),
        ("values", "values", partial(_each, rule, max_examples, _values)),
    ]
    if rule.needs_length is not True:
        rows.append(("static", "values", partial(_each, rule, max_examples, _static)))
    rows += [(name, "values", partial(_probed, rule, name, max_examples)) for name in sorted(rule.declares)]
    return [Check(rule, *check) for check in rows]


def _each(rule: PaddingRule, max_examples: int, check: Any) -> None:
    smallest(partial(check, rule), max_examples, line=_line, sizes=SIZES, choice=choices(rule))


def _line(sizes: Sizes, choice: Choice) -> str:
    kernel, stride, dilation, length = sizes
    return (
        f"import convpolicy; from convpolicy import Choice; print(convpolicy.policy('torch').evolve(padding={choice!r})"
        f".plan({kernel}, {stride}, {dilation}, length={length}))"
    )


def _signature(rule: PaddingRule) -> None:
    check_signature("pads", rule.pads, SIGNATURE, rule.params)
    if not isinstance(rule.needs_length, bool):
        check_signature("needs_length", rule.needs_length, SIGNATURE[:3])


def _resolved(rule: PaddingRule, sizes: Sizes, choice: Choice) -> tuple[int, int] | None:
    """Return the padding as (left, right), or None if the rule refuses these sizes."""
    pads: tuple[int, int] | None = refuses(lambda: rule.resolve(*sizes, rule.arguments(choice)))
    return pads


def _pads(rule: PaddingRule, sizes: Sizes, choice: Choice) -> None:
    _resolved(rule, sizes, choice)  # raises a PluginError if the function is wrong


def _accepts(rule: PaddingRule) -> None:
    tried = [Sizes(kernel, stride, 1, length) for kernel in (1, 2, 3) for stride in (1, 2) for length in (5, 8)]
    require(
        any(_resolved(rule, sizes, Choice(rule.name)) is not None for sizes in tried),
        f"it refuses every size, from {tried[0]} to {tried[-1]}; raise ValueError only for sizes that it cannot pad.",
    )


def _repeatable(rule: PaddingRule, sizes: Sizes, choice: Choice) -> None:
    first = _resolved(rule, sizes, choice)
    _resolved(rule, sizes._replace(kernel=sizes.kernel + 1, length=sizes.length + 3), choice)
    again = _resolved(rule, sizes, choice)
    require(first == again, f"it returns {first} and then {again} for {choice}, {sizes}; let it depend on its arguments only.")


def _static(rule: PaddingRule, sizes: Sizes, choice: Choice) -> None:
    """The padding is the same with and without the input length, which a static rule does not get."""
    kernel, stride, dilation, length = sizes
    without_length = _resolved(rule, sizes, choice)
    if without_length is None or not rule.is_static(kernel, stride, dilation):
        return
    try:
        with_length = tuple(int(pad) for pad in rule.pads(kernel, stride, dilation, length, **rule.arguments(choice)))
    except ValueError as error:
        require(False, f"declared static, but refuses one length: {error} for {sizes}; set needs_length=True.")
    require(
        with_length == without_length,
        f"declared static, but pads {with_length} for {sizes} and {without_length} without the length; set needs_length=True.",
    )


def _policy(name: str, choice: Choice) -> Policy:
    return Policy("probe", bias=False, padding=Choice(name, **dict(choice.params)))


def _values(rule: PaddingRule, sizes: Sizes, choice: Choice) -> None:
    """A layer with this rule equals the float64 reference with the padding that the rule returns."""
    pads = _resolved(rule, sizes, choice)
    with offered(rule) as name:
        policy = _policy(name, choice)
        if pads is None or plan_of(policy, sizes) is None:
            return
        data = np.random.default_rng(sizes.length).integers(-9, 9, (1, 1, sizes.length))
        output = layer_of(policy, sizes)(data[0])
    ideal = reference.conv1d(
        data, np.ones((1, 1, sizes.kernel)), left=pads[0], right=pads[1], stride=sizes.stride, dilation=sizes.dilation
    )
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(same, f"a layer returns {output.tolist()}, and with pads {pads} {ideal.output[0].tolist()} is expected, for {sizes}.")


def _probed(rule: PaddingRule, name: str, max_examples: int) -> None:
    with offered(rule) as registered_name:

        def check(sizes: Sizes, choice: Choice) -> None:
            try:
                PROPERTIES[name](_policy(registered_name, choice), sizes)
            except ConvPolicyError as error:
                raise type(error)(f"{choice}: {error}") if choice.params else error from None

        smallest(check, max_examples, line=_line, sizes=SIZES, choice=choices(rule))
