"""Initial values that are drawn into the parameters themselves, without arrays in between.

The built-in initializers draw each tensor by one call of the random stream, or fill it with one number. Such calls are recorded once for
each request, and repeated for every layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.frameworks.torch.values import GlobalStream
from convpolicy.layers.backend import LayerRequest

MOST_ELEMENTS = 1 << 15  # of a weight; for more, recording takes longer than it saves
REACH = 100.0  # numbers are below the sum of a distribution's parameters times this


class Step(NamedTuple):
    """How one tensor gets its values.

    Attributes:
        method: method of the random stream; ``"fill"`` draws nothing.
        parameters: arguments of the method.
        axes: axes of the parameter in the order in which the framework of the policy draws, empty for their own order.
    """

    method: str
    parameters: tuple[float, ...]
    axes: tuple[int, ...] = ()


class _Recorder(GlobalStream):
    """Records calls, and returns counting numbers instead of random ones."""

    dtypes: ClassVar[tuple[str, ...]] = GlobalStream.dtypes

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, list[Step]] = {}
        self._role = ""

    def begin(self, role: str) -> None:
        """Record the calls for another tensor; one that the framework's constructor drew before keeps those calls, too."""
        self._role = role
        self.steps.setdefault(role, [])

    def _recorded(self, shape: Any, method: str, *parameters: float) -> Any:
        self.steps[self._role].append(Step(method, parameters))
        return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)

    def uniform(self, shape: Any, low: float, high: float, dtype: str = "float32") -> Any:
        """Record the call."""
        return self._recorded(shape, "uniform", low, high)

    def normal(self, shape: Any, mean: float, std: float, dtype: str = "float32") -> Any:
        """Record the call."""
        return self._recorded(shape, "normal", mean, std)

    def truncated_normal(self, shape: Any, mean: float, std: float, lower: float, upper: float, dtype: str = "float32") -> Any:
        """Record the call."""
        return self._recorded(shape, "truncated_normal", mean, std, mean + lower * std, mean + upper * std)


@registry.cached(maxsize=512)
def steps(request: LayerRequest) -> dict[str, Step] | None:
    """Return the step for each tensor of a layer, or None if its values must be drawn by `LayerRequest.draw`."""
    names = [fill.choice.name for fill in request.policy.fills().values()]
    if request.dtype != "float32" or math.prod(request.spec.weight_shape) > MOST_ELEMENTS:
        return None
    if any(registry.current().builtin("initializer", name) is None for name in names):  # a plugin's may call whatever it wants
        return None
    recorder, found = _Recorder(), {}
    values = request.draw(recorder)
    for role, array in values.items():
        if array is None:
            continue
        step = _step(recorder.steps.get(role, []), array)
        if step is None:
            return None
        found[role] = step
    return found


def _step(calls: list[Step], array: Any) -> Step | None:
    if not calls:
        first = array.reshape(-1)[0]
        return Step("fill", (float(first),)) if (array == first).all() else None
    axes = _order(array)
    is_modest = sum(map(abs, calls[0].parameters)) * REACH < np.finfo(np.float32).max
    return calls[0]._replace(axes=axes) if len(calls) == 1 and axes is not None and is_modest else None


def _order(array: Any) -> tuple[int, ...] | None:
    """Return the axes in the order in which an array was counted, empty for their own, or None if the numbers were computed with."""
    numbers = np.arange(array.size, dtype=np.float32)
    orders = itertools.permutations(range(array.ndim))
    found = next((axes for axes in orders if np.array_equal(array.transpose(axes).reshape(-1), numbers)), None)
    return () if found == tuple(range(array.ndim)) else found


METHODS: dict[str, Any] = {
    "fill": Tensor.fill_,
    "uniform": Tensor.uniform_,
    "normal": Tensor.normal_,
    "truncated_normal": nn.init.trunc_normal_,
}


def draw_into(parameters: Mapping[str, Tensor | None], found: Mapping[str, Step]) -> None:
    """Draw values into parameters (CPU, float32), weight first, from torch's global random state; by a copy in another order of axes."""
    with torch.no_grad():
        for role, step in found.items():
            parameter = parameters[role]
            assert parameter is not None
            if step.axes:
                ordered = parameter.permute(step.axes)
                ordered.copy_(METHODS[step.method](ordered.new_empty(ordered.shape), *step.parameters))
            else:
                METHODS[step.method](parameter, *step.parameters)
