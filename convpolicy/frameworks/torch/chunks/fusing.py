"""A convolution followed by a cut of its outputs, as in a TCN, becomes one convolution that pads less: then no output waits for the cut."""

from __future__ import annotations

from typing import Any

import attrs
from torch import fx

from convpolicy.chunks.schedule import schedule
from convpolicy.chunks.transposed import transposed_schedule
from convpolicy.errors import ConvPolicyError
from convpolicy.frameworks.torch.chunks.building import Builder
from convpolicy.frameworks.torch.chunks.steps import Staged
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME
from convpolicy.layers.capture import Capture
from convpolicy.parts.choice import Choice

SIZE_READERS = ("size", "getattr", "dim")


def fused(build: Builder, node: fx.Node, first: int, last: int) -> bool:
    """Let a convolution leave out the samples that a cut removes.

    Args:
        build: the builder.
        node: the cut. Its input is the convolution.
        first: number of samples that are removed at the start.
        last: number of samples that are removed at the end.

    Returns:
        False, with nothing changed, if the input of the cut is no such convolution, or has other readers.
    """
    layer: Any = node.args[0]
    captured: Capture | None = build.layers.get(layer)
    readers = [user for user in layer.users if str(getattr(user.target, "__name__", user.target)) not in SIZE_READERS]
    if captured is None or readers != [node]:
        return False
    stage = _without(build.stage_of(layer), captured, first, last)
    if stage is None:
        return False
    old = build.known[layer]
    source = build.known[layer.args[0]] if layer.args else None
    if source is None:
        return False
    new = attrs.evolve(build.stream(old.axes, old.dtype, old, extra=-first - last), hop=old.hop)
    build.replace(layer, Staged(stage, (BATCH, captured.spec.in_channels, TIME)), new)
    build.layers.pop(layer)
    build.plain(node, _same, new)
    return True


def _same(data: Any, *_index: Any) -> Any:
    return data


def _without(stage: Any, captured: Capture, first: int, last: int) -> Any:
    """Return the stage of a convolution without some of its outputs, or None if there is none."""
    spec, policy = captured.spec, captured.policy
    pads = policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)
    if pads is None:
        return None
    left, right = pads
    try:
        if spec.transposed:
            return type(stage)(stage.arrays, transposed_schedule(policy.evolve(padding=(left + first, right + last)), spec))
        if spec.stride > 1 or Choice.of("padding_mode", getattr(policy, "padding_mode", None)).name != "zeros":
            return None
        return type(stage)(stage.arrays, schedule(policy.evolve(padding=(left - first, right - last)), spec))
    except ConvPolicyError:
        return None
