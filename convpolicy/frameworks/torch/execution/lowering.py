"""`Lowering`: one implementation of a plan in torch, and `Work`, what it gets for one layer and input length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

# Other tensor classes get torch's own functions only: those of per-sample gradients support nothing else, and fake tensors must not
# be cached.
PLAIN = (Tensor, torch.nn.Parameter)


class Work(NamedTuple):
    """A plan for one layer.

    Attributes:
        plan: the plan for the input's length, a `Plan` or a `TransposedPlan`.
        groups: number of channel groups.
        pad: ``(input, left, right) -> padded input``, the layer's own padding function. A transposed layer adds zeros with it.
    """

    plan: Any
    groups: int
    pad: Callable[[Tensor, int, int], Tensor]


Lowered: TypeAlias = Callable[[Tensor, Tensor, "Tensor | None", Work], Tensor]


class Lowering(NamedTuple):
    """One implementation.

    Attributes:
        run: the function.
        why_not: ``(plan, in_channels, groups) -> reason`` why it cannot compute a plan; empty when it can.
        bits_of: name of the implementation to which it is bit-identical; empty when its sums have another order.
    """

    run: Lowered
    why_not: Callable[[Any, int, int], str]
    bits_of: str = ""


def unless(reason: str, legal: Callable[[Any, int, int], Any]) -> Callable[[Any, int, int], str]:
    """Return a `Lowering.why_not` that returns ``reason`` for the plans that are not ``legal``."""
    return lambda plan, channels, groups: "" if legal(plan, channels, groups) else reason
