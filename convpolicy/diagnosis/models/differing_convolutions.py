"""What differs in a pair of convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.comparing import Comparison
from convpolicy.diagnosis.models.units import Unit, captured, first, same_windows
from convpolicy.diagnosis.models.values import ARRANGED, difference
from convpolicy.diagnosis.one_layer import why_layers
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.capture import Capture
from convpolicy.models.description import Description

PERIOD = 960  # lengths that differ by it have the same remainder for strides up to 6, and 8, 10, 12, 15, 16, 20, 24, 30 and 32
LONGEST = 2 * PERIOD  # longer inputs are shortened
Found: TypeAlias = "tuple[str, str, Capture | None]"  # aspect, text, and the changed convolution of b


def differences(found: Comparison, a: Description, b: Description) -> Iterator[Found]:
    """Yield what differs: the arrays where nothing else does, otherwise what `convpolicy.why` finds."""
    arrays = {role: difference(role, a.arrays.get(role), b.arrays.get(role)) for role in ("weight", "bias")}
    try:
        one, other = _cut(captured(a.layer), found.a), captured(b.layer)
    except ConvPolicyError as error:
        yield "convolution", f"the convolutions differ, and cannot be compared alone: {error}", None
        return
    length = first(found.a.main.inputs[0], a.axis).shape[2]
    if (
        same_windows(one, other, length)
        and any(arrays.values())
        and not any(text.startswith(ARRANGED) for text in arrays.values())
    ):
        for role, text in arrays.items():
            if text:  # a bias that only one of them has is no array to copy
                yield role, f"{role}: {text}", _with_bias_of(one, other) if text.startswith("only") else None
        return
    yield from _searched(one, other, first(found.a.main.inputs[0], a.axis)[:1], arrays)


def _with_bias_of(a: Capture, b: Capture) -> Capture:
    """Return ``b`` with the bias of ``a``, or without one."""
    return attrs.evolve(b, bias=a.bias, policy=b.policy.evolve(bias=a.bias is not None))


def _searched(a: Capture, b: Capture, data: NDArray[Any], arrays: dict[str, str]) -> Iterator[Found]:
    """Ask `convpolicy.why`. ``b`` is its first layer, so that it is the one that is changed."""
    answer = None
    for shorter in dict.fromkeys((_shortened(data.shape[2], a), data.shape[2])):
        try:
            answer = why_layers(b, a, data[:, :, :shorter])
        except ConvPolicyError as error:
            yield "convolution", f"the convolutions differ, and cannot be compared alone: {error}", None
            return
        if not answer.equal:
            break
    assert answer is not None
    if answer.equal:
        return
    if not answer.causes:
        yield "convolution", "the convolutions differ; no change of one or two settings explains it", None
        return
    aspects = {cause.aspect for cause in answer.causes}
    if "initial weights" in aspects and any(arrays.values()):
        yield "weight", "; ".join(f"{role}: {text}" for role, text in arrays.items() if text), None
        return
    side = {"a": "b", "b": "a"}[answer.changes_on]
    text = " and ".join(cause.change for cause in answer.causes).replace("b's", "a's")
    yield answer.causes[0].aspect, f"in {side}: {text}", answer.changed if side == "b" else None


def _cut(layer: Capture, unit: Unit) -> Capture:
    """Return a convolution with less padding, if the modules after it only cut its output; otherwise the convolution."""
    main, axis = unit.main, unit.axis
    if main is not unit.calls[0] or main is unit.calls[-1] or layer.spec.transposed or main.output is None or unit.output is None:
        return layer
    whole, part = first(main.output, axis), first(unit.output, axis)
    cut = whole.shape[-1] - part.shape[-1]
    start = next((at for at in range(cut + 1) if np.array_equal(whole[..., at : at + part.shape[-1]], part)), None)
    if not cut or start is None:
        return layer
    spec = layer.spec
    plan = layer.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=first(main.inputs[0], axis).shape[-1])
    pads = plan.left - spec.stride * start, plan.right - spec.stride * (cut - start)
    return attrs.evolve(layer, policy=layer.policy.evolve(padding=pads))


def _shortened(length: int, layer: Capture) -> int:
    """Return a shorter length with the same remainder for common strides; ``length`` if it is short."""
    least = max(PERIOD, 2 * layer.spec.effective_kernel)
    return length if length <= LONGEST else min(length, least + (length - least) % PERIOD)
