"""Layers in a row: lengths, which samples an output reads, its delay and causality, all integers from each layer's plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import attrs
import numpy as np

from convpolicy import arithmetic
from convpolicy.arithmetic import integer
from convpolicy.core.lengths import late_output, lengths_to_try
from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec, Plan, check_length, require_a_window
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, shown
from convpolicy.layers.capture import Capture, capture


@attrs.frozen
class ChainLayer:
    """One layer of a chain: a policy and the sizes of its one spatial axis, in samples."""

    policy: Policy
    kernel_size: int
    stride: int = 1
    dilation: int = 1

    def plan(self, length: int) -> Plan:
        """Return what is done to an input of one length; see `Policy.plan`."""
        return self.policy.plan(self.kernel_size, self.stride, self.dilation, length=length)

    def length(self, length: int) -> int:
        """Return the output length, 0 where no window fits or the padding mode does not reach."""
        return self.policy.length(length, self.kernel_size, self.stride, self.dilation)

    def shortest_length(self, length_out: int) -> int:
        """Return the fewest samples that give ``length_out`` outputs or more; see `Chain.shortest_length`."""
        return self.policy.shortest_length(length_out, self.kernel_size, self.stride, self.dilation)


@attrs.frozen
class Causality:
    """Whether every output depends only on samples up to the end of its own hop; true or false as it is causal or not.

    Attributes:
        output, length: an output that depends on a later sample, and the input length at which it does; None when none does.
        sample: the last sample that this output reads.
        hop_end: the last sample of the output's own hop, ``(output + 1) * stride - 1``.
    """

    output: int | None = None
    length: int | None = None
    sample: int | None = None
    hop_end: int | None = None

    def __bool__(self) -> bool:
        return self.output is None

    def __str__(self) -> str:
        if self:
            return "causal: no output changes with a sample after its own hop"
        return (
            f"not causal: of an input of {self.length} samples, output {self.output} reads sample {self.sample}, after its own hop, "
            f"which ends at {self.hop_end}"
        )


@attrs.frozen(repr=False)
class Chain:
    """Layers in a row, from the input on; made by `chain`. All lengths and positions in samples of the chain's input."""

    layers: tuple[ChainLayer, ...]

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        rows = [
            (
                number,
                layer.policy.name,
                layer.kernel_size,
                layer.stride,
                layer.dilation,
                layer.policy.padding,
                layer.policy.padding_mode,
            )
            for number, layer in enumerate(self.layers)
        ]
        head = ("layer", "policy", "kernel_size", "stride", "dilation", "padding", "padding mode")
        return table(head, rows, f"stride {self.stride}, receptive field {self.receptive_field}, in samples of the input")

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
    def stride(self) -> int:
        """Samples from one output to the next: the product of the strides."""
        return math.prod(layer.stride for layer in self.layers)

    @property
    def receptive_field(self) -> int:
        """Samples from the first to the last that one output spans, pads included.

        Formula: ``1 + Σ (e - 1) · stride so far``. Source: Araujo et al., Computing Receptive Fields of CNNs (2019), equation 2.
        """
        strides = accumulate((layer.stride for layer in self.layers), int.__mul__, initial=1)
        spans = (arithmetic.static_total(layer.kernel_size, layer.dilation) for layer in self.layers)
        return 1 + sum(span * stride for span, stride in zip(spans, strides))

    def plans(self, length: int) -> tuple[Plan, ...]:
        """Return the plan of every layer for an input of one length.

        Raises:
            InvalidTypeError, InvalidValueError: a bad length, a layer whose input holds no window, or a mode that does not
                reach; holds the layer's number.
        """
        plans = []
        length = check_length(length)
        for number, layer in enumerate(self.layers):
            try:
                plan = require_a_window(layer.plan(length))
            except InvalidValueError as error:
                raise InvalidValueError(f"layer {number} of the chain: {error}") from error
            plans.append(plan)
            length = plan.length_out
        return tuple(plans)

    def length(self, length: int) -> int:
        """Return the output length for an input length; 0 where a layer's input holds no window or its mode does not reach."""
        length = check_length(length)
        for layer in self.layers:
            length = layer.length(length)
            if not length:
                break
        return length

    def shortest_length(self, length_out: int = 1) -> int:
        """Return the fewest samples that give ``length_out`` outputs or more.

        Args:
            length_out: outputs, 1 or more.

        Returns:
            The inverse of `length`, found by halving: an input that is longer must not give fewer outputs, as holds for
            every built-in rule, but it may be refused.

        Raises:
            InvalidTypeError, InvalidValueError: not a number of 1 or more, or sizes that a layer's rule refuses.
        """
        needed = integer("length_out", length_out, 1)
        for layer in reversed(self.layers):
            needed = layer.shortest_length(max(needed, 1))
        return needed

    def receptive_interval(self, output: int, length: int) -> tuple[int, int]:
        """Return the first and last position one output spans; below 0 or from ``length`` on it is padding.

        Raises:
            InvalidTypeError, InvalidValueError: no such output, or see `plans`.
        """
        plans = self.plans(length)
        _check_output(output, plans)
        first = last = output
        for plan in reversed(plans):
            first, last = plan.position(first, 0), plan.position(last, plan.kernel_size - 1)
        return first, last

    def reads(self, output: int, length: int) -> tuple[int, ...]:
        """Return the samples that one output depends on, sorted: those that its pads repeat among them.

        Raises:
            InvalidTypeError, InvalidValueError: no such output, or see `plans`.
        """
        plans = self.plans(length)
        _check_output(output, plans)
        wanted = np.array([output])
        for plan in reversed(plans):
            read = [sources[(coefficients != 0) & (sources >= 0)] for coefficients, sources in plan.window_terms(wanted)]
            wanted = np.unique(np.concatenate(read))
        return tuple(wanted.tolist())

    def delay(self, length: int | None = None) -> int:
        """Return how many samples after its own place, ``output * stride``, an output waits for; below `stride` where it is causal.

        Args:
            length: input length, where a layer's pads depend on it.

        Raises:
            InvalidTypeError: pads that depend on the length, which is not given; holds the layer's number.
        """
        if length is not None:
            return self.receptive_interval(0, length)[1]
        last = 0
        for number, layer in reversed(list(enumerate(self.layers))):
            pads = layer.policy.static_pads(layer.kernel_size, layer.stride, layer.dilation)
            if pads is None:
                raise InvalidTypeError(
                    f"length must be an integer where pads depend on it, as those of layer {number} of the chain do, got None; "
                    f"pass the input length in samples."
                )
            _first, last = arithmetic.receptive_interval(last, layer.kernel_size, layer.stride, layer.dilation, pads[0])
        return last

    def causality(self, length: int | None = None) -> Causality:
        """Find out whether an output depends on a sample after its own hop, from what each tap of each layer's plan reads.

        In a stream that gives one output every `stride` samples, output i comes when sample ``(i + 1) * stride - 1`` has come;
        it is causal when it needs nothing later.

        Args:
            length: input length; None for the shortest one, several phases of the stride, and twice the receptive field.

        Returns:
            A `Causality`, true or false.

        Raises:
            InvalidTypeError, InvalidValueError: see `plans`.
        """
        if length is None:
            lengths = lengths_to_try(self.shortest_length(), self.receptive_field, self.stride)
        else:
            lengths = [self.plans(length)[0].length]
        for tried in lengths:
            output = late_output(self.plans(tried), self.stride) if self.length(tried) else None
            if output is not None:
                return Causality(output, tried, self.reads(output, tried)[-1], (output + 1) * self.stride - 1)
        return Causality()

    def is_causal(self, length: int | None = None) -> bool:
        """Return whether `causality` finds no output that changes with a later sample."""
        return bool(self.causality(length))


def _check_output(output: Any, plans: tuple[Plan, ...]) -> None:
    last = plans[-1].length_out
    if integer("output", output, 0) >= last:
        raise InvalidValueError(f"output must be below length_out={last}, got {output}; pass 0 or more.")


def chain(layers: Iterable[Any]) -> Chain:
    """Put layers in a row, to ask for lengths, receptive intervals, delay and causality.

    Args:
        layers: from the input on, each a native layer or `Capture`, or ``(policy, kernel_size)`` with ``stride`` and
            ``dilation`` behind it; a policy is a name or a `Policy`.

    Returns:
        A `Chain`.

    Raises:
        InvalidTypeError, InvalidValueError, UnknownNameError: no layers, or one that is none of these; holds its number.
    """
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise InvalidTypeError(f"layers must be a list of layers, got {shown(layers)}; pass for example [('torch', 3)].")
    found = tuple(_read(layers))
    if not found:
        raise InvalidValueError("layers must hold at least one layer, got none; pass for example [('torch', 3)].")
    return Chain(found)


def _read(layers: Iterable[Any]) -> Iterator[ChainLayer]:
    for number, given in enumerate(layers):
        try:
            yield _layer(given)
        except ConvPolicyError as error:
            raise type(error)(f"layer {number} of the chain: {error}") from error


def _layer(given: Any) -> ChainLayer:
    if isinstance(given, ChainLayer):
        return given
    if isinstance(given, (tuple, list)):
        if not 2 <= len(given) <= 4:
            raise InvalidValueError(
                f"it must be (policy, kernel_size, stride, dilation), got {shown(given)}; the last two may be left out."
            )
        name, *sizes = given
        kernel, stride, dilation = (*sizes, 1, 1)[:3]
        spec, policy = ConvSpec.of(1, 1, kernel, stride, dilation, 1), named_policy(name)
    else:
        taken = given if isinstance(given, Capture) else capture(given)
        spec, policy = taken.spec, taken.policy
    policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # a rule that refuses these sizes does so now
    return ChainLayer(policy, spec.kernel_size, spec.stride, spec.dilation)
