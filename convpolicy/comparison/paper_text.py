"""Describes the policy of a published model as text: its differences from the default, and a drawing of a layer."""

from __future__ import annotations

from collections.abc import Iterator

from convpolicy.comparison.aspects import IN_WORDS, POLICY_ASPECTS
from convpolicy.comparison.drawing import draw
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policies
from convpolicy.core.named import policy as named_policy
from convpolicy.core.paper import OVERRIDES, Paper
from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_plan import TransposedPlan

DEFAULT = "torch"  # the policy that others are compared with
TRANSPOSED_LENGTH = 10  # input length of the plan that shows a model's transposed layers
DIFFERS = "differs from torch's Conv1d"


def papers() -> list[Policy]:
    """Return the registered policies of published models, sorted by name."""
    return [policy for policy in map(named_policy, policies()) if policy.paper is not None]


def differences(policy: Policy) -> str:
    """Return the differences between a policy and the default policy, in one line."""
    default = named_policy(DEFAULT)
    lines = [
        f"{name} {(IN_WORDS.get(name) or read)(policy)}" for name, read in POLICY_ASPECTS.items() if read(policy) != read(default)
    ]
    refuses = [] if policy.strided_dilation else ["no stride together with a dilation"]
    return ", ".join(["no bias" if line == "bias False" else line for line in lines] + refuses)


def of_layer(policy: Policy, paper: Paper, layer: str) -> LayerPolicy:
    """Return the policy of one of the model's layers, with the arguments of this layer that differ."""
    arguments = paper.layer(layer)
    half: LayerPolicy = policy.half() if paper.is_transposed(layer) else policy
    return half.evolve(**{name: arguments[name] for name in OVERRIDES if name in arguments})


def drawn_plan(policy: Policy, paper: Paper) -> Plan:
    """Return the plan of the layer and input length that the paper's drawing shows."""
    plan: Plan = of_layer(policy, paper, paper.drawn_layer).plan(**paper.sizes(paper.drawn_layer), length=paper.drawn_length)
    return plan


def transposed_plan(policy: Policy, paper: Paper) -> tuple[str, TransposedPlan] | None:
    """Return the name of the model's first transposed layer and its plan for a short input, or None if there is no such layer."""
    for name in dict(paper.transposed_layers):
        plan: TransposedPlan = of_layer(policy, paper, name).plan(**paper.sizes(name), length=TRANSPOSED_LENGTH)
        return name, plan
    return None


def explained(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield pairs of a heading and a text about the policy of a published model; nothing for any other policy."""
    paper = policy.paper
    if paper is None:
        return
    yield "paper", f"{paper.citation}\n{paper.link}"
    yield DIFFERS, differences(policy)
    yield "trap", paper.trap
    yield (
        "initial weights",
        f"{paper.numbers}\n" + "\n".join(f"{name}: {choice}" for name, choice in policy.words("weight_init").items()),
    )
    yield "evidence", paper.evidence
    yield "layers", "\n".join(f"{name}: {_arguments(paper, name)}" for name in dict(paper.layers))
    transposed = transposed_plan(policy, paper)
    if transposed is not None:
        lines = [f"{name}: {_arguments(paper, name)}" for name in dict(paper.transposed_layers)]
        yield "transposed layers", "\n".join([policy.half().description, *lines, f"{transposed[0]}, {transposed[1]}"])
    plan = drawn_plan(policy, paper)
    yield f"{paper.drawn_layer}, drawn", f"{plan}\n\n{draw(plan, rows=6)}"


def _arguments(paper: Paper, layer: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in paper.layer(layer).items())
