"""A paper's policy as text: how it differs from the default, and one of its layers drawn."""

from __future__ import annotations

from collections.abc import Iterator

from convpolicy.comparison import IN_WORDS, POLICY_ASPECTS
from convpolicy.comparison.drawing import draw
from convpolicy.core.named import policies
from convpolicy.core.named import policy as named_policy
from convpolicy.core.paper import OVERRIDES, Paper
from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy

DEFAULT = "torch"  # the policy that a paper's policy is compared with
DIFFERS = "differs from torch's Conv1d"


def papers() -> list[Policy]:
    """Return every registered policy of a paper, sorted by name."""
    return [policy for policy in map(named_policy, policies()) if policy.paper is not None]


def differences(policy: Policy) -> str:
    """Return in one line how a policy differs from the default one."""
    default = named_policy(DEFAULT)
    lines = [
        f"{name} {(IN_WORDS.get(name) or read)(policy)}" for name, read in POLICY_ASPECTS.items() if read(policy) != read(default)
    ]
    refuses = [] if policy.strided_dilation else ["no stride together with a dilation"]
    return ", ".join(["no bias" if line == "bias False" else line for line in lines] + refuses)


def of_layer(policy: Policy, paper: Paper, layer: str) -> Policy:
    """Return the policy as one of the paper's layers has it, where that differs."""
    arguments = paper.layer(layer)
    return policy.evolve(**{name: arguments[name] for name in OVERRIDES if name in arguments})


def drawn_plan(policy: Policy, paper: Paper) -> Plan:
    """Return the plan of the layer and length that show best what the paper does."""
    return of_layer(policy, paper, paper.drawn_layer).plan(**paper.sizes(paper.drawn_layer), length=paper.drawn_length)


def explained(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield headings and texts about a paper's policy; nothing for any other policy."""
    paper = policy.paper
    if paper is None:
        return
    yield "paper", f"{paper.citation}\n{paper.link}"
    yield DIFFERS, differences(policy)
    yield "trap", paper.trap
    yield (
        "initial weights",
        f"{paper.numbers}\n" + "\n".join(f"{word}: {choice}" for word, choice in policy.words("weight_init").items()),
    )
    yield "evidence", paper.evidence
    yield "layers", "\n".join(f"{name}: {_arguments(paper, name)}" for name in dict(paper.layers))
    plan = drawn_plan(policy, paper)
    yield f"{paper.drawn_layer}, drawn", f"{plan}\n\n{draw(plan, rows=6)}"


def _arguments(paper: Paper, layer: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in paper.layer(layer).items())
