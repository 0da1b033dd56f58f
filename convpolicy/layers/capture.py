"""`capture`: a native layer of any framework taken apart into sizes, policy and weights; `port`: the same function elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, PluginError, raised, shown
from convpolicy.layers.backend import EXECUTIONS, Backend, LayerRequest
from convpolicy.parts.choice import Choice

MOST_NAMED = 3  # convolutions of a model that a message names
TRANSPOSED = ("it is a transposed convolution, which is not captured", "port it by hand")
INITIAL = {"weight_init": "zeros", "bias_init": "zeros"}  # what a layer holds before it is given the captured weights


@attrs.frozen(eq=False, repr=False)
class Capture:
    """A 1-D convolution without its framework.

    Args:
        spec: sizes.
        policy: padding, mode, bias and layout as the layer has them; its initializers and stream are its framework's.
        weight: (out, in/groups, kernel), in the layer's dtype; bfloat16 as the float32 numbers it holds.
        bias: (out,) or None.
        dtype: canonical name, e.g. ``"float32"``.
        backend: name of the backend that took the layer apart.
    """

    spec: ConvSpec
    policy: Policy
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    dtype: str = "float32"
    backend: str = ""

    def build(self, backend: str, *, dtype: Any = None, device: Any = None, execution: str = "exact") -> Any:
        """Build the same function as a layer of a backend, with the same weights.

        Args:
            backend: name.
            dtype: of the new layer; None keeps it.
            device: whatever the framework calls a device, or None for its default.
            execution: ``"exact"`` or ``"fast"``.

        Returns:
            A native layer.

        Raises:
            UnknownNameError, InvalidValueError, MissingFrameworkError: an unknown backend, a dtype it does not compute in, or a
                framework that is not installed.
        """
        target: Backend = registry.current().get("backend", backend)
        if not isinstance(execution, str) or execution not in EXECUTIONS:
            raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
        name = target.check_dtype(self.dtype if dtype is None else dtype)
        unseeded = self.policy.evolve(**INITIAL)
        request = LayerRequest(self.spec, unseeded, name, execution)
        target.require_learning(request)
        layer = target.layer(request, None, device)
        target.assign(layer, {"weight": self.weight, "bias": self.bias})
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
        return f"Capture({sizes}, policy={self.policy.name!r}, padding={self.policy.padding}, dtype={self.dtype!r}, backend={self.backend!r})"

    def __str__(self) -> str:
        spec, origin = self.spec, f", from {self.backend}" if self.backend else ""
        return (
            f"{spec.in_channels} -> {spec.out_channels} channels, kernel_size {spec.kernel_size}, stride {spec.stride}, dilation "
            f"{spec.dilation}, groups {spec.groups}, {self.dtype}{origin}\n{self.policy}"
        )


def capture(layer: Any) -> Capture:
    """Take a native layer apart into sizes, policy and weights.

    Args:
        layer: a Conv1d of any framework that a registered backend can take apart. It is not changed.

    Returns:
        A `Capture`.

    Raises:
        InvalidTypeError: not a 1-D convolution of a registered framework; holds its class.
        InvalidValueError: one that cannot be expressed exactly; holds the reason.
    """
    backends = backends_of(layer)
    for backend in backends:
        found = _captured(backend, layer) if backend.capture is not None else None
        if found is not None:
            plain = found.policy.evolve(weight_norm=None)  # the weight is the effective one
            named: Capture = attrs.evolve(found, backend=backend.name, policy=plain)
            return named
    if inside := _inside(layer, backends):
        raise InvalidTypeError(
            f"layer must be a 1-D convolution, got {_title(layer)}, which contains {inside} and may compute more than that; take "
            f"the convolutions alone, as convpolicy.port_model does, and port by hand what is around them."
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
    """Return the paths of the convolutions in a module, the first ones of many; nothing where there are none."""
    for backend in backends:
        paths: list[str] = []
        with suppress(Exception):  # why a backend cannot list them is not the question here
            listed = backend.convolutions(layer, False) if backend.convolutions is not None else None
            paths = [repr(convolution.path) for convolution in listed or () if convolution.path]
        if paths:
            return ", ".join(paths[:MOST_NAMED]) + (f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else "")
    return ""


def backends_of(layer: Any) -> list[Backend]:
    """Return the backends whose name, framework or package a class of the layer comes from; nothing is imported.

    One that is known by its package alone can only have built the layer when its framework is imported already.
    """
    roots = {kind.__module__.partition(".")[0] for kind in type(layer).__mro__}

    def may_have_built(part: Backend) -> bool:
        package = part.build.__module__.partition(".")[0]
        return not roots.isdisjoint((part.name, part.framework)) or (package in roots and part.framework in sys.modules)

    return [part for part in registry.current().parts("backend").values() if may_have_built(part)]


def backend_of(layer: Any) -> Backend | None:
    """Return the backend that a layer or model is of; None for what is of none.

    Of several that may be, as one framework on several others, it is the one that captures or refuses it, or lists its
    convolutions.
    """
    backends = backends_of(layer)
    for backend in backends:
        try:
            knows = backend.capture is not None and backend.capture(layer) is not None
            knows = knows or (backend.convolutions is not None and backend.convolutions(layer, False) is not None)
        except Exception:  # a refusal is an answer
            return backend
        if knows:
            return backend
    return backends[0] if backends else None


def port(layer: Any, to: str, *, dtype: Any = None, device: Any = None, execution: str = "exact") -> Any:
    """Build the same function as a layer of another framework, with the same weights.

    Args:
        layer: see `capture`.
        to: name of the backend.
        dtype, device, execution: see `Capture.build`.

    Returns:
        A native layer of ``to``.

    Raises:
        ConvPolicyError: see `capture` and `Capture.build`.
    """
    return capture(layer).build(to, dtype=dtype, device=device, execution=execution)


def _title(layer: Any) -> str:
    kind = type(layer)
    return f"an object of class {kind.__module__}.{kind.__qualname__}"


def one(sizes: Any) -> int:
    """Return the only number of a size, given alone or in a tuple of one."""
    return int(sizes[0] if isinstance(sizes, (tuple, list)) and len(sizes) == 1 else sizes)


def refuse(layer: Any, reason: str, fix: str) -> InvalidValueError:
    """Return the error that says why a layer is not captured and what to do."""
    return InvalidValueError(f"layer {type(layer).__qualname__} cannot be captured exactly: {reason}; {fix}.")


def refuse_others(layer: Any, others: Mapping[type, tuple[str, str]]) -> None:
    """Refuse a layer of one of these classes.

    Args:
        layer: what was passed.
        others: class -> why it is not captured and what to do.

    Raises:
        InvalidTypeError: holds the class, the reason and the fix.
    """
    for kind, (reason, fix) in others.items():
        if isinstance(layer, kind):
            raise InvalidTypeError(f"layer {type(layer).__qualname__} cannot be captured: {reason}; {fix}.")


def with_learned(policy: Policy, value: Any) -> Policy:
    """Return a policy whose learned constant starts from another value.

    Args:
        policy: one whose padding mode has a learned constant, on one side or on both.
        value: a number, or (in_channels,).
    """
    given = np.asarray(value, dtype=np.float64)

    def learned(mode: Choice) -> Choice:
        words = dict(mode.params)
        if words.get("learned"):
            return Choice(mode.name, **words | {"value": float(given) if given.ndim == 0 else given})
        nested = {side: learned(word) for side, word in words.items() if isinstance(word, Choice)}
        return Choice(mode.name, **words | nested)

    return policy.evolve(padding_mode=learned(policy.padding_mode))


def as_given(values: Any) -> NDArray[Any]:
    """Return a copy that later training does not change."""
    return np.array(values)
