"""`Observation`: the output of a layer for an input, and the computation that its attributes describe."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.computation import Computation, Values
from convpolicy.diagnosis.kernels import Doubles
from convpolicy.errors import MOST_SHOWN, ConvPolicyError, InvalidTypeError, InvalidValueError, visible
from convpolicy.layers.backend import Backend
from convpolicy.layers.capture import Capture, backend_of, capture
from convpolicy.parts.choice import require_unmasked

FEW = 16  # so few outputs may all be exact in a narrow dtype by chance
FLOATS = ("float16", "float32", "float64")
NARROW = ("bfloat16", "float16", "float32")


@attrs.frozen(eq=False)
class Observation:
    """One of the two layers and its output.

    Attributes:
        name: ``"a"`` or ``"b"``.
        output: float64 (batch, out, length_out).
        dtype: dtype in which the layer computes.
        computation: the computation that its attributes describe; None when it does not reproduce the output.
        values: all outputs of that computation.
        reason: why there is no computation.
        note: the same reason for the user; empty for arrays and functions, which have no attributes.
    """

    name: str
    output: Doubles
    dtype: str
    computation: Computation | None = None
    values: Values | None = None
    reason: str = ""
    note: str = ""


def dtype_of(x: Any) -> str:
    """Return the dtype in which functions receive the input: its own if it is floating, else float64."""
    name = getattr(getattr(x, "dtype", None), "name", "")
    return name if name in FLOATS else "float64"


def check_input(x: Any) -> Doubles:
    """Return the input as float64 (batch, channels, length).

    Raises:
        InvalidTypeError, InvalidValueError: not numbers, wrong axes, empty, or not finite. The message says where.
    """
    return _finite("x", _array("x", x, "channels, length"))


def _array(name: str, value: Any, axes: str) -> NDArray[Any]:
    require_unmasked(name, value)
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InvalidTypeError(
            f"{name} must be an array of real numbers, got {type(value).__name__}; pass a numpy array."
        ) from error
    if array.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}; pass floats.")
    if array.ndim != 3 or not array.size:
        raise InvalidValueError(f"{name} must have shape (batch, {axes}) and not be empty, got {array.shape}; add or fill axes.")
    return array


def _finite(name: str, array: NDArray[Any]) -> Doubles:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        batch, channel, position = bad[0].tolist()
        raise InvalidValueError(
            f"{name} must contain finite numbers only, got {array[batch, channel, position]} at batch {batch}, channel {channel}, "
            f"position {position} ({len(bad)} in total); clean the input or the weights first."
        )
    return array.astype(np.float64)


@attrs.frozen(eq=False)
class Side:
    """One of the two arguments of `why`, before it is run.

    Attributes:
        name: ``"a"`` or ``"b"``.
        layer: the argument.
        capture: its capture, or None.
        reason: why there is no capture.
    """

    name: str
    layer: Any
    capture: Capture | None
    reason: str

    @classmethod
    def of(cls, name: str, layer: Any) -> Side:
        """Capture a layer if possible; arrays and functions have no capture."""
        if isinstance(layer, np.ndarray):
            return cls(name, layer, None, f"{name} is an output")
        captured, reason = _captured(layer)
        return cls(name, layer, captured, reason and f"{name}: {reason.rstrip('.')}")


def observe(side: Side, x: Doubles, input_dtype: str) -> Observation:
    """Run a layer and check its attributes against its output; an array is used as the output.

    Args:
        side: the layer.
        x: (batch, channels, length).
        input_dtype: in which a function receives ``x``; a layer receives it in its own.

    Raises:
        InvalidTypeError, InvalidValueError: see `convpolicy.why`.
    """
    name, layer, captured = side.name, side.layer, side.capture
    if isinstance(layer, np.ndarray):
        return _measured(side, layer)
    if captured is None:
        backend = backend_of(layer)
        data = rounded(x, input_dtype if backend is None else _dtype_of(layer, backend))
        return _measured(side, _run(name, layer, data, backend), known=backend is not None)
    channels, dtype = captured.spec.in_channels, captured.dtype
    if channels != x.shape[1]:
        fix = "pass x.transpose(0, 2, 1)" if x.shape[2] == channels else f"pass {channels} channels"
        raise InvalidValueError(f"x must have shape (batch, {channels}, length) for {name}, got {x.shape}; {fix}.")
    computation = Computation(captured, np.asarray(rounded(x, dtype), np.float64))
    values = computation.full()
    if layer is captured:
        return Observation(name, np.asarray(rounded(values.output, dtype), np.float64), dtype, computation, values)
    output = _finite(f"the output of {name}", _run(name, layer, rounded(x, dtype), _named(captured.backend)))
    if output.shape == values.output.shape and (np.abs(output - values.output) <= values.bound(dtype)).all():
        return Observation(name, output, dtype, computation, values)
    mismatch = f"{name} does not compute what its attributes describe"
    return Observation(name, output, dtype, reason=mismatch, note=f"{mismatch}, so it is compared by its outputs only.")


def _captured(layer: Any) -> tuple[Capture | None, str]:
    if isinstance(layer, Capture):
        return layer, ""
    try:
        return capture(layer), ""
    except ConvPolicyError as error:
        if not callable(layer):
            raise
        return None, str(error)


def _named(backend: str) -> Backend | None:
    part: Backend | None = registry.current().get("backend", backend) if backend else None
    return part


def _dtype_of(layer: Any, backend: Backend) -> str:
    """Return the dtype of a layer's weight, or of the first convolution in a model; float32 when there is neither."""
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
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)  # a C++ stack may follow
        message = visible(first[:MOST_SHOWN]).rstrip(".")
        raise InvalidValueError(
            f"{name} cannot be run on x of shape {x.shape} and dtype {x.dtype}: {message}; pass a layer, or a function that accepts this x."
        ) from error
    return _array(f"the output of {name}", output, "out, length")


def _measured(side: Side, output: Any, *, known: bool = False) -> Observation:
    name = f"the output of {side.name}"
    array = _array(name, output, "out, length")
    note = f"{side.name} is compared by its outputs only: {side.reason.partition(': ')[2]}." if known else ""
    return Observation(side.name, _finite(name, array), narrowest(array), reason=side.reason, note=note)


def narrowest(array: NDArray[Any]) -> str:
    """Return the narrowest dtype that represents all numbers exactly, which is taken for the dtype they were computed in."""
    named = array.dtype.name if array.dtype.name in NARROW else "float64"
    if array.size < FEW or named == "float16":
        return named
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        return next((dtype for dtype in NARROW if np.array_equal(np.asarray(rounded(wide, dtype), np.float64), wide)), named)
