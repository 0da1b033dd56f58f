"""`Unit`: one call of a recorded model, or a few in a row that another model has as one, and what they compute in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models import formulas, resampling
from convpolicy.diagnosis.models.convolutions import convolved
from convpolicy.diagnosis.models.formulas import Result
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.capture import Capture, capture
from convpolicy.models.description import Description
from convpolicy.models.reader import Reader
from convpolicy.models.recording import Call

Formula = Callable[[NDArray[Any], Mapping[str, Any], Mapping[str, NDArray[Any]]], Result]
FORMULAS: dict[str, Formula] = {
    "linear": formulas.linear,
    "batch norm": formulas.batch_norm,
    "layer norm": formulas.layer_norm,
    "rms norm": formulas.rms_norm,
    "group norm": formulas.group_norm,
    "activation": formulas.activation,
    "pooling": resampling.pooling,
    "global pooling": formulas.global_pooling,
    "upsampling": resampling.upsampling,
    "padding": resampling.padding,
    "dropout": formulas.dropout,
    "identity": formulas.dropout,
    "embedding": formulas.embedding,
}


def first(data: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """Return data with their channels on axis 1."""
    return np.moveaxis(data, -1, 1) if axis == -1 and data.ndim > 2 else data


def back(data: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """Return data that have their channels on axis 1 in the axes of a module."""
    return np.moveaxis(data, 1, -1) if axis == -1 and data.ndim > 2 else data


def computed(description: Description, data: NDArray[Any]) -> Result | None:
    """Return what a description computes, in its own axes, float64; None if there is no formula or it does not fit the data."""
    axis = description.axis
    wide = data if data.dtype.kind in "iub" else np.asarray(data, np.float64)
    try:
        if description.kind == "convolution":
            result = convolved(captured(description.layer), first(wide, axis))
        elif description.kind in FORMULAS:
            with np.errstate(all="ignore"):
                result = FORMULAS[description.kind](first(wide, axis), description.settings, description.arrays)
        else:
            return None
    except (ConvPolicyError, ValueError, IndexError, KeyError, TypeError):  # sizes that do not fit the data
        return None
    return (
        None if result is None else attrs.evolve(result, values=back(result.values, axis), magnitude=back(result.magnitude, axis))
    )


def captured(layer: Any) -> Capture:
    """Return the capture of a convolution, or the capture itself."""
    return layer if isinstance(layer, Capture) else capture(layer)


@attrs.frozen(eq=False)
class Unit:
    """Calls in a row, each of which receives the result of the one before.

    Attributes:
        calls: the calls.
        reader: the reader of their model.
    """

    calls: tuple[Call, ...]
    reader: Reader

    @property
    def path(self) -> str:
        """The paths of the calls."""
        return " + ".join(call.path or "(the model)" for call in self.calls)

    @property
    def title(self) -> str:
        """What the calls are."""
        return " + ".join(call.title for call in self.calls)

    @property
    def main(self) -> Call:
        """The call with the most parameters."""
        return max(self.calls, key=lambda call: 0 if call.description is None else len(call.description.arrays))

    @property
    def inputs(self) -> tuple[NDArray[Any], ...]:
        """The inputs of the first call."""
        return self.calls[0].inputs

    @property
    def output(self) -> NDArray[Any] | None:
        """The output of the last call."""
        return self.calls[-1].output

    @property
    def axis(self) -> int | None:
        """Axis of the channels, if a call has one."""
        axes = (None if call.description is None else call.description.axis for call in self.calls)
        return next((axis for axis in axes if axis is not None), None)

    @property
    def dtype(self) -> str:
        """The dtype of the result."""
        return self.calls[-1].dtype

    def run(self, inputs: tuple[NDArray[Any], ...]) -> NDArray[Any] | None:
        """Run the calls on other inputs."""
        result: NDArray[Any] | None = None
        for number, call in enumerate(self.calls):
            assert call.run is not None
            result = call.run(inputs if not number else (result, *call.inputs[1:]))  # type: ignore[arg-type]
            if result is None:
                return None
        return result

    def computed(self, inputs: tuple[NDArray[Any], ...], changes: Mapping[str, Description] | None = None) -> Result | None:
        """Return what the descriptions of the calls compute in float64; ``changes`` replaces some, by path."""
        if not inputs:
            return None
        data, magnitude, terms = inputs[0], None, 0
        for call in self.calls:
            description = (changes or {}).get(call.path, call.description)
            result = None if description is None else computed(description, data)
            if result is None:
                return None
            data = result.values
            magnitude = (
                result.magnitude
                if magnitude is None or magnitude.shape != result.magnitude.shape
                else magnitude + result.magnitude
            )
            terms += result.terms
        assert magnitude is not None
        return Result(data, magnitude, terms)


def alike(a: Unit, b: Unit) -> bool:
    """Return True if two modules have equal settings and equal arrays, so that no difference between them has a cause."""
    if len(a.calls) > 1 or len(b.calls) > 1:
        return False
    one, other = a.main.description, b.main.description
    if one is None or other is None or one.kind != other.kind or a.dtype != b.dtype or set(one.arrays) != set(other.arrays):
        return False
    if not all(np.array_equal(array, other.arrays[role]) for role, array in one.arrays.items()):
        return False
    if one.kind != "convolution":
        return dict(one.settings) == dict(other.settings)
    try:
        layers = captured(one.layer), captured(other.layer)
        length = first(a.inputs[0], one.axis).shape[2]
        return same_windows(*layers, length)
    except ConvPolicyError:
        return False


def same_windows(a: Capture, b: Capture, length: int) -> bool:
    """Return True if two convolutions differ in nothing but their arrays, for an input of a length."""
    return a.spec == b.spec and _pads(a, length) == _pads(b, length)


def _pads(layer: Capture, length: int) -> tuple[Any, ...]:
    """Return how a convolution pads or cuts an input of a length."""
    spec = layer.spec
    plan = layer.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length)
    return plan.left, plan.right, plan.mode, getattr(plan, "value", 0.0)
