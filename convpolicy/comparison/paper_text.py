"""What is said of a paper's policy: how it differs from torch's own layer, and one of its layers drawn."""

from __future__ import annotations

from collections.abc import Iterator

from convpolicy.comparison import POLICY_ASPECTS
from convpolicy.comparison.drawing import draw
from convpolicy.core.named import policies, policy
from convpolicy.core.paper import OVERRIDES, Paper
from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy

DEFAULT = "torch"  # the framework's default that a paper's policy is compared with


def papers() -> list[Policy]:
    """Return every registered policy of a paper, sorted by name."""
    return [found for name in policies() if (found := policy(name)).paper is not None]


def differences(wanted: Policy) -> str:
    """Return in one line what a policy has otherwise than torch's Conv1d has it by default."""
    default = policy(DEFAULT)
    lines = [f"{name} {read(wanted)}" for name, read in POLICY_ASPECTS.items() if read(wanted) != read(default)]
    refuses = [] if wanted.strided_dilation else ["no stride together with a dilation"]
    return ", ".join(["no bias" if line == "bias False" else line for line in lines] + refuses)


def of_layer(wanted: Policy, paper: Paper, layer: str) -> Policy:
    """Return the policy with what one of the paper's layers has otherwise."""
    arguments = paper.layer(layer)
    return wanted.evolve(**{name: arguments[name] for name in OVERRIDES if name in arguments})


def drawn_plan(wanted: Policy, paper: Paper) -> Plan:
    """Return the plan of the layer and length that show best what the paper does."""
    return of_layer(wanted, paper, paper.drawn_layer).plan(**paper.sizes(paper.drawn_layer), length=paper.drawn_length)


def explained(wanted: Policy) -> Iterator[tuple[str, str]]:
    """Yield a heading and a text for each thing there is to say; nothing for a policy that is no paper's."""
    paper = wanted.paper
    if paper is None:
        return
    yield "paper", f"{paper.citation}\n{paper.link}"
    yield "differs from torch's Conv1d", differences(wanted)
    yield "trap", paper.trap
    yield (
        "initial weights",
        f"{paper.numbers}\n" + "\n".join(f"{word}: {law}" for word, law in wanted.words("weight_init").items()),
    )
    yield "evidence", paper.evidence
    yield "layers", "\n".join(f"{name}: {_arguments(paper, name)}" for name in dict(paper.layers))
    plan = drawn_plan(wanted, paper)
    yield f"{paper.drawn_layer}, drawn", f"{plan}\n\n{draw(plan, rows=6)}"


def _arguments(paper: Paper, layer: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in paper.layer(layer).items())
