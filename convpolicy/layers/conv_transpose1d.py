"""`ConvTranspose1d`: build a native transposed convolution that follows a policy."""

from __future__ import annotations

from typing import Any

from convpolicy import registry
from convpolicy.arithmetic import single
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.core.resolution import with_output_padding
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.layers.building import changed, layer_of, request_of
from convpolicy.layers.foreign_arguments import refusing_foreign


@refusing_foreign
def ConvTranspose1d(  # noqa: N802 - a layer factory carries the name of the layer it builds
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: Any = None,
    output_padding: int | None = None,
    groups: int = 1,
    bias: bool | None = None,
    dilation: int = 1,
    padding_mode: Any = None,
    *,
    policy: str | Policy | TransposedPolicy = "torch",
    backend: str = "numpy",
    weight_init: Any = None,
    bias_init: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    device: Any = None,
    execution: str = "exact",
    weight_norm: Any = None,
) -> Any:
    """Build a native layer of the backend that behaves like the transposed 1-D convolution of the policy's framework.

    Arguments up to ``padding_mode`` have the names and the order of ``torch.nn.ConvTranspose1d``. ``None`` uses the default of the
    policy.

    Args:
        in_channels: number of input channels, divisible by ``groups``.
        out_channels: number of output channels, divisible by ``groups``.
        kernel_size: number of taps, 1 or more.
        stride: samples of the output between input samples, 1 or more.
        padding: what is cut from the full result of ``(length - 1) * stride + e`` samples, one of

            - an int, the number of samples cut on each side. Flax counts its own numbers otherwise; see its guide.
            - a pair ``(left, right)`` of samples. A negative number appends zeros.
            - the name of a crop rule, or a name that the policy's framework uses, e.g. ``"same"``
            - a `Choice`
        output_padding: samples that are cut less on the right. Only for crop rules with this parameter.
        groups: number of groups of channels.
        bias: True or False.
        dilation: samples between taps, 1 or more.
        padding_mode: ``"zeros"``, or ``"circular"`` to add what is cut on one side to the other end.
        policy: a name, ``"name@version"``, a `Policy` or a `TransposedPolicy`.
        backend: ``"numpy"`` or the name of a framework; see `convpolicy.backends`.
        weight_init: the name of an initializer, a `Choice`, a number, or an array (in, out/groups, kernel).
        bias_init: the name of an initializer, a `Choice`, a number, or an array (out,).
        seed, dtype, device, execution: see `Conv1d`.
        weight_norm: False, or the axis of the weight (in, out/groups, kernel) that has one norm per index; see `Conv1d`.

    Returns:
        A native layer. It expects data in the axis order of its framework.

        - torch: a ``torch.nn.ConvTranspose1d``, or an instance of a subclass
        - MindSpore: a ``mindspore.nn.Cell``
        - NumPy: a callable with the arrays ``.weight`` (in, out/groups, kernel) and ``.bias`` (out,)

    Raises:
        ConvPolicyError: an argument is wrong. The error is also a ValueError, TypeError or LookupError. The message names the
            argument, the value, what is allowed and the fix.
    """
    arguments = (
        in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode,
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
    output_padding: Any,
    groups: Any,
    bias: Any,
    dilation: Any,
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
    spec = ConvSpec.of(in_channels, out_channels, kernel_size, stride, dilation, groups, transposed=True)
    half = policy if isinstance(policy, TransposedPolicy) else named_policy(policy).half()
    complete = changed(
        half,
        padding=padding,
        bias=bias,
        padding_mode=padding_mode,
        weight_init=weight_init,
        bias_init=bias_init,
        weight_norm=weight_norm,
    )
    if output_padding is not None:
        complete = complete.evolve(padding=with_output_padding(complete.padding, single("output_padding", output_padding)))
    return request_of(spec, complete, backend, dtype, execution)
