"""`Chain`: output length, receptive field, delay and causality of a stack of layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import integer
from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.core.lengths import hop_end, late_output, lengths_to_try
from convpolicy.core.plan import Plan, check_length, require_a_window
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.layers.causality import Causality
from convpolicy.layers.chain_layer import ChainLayer, read
from convpolicy.layers.chain_shards import CHEAPEST, ChainShards, shards


@attrs.frozen(repr=False)
class Chain:
    """A stack of layers. Use `chain` to build the stack.

    Lengths and positions are in samples of the input of the chain.
    """

    layers: tuple[ChainLayer, ...]

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        rows = [
            (
                number,
                each.policy.name,
                each.kernel_size,
                each.stride,
                each.dilation,
                each.policy.padding,
                each.policy.padding_mode,
            )
            for number, each in enumerate(self.layers)
        ]
        head = ("layer", "policy", "kernel_size", "stride", "dilation", "padding", "padding mode")
        return table(head, rows, f"stride {self.stride}, receptive field {self.receptive_field} (input samples)")

    def __repr__(self) -> str:
        return f"Chain({len(self.layers)} layers, stride {self.stride}, receptive field {self.receptive_field})"

    def __str__(self) -> str:
        lines = [f"stride {self.stride}, receptive field {self.receptive_field}"]
        for number, layer in enumerate(self.layers):
            sizes = f"kernel_size {layer.kernel_size}, stride {layer.stride}, dilation {layer.dilation}"
            lines.append(
                f"layer {number}: {layer.policy.name}, {sizes}, padding {layer.policy.padding}, mode {layer.policy.padding_mode}"
            )
        return "\n".join(lines)

    @property
    def stride(self) -> int | Fraction:
        """The number of input samples from one output to the next: the product of the strides.

        A transposed layer divides by its stride, so that the stride of a decoder is a `Fraction`.
        """
        ratio = math.prod((layer.ratio for layer in self.layers), start=Fraction(1))
        return int(ratio) if ratio.denominator == 1 else ratio

    @property
    def receptive_field(self) -> int:
        """The largest number of samples that one output spans, including padding.

        Without transposed layers: ``1 + Σ (e - 1) · stride of the layers before``, where ``e`` is the effective kernel of a layer.
        Source: Araujo et al., Computing Receptive Fields of CNNs (2019), equation 2.
        """
        first, last = self._spans(self._phases(), [self._left(layer) or 0 for layer in self.layers])
        return int((last - first).max()) + 1

    def _phases(self) -> NDArray[np.int64]:
        """Return the first outputs, as many as there are outputs that differ in what they span."""
        return np.arange(math.prod(layer.stride for layer in self.layers if layer.policy.is_transposed))

    def _spans(self, outputs: Any, lefts: list[int]) -> tuple[Any, Any]:
        """Return the first and the last input position that each output spans."""
        first = last = outputs
        for layer, left in reversed(list(zip(self.layers, lefts))):
            first, last = layer.spans(first, last, left)
        return first, last

    @staticmethod
    def _left(layer: ChainLayer) -> int | None:
        pads = layer.policy.static_pads(layer.kernel_size, layer.stride, layer.dilation)
        return None if pads is None else pads[0]

    def plans(self, length: int) -> tuple[Plan, ...]:
        """Return the plan of every layer for one input length.

        Raises:
            InvalidTypeError, InvalidValueError: the length is not a positive integer, or the input of a layer is too short.
        """
        plans, length = [], check_length(length)
        for number, layer in enumerate(self.layers):
            try:
                plan = require_a_window(layer.plan(length))
            except InvalidValueError as error:
                raise InvalidValueError(f"layer {number} of the chain: {error}") from error
            plans.append(plan)
            length = plan.length_out
        return tuple(plans)

    def length(self, length: int) -> int:
        """Return the output length for an input length, or 0 if the input of a layer is too short."""
        length = check_length(length)
        for layer in self.layers:
            length = layer.length(length)
            if not length:
                break
        return length

    def shortest_length(self, length_out: int = 1) -> int:
        """Return the shortest input length with at least ``length_out`` outputs.

        The method uses bisection. It requires padding rules for which a longer input never gives fewer outputs.

        Args:
            length_out: number of outputs, 1 or more.

        Raises:
            InvalidTypeError, InvalidValueError: ``length_out`` is not an integer of 1 or more, or a padding rule refuses the sizes.
        """
        needed = integer("length_out", length_out, 1)
        for layer in reversed(self.layers):
            needed = layer.shortest_length(max(needed, 1))
        return needed

    def receptive_interval(self, output: int, length: int) -> tuple[int, int]:
        """Return the first and last position that one output spans. Positions outside ``0 … length - 1`` are padding.

        ``first > last`` if no sample reaches the output of a transposed layer.

        Raises:
            InvalidTypeError, InvalidValueError: the output does not exist, or `plans` raises the error.
        """
        plans = self.plans(length)
        _check_output(output, plans)
        first = last = output
        for plan in reversed(plans):
            first, last = plan.spans(first, last)
        return first, last

    def reads(self, output: int, length: int) -> tuple[int, ...]:
        """Return the positions of the samples that one output depends on, sorted. Samples that the padding copies are included.

        Raises:
            InvalidTypeError, InvalidValueError: the output does not exist, or `plans` raises the error.
        """
        plans = self.plans(length)
        _check_output(output, plans)
        positions = np.array([output])
        for plan in reversed(plans):
            read = [sources[(coefficients != 0) & (sources >= 0)] for coefficients, sources in plan.window_terms(positions)]
            positions = np.unique(np.concatenate(read))
        return tuple(positions.tolist())

    def delay(self, length: int | None = None) -> int:
        """Return the delay: an output needs this many samples after sample ``output * stride``. In a causal chain, less than `stride`.

        With transposed layers, the result is the largest delay of an output, counted from sample ``floor(output * stride)``.

        Args:
            length: input length. Required if the padding of a layer depends on the input length.

        Raises:
            InvalidTypeError: the length is None, but a layer needs the length. The message contains the number of the layer.
        """
        if length is None:
            lefts = [self._static_left(number) for number in range(len(self.layers))]
        else:
            lefts = [plan.left for plan in self.plans(length)]
        outputs, ratio = self._phases(), Fraction(self.stride)
        last = self._spans(outputs, lefts)[1]
        return int((last - outputs * ratio.numerator // ratio.denominator).max())

    def _static_left(self, number: int) -> int:
        left = self._left(self.layers[number])
        if left is None:
            raise InvalidTypeError(
                f"length must be an integer because the padding of layer {number} of the chain depends on it, got None; "
                f"pass the input length in samples."
            )
        return left

    def causality(self, length: int | None = None) -> Causality:
        """Test whether an output depends on a sample after the end of its hop.

        The hop of output ``i`` ends with sample ``ceil((i + 1) * stride) - 1``. Real-time processing computes output ``i`` when this sample
        arrives. A chain is causal if no output depends on a later sample.

        Args:
            length: input length. None tests several short and long input lengths.

        Returns:
            A `Causality`, true or false.

        Raises:
            InvalidTypeError, InvalidValueError: see `plans`.
        """
        if length is None:
            lengths = lengths_to_try(self.shortest_length(), self.receptive_field, math.ceil(self.stride))
        else:
            lengths = [self.plans(length)[0].length]
        for tried in lengths:
            output = late_output(self.plans(tried), self.stride) if self.length(tried) else None
            if output is not None:
                return Causality(output, tried, self.reads(output, tried)[-1], hop_end(output, self.stride))
        return Causality()

    def is_causal(self, length: int | None = None) -> bool:
        """Return True if `causality` finds the chain causal."""
        return bool(self.causality(length))

    def shard(
        self,
        length: int,
        parts: int | Sequence[int],
        *,
        order: str = CONTIGUOUS,
        documents: Sequence[int] | None = None,
        exchange: str = CHEAPEST,
        channels: Sequence[int] | None = None,
        itemsize: int = 4,
        message_bytes: int = 0,
    ) -> ChainShards:
        """Cut one long input over ranks. Several layers may share one exchange: the ranks then compute the samples at the borders twice.

        Args:
            length, parts, order, documents: see `Policy.shard`.
            exchange: ``"each"``: before each layer. ``"once"``: before the first. ``"cheapest"``: the groups of layers for which the
                rank that receives most receives the fewest bytes, and of equal ones the fewest exchanges.
            channels: number of input channels of each layer. None reads it from native layers and captures; other layers have 1.
            itemsize: bytes of one number.
            message_bytes: bytes that take as long as the start of one message. They count for ``"cheapest"``.

        Returns:
            A `ChainShards`.

        Raises:
            InvalidTypeError, InvalidValueError: an argument is not allowed, or a layer refuses its input.
        """
        return shards(self.layers, length, parts, order, documents, exchange, channels, itemsize, message_bytes)


def _check_output(output: Any, plans: tuple[Plan, ...]) -> None:
    if integer("output", output, 0) >= (last := plans[-1].length_out):
        raise InvalidValueError(f"output must be below length_out={last}, got {output}; pass 0 or more.")


def chain(layers: Iterable[Any]) -> Chain:
    """Stack layers to compute their output length, receptive field, delay and causality.

    Args:
        layers: the layers in order. Each is a native layer, a `Capture` or a tuple ``(policy, kernel_size, stride, dilation)``. Stride
            and dilation may be left out. ``policy`` is a name, a `Policy`, or a `TransposedPolicy` for a transposed convolution.

    Returns:
        A `Chain`.

    Raises:
        InvalidTypeError, InvalidValueError, UnknownNameError: the list is empty, or a layer is invalid. The message has the layer's number.
    """
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise InvalidTypeError(f"layers must be a list of layers, got {shown(layers)}; pass for example [('torch', 3)].")
    chain_layers = tuple(read(layers))
    if not chain_layers:
        raise InvalidValueError("layers must contain at least one layer, got none; pass for example [('torch', 3)].")
    return Chain(chain_layers)
