"""Whether a policy pads as another rule does, for a framework that has a name for that rule."""

from __future__ import annotations

from convpolicy import registry
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.parts.padding import PaddingRule

MOST_LENGTHS = 512  # compared one after another; a longer period than that is compared in part
LONG_LENGTHS = tuple(2**power + more for power in range(10, 24) for more in (-1, 0, 1))


def pads_alike(policy: Policy, rule: str | Choice, spec: ConvSpec) -> bool:
    """Return True when a framework's name for a rule means what the policy pads.

    That is so when the policy's padding is this rule or an alias of it, and when it depends on the length and both give the same
    pads: at each of the first lengths, over a period of the stride, and at long ones. Pads that do not depend on the length are
    numbers, for which a framework needs no name.

    Args:
        policy: whose padding rule is compared; its padding mode is not.
        rule: name of the other rule, or a `Choice` of it.
        spec: sizes of the layer.
    """
    other = Choice.of("rule", rule)
    return _alike(policy.padding, other, spec.kernel_size, spec.stride, spec.dilation)


@registry.cached(maxsize=512)
def _alike(padding: Choice, other: Choice, kernel: int, stride: int, dilation: int) -> bool:
    rules: list[PaddingRule] = [registry.current().get("padding rule", choice.name) for choice in (padding, other)]
    arguments = [rule.arguments(choice) for rule, choice in zip(rules, (padding, other))]
    if len({rule.alias_of or rule.name for rule in rules}) == 1 and arguments[0] == arguments[1]:
        return True
    if any(rule.is_static(kernel, stride, dilation) for rule in rules):
        return False
    period = stride + (kernel - 1) * dilation + 1
    for length in (*range(1, min(2 * period, MOST_LENGTHS) + 1), *LONG_LENGTHS):
        try:
            pads = {rule.resolve(kernel, stride, dilation, length, words) for rule, words in zip(rules, arguments)}
        except ConvPolicyError:
            return False
        if len(pads) > 1:
            return False
    return True
