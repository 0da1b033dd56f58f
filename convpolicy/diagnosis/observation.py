"""`Observation`: what a layer gave for an input, and what its attributes say that it computes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.computation import Computation, Doubles, Values
from convpolicy.errors import MOST_SHOWN, ConvPolicyError, InvalidTypeError, InvalidValueError, visible
from convpolicy.layers.backend import Backend
from convpolicy.layers.capture import Capture, backend_of, capture
from convpolicy.parts.choice import require_unmasked

FEW = 16  # outputs that may all be short numbers by chance
FLOATS = ("float16", "float32", "float64")
NARROW = ("bfloat16", "float16", "float32")


@attrs.frozen(eq=False)
class Observation:
    """One of the two layers, run.

    Attributes:
        name: ``"a"`` or ``"b"``.
        output: float64 (batch, out, length_out).
        dtype: that it computes in.
        computation: what its attributes say, where they say what it gave; else None.
        values: of that computation, everywhere.
        reason: why there is no computation.
        note: what the user is told of that; nothing of an array or a function, of which nothing more can be known.
    """

    name: str
    output: Doubles
    dtype: str
    computation: Computation | None = None
    values: Values | None = None
    reason: str = ""
    note: str = ""


def check_input(x: Any) -> Doubles:
    """Return the input as float64 (batch, channels, length).

    Raises:
        InvalidTypeError, InvalidValueError: no numbers, wrong axes, none at all, or not finite; holds where.
    """
    return _finite("x", _array("x", x, "channels, length"))


def _array(name: str, given: Any, axes: str) -> NDArray[Any]:
    require_unmasked(name, given)
    try:
        array = np.asarray(given)
    except Exception as error:
        raise InvalidTypeError(
            f"{name} must be an array of real numbers, got {type(given).__name__}; pass a numpy array."
        ) from error
    if array.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}; pass floats.")
    if array.ndim != 3 or not array.size:
        raise InvalidValueError(
            f"{name} must have shape (batch, {axes}) and hold something, got {array.shape}; add or fill axes."
        )
    return array


def _finite(name: str, array: NDArray[Any]) -> Doubles:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        batch, channel, position = bad[0].tolist()
        raise InvalidValueError(
            f"{name} must hold finite numbers, got {array[batch, channel, position]} at batch {batch}, channel {channel}, position "
            f"{position} ({len(bad)} such in all); clean the input or the weights first."
        )
    return array.astype(np.float64)


@attrs.frozen(eq=False)
class Side:
    """One of the two layers, before it is run.

    Attributes:
        name: ``"a"`` or ``"b"``.
        layer: what was passed.
        capture: what its attributes say, or None.
        reason: why there is no capture.
    """

    name: str
    layer: Any
    capture: Capture | None
    reason: str

    @classmethod
    def of(cls, name: str, layer: Any) -> Side:
        """Take a layer apart, if it can be; arrays and functions cannot."""
        if isinstance(layer, np.ndarray):
            return cls(name, layer, None, f"{name} is an output")
        taken, reason = _taken(layer)
        return cls(name, layer, taken, reason and f"{name}: {reason.rstrip('.')}")


def observe(side: Side, x: Doubles) -> Observation:
    """Run a layer, or take its output as given, and hold its attributes against it.

    Raises:
        InvalidTypeError, InvalidValueError: see `convpolicy.why`.
    """
    name, layer, taken = side.name, side.layer, side.capture
    if isinstance(layer, np.ndarray):
        return _measured(side, layer)
    if taken is None:
        backend = backend_of(layer)
        given = x if backend is None else rounded(x, _dtype_of(layer, backend))
        return _measured(side, _run(name, layer, given, backend), known=backend is not None)
    if taken.spec.in_channels != x.shape[1]:
        swapped = " and its last axis fits: pass x.transpose(0, 2, 1)" if x.shape[2] == taken.spec.in_channels else ""
        raise InvalidValueError(
            f"x must have shape (batch, {taken.spec.in_channels}, length) for {name}, got {x.shape}{swapped or '; give it its channels'}."
        )
    computation = Computation(taken, np.asarray(rounded(x, taken.dtype), np.float64))
    values = computation.full()
    if layer is taken:
        return Observation(name, np.asarray(rounded(values.output, taken.dtype), np.float64), taken.dtype, computation, values)
    output = _finite(f"the output of {name}", _run(name, layer, rounded(x, taken.dtype), _named(taken.backend)))
    if output.shape == values.output.shape and (np.abs(output - values.output) <= values.bound(taken.dtype)).all():
        return Observation(name, output, taken.dtype, computation, values)
    lies = f"{name} does not compute what its attributes say"
    return Observation(name, output, taken.dtype, reason=lies, note=f"{lies}: only its outputs are believed.")


def _taken(layer: Any) -> tuple[Capture | None, str]:
    if isinstance(layer, Capture):
        return layer, ""
    try:
        return capture(layer), ""
    except ConvPolicyError as error:
        if not callable(layer):
            raise
        return None, str(error)


def _named(backend: str) -> Backend | None:
    found: Backend | None = registry.current().get("backend", backend) if backend else None
    return found


def _dtype_of(layer: Any, backend: Backend) -> str:
    """Return the dtype of a layer's weight, or of the first convolution in a model; float32 where neither is read."""
    for module in (layer, *_convolutions(layer, backend)):
        with suppress(Exception):  # not a convolution of the backend
            dtype = np.asarray(backend.parameters(module)["weight"]).dtype.name
            return dtype if dtype in FLOATS else "float32"
    return "float32"


def _convolutions(model: Any, backend: Backend) -> list[Any]:
    with suppress(Exception):  # a backend that refuses to list them
        listed = None if backend.convolutions is None else backend.convolutions(model, False)
        return [convolution.module for convolution in listed or ()]
    return []


def _run(name: str, layer: Any, x: NDArray[Any], backend: Backend | None) -> NDArray[Any]:
    try:
        output = layer(x) if backend is None else backend.run(layer, x)
    except ConvPolicyError:
        raise
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)  # a stack of C++ may follow
        said = visible(first[:MOST_SHOWN]).rstrip(".")
        raise InvalidValueError(
            f"{name} cannot be run on x of shape {x.shape} and dtype {x.dtype}: {said}; pass a layer, or a function of such an array."
        ) from error
    return _array(f"the output of {name}", output, "out, length")


def _measured(side: Side, output: Any, *, known: bool = False) -> Observation:
    name = f"the output of {side.name}"
    array = _array(name, output, "out, length")
    note = f"{side.name} is judged by its outputs alone: {side.reason.partition(': ')[2]}." if known else ""
    return Observation(side.name, _finite(name, array), narrowest(array), reason=side.reason, note=note)


def narrowest(array: NDArray[Any]) -> str:
    """Return the narrowest dtype that holds all these numbers, which is what they were computed in."""
    named = array.dtype.name if array.dtype.name in NARROW else "float64"
    if array.size < FEW or named == "float16":
        return named
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        return next((dtype for dtype in NARROW if np.array_equal(np.asarray(rounded(wide, dtype), np.float64), wide)), named)
