"""Steps that `Conv1d` and `ConvTranspose1d` have in common: check a request, and build the layer from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from convpolicy import registry
from convpolicy.core import initial_values
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError, shown
from convpolicy.layers.backend import EXECUTIONS, Backend, LayerRequest

AnyPolicy = TypeVar("AnyPolicy", bound=LayerPolicy)


def changed(policy: AnyPolicy, **arguments: Any) -> AnyPolicy:
    """Return a policy with the arguments of a layer in place of its values; an argument of None changes nothing."""
    return policy.evolve(**{field: value for field, value in arguments.items() if value is not None})


def request_of(spec: ConvSpec, policy: LayerPolicy, backend: Any, dtype: Any, execution: Any) -> tuple[Backend, LayerRequest]:
    """Check a policy, a backend, a dtype and an execution, and return the backend and the request.

    Args:
        spec: checked sizes.
        policy: the policy, including the changes that arguments of the layer make.
        backend: name of the backend.
        dtype: a dtype, or None for float32.
        execution: ``"exact"``, ``"fast"`` or ``"auto"``.

    Raises:
        ConvPolicyError: see `convpolicy.Conv1d`.
    """
    policy.checked()
    target: Backend = registry.current().get("backend", backend)
    if not isinstance(execution, str) or execution not in EXECUTIONS:
        raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
    request = LayerRequest(spec, policy, target.check_dtype("float32" if dtype is None else dtype), execution)
    request.static_pads()  # raises if the rule refuses these sizes
    request.require_constants()
    target.require_learning(request)
    initial_values.require(spec, policy.fills(), policy.part("layout")[0])
    return target, request


def layer_of(resolve: Callable[..., Any], arguments: tuple[Any, ...], dtype: Any, seed: Any, device: Any) -> Any:
    """Build a layer.

    Args:
        resolve: cached function of the arguments that returns a backend and a `LayerRequest`.
        arguments: all arguments of the layer except those that follow.
        dtype: the argument ``dtype``. None uses the current default of the backend.
        seed: a seed, or None for the backend's global random state.
        device: a device of the framework, or None.
    """
    try:
        target, request = resolve(*arguments)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        target, request = resolve.__wrapped__(*arguments)  # type: ignore[attr-defined]  # an array or a list cannot be a cache key
    if dtype is None and (default := target.default_dtype()) != request.dtype:
        request = attrs.evolve(request, dtype=target.check_dtype(default))
    stream = None if seed is None else request.policy.start_stream(seed)
    return target.layer(request, stream, device)
