"""Initial values that are drawn into the parameters themselves, without arrays in between.

The built-in initializers draw each tensor by one call of the random stream, or fill it with one number. Such calls are recorded once for
each request, and repeated for every layer.
"""

from __future__ import annotations

import math
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
    """One tensor: the method of the random stream and its parameters; ``"fill"`` draws nothing."""

    method: str
    parameters: tuple[float, ...]


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
    flat = array.reshape(-1)
    if not calls:
        return Step("fill", (float(flat[0]),)) if (flat == flat[0]).all() else None
    counted = np.array_equal(flat, np.arange(flat.size, dtype=np.float32))  # in the order of the parameter, and not computed with
    is_modest = sum(map(abs, calls[0].parameters)) * REACH < np.finfo(np.float32).max
    return calls[0] if len(calls) == 1 and counted and is_modest else None


METHODS: dict[str, Any] = {
    "fill": Tensor.fill_,
    "uniform": Tensor.uniform_,
    "normal": Tensor.normal_,
    "truncated_normal": nn.init.trunc_normal_,
}


def draw_into(parameters: dict[str, Tensor | None], found: dict[str, Step]) -> None:
    """Draw values into parameters (CPU, float32), weight first, from torch's global random state."""
    with torch.no_grad():
        for role, step in found.items():
            METHODS[step.method](parameters[role], *step.parameters)
