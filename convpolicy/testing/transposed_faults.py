"""Deliberately broken transposed convolutions of a backend, which the checks must reject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.resolution import OUTPUT_PADDING, with_output_padding
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.layers.backend import Backend, LayerRequest


class OtherFans(TransposedPolicy):
    """A policy whose layout counts the other axis as fan-in."""

    def part(self, field: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the registered part that a field names; see `LayerPolicy.part`."""
        part, arguments = super().part(field)
        return (attrs.evolve(part, fan_in="O" if part.fan_in == "I" else "I") if field == "layout" else part), arguments

    @classmethod
    def of(cls, policy: LayerPolicy) -> OtherFans:
        """Return a policy with the fields of another."""
        return cls(**{field.name: getattr(policy, field.name) for field in attrs.fields(TransposedPolicy)})


def _other_side(request: LayerRequest) -> LayerRequest:
    cuts = request.static_pads()
    return request if cuts is None else attrs.evolve(request, policy=request.policy.evolve(padding=cuts[::-1]))


def _no_output_padding(request: LayerRequest) -> LayerRequest:
    padding = request.policy.padding
    if OUTPUT_PADDING not in dict(padding.params):
        return request
    return attrs.evolve(request, policy=request.policy.evolve(padding=with_output_padding(padding, 0)))


def _of_policy(change: Callable[[LayerPolicy], LayerPolicy]) -> Callable[[LayerRequest], LayerRequest]:
    return lambda request: attrs.evolve(request, policy=change(request.policy))


def _of_spec(**sizes: Any) -> Callable[[LayerRequest], LayerRequest]:
    return lambda request: attrs.evolve(request, spec=attrs.evolve(request.spec, **sizes))


# fault -> the change to the transposed layer that is built
BUILT: dict[str, Callable[[LayerRequest], LayerRequest]] = {
    "cut on the other side": _other_side,
    "output_padding ignored": _no_output_padding,
    "circular dropped": _of_policy(lambda policy: policy.evolve(padding_mode="zeros")),
    "fans swapped": _of_policy(OtherFans.of),
    "bias dropped": _of_policy(lambda policy: policy.evolve(bias=False)),
    "stride ignored": _of_spec(stride=1),
    "dilation ignored": _of_spec(dilation=1),
}


@attrs.define(eq=False)
class Wrapped:
    """A transposed layer with the request from which it was built."""

    layer: Any
    request: LayerRequest


def _unbiased_ends(backend: Backend, wrapped: Wrapped, data: NDArray[Any]) -> NDArray[Any]:
    output, bias = backend.run(wrapped.layer, data), backend.parameters(wrapped.layer)["bias"]
    if bias is None:
        return output
    left, right = wrapped.request.plan(data.shape[2]).appended
    ends = np.zeros_like(output)
    ends[..., :left] = ends[..., output.shape[2] - right :] = bias[:, None]
    return np.subtract(output, ends, dtype=output.dtype)


def _flipped(backend: Backend, wrapped: Wrapped, data: NDArray[Any]) -> NDArray[Any]:
    return _with_weight(backend, wrapped.layer, data, lambda weight: weight[..., ::-1])


def _mixed_groups(backend: Backend, wrapped: Wrapped, data: NDArray[Any]) -> NDArray[Any]:
    """Read the weight (in, out/groups, kernel) as if its second axis came first."""
    return _with_weight(backend, wrapped.layer, data, lambda weight: weight.swapaxes(0, 1).reshape(weight.shape))


def _with_weight(
    backend: Backend, layer: Any, data: NDArray[Any], change: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    weight = backend.parameters(layer)["weight"]
    assert weight is not None
    weight = weight.copy()  # it may be a view of the layer's own
    backend.assign(layer, {"weight": change(weight).copy()})
    output = backend.run(layer, data)
    backend.assign(layer, {"weight": weight})
    return output


# fault -> the function that replaces ``run(layer, data)`` of transposed layers
RUN: dict[str, Callable[[Backend, Wrapped, Any], Any]] = {
    "bias not added to appended samples": _unbiased_ends,
    "kernel flipped": _flipped,
    "axes of the weight exchanged": _mixed_groups,
}


def variants(backend: Backend) -> dict[str, Backend]:
    """Return the broken backends by a description of the fault; none if the backend has no transposed convolutions."""
    if backend.build_transposed is None:
        return {}
    built = {
        f"transposed, {fault}": attrs.evolve(backend, build_transposed=_building(backend, change))
        for fault, change in BUILT.items()
    }
    return built | {f"transposed, {fault}": _wrapping(backend, change) for fault, change in RUN.items()}


def _building(backend: Backend, change: Callable[[LayerRequest], LayerRequest]) -> Callable[..., Any]:
    assert backend.build_transposed is not None
    build = backend.build_transposed
    return lambda request, stream, device: build(change(request), stream, device)


def _wrapping(backend: Backend, change: Callable[[Backend, Wrapped, Any], Any]) -> Backend:
    """Return a backend whose transposed layers are `Wrapped`, and compute what ``change`` returns."""
    assert backend.build_transposed is not None
    build = backend.build_transposed

    def unwrapping(function: Callable[..., Any] | None) -> Any:
        if function is None:
            return None
        return lambda layer, *rest: function(layer.layer if isinstance(layer, Wrapped) else layer, *rest)

    def run(layer: Any, data: Any) -> Any:
        return change(backend, layer, data) if isinstance(layer, Wrapped) else backend.run(layer, data)

    functions = {name: unwrapping(getattr(backend, name)) for name in ("parameters", "assign", "gradients", "capture")}
    return attrs.evolve(
        backend,
        build_transposed=lambda request, stream, device: Wrapped(build(request, stream, device), request),
        run=run,
        **functions,
    )
