"""The backend ``paddle``: a plain ``paddle.nn.Conv1DTranspose`` where it can express the crop, otherwise a subclass that cuts by a plan."""

from __future__ import annotations

from typing import Any

import paddle
import paddle.nn.functional as F  # noqa: N812 - the usual name
from paddle import nn

from convpolicy.arithmetic import single
from convpolicy.core.alike import pads_alike
from convpolicy.core.plan import require_a_window
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.paddle.layer import SAME, ZEROS, FollowsPolicy, GlobalStream, checked
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.stream import Stream

WEIGHT_INIT, BIAS_INIT = Choice("glorot_uniform"), Choice("zeros")  # defaults of Paddle's Conv1DTranspose


def native_cut(request: LayerRequest) -> dict[str, Any] | None:
    """Return ``padding`` and ``output_padding`` with which ``paddle.nn.Conv1DTranspose`` cuts by the policy, or None when it cannot.

    Paddle cuts any number of samples, and then appends fewer zeros than the stride on the right.
    """
    spec, policy, cuts = request.spec, request.policy, request.static_pads()
    if policy.padding_mode != ZEROS:
        return None
    rule, arguments = policy.part("padding")
    if cuts is None:
        if rule.name == SAME:
            policy.plan(
                spec.kernel_size, spec.stride, spec.dilation, length=1
            )  # raises for an output_padding that Paddle refuses
            return {"padding": "SAME", "output_padding": arguments["output_padding"]}
        return {"padding": "SAME", "output_padding": 0} if pads_alike(policy, SAME, spec) else None
    is_named = (
        rule.name == "explicit" and arguments["right"] >= 0
    )  # keeps an output_padding that reduces what is cut on the right
    left, right = cuts[0], arguments["right"] if is_named else max(cuts[1], 0)
    output_padding = right - cuts[1]
    if min(left, right) < 0 or output_padding >= spec.stride:
        return None
    return {"padding": left if left == right else [left, right], "output_padding": output_padding}


def has_native_init(request: LayerRequest) -> bool:
    """Return True when Paddle's own layer draws from the policy's distributions, in the dtype of the layer."""
    policy = request.policy
    return (
        policy.weight_init == WEIGHT_INIT
        and policy.part("layout")[0].fan_in == "O"  # as Paddle counts the fans
        and (not policy.bias or policy.bias_init == BIAS_INIT)
        and request.dtype == paddle.get_default_dtype()  # the layer has no argument dtype
    )


@paddle.jit.marker.force_dynamic
class CutConv1DTranspose(FollowsPolicy, nn.Conv1DTranspose):
    """A ``paddle.nn.Conv1DTranspose`` that cuts by a policy's plan; its parameters and state dict are those of Paddle's own layer.

    It resolves a plan for each input length. ``paddle.jit.to_static`` runs it as Python code between two graphs. With
    ``full_graph=True`` it becomes a graph for one length.
    """

    def __init__(self, request: LayerRequest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._request = request

    def plan(self, length: int, output_size: Any = None) -> TransposedPlan:
        """Return the plan for an input of ``length`` samples; see `TransposedPolicy.plan`. ``output_size`` can be a list of one number."""
        spec, policy, size = self._request.spec, self._request.policy, single("output_size", output_size)
        plan: TransposedPlan = require_a_window(
            policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length, output_size=size)  # type: ignore[call-arg]
        )
        return plan

    @paddle.jit.marker.unified(for_ast=False)  # type: ignore[untyped-decorator]
    def forward(self, x: Any, output_size: Any = None) -> Any:
        """Run the transposed convolution on an input (batch, channels, length).

        Args:
            x: input.
            output_size: the output length, or None for the policy's.
        """
        translate = paddle.framework.core.set_eval_frame(None)  # keeps to_static from translating the arithmetic of a plan
        try:
            plan = checked(self, x.shape, output_size)
            sources = None if plan is None else _sources(plan)
        finally:
            paddle.framework.core.set_eval_frame(translate)
        if plan is None or sources is None:
            policy = self.policy
            raise InvalidValueError(
                f"length must be a number to translate padding {policy.padding} with mode {policy.padding_mode}, got None; "
                f"set a length in the InputSpec, or call paddle.jit.to_static with full_graph=False."
            )
        spec = self._request.spec
        output = F.conv1d_transpose(x, self.weight, None, spec.stride, groups=spec.groups, dilation=spec.dilation)
        output = _cropped(output, plan) if plan.mode == ZEROS.name else _summed(output, sources)
        return output if self.bias is None else output + self.bias.reshape([1, -1, 1])


def _cropped(full: Any, plan: TransposedPlan) -> Any:
    """Append zeros to a full result (batch, channels, n), then cut it."""
    if any(plan.appended):
        full = F.pad(full, list(plan.appended), data_format="NCL")
    first = plan.cut[0]
    return full[:, :, first : first + plan.length_out]


def _summed(full: Any, sources: list[Any]) -> Any:
    """Return the sums of samples of a full result (batch, channels, n); position n is 0."""
    full = F.pad(full, [0, 1], data_format="NCL")
    parts = [paddle.index_select(full, paddle.to_tensor(turn), axis=2) for turn in sources]
    return sum(parts[1:], parts[0])


def _sources(plan: TransposedPlan) -> list[Any]:
    """Return, for each turn, the positions of the full result that the outputs read; ``full_length`` is the appended zero."""
    return list(plan.indices())


def build(request: LayerRequest, stream: Stream | None, device: Any) -> nn.Conv1DTranspose:
    """Build the layer.

    Without a stream, initial weights come from Paddle's global random state, which ``paddle.seed`` sets.
    """
    spec, policy, cut = request.spec, request.policy, native_cut(request)
    arguments: dict[str, Any] = {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
        "groups": spec.groups,
        "bias_attr": None if policy.bias else False,
        **(cut or {}),
    }
    draws_itself = stream is None and has_native_init(request)
    if not draws_itself:
        zeros = nn.initializer.Constant(0.0)  # draws nothing, so the global random state does not change
        arguments["weight_attr"] = paddle.ParamAttr(initializer=zeros)
    layer = CutConv1DTranspose(request, **arguments) if cut is None else nn.Conv1DTranspose(**arguments)
    if device is not None or request.dtype != paddle.get_default_dtype():
        layer.to(device=device, dtype=request.dtype)
    if not draws_itself:
        for name, value in request.draw(GlobalStream() if stream is None else stream).items():
            if value is not None:
                getattr(layer, name).set_value(value)
    return layer
