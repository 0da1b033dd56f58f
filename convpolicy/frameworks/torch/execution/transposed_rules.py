"""The table of rules that selects an implementation of `transposed_lowerings` for a torch layer; see `rules`."""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.rule import Rule, Table
from convpolicy.frameworks.torch.execution.transposed_conditions import native_crop
from convpolicy.frameworks.torch.execution.transposed_lowerings import LENGTH_FREE, LOWERINGS
from convpolicy.layers.backend import LayerRequest

FAST: tuple[Rule, ...] = ()
RULES: dict[str, tuple[Rule, ...]] = {"exact": (), "fast": FAST}


def default(request: LayerRequest) -> str:
    """Return the implementation that is bit-identical to the framework's own code."""
    return "full" if native_crop(request) is None else "native"


TABLE = Table(LOWERINGS, LENGTH_FREE, RULES, default)
