"""`ChainLayer`: one layer of a chain, and how a native layer, a capture or a tuple becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import attrs

from convpolicy import arithmetic
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError, placed, shown
from convpolicy.layers.capture import Capture, capture


@attrs.frozen
class ChainLayer:
    """One layer of a chain: a policy, and the kernel size, stride and dilation in samples. A `TransposedPolicy` upsamples.

    ``layer`` is the native layer or the `Capture` that the sizes were read from, or None.
    """

    policy: LayerPolicy
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    layer: Any = attrs.field(default=None, eq=False, repr=False)

    def plan(self, length: int) -> Any:
        """Return the plan for one input length, a `Plan` or a `TransposedPlan`."""
        return self.policy.plan(self.kernel_size, self.stride, self.dilation, length=length)

    @property
    def ratio(self) -> Fraction:
        """The number of input samples from one output to the next: the stride, for a transposed layer ``1 / stride``."""
        return Fraction(1, self.stride) if self.policy.is_transposed else Fraction(self.stride)

    def spans(self, first: Any, last: Any, left: int) -> tuple[Any, Any]:
        """Return the first and the last input position that a range of outputs spans, without regard to the input length.

        Args:
            first, last: indices of outputs, or arrays of indices.
            left: samples added on the left, or cut by a transposed layer.
        """
        sizes = (self.kernel_size, self.stride, self.dilation, left)
        if self.policy.is_transposed:
            return arithmetic.transposed_interval(first, last, *sizes)
        return arithmetic.receptive_interval(first, *sizes)[0], arithmetic.receptive_interval(last, *sizes)[1]

    def length(self, length: int) -> int:
        """Return the output length, or 0 if the input is too short for a window or for the padding mode."""
        return self.policy.length(length, self.kernel_size, self.stride, self.dilation)

    def shortest_length(self, length_out: int) -> int:
        """Return the shortest input length with at least ``length_out`` outputs; see `Chain.shortest_length`."""
        return self.policy.shortest_length(length_out, self.kernel_size, self.stride, self.dilation)


def read(layers: Iterable[Any]) -> Iterator[ChainLayer]:
    """Return the layers of a chain; see `convpolicy.chain`. An error names the number of the layer."""
    for number, layer in enumerate(layers):
        with placed(f"layer {number} of the chain"):
            read_layer = _layer(layer)
        yield read_layer


def _layer(layer: Any) -> ChainLayer:
    if isinstance(layer, ChainLayer):
        return layer
    if isinstance(layer, (tuple, list)):
        if not 2 <= len(layer) <= 4:
            raise InvalidValueError(
                f"it must be (policy, kernel_size, stride, dilation), got {shown(layer)}; the last two may be left out."
            )
        name, *sizes = layer
        kernel, stride, dilation = (*sizes, 1, 1)[:3]
        policy = name if isinstance(name, LayerPolicy) else named_policy(name)
        spec = ConvSpec.of(1, 1, kernel, stride, dilation, 1, transposed=policy.is_transposed)
    else:
        captured = layer if isinstance(layer, Capture) else capture(layer)
        spec, policy = captured.spec, captured.policy
    policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # raises if the padding rule refuses these sizes
    return ChainLayer(policy, spec.kernel_size, spec.stride, spec.dilation, None if isinstance(layer, (tuple, list)) else layer)
