"""`Conv1d`: build a native layer that follows a policy."""

from __future__ import annotations

from typing import Any

from convpolicy import registry
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.layers.building import changed, layer_of, request_of
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
    """Build a native layer of the backend that behaves like the Conv1d of the policy's framework.

    ``policy`` selects the behaviour, for example that of Keras. ``backend`` selects the framework that runs the layer.

    Arguments up to ``padding_mode`` have the names and the order of ``torch.nn.Conv1d``. ``None`` uses the default of the policy.

    Args:
        in_channels: number of input channels, divisible by ``groups``.
        out_channels: number of output channels, divisible by ``groups``.
        kernel_size: number of taps, 1 or more.
        stride: samples between windows, 1 or more.
        padding: one of

            - an int, the number of samples added on each side
            - a pair ``(left, right)`` of samples. A negative number removes samples.
            - the name of a padding rule, or a name that the policy's framework uses, e.g. ``"same"``
            - a `Choice`
        dilation: samples between taps, 1 or more.
        groups: number of groups of channels.
        bias: True or False.
        padding_mode: one of

            - the name of a padding mode
            - a `Choice` such as ``Choice("constant", value=1.5)``. The value may be an array (in_channels,).
            - a pair of modes ``(left, right)``, e.g. ``("reflect", "zeros")``
        policy: a name, ``"name@version"`` or a `Policy`.
        backend: ``"numpy"`` or the name of a framework; see `convpolicy.backends`.
        weight_init: the name of an initializer, a `Choice`, a number, or an array (out, in/groups, kernel).
            ``"as_written"`` is the initializer in the reference code of a paper. ``"as_trained"`` is the initializer that took effect.
        bias_init: the name of an initializer, a `Choice`, a number, or an array (out,).
        seed: with an integer, the initial weights are bit-identical to the weights that the policy's framework draws for this seed.
            They do not depend on the backend. None uses the global random state of the backend.
        dtype: a name such as ``"float32"``, or a dtype object of the framework. None uses the framework's current
            default dtype, for example the dtype set with ``torch.set_default_dtype``.
        device: a device of the framework. None uses the framework's default device.
        execution: how the layer computes.

            - ``"exact"`` keeps the bits of the framework's own code.
            - ``"fast"`` uses the fastest implementation that is equal up to rounding, by stored rules.
            - ``"auto"`` also allows rounding. On torch, the first call of each input shape measures the implementations, and the
              fastest is used from then on; see `autotune_cache`. On other backends, ``"auto"`` is the same as ``"fast"``.
        weight_norm: False, or the axis of the weight (out, in/groups, kernel) that has one norm per index. On torch, the layer has
            ``parametrizations.weight_norm``, applied after the initial values are set. Other backends store the plain weight.

    Returns:
        A native layer. It expects data in the axis order of its framework.

        - torch: a ``torch.nn.Conv1d``, or an instance of a subclass
        - MindSpore: a ``mindspore.nn.Cell``
        - NumPy: a callable with the arrays ``.weight`` (out, in/groups, kernel) and ``.bias`` (out,)

    Raises:
        ConvPolicyError: an argument is wrong. The error is also a ValueError, TypeError or LookupError. The message names the
            argument, the value, what is allowed and the fix.
    """
    arguments = (
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
        policy, backend, weight_init, bias_init, dtype, execution, weight_norm,
    )  # fmt: skip
    return layer_of(_resolve, arguments, dtype, seed, device)


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
    """Check all arguments except the seed and the device; cached, so that equal calls are checked once."""
    spec = ConvSpec.of(in_channels, out_channels, kernel_size, stride, dilation, groups)
    complete = changed(
        named_policy(policy),
        padding=padding,
        bias=bias,
        padding_mode=padding_mode,
        weight_init=weight_init,
        bias_init=bias_init,
        weight_norm=weight_norm,
    )
    return request_of(spec, complete, backend, dtype, execution)
