"""Initial weights of Keras layers: Keras's own initializers where they fit the policy, otherwise `PolicyInitializer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from convpolicy import registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras.depthwise import GLOROT
from convpolicy.frameworks.keras.transposed import LAYOUT as TRANSPOSED
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Stream

CONSTANTS = {Choice("zeros"): "zeros", Choice("ones"): "ones"}
# initializer -> Keras's own initializer with the same distribution, for a kernel with axes WIO
INITIALIZERS = CONSTANTS | {
    Choice("glorot_uniform"): "glorot_uniform",
    Choice("xavier_uniform"): "glorot_uniform",
    Choice("glorot_truncated_normal"): "glorot_normal",
    Choice("he_uniform"): "he_uniform",
    Choice("he_truncated_normal"): "he_normal",
    Choice("lecun_uniform"): "lecun_uniform",
    Choice("lecun_truncated_normal"): "lecun_normal",
}
DEPTHWISE_INITIALIZERS = CONSTANTS | {Choice(GLOROT): "glorot_uniform"}  # for a kernel with axes WIM
BOUNDS = (-2.0, 2.0)  # standard deviations at which Keras truncates a normal distribution


def layout_of(policy: LayerPolicy, spec: ConvSpec) -> Layout:
    """Return the layout of a layer's kernel.

    It is WOI for a transposed convolution, WIM for a depthwise layer whose policy has such a layout, otherwise WIO.
    """
    is_depthwise = "M" in policy.part("layout")[0].axes and spec.groups == spec.in_channels
    layout: Layout = registry.current().get("layout", TRANSPOSED if spec.transposed else "WIM" if is_depthwise else "WIO")
    return layout


def native_initializers(request: LayerRequest) -> tuple[str, str] | None:
    """Return Keras's own initializers of kernel and bias with the policy's distributions, or None where it lacks one."""
    policy = request.policy
    layout = layout_of(policy, request.spec)
    names = DEPTHWISE_INITIALIZERS if layout.name == "WIM" else INITIALIZERS
    if layout.fan_in != policy.part("layout")[0].fan_in:
        names = CONSTANTS  # Keras counts another axis as fan-in than the policy
    weight, bias = names.get(policy.weight_init), CONSTANTS.get(policy.bias_init) if policy.bias else "zeros"
    return None if weight is None or bias is None else (weight, bias)


class GlobalStream(Stream):
    """Keras's global random state, which ``keras.utils.set_random_seed`` sets, for layers that are built without a seed."""

    name: ClassVar[str] = "keras"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "float16", "bfloat16")

    def uniform(self, shape: tuple[int, ...], low: float, high: float, dtype: str = "float32") -> Any:
        """Call ``keras.initializers.RandomUniform``."""
        return as_numpy(keras.initializers.RandomUniform(low, high)(shape, self.check_dtype(dtype)))

    def normal(self, shape: tuple[int, ...], mean: float, std: float, dtype: str = "float32") -> Any:
        """Call ``keras.initializers.RandomNormal``."""
        return as_numpy(keras.initializers.RandomNormal(mean, std)(shape, self.check_dtype(dtype)))

    def truncated_normal(
        self, shape: tuple[int, ...], mean: float, std: float, lower: float, upper: float, dtype: str = "float32"
    ) -> Any:
        """Call ``keras.initializers.TruncatedNormal``, which always truncates at two standard deviations."""
        if (lower, upper) != BOUNDS:
            raise InvalidValueError(
                f"lower and upper must be -2 and 2, where Keras truncates a normal distribution, got {lower} and {upper}; pass a seed."
            )
        return as_numpy(keras.initializers.TruncatedNormal(mean, std)(shape, self.check_dtype(dtype)))


def as_numpy(values: Any) -> Any:
    """Return a tensor as an array; bfloat16 becomes float32, since NumPy has no bfloat16."""
    if keras.backend.standardize_dtype(values.dtype) == "bfloat16":
        values = keras.ops.cast(values, "float32")
    return np.asarray(keras.ops.convert_to_numpy(values))


@keras.saving.register_keras_serializable(package="convpolicy")
class PolicyInitializer(keras.initializers.Initializer):
    """A Keras initializer that draws a kernel or a bias by a policy, from Keras's global random state.

    Args:
        policy: a `Policy`, or the result of its ``to_dict``.
        sizes: in_channels, out_channels, kernel_size and groups of the layer.
        role: ``"weight"`` or ``"bias"``.
        first: (out, in/groups, kernel) or (out,) array that the first call returns instead of drawing; it is not saved. For a
            transposed convolution (in, out/groups, kernel).
        transposed: True for a transposed convolution.
    """

    def __init__(
        self, policy: LayerPolicy | Mapping[str, Any], sizes: Any, role: str, first: Any = None, *, transposed: bool = False
    ) -> None:
        kind = TransposedPolicy if transposed else Policy
        self._policy = policy if isinstance(policy, LayerPolicy) else kind.from_dict(policy)
        channels, out_channels, kernel, groups = self._sizes = tuple(sizes)
        self._spec = ConvSpec.of(channels, out_channels, kernel, 1, 1, groups, transposed=transposed)
        self._role = role
        self._first = first

    @classmethod
    def of(cls, request: LayerRequest, role: str, first: Any) -> PolicyInitializer:
        """Return the initializer of a requested layer."""
        spec = request.spec
        sizes = spec.in_channels, spec.out_channels, spec.kernel_size, spec.groups
        return cls(request.policy, sizes, role, first, transposed=spec.transposed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return a tensor in the layer's axes.

        Raises:
            InvalidValueError: the shape differs from that of the layer in ``sizes``; the message contains both.
        """
        dtype = keras.backend.standardize_dtype(dtype)
        values, self._first = self._first, None
        if values is None:
            values = self._drawn(dtype)
        if self._role == "weight":
            values = layout_of(self._policy, self._spec).stored(values, self._spec.groups)
        if values.shape != tuple(shape):
            raise InvalidValueError(
                f"shape must be {values.shape}, the shape for sizes={list(self._sizes)}, got {tuple(shape)}; pass that."
            )
        return keras.ops.convert_to_tensor(np.ascontiguousarray(values), dtype)

    def _drawn(self, dtype: str) -> Any:
        without_other = {"bias": False} if self._role == "weight" else {"weight_init": "zeros"}  # so that only one draws
        return LayerRequest(self._spec, self._policy.evolve(**without_other), dtype).draw(GlobalStream())[self._role]

    def get_config(self) -> dict[str, Any]:
        """Return the policy as plain data, the sizes, the role, and whether the layer is transposed."""
        sizes, transposed = list(self._sizes), self._spec.transposed
        return {"policy": self._policy.to_dict(), "sizes": sizes, "role": self._role, "transposed": transposed}
