"""Deliberately broken variants of a backend, which the checks must reject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.layers.backend import LEARNED, Backend, LayerRequest
from convpolicy.parts.choice import Choice, FrozenArray
from convpolicy.testing.transposed_faults import variants as transposed_variants

OTHER_SIDE = {"left": "right", "right": "left"}
COPIED = {"odd": "reflect", "odd_symmetric": "symmetric", "linear_ramp": "constant"}  # mode -> a mode with fewer terms


def _other_side(policy: LayerPolicy) -> LayerPolicy:
    params = dict(policy.padding.params)
    if "odd_side" not in params:
        return policy
    return policy.evolve(padding=Choice(policy.padding.name, odd_side=OTHER_SIDE[params["odd_side"]]))


def _swapped(request: LayerRequest) -> LayerRequest:
    pads = request.static_pads()
    return request if pads is None or min(pads) < 0 else attrs.evolve(request, policy=request.policy.evolve(padding=pads[::-1]))


def _raised(policy: LayerPolicy) -> LayerPolicy:
    if policy.padding_mode.name not in ("zeros", "constant"):
        return policy
    value = dict(policy.padding_mode.params).get("value", 0.0)
    raised = value.array + 1e-3 if isinstance(value, FrozenArray) else value + 1e-3
    return policy.evolve(padding_mode=Choice("constant", value=raised))


def _sides_exchanged(policy: LayerPolicy) -> LayerPolicy:
    mode = policy.padding_mode
    return policy.evolve(padding_mode=Choice(mode.name, **{OTHER_SIDE.get(name, name): value for name, value in mode.params}))


def _channels_reversed(policy: LayerPolicy) -> LayerPolicy:
    def reversed_value(value: Any) -> Any:
        if isinstance(value, Choice):
            return value.evolve(**{name: reversed_value(inner) for name, inner in value.params})
        return value.array[::-1] if isinstance(value, FrozenArray) else value

    return policy.evolve(padding_mode=reversed_value(policy.padding_mode))


def _copied(policy: LayerPolicy) -> LayerPolicy:
    mode = policy.padding_mode
    return policy.evolve(padding_mode=mode.evolve(COPIED.get(mode.name)))


def _other_coefficients(policy: LayerPolicy) -> LayerPolicy:
    is_line = policy.padding_mode.name == "extrapolate"
    return policy.evolve(padding_mode=Choice("odd", overflow="periodic")) if is_line else policy


def _of_policy(change: Callable[[LayerPolicy], LayerPolicy]) -> Callable[[LayerRequest], LayerRequest]:
    return lambda request: attrs.evolve(request, policy=change(request.policy))


# fault -> the change to the layer that is built
BUILT: dict[str, Callable[[LayerRequest], LayerRequest]] = {
    "sides swapped": _swapped,
    "extra sample on the other side": _of_policy(_other_side),
    "zeros whatever the mode": _of_policy(lambda policy: policy.evolve(padding_mode="zeros")),
    "pads 1e-3 more": _of_policy(_raised),
    "modes and constants of the sides exchanged": _of_policy(_sides_exchanged),
    "constant of another channel": _of_policy(_channels_reversed),
    "sum of fewer terms": _of_policy(_copied),
    "sum with other coefficients": _of_policy(_other_coefficients),
    "bias dropped": _of_policy(lambda policy: policy.evolve(bias=False)),
    "stride ignored": lambda request: attrs.evolve(request, spec=attrs.evolve(request.spec, stride=1)),
    "dilation ignored": lambda request: attrs.evolve(request, spec=attrs.evolve(request.spec, dilation=1)),
}
# fault -> the function that replaces ``run(layer, data)``
RUN: dict[str, Callable[[Backend, Any, Any], Any]] = {
    "input reversed": lambda backend, layer, data: backend.run(layer, data[..., ::-1].copy()),
    "input channels reversed": lambda backend, layer, data: backend.run(layer, data[:, ::-1].copy()),
    "input rounded": lambda backend, layer, data: backend.run(layer, np.round(data, 2)),
    "output channels reversed": lambda backend, layer, data: backend.run(layer, data)[:, ::-1],
    "one item for the batch": lambda backend, layer, data: np.repeat(backend.run(layer, data)[:1], len(data), axis=0),
    "one output less": lambda backend, layer, data: backend.run(layer, data)[..., :-1],
    "computes in another dtype": lambda backend, layer, data: backend.run(layer, data).astype("longdouble"),
    "works in the caller's array": lambda backend, layer, data: backend.run(layer, np.negative(data, out=data)),
}


def faults_of(backend: Backend) -> dict[str, Backend]:
    """Return deliberately broken variants of a backend, so that you can confirm that your checks reject them.

    Args:
        backend: a backend that passes `check_backend`.

    Returns:
        Broken backends by a description of the fault. Faults of functions that the backend does not have are left out.
    """
    variants = {fault: attrs.evolve(backend, build=_building(backend, change)) for fault, change in BUILT.items()}
    variants |= {fault: attrs.evolve(backend, run=_running(backend, change)) for fault, change in RUN.items()}
    variants["seed ignored"] = attrs.evolve(backend, build=lambda request, _stream, device: backend.build(request, None, device))
    variants["assign ignored"] = attrs.evolve(backend, assign=lambda _layer, _values: None)
    roles = ("input", "weight", "bias", *([LEARNED] if backend.learns else []))
    if backend.learns:
        variants["learned constant taken as 1"] = attrs.evolve(backend, run=_running(backend, _as_one))
    for role in roles if backend.gradients is not None else ():
        variants[f"gradient to the {role} doubled"] = attrs.evolve(backend, gradients=_doubling(backend, role))
    return variants | transposed_variants(backend)


def _building(backend: Backend, change: Callable[[LayerRequest], LayerRequest]) -> Callable[..., Any]:
    return lambda request, stream, device: backend.build(change(request), stream, device)


def _as_one(backend: Backend, layer: Any, data: Any) -> Any:
    value = backend.parameters(layer).get(LEARNED)
    if value is None:
        return backend.run(layer, data)
    backend.assign(layer, {LEARNED: np.ones_like(value)})
    output = backend.run(layer, data)
    backend.assign(layer, {LEARNED: value})
    return output


def _running(backend: Backend, change: Callable[[Backend, Any, Any], Any]) -> Callable[..., Any]:
    return lambda layer, data: change(backend, layer, data)


def _doubling(backend: Backend, role: str) -> Callable[..., Any]:
    def gradients(layer: Any, data: Any, upstream: Any) -> dict[str, Any]:
        assert backend.gradients is not None
        all_gradients = dict(backend.gradients(layer, data, upstream))
        gradient = all_gradients.get(role)
        return all_gradients if gradient is None else all_gradients | {role: np.multiply(gradient, 2, dtype=gradient.dtype)}

    return gradients
