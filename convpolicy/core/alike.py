"""Tests whether a policy pads like another rule, so that a framework can use its name for that rule."""

from __future__ import annotations

from convpolicy import registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.parts.rule import Rule

MOST_LENGTHS = 512  # consecutive lengths to compare; a longer period is compared in part
LONG_LENGTHS = tuple(2**power + more for power in range(10, 24) for more in (-1, 0, 1))


def pads_alike(policy: LayerPolicy, rule: str | Choice, spec: ConvSpec) -> bool:
    """Return True if a framework can use its name for a rule in a layer of the policy.

    This is the case if the policy's padding is this rule or an alias of it. It is also the case if both depend on the length
    and their pads are equal at the first lengths, over a period of the stride, and at long lengths. The result is False for
    other pads that do not depend on the length: the framework gets them as numbers.

    Args:
        policy: the policy; its padding mode is not compared.
        rule: name of the other rule, or a `Choice` of it.
        spec: sizes of the layer.
    """
    other = Choice.of("rule", rule)
    return _alike(policy.part_kinds["padding"], policy.padding, other, spec.kernel_size, spec.stride, spec.dilation)


@registry.cached(maxsize=512)
def _alike(kind: str, padding: Choice, other: Choice, kernel: int, stride: int, dilation: int) -> bool:
    rules: list[Rule] = [registry.current().get(kind, choice.name) for choice in (padding, other)]
    arguments = [rule.arguments(choice) for rule, choice in zip(rules, (padding, other))]
    if len({rule.alias_of or rule.name for rule in rules}) == 1 and arguments[0] == arguments[1]:
        return True
    if any(rule.is_static(kernel, stride, dilation) for rule in rules):
        return False
    period = stride + (kernel - 1) * dilation + 1
    for length in (*range(1, min(2 * period, MOST_LENGTHS) + 1), *LONG_LENGTHS):
        try:
            pads = {rule.resolve(kernel, stride, dilation, length, params) for rule, params in zip(rules, arguments)}
        except ConvPolicyError:
            return False
        if len(pads) > 1:
            return False
    return True
