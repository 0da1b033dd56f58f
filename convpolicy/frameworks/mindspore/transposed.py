"""The MindSpore backend's transposed convolution: a ``mindspore.nn.Conv1dTranspose`` that cuts by a plan, in PyNative and in graph mode.

- MindSpore's own ``ops.Conv2DBackpropInput`` cuts any number of samples, and appends fewer zeros than the stride on the right.
- For other plans, the layer computes the full result and gathers its samples.

The layer also accepts unbatched input and float64, which MindSpore's own layer does not. MindSpore has no float64 transposed convolution
on the CPU, so a float64 layer multiplies each sample by all taps and sums the products of each output.
"""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.frameworks.mindspore.layer import NATIVE_INITS, ZEROS, FollowsPolicy, built, checked_axes
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream


def is_native(cuts: tuple[int, int], stride: int) -> bool:
    """Return True if MindSpore can cut ``(left, right)``. It appends up to ``stride - 1`` zeros on the right."""
    left, right = cuts
    return left >= 0 and right > -stride


class PolicyConv1dTranspose(FollowsPolicy, nn.Conv1dTranspose):
    """A ``mindspore.nn.Conv1dTranspose`` that follows a policy.

    Input and output are (batch, channels, length) or (channels, length). Its parameters are ``weight``, (in, out/group, 1, kernel), and
    ``bias``, (out,).
    """

    def __init__(self, request: LayerRequest, weight_init: Any, bias_init: Any) -> None:
        spec, policy, cuts = request.spec, request.policy, request.static_pads()
        super().__init__(
            spec.in_channels,
            spec.out_channels,
            spec.kernel_size,
            stride=spec.stride,
            pad_mode="pad",
            dilation=spec.dilation,
            group=spec.groups,
            has_bias=policy.bias,
            weight_init=weight_init,
            bias_init=bias_init,
            dtype=getattr(mindspore, request.dtype),
        )
        self.weight_init, self.bias_init = policy.weight_init, policy.bias_init if policy.bias else None  # for the repr
        self._request = request
        self._groups = spec.groups
        self._multiplies = request.dtype == "float64"
        self._by_length = policy.padding_mode == ZEROS and cuts is None
        self._is_static = policy.padding_mode == ZEROS and cuts is not None and is_native(cuts, spec.stride)
        self.cuts_inside = cuts if self._is_static and cuts is not None else (0, 0)  # what MindSpore's own code cuts
        self.padding = (0, 0, *self.cuts_inside)  # construct computes the output length from it
        self.conv2d_transpose = self._convolution(self.cuts_inside)
        # in graph mode these run while the graph is compiled, where a shape is a constant; in PyNative mode they are plain calls
        self._check = ops.constexpr(self._check_shape)
        self._cuts_of = ops.constexpr(self._cuts_by_length)
        self._full_index = ops.constexpr(lambda length: tensors(self.plan(length).indices()))
        self._product_index = ops.constexpr(lambda length: tensors(product_index(self.plan(length))))

    def _convolution(self, cuts: tuple[int, int]) -> Any:
        return ops.Conv2DBackpropInput(
            out_channel=self.in_channels,  # named as for the convolution whose gradient this is
            kernel_size=self.kernel_size,
            mode=1,
            pad_mode="pad",
            pad=(0, 0, cuts[0], max(cuts[1], 0)),
            stride=self.stride,
            dilation=self.dilation,
            group=self.group,
        )

    def _check_shape(self, shape: tuple[int, ...]) -> int:
        return checked_axes(shape, self._request.spec.in_channels, self.plan)

    def _cuts_by_length(self, length: int) -> tuple[int, int, int, bool]:
        plan = self.plan(length)
        cuts = plan.left, plan.right
        return *cuts, plan.length_out, is_native(cuts, plan.stride)

    def construct(self, x: Any) -> Any:
        """Run the transposed convolution on an input (batch, channels, length) or (channels, length)."""
        axes = self._check(x.shape)
        if axes == 2:
            x = ops.expand_dims(x, 0)
        if self._multiplies:
            output = self._with_bias(sum_of_products(x, self.weight, self._groups, self._product_index(x.shape[2])))
        elif self._is_static:
            output = super().construct(x)
        else:
            output = self._cut(x)
        if axes == 2:
            output = ops.squeeze(output, 0)
        return output

    def _cut(self, x: Any) -> Any:
        length = x.shape[2]
        full_length = (length - 1) * self.stride[1] + (self.kernel_size[1] - 1) * self.dilation[1] + 1
        left, right, length_out, native = self._cuts_of(length)
        if self._by_length and native:
            output = self._transposed(x, self._convolution((left, right)), length_out)
        else:
            output = _summed(self._transposed(x, self.conv2d_transpose, full_length), self._full_index(length))
        return self._with_bias(output)

    def _transposed(self, x: Any, convolution: Any, length_out: int) -> Any:
        output = convolution(self.expand_dims(x, 2), self.weight, (x.shape[0], self.out_channels, 1, length_out))
        return self.squeeze(output)

    def _with_bias(self, output: Any) -> Any:
        return output + ops.reshape(self.bias, (1, -1, 1)) if self.has_bias else output


def sum_of_products(x: Any, weight: Any, groups: int, index: Any) -> Any:
    """Return a transposed convolution without bias as sums of products.

    Args:
        x: (batch, in, length).
        weight: (in, out/groups, 1, kernel).
        groups: groups of channels.
        index: `product_index` as `tensors`.
    """
    batch, channels, length = x.shape
    samples = ops.reshape(x, (batch, groups, channels // groups, length))
    taps = ops.reshape(weight, (groups, channels // groups, -1))
    products = ops.matmul(ops.transpose(taps, (0, 2, 1)), samples)
    return _summed(ops.reshape(products, (batch, weight.shape[1] * groups, -1)), index)


def _summed(numbers: Any, index: Any) -> Any:
    """Return the sums of numbers (batch, channels, n) at the positions ``index`` of each output; position n is 0."""
    zero = ops.full((numbers.shape[0], numbers.shape[1], 1), 0.0, dtype=numbers.dtype)
    numbers = ops.concat((numbers, zero), 2)
    total = None
    for positions in index:
        part = ops.gather(numbers, positions, 2)
        total = part if total is None else total + part
    return total


def tensors(index: NDArray[Any]) -> tuple[Tensor, ...]:
    """Return each row of an index as an int32 tensor."""
    return tuple(Tensor(positions.astype(np.int32)) for positions in index)


def product_index(plan: TransposedPlan) -> NDArray[Any]:
    """Return the products that each output sums, (products, length_out).

    The product of tap ``t`` and input sample ``i`` has the number ``t * length + i``; ``kernel * length`` is no product.
    """
    taps = np.arange(plan.kernel_size) * plan.length
    none = plan.kernel_size * plan.length
    terms = [np.where(samples < 0, none, taps + samples) for _, samples in plan.window_terms(np.arange(plan.length_out))]
    index = np.sort(np.concatenate(terms, axis=1), axis=1).T
    return index[: max(int((index < none).sum(axis=0).max(initial=0)), 1)]


def build(request: LayerRequest, stream: Stream | None, device: Any) -> PolicyConv1dTranspose:
    """Build the layer; see `convpolicy.frameworks.mindspore.layer.build`."""
    same_fans = request.policy.part("layout")[0].fan_in == "O"  # as MindSpore counts them
    layer: PolicyConv1dTranspose = built(PolicyConv1dTranspose, request, stream, device, NATIVE_INITS if same_fans else {})
    return layer
