"""`Frozen`: runs an implementation on a weight that is packed once, as long as the weight does not change."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from convpolicy.frameworks.torch.execution.lowering import Lowered, Lowering, Work

SAMPLES = 64  # elements of a weight that are compared in every call
CALLS_UNTIL_FROZEN = 8  # calls without a change after which a changed weight is packed again


def can_freeze(weight: Any, data: Tensor) -> bool:
    """Return True for a weight whose changes can be noticed, in a call that records no gradients."""
    is_watched = type(weight) is nn.Parameter and not weight.is_inference() and weight.is_contiguous()
    return is_watched and weight.dtype == data.dtype == torch.float32 and not records(data, weight)


def records(data: Tensor, weight: Tensor) -> bool:
    """Return True if torch records gradients of a call."""
    return torch.is_grad_enabled() and (weight.requires_grad or data.requires_grad)


class Guard:
    """Notices changes of a parameter: another parameter, other memory, an operation on it, other values.

    An operation on ``weight.data`` or on a NumPy array that shares the memory does not count as an operation on the parameter.
    Therefore, elements spread over the whole weight are compared as well.

    Args:
        weight: a contiguous weight (out, in/groups, kernel) on the CPU.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight, self._version, self._address = weight, weight._version, weight.data_ptr()
        flat = weight.detach().reshape(-1)
        step = -(-flat.numel() // SAMPLES)
        while math.gcd(step, weight.shape[-1]) > 1:  # otherwise the elements are those of a few taps
            step += 1
        self._elements = flat[::step].numpy()  # also keeps the memory, so that its address is not used again
        self._values = self._elements.tobytes()

    def holds(self, weight: Tensor) -> bool:
        """Return True if the weight is the same parameter with the same values."""
        return (
            weight is self._weight
            and weight._version == self._version
            and weight.data_ptr() == self._address
            and self._elements.tobytes() == self._values  # less than half the time of torch.equal
        )


class Frozen:
    """Runs a packed implementation, and another one for a changed weight and for calls that record gradients.

    Args:
        name: name of the packed implementation.
        lowering: the packed implementation.
        usual: the other implementation, which gets the weight itself.
    """

    def __init__(self, name: str, lowering: Lowering, usual: Lowered) -> None:
        assert lowering.pack is not None
        self.__name__ = name
        self._run, self._pack, self.usual = lowering.run, lowering.pack, usual
        self._packed: tuple[Guard, Any] | None = None
        self._guard: Guard | None = None
        self._calls = CALLS_UNTIL_FROZEN  # the first weight is packed at once

    def __call__(self, data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
        """Compute the layer."""
        packed = self._packed
        if packed is not None and packed[0].holds(weight) and not records(data, weight):
            return self._run(data, packed[1], bias, work)
        if not can_freeze(weight, data):
            return self.usual(data, weight, bias, work)
        if self._guard is None or not self._guard.holds(weight):
            self._calls = 0 if self._guard is not None else self._calls
            self._guard, self._packed = Guard(weight), None
        if self._calls < CALLS_UNTIL_FROZEN:
            self._calls += 1
            return self.usual(data, weight, bias, work)
        self._packed = packed = self._guard, self._pack(weight, data.shape, work)
        return self._run(data, packed[1], bias, work)
