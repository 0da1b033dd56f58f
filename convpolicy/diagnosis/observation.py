"""`Observation`: what a layer gave for an input, and what its attributes say that it computes."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.computation import Computation, Doubles, Values
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError
from convpolicy.layers.capture import Capture, backends_of, capture
from convpolicy.parts.choice import require_unmasked

FEW = 16  # outputs that may all be short numbers by chance
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
    """

    name: str
    output: Doubles
    dtype: str
    computation: Computation | None = None
    values: Values | None = None
    reason: str = ""


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


def observe(name: str, layer: Any, x: Doubles) -> Observation:
    """Run a layer, or take its output as given, and hold its attributes against it.

    Raises:
        InvalidTypeError, InvalidValueError: see `convpolicy.why`.
    """
    if isinstance(layer, np.ndarray):
        return _measured(name, layer, f"{name} is an output")
    taken, reason = _taken(layer)
    if taken is None:
        return _measured(name, _run(name, layer, x), f"{name}: {reason}")
    if taken.spec.in_channels != x.shape[1]:
        swapped = " and its last axis fits: pass x.transpose(0, 2, 1)" if x.shape[2] == taken.spec.in_channels else ""
        raise InvalidValueError(
            f"x must have shape (batch, {taken.spec.in_channels}, length) for {name}, got {x.shape}{swapped or '; give it its channels'}."
        )
    computation = Computation(taken, np.asarray(rounded(x, taken.dtype), np.float64))
    values = computation.full()
    if layer is taken:
        return Observation(name, np.asarray(rounded(values.output, taken.dtype), np.float64), taken.dtype, computation, values)
    output = _finite(f"the output of {name}", _run(name, layer, rounded(x, taken.dtype), taken.backend))
    if output.shape == values.output.shape and (np.abs(output - values.output) <= values.bound(taken.dtype)).all():
        return Observation(name, output, taken.dtype, computation, values)
    return Observation(name, output, taken.dtype, reason=f"{name} does not compute what its attributes say")


def _taken(layer: Any) -> tuple[Capture | None, str]:
    if isinstance(layer, Capture):
        return layer, ""
    try:
        return capture(layer), ""
    except ConvPolicyError as error:
        if not callable(layer):
            raise
        return None, str(error)


def _run(name: str, layer: Any, x: NDArray[Any], backend: str = "") -> NDArray[Any]:
    known = [registry.current().get("backend", backend)] if backend else backends_of(layer)
    try:
        output = known[0].run(layer, x) if known else layer(x)
    except ConvPolicyError:
        raise
    except Exception as error:
        raise InvalidValueError(
            f"{name} cannot be run on x of shape {x.shape} and dtype {x.dtype}: {error}; pass a layer, or a function of such an array."
        ) from error
    return _array(f"the output of {name}", output, "out, length")


def _measured(name: str, output: Any, reason: str) -> Observation:
    array = _array(f"the output of {name}", output, "out, length")
    return Observation(name, _finite(f"the output of {name}", array), narrowest(array), reason=reason)


def narrowest(array: NDArray[Any]) -> str:
    """Return the narrowest dtype that holds all these numbers, which is what they were computed in."""
    named = array.dtype.name if array.dtype.name in NARROW else "float64"
    if array.size < FEW or named == "float16":
        return named
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        return next((dtype for dtype in NARROW if np.array_equal(np.asarray(rounded(wide, dtype), np.float64), wide)), named)
