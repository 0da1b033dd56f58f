"""`Conv1d`: a policy in, a real native layer out."""

from __future__ import annotations

from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core import initial_values
from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError, shown
from convpolicy.layers.backend import EXECUTIONS, Backend, LayerRequest
from convpolicy.layers.foreign_arguments import refusing_foreign


@refusing_foreign
def Conv1d(  # noqa: N802 - a layer factory carries the name of the layer it builds
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: Any = None,
    dilation: int = 1,
    groups: int = 1,
    bias: bool | None = None,
    padding_mode: Any = None,
    *,
    policy: str | Policy = "torch",
    backend: str = "numpy",
    weight_init: Any = None,
    bias_init: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    device: Any = None,
    execution: str = "exact",
    weight_norm: Any = None,
) -> Any:
    """Build a 1-D convolution that follows a policy, as a native layer of a backend.

    Args:
        in_channels, out_channels: channels, each divisible by ``groups``.
        kernel_size, stride, dilation: samples, 1 or more.
        padding: None (the policy decides), an int (both sides), a pair (left, right), of which a negative number cuts samples
            away, a rule's name, the policy's own word (``"same"``), or a `Choice`.
        groups: blocked connections from input to output channels.
        bias: None (the policy decides), True or False.
        padding_mode: None (the policy decides), a mode's name, a `Choice` such as ``Choice("constant", value=1.5)``, whose value
            may be an array (in_channels,), or a pair of them, one per side: ``("reflect", "zeros")``.
        policy: name, ``"name@version"`` or a `Policy`.
        backend: where it runs: ``"numpy"`` or a framework's name; see `convpolicy.backends`.
        weight_init, bias_init: None (the policy decides), an initializer's name, a `Choice`, a number, or an array
            (out, in/groups, kernel) or (out,). ``weight_init`` also takes ``"as_written"`` and ``"as_trained"``.
        seed: what the policy's framework would be seeded with: its own weights, on every backend; None: the backend's own
            global random state.
        dtype: ``"float32"``, ``"float64"``, … or the framework's own dtype object; None: the framework's default, float32 unless it
            was changed, as by ``torch.set_default_dtype``.
        device: whatever the framework calls a device, or None for its default.
        execution: ``"exact"``, the framework's own bits; ``"fast"``, the fastest equal way.
        weight_norm: None (the policy decides), False, or the axis of the weight (out, in/groups, kernel) along which weight
            normalisation keeps one norm per index. On torch the layer then carries ``parametrizations.weight_norm``, put on
            after the initial values; elsewhere it has the plain weight.

    Returns:
        For torch a ``torch.nn.Conv1d`` or a subclass, for MindSpore a ``mindspore.nn.Cell``, for NumPy a callable with
        ``.weight`` and ``.bias``. Data is in the backend's own axis order.

    Raises:
        ConvPolicyError: always also a ValueError, TypeError or LookupError; before any work, one sentence that names the
            argument, what came, what is allowed and the fix.
    """
    arguments = (
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
        policy, backend, weight_init, bias_init, dtype, execution, weight_norm,
    )  # fmt: skip
    try:
        target, request = _resolve(*arguments)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        target, request = _resolve.__wrapped__(*arguments)  # type: ignore[attr-defined]  # an array, a list or a mapping among them
    if dtype is None and (default := target.default_dtype()) != request.dtype:
        request = attrs.evolve(request, dtype=target.check_dtype(default))
    stream = None if seed is None else request.policy.start_stream(seed)
    return target.layer(request, stream, device)


@registry.cached(maxsize=512)
def _resolve(
    in_channels: Any,
    out_channels: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    bias: Any,
    padding_mode: Any,
    policy: Any,
    backend: Any,
    weight_init: Any,
    bias_init: Any,
    dtype: Any,
    execution: Any,
    weight_norm: Any,
) -> tuple[Backend, LayerRequest]:
    """Check everything that does not depend on the seed, once per distinct call."""
    spec = ConvSpec.of(in_channels, out_channels, kernel_size, stride, dilation, groups)
    overrides = {
        "padding": padding,
        "bias": bias,
        "padding_mode": padding_mode,
        "weight_init": weight_init,
        "bias_init": bias_init,
        "weight_norm": weight_norm,
    }
    wanted = named_policy(policy).evolve(**{field: value for field, value in overrides.items() if value is not None})
    wanted.checked()
    target: Backend = registry.current().get("backend", backend)
    if not isinstance(execution, str) or execution not in EXECUTIONS:
        raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
    request = LayerRequest(spec, wanted, target.check_dtype("float32" if dtype is None else dtype), execution)
    request.static_pads()  # a rule that refuses these sizes does so now,
    request.require_constants()  # and constants that do not fit the channels
    target.require_learning(request)
    initial_values.require(spec, wanted.fills())  # or an initializer
    return target, request
