"""`capture` reads sizes, policy and weights of a native layer. `port` builds the same layer in another framework."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, PluginError, raised, shown
from convpolicy.layers.backend import EXECUTIONS, Backend, LayerRequest
from convpolicy.layers.wrapper import Wrapper, wrapper_of

MOST_NAMED = 3  # a message names up to this many convolutions of a model
INITIAL = {"weight_init": "zeros", "bias_init": "zeros"}  # values of a new layer before the captured weights are assigned


@attrs.frozen(eq=False, repr=False)
class Capture:
    """Sizes, policy and weights of a 1-D convolution, independent of its framework.

    Use `build` to create a native layer with the same behaviour and weights.

    Args:
        spec: sizes of the layer.
        policy: padding, padding mode, bias and weight layout of the layer; a `TransposedPolicy` if ``spec.transposed``. Initializers
            and random stream are those of the framework.
        weight: array of ``spec.weight_shape`` in the dtype of the layer. A bfloat16 weight is stored as float32.
        bias: array (out,) in the same dtype, or None.
        dtype: canonical name of the layer's dtype, e.g. ``"float32"``.
        backend: name of the backend that captured the layer.
    """

    spec: ConvSpec
    policy: LayerPolicy
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    dtype: str = "float32"
    backend: str = ""

    def build(self, backend: str, *, dtype: Any = None, device: Any = None, execution: str = "exact") -> Any:
        """Build a native layer with the same behaviour and weights.

        Args:
            backend: name of the backend.
            dtype: dtype of the new layer. None keeps the dtype of the captured layer.
            device: a device of the framework. None uses the framework's default device.
            execution: ``"exact"``, ``"fast"`` or ``"auto"``; see `Conv1d`.

        Returns:
            A native layer of the backend.

        Raises:
            UnknownNameError: no backend has this name.
            InvalidValueError: the backend does not support the dtype.
            MissingFrameworkError: the framework is not installed.
        """
        target: Backend = registry.current().get("backend", backend)
        if not isinstance(execution, str) or execution not in EXECUTIONS:
            raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
        name = target.check_dtype(self.dtype if dtype is None else dtype)
        unseeded = self.policy.evolve(**INITIAL)
        request = LayerRequest(self.spec, unseeded, name, execution)
        target.require_learning(request)
        layer = target.layer(request, None, device)
        weight = np.ascontiguousarray(self.weight)  # a reversed view is an array that some frameworks do not take
        target.assign(layer, {"weight": weight, "bias": self.bias})
        return layer

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only to show it

        return text(self) + table(
            ("parameter", "shape", "dtype", "from", "to"),
            [
                (
                    role,
                    value.shape,
                    self.dtype,
                    f"{value.min():.4g}" if value.size else "",
                    f"{value.max():.4g}" if value.size else "",
                )
                for role, value in (("weight", self.weight), ("bias", self.bias))
                if value is not None
            ],
        )

    def __repr__(self) -> str:
        spec = self.spec
        sizes = f"{spec.in_channels}, {spec.out_channels}, {spec.kernel_size}, stride={spec.stride}, dilation={spec.dilation}, groups={spec.groups}"
        sizes += ", transposed" * spec.transposed
        return f"Capture({sizes}, policy={self.policy.name!r}, padding={self.policy.padding}, dtype={self.dtype!r}, backend={self.backend!r})"

    def __str__(self) -> str:
        spec, origin = self.spec, f", from {self.backend}" if self.backend else ""
        kind = ", transposed" * self.spec.transposed
        return (
            f"{spec.in_channels} -> {spec.out_channels} channels, kernel_size {spec.kernel_size}, stride {spec.stride}, dilation "
            f"{spec.dilation}, groups {spec.groups}{kind}, {self.dtype}{origin}\n{self.policy}"
        )


def capture(layer: Any) -> Capture:
    """Read sizes, policy and weights of a native layer.

    Args:
        layer: a Conv1d or ConvTranspose1d of any supported framework, or a module that a `Wrapper` describes. The layer is not
            changed.

    Returns:
        A `Capture`.

    Raises:
        InvalidTypeError: the object is not a 1-D convolution of a supported framework.
        InvalidValueError: no policy describes the layer exactly. The message contains the reason.
    """
    wrapper = wrapper_of(layer)
    if wrapper is None:
        return capture_alone(layer)
    if not (more := wrapper.more_of(layer)):
        return capture_wrapped(wrapper, layer)
    if isinstance(wrapper.convolution, str):
        raise refuse(layer, f"it {more}", f"use port_model, or capture its {wrapper.convolution} and port the rest by hand")
    return capture_alone(layer)  # which refuses it in the words of its framework


def capture_wrapped(wrapper: Wrapper, module: Any) -> Capture:
    """Read the convolution of a module with the padding of the module. What the module computes besides is left out.

    Raises:
        InvalidValueError: no policy describes the module, or it may not run the forward method of its class.
        InvalidTypeError: see `capture`.
        PluginError: the wrapper fails. The message names the wrapper and its plugin.
    """
    convolution, changes = wrapper.read(module, backends_of(module))
    captured = capture_alone(convolution)
    return attrs.evolve(captured, policy=wrapper.changed(module, captured.policy, captured.spec, changes))


def capture_alone(layer: Any) -> Capture:
    """Read a layer as `capture` does, but not a module that a `Wrapper` describes."""
    backends = backends_of(layer)
    for backend in backends:
        captured = _captured(backend, layer) if backend.capture is not None else None
        if captured is not None:
            plain = captured.policy.evolve(weight_norm=None)  # the captured weight is already normalized
            named: Capture = attrs.evolve(captured, backend=backend.name, policy=plain)
            return named
    if inside := _inside(layer, backends):
        raise InvalidTypeError(
            f"layer must be a 1-D convolution, got {_title(layer)}, which contains {inside} and may compute more than that; pass "
            f"one convolution, or use convpolicy.port_model for all of them, and port the rest of the model by hand."
        )
    known = sorted(backend.name for backend in registry.current().parts("backend").values() if backend.capture is not None)
    raise InvalidTypeError(
        f"layer must be a 1-D convolution of one of the backends {', '.join(known)}, got {_title(layer)}; pass the layer itself."
    )


def _captured(backend: Backend, layer: Any) -> Any:
    assert backend.capture is not None
    try:
        return backend.capture(layer)
    except ConvPolicyError:
        raise
    except Exception as error:
        raise PluginError(
            f"backend {backend.name!r} ({backend.provider}) failed to capture {_title(layer)}: {raised(error)}."
        ) from error


def _inside(layer: Any, backends: list[Backend]) -> str:
    """Return the paths of the first convolutions in a module; empty when there is none."""
    for backend in backends:
        paths: list[str] = []
        with suppress(Exception):  # the paths only improve an error message
            listed = backend.convolutions(layer, False) if backend.convolutions is not None else None
            paths = [repr(convolution.path) for convolution in listed or () if convolution.path]
        if paths:
            return ", ".join(paths[:MOST_NAMED]) + (f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else "")
    return ""


def backends_of(layer: Any) -> list[Backend]:
    """Return the backends that may have built a layer, without importing anything.

    A class of the layer comes from a module named like the backend or its framework, or from the package that registered the
    backend. In the last case the framework must be imported already.
    """
    roots = {kind.__module__.partition(".")[0] for kind in type(layer).__mro__}

    def may_have_built(part: Backend) -> bool:
        package = part.build.__module__.partition(".")[0]
        return not roots.isdisjoint((part.name, part.framework)) or (package in roots and part.framework in sys.modules)

    return [part for part in registry.current().parts("backend").values() if may_have_built(part)]


def backend_of(layer: Any) -> Backend | None:
    """Return the backend of a layer or model, or None.

    If several are possible, as for Keras on several frameworks, it is the first that captures or refuses the layer, or that lists
    the convolutions of the model.
    """
    backends = backends_of(layer)
    for backend in backends:
        try:
            knows = backend.capture is not None and backend.capture(layer) is not None
            knows = knows or (backend.convolutions is not None and backend.convolutions(layer, False) is not None)
        except Exception:  # a backend that refuses the layer recognizes it
            return backend
        if knows:
            return backend
    return backends[0] if backends else None


def port(layer: Any, to: str, *, dtype: Any = None, device: Any = None, execution: str = "exact") -> Any:
    """Convert a native layer to a layer of another framework. The outputs and the weights stay the same.

    Args:
        layer: a Conv1d or ConvTranspose1d of any supported framework; see `capture`.
        to: name of the target backend.
        dtype, device, execution: see `Capture.build`.

    Returns:
        A native layer of the target backend.

    Raises:
        ConvPolicyError: see `capture` and `Capture.build`.
    """
    return capture(layer).build(to, dtype=dtype, device=device, execution=execution)


def _title(layer: Any) -> str:
    kind = type(layer)
    return f"an object of class {kind.__module__}.{kind.__qualname__}"


def one(sizes: Any) -> int:
    """Return a size as an int; frameworks store it as a number or as a tuple of one."""
    return int(sizes[0] if isinstance(sizes, (tuple, list)) and len(sizes) == 1 else sizes)


def refuse(layer: Any, reason: str, fix: str) -> InvalidValueError:
    """Return the error for a layer that cannot be captured, with the reason and the fix."""
    return InvalidValueError(f"layer {type(layer).__qualname__} cannot be captured exactly: {reason}; {fix}.")


def refuse_others(layer: Any, others: Mapping[type, tuple[str, str]]) -> None:
    """Raise an error if a layer is an instance of an unsupported class.

    Args:
        layer: any object.
        others: class -> (reason, fix).

    Raises:
        InvalidTypeError: the layer is an instance of one of the classes.
    """
    for kind, (reason, fix) in others.items():
        if isinstance(layer, kind):
            raise InvalidTypeError(f"layer {type(layer).__qualname__} cannot be captured: {reason}; {fix}.")


def as_given(values: Any) -> NDArray[Any]:
    """Return a copy, so that later training does not change the captured values."""
    return np.array(values)
