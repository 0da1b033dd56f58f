"""The Keras backend: Keras's own layers where they can express the padding, otherwise subclasses that pad by a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import keras
from keras import ops

from convpolicy.bits.float32 import rounded
from convpolicy.core.alike import pads_alike
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.frameworks.keras import transposed_layer  # noqa: F401 - it registers the layer for keras.saving
from convpolicy.frameworks.keras.initial import layout_of
from convpolicy.frameworks.keras.padding import extended, graph_mode, padded, padded_in_a_graph, plan_of_any_length
from convpolicy.frameworks.keras.policy_layer import FollowsPolicy, filled
from convpolicy.layers.backend import LEARNED, LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.stream import Stream

ZEROS = Choice("zeros")
SAME = "same_upper"  # the rule of Keras's "same"


def native_padding(request: LayerRequest) -> str | None:
    """Return the ``padding`` argument with which Keras's own layer pads by the policy, or None when it cannot."""
    spec, policy, pads = request.spec, request.policy, request.static_pads()
    is_depthwise = layout_of(policy, spec).name == "WIM"
    if spec.stride > 1 and spec.dilation > 1 and not is_depthwise:
        return None  # keras.layers.Conv1D refuses stride with dilation
    if request.learned() is not None:
        return None  # Keras's layers have no weight for the constant
    if pads == (0, 0):
        return "valid"
    if policy.padding_mode != ZEROS:
        return None
    if pads is None:
        return "same" if pads_alike(policy, SAME, spec) else None
    total = spec.effective_kernel - 1
    if spec.stride == 1 and pads == (total // 2, total - total // 2):
        return "same"
    return "causal" if pads == (total, 0) and not is_depthwise else None


class _PadsByPlan(FollowsPolicy):
    """A mixin for Keras layers: pads the input by a policy's plan; the layer then convolves without padding."""

    def _pad_by(self: Any, policy: LayerPolicy | Mapping[str, Any], strides: Any, dilation_rate: Any) -> None:
        self._follow(policy, strides, dilation_rate)
        spec, pads = self._request.spec, self._request.static_pads()
        self._graph_mode = None if (mode := graph_mode(self._policy, pads)) is None else (mode, pads)
        self._plan_of_any_length = plan_of_any_length(self._policy, pads, (spec.kernel_size, spec.stride, spec.dilation))
        self._initial_value = self._request.learned()
        if self._graph_mode is None and self._plan_of_any_length is None and keras.config.backend() == "tensorflow":
            self.supports_jit = False  # XLA cannot call Python for the plan of a length that is unknown while it compiles

    def build(self: Any, input_shape: Any) -> None:
        """Create Keras's own weights, and ``padding_value`` when the padding constant is learned.

        Raises:
            InvalidValueError: the padding has a constant per channel for another number of channels; the message contains both.
        """
        channels = input_shape[-1]
        attrs.evolve(self._request, spec=attrs.evolve(self._request.spec, in_channels=channels)).require_constants()
        super().build(input_shape)  # type: ignore[misc]
        if self._initial_value is not None:
            self.padding_value = self.add_weight(
                name=LEARNED,
                shape=self._initial_value.shape,
                initializer=lambda _shape, dtype: ops.convert_to_tensor(rounded(self._initial_value, dtype), dtype),
                dtype=self.dtype,
            )

    def compute_output_shape(self: Any, input_shape: Any) -> tuple[Any, ...]:
        """Return (batch, length_out, channels); an unknown length is None."""
        batch, length, channels = input_shape
        filters = self.filters if hasattr(self, "filters") else channels * self.depth_multiplier
        return batch, None if length is None else self.plan(length).length_out, filters

    def _padded(self: Any, x: Any) -> Any:
        """Pad an input (batch, length, channels)."""
        if x.shape[1] is not None:
            plan = self.plan(int(x.shape[1]))
            return padded(x, plan, self._value())
        if self._plan_of_any_length is not None:
            return extended(x, self._plan_of_any_length, self._value())
        if self._graph_mode is not None:
            mode, pads = self._graph_mode
            return ops.pad(x, ((0, 0), pads, (0, 0)), mode=mode)
        return padded_in_a_graph(x, self.plan, self._policy, self._value())

    def _value(self: Any) -> Any:
        """Return the learned constant, () or (channels,), or None."""
        return None if self._initial_value is None else ops.convert_to_tensor(self.padding_value)

    def save_own_variables(self: Any, store: Any) -> None:
        """Store Keras's own weights under Keras's numbers, and ``padding_value`` under its name."""
        if self._initial_value is None or not self.built:
            super().save_own_variables(store)  # type: ignore[misc]
            return
        numbered: dict[str, Any] = {}
        super().save_own_variables(numbered)  # type: ignore[misc]
        for name in ("0", "1") if self.use_bias else ("0",):
            store[name] = numbered[name]
        store[LEARNED] = self.padding_value

    def load_own_variables(self: Any, store: Any) -> None:
        """Load what `save_own_variables` stored."""
        if self._initial_value is None or LEARNED not in store.keys():  # noqa: SIM118 - a file's store is not a dict
            super().load_own_variables(store)  # type: ignore[misc]
            return
        numbered = {name: store[name] for name in store.keys() if name != LEARNED}  # noqa: SIM118
        super().load_own_variables({**numbered, str(len(numbered)): store[LEARNED]})  # type: ignore[misc]
        self.padding_value.assign(store[LEARNED])


def convolved(x: Any, kernel: Any, stride: int, dilation: int) -> Any:
    """Convolve without padding and bias, also if stride and dilation both exceed 1.

    Args:
        x: (batch, length, channels).
        kernel: (kernel, in/groups, out).
        stride, dilation: in samples.
    """
    every = 1
    if stride > 1 and dilation > 1 and keras.config.backend() == "tensorflow":  # TensorFlow supports only one of the two
        common = math.gcd(stride, dilation)  # no window reads the samples in between
        x, stride, dilation = x[:, ::common], stride // common, dilation // common
        if stride > 1 and dilation > 1:
            stride, every = 1, stride
    return ops.conv(x, kernel, strides=stride, padding="valid", data_format="channels_last", dilation_rate=dilation)[:, ::every]


@keras.saving.register_keras_serializable(package="convpolicy")
class PaddedConv1D(_PadsByPlan, keras.layers.Conv1D):
    """A ``keras.layers.Conv1D`` that pads by a policy's plan.

    Input and output are (batch, length, channels).

    Args:
        filters, kernel_size, strides, dilation_rate: as in ``keras.layers.Conv1D``; here strides and dilation_rate may both exceed 1.
        policy: a `Policy`, or the result of its ``to_dict``; only its padding is used.
        **arguments: other arguments of ``keras.layers.Conv1D``, except ``padding`` and ``data_format``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        dilation_rate: Any = 1,
        *,
        policy: LayerPolicy | Mapping[str, Any],
        **arguments: Any,
    ) -> None:
        super().__init__(filters, kernel_size, data_format="channels_last", **arguments)
        self._pad_by(policy, strides, dilation_rate)

    def call(self, inputs: Any) -> Any:
        """Convolve an input (batch, length, channels)."""
        outputs = convolved(self._padded(inputs), self.kernel, self.strides[0], self.dilation_rate[0])
        if self.use_bias:
            outputs = ops.add(outputs, ops.reshape(self.bias, (1, 1, self.filters)))
        return outputs if self.activation is None else self.activation(outputs)


@keras.saving.register_keras_serializable(package="convpolicy")
class PaddedDepthwiseConv1D(_PadsByPlan, keras.layers.DepthwiseConv1D):
    """A ``keras.layers.DepthwiseConv1D`` that pads by a policy's plan.

    Input and output are (batch, length, channels).

    Args:
        kernel_size, strides, dilation_rate: as in ``keras.layers.DepthwiseConv1D``.
        policy: a `Policy`, or the result of its ``to_dict``; only its padding is used.
        **arguments: other arguments of ``keras.layers.DepthwiseConv1D``, except ``padding`` and ``data_format``.
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        dilation_rate: Any = 1,
        *,
        policy: LayerPolicy | Mapping[str, Any],
        **arguments: Any,
    ) -> None:
        super().__init__(kernel_size, data_format="channels_last", **arguments)
        self._pad_by(policy, strides, dilation_rate)

    def call(self, inputs: Any) -> Any:
        """Convolve an input (batch, length, channels)."""
        return super().call(self._padded(inputs))


# (is depthwise, Keras's own layer can express the padding) -> class of the layer
CLASSES = {
    (False, True): keras.layers.Conv1D,
    (False, False): PaddedConv1D,
    (True, True): keras.layers.DepthwiseConv1D,
    (True, False): PaddedDepthwiseConv1D,
}


def build(request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    """Build the layer with its weights; see `filled`."""
    spec, policy, padding = request.spec, request.policy, native_padding(request)
    is_depthwise = layout_of(policy, spec).name == "WIM"
    arguments: dict[str, Any] = {
        "kernel_size": spec.kernel_size,
        "strides": spec.stride,
        "dilation_rate": spec.dilation,
        "use_bias": policy.bias,
        "dtype": request.dtype,
    }
    arguments |= {"policy": policy} if padding is None else {"padding": padding, "data_format": "channels_last"}
    if is_depthwise:
        arguments["depth_multiplier"] = spec.out_channels // spec.in_channels
    else:
        arguments |= {"filters": spec.out_channels, "groups": spec.groups}

    def make(kernel_initializer: Any, bias_initializer: Any) -> Any:
        initializers = {"depthwise_initializer" if is_depthwise else "kernel_initializer": kernel_initializer}
        return CLASSES[is_depthwise, padding is not None](**arguments, **initializers, bias_initializer=bias_initializer)

    return filled(request, stream, device, make)
