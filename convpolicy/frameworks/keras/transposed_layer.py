"""The Keras backend's transposed convolutions: Keras's own layer where it can express the plan, otherwise a subclass that cuts by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras.crops import cropped, cropped_in_a_graph, full_result, has_kernel
from convpolicy.frameworks.keras.policy_layer import FollowsPolicy, filled
from convpolicy.frameworks.keras.transposed import PADDING_NAMES, RULES
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.stream import Stream

ZEROS = Choice("zeros")
CIRCULAR = "circular"
CROPS = {rule.name: rule.crops for rule in RULES}


def native_arguments(request: LayerRequest) -> dict[str, Any] | None:
    """Return ``padding`` and ``output_padding`` with which Keras's own layer cuts by the policy, or None when it cannot."""
    spec, policy, cuts = request.spec, request.policy, request.static_pads()
    if cuts is None or policy.padding_mode != ZEROS or not has_kernel(spec.stride, spec.dilation, spec.groups, request.dtype):
        return None
    if spec.stride > 1 and spec.dilation > 1:
        return None  # keras.layers.Conv1DTranspose refuses stride with dilation
    odd, names = spec.effective_kernel % 2, dict(PADDING_NAMES[keras.config.backend()])
    output_paddings = {"valid": -cuts[1], "same": spec.effective_kernel - odd - sum(cuts)}
    for padding in sorted(names, key=lambda name: names[name] != policy.padding.name):  # first the name in the policy
        for output_padding in (None, output_paddings[padding]):
            if cuts == _native_cuts(names[padding], spec, output_padding):
                return {"padding": padding, "output_padding": output_padding}
    return None


def _native_cuts(rule: str, spec: ConvSpec, output_padding: int | None) -> tuple[int, int] | None:
    """Return what Keras's own layer cuts, or None if it refuses the output_padding."""
    if output_padding is not None and output_padding < 0:
        return None
    try:
        return CROPS[rule](spec.kernel_size, spec.stride, spec.dilation, None, output_padding=output_padding)
    except ValueError:
        return None


@keras.saving.register_keras_serializable(package="convpolicy")
class CroppedConv1DTranspose(FollowsPolicy, keras.layers.Conv1DTranspose):
    """A ``keras.layers.Conv1DTranspose`` that cuts by a policy's plan.

    Input and output are (batch, length, channels).

    Args:
        filters, kernel_size, strides, dilation_rate: as in ``keras.layers.Conv1DTranspose``; here strides and dilation_rate may both
            exceed 1.
        groups: groups of channels. The kernel is (kernel, filters / groups, in).
        policy: a `TransposedPolicy`, or the result of its ``to_dict``; only its padding is used.
        **arguments: other arguments of ``keras.layers.Conv1DTranspose``, except ``padding``, ``output_padding`` and ``data_format``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        dilation_rate: Any = 1,
        groups: int = 1,
        *,
        policy: LayerPolicy | Mapping[str, Any],
        **arguments: Any,
    ) -> None:
        super().__init__(filters, kernel_size, data_format="channels_last", **arguments)
        self._follow(policy, strides, dilation_rate, transposed=True)
        self.groups = groups
        self._cuts = self._request.static_pads()
        if self._cuts is None and keras.config.backend() == "tensorflow":
            self.supports_jit = False  # XLA cannot call Python for the plan of a length that is unknown while it compiles

    def build(self, input_shape: Any) -> None:
        """Create the weights of Keras's own layer; with groups, the kernel has ``filters / groups`` output channels.

        Raises:
            InvalidValueError: filters or the channels of the input are not divisible by groups; the message contains the numbers.
        """
        channels = input_shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise InvalidValueError(
                f"filters and the channels of the input must be divisible by groups={self.groups}, got {self.filters} and {channels}; "
                f"pass multiples of it."
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=3, axes={-1: channels})
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters // self.groups, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            dtype=self.dtype,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                dtype=self.dtype,
            )

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return (batch, length_out, filters); an unknown length is None."""
        batch, length, _channels = input_shape
        return batch, None if length is None else self.plan(length).length_out, self.filters

    def call(self, inputs: Any) -> Any:
        """Convolve an input (batch, length, channels)."""
        plan = None if inputs.shape[1] is None else self.plan(int(inputs.shape[1]))
        full = full_result(inputs, self.kernel, self.strides[0], self.dilation_rate[0], self.groups)
        outputs = self._cropped_in_a_graph(full, inputs) if plan is None else cropped(full, plan)
        if self.use_bias:
            outputs = ops.add(outputs, ops.reshape(self.bias, (1, 1, self.filters)))
        return outputs if self.activation is None else self.activation(outputs)

    def _cropped_in_a_graph(self, full: Any, inputs: Any) -> Any:
        circular = self._policy.padding_mode.name == CIRCULAR
        if self._cuts is not None:
            return cropped_in_a_graph(full, *self._cuts, circular=circular)
        import tensorflow as tf

        def cuts(length: Any) -> tuple[Any, Any]:
            plan = self.plan(int(length))
            return tf.int32.as_numpy_dtype(plan.left), tf.int32.as_numpy_dtype(plan.right)

        left, right = tf.numpy_function(cuts, [tf.shape(inputs)[1]], [tf.int32, tf.int32], stateful=False)
        return cropped_in_a_graph(full, tf.reshape(left, []), tf.reshape(right, []), circular=circular)

    def get_config(self) -> dict[str, Any]:
        """Return Keras's configuration, with the policy as plain data and the groups."""
        return {**super().get_config(), "groups": self.groups}


def build(request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    """Build the layer with its weights; see `filled`."""
    spec, policy, native = request.spec, request.policy, native_arguments(request)
    arguments: dict[str, Any] = {
        "filters": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "strides": spec.stride,
        "dilation_rate": spec.dilation,
        "use_bias": policy.bias,
        "dtype": request.dtype,
    }
    kind = CroppedConv1DTranspose if native is None else keras.layers.Conv1DTranspose
    arguments |= {"policy": policy, "groups": spec.groups} if native is None else {**native, "data_format": "channels_last"}

    def make(kernel_initializer: Any, bias_initializer: Any) -> Any:
        return kind(**arguments, kernel_initializer=kernel_initializer, bias_initializer=bias_initializer)

    return filled(request, stream, device, make)
