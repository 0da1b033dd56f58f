"""What a transposed convolution adds to its input and cuts from its full result, for cuts that torch's own layer cannot express."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from convpolicy import registry
from convpolicy.core.resolution import OUTPUT_PADDING, require_output_padding
from convpolicy.core.transposed_plan import CIRCULAR
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.frameworks.torch import symbolic
from convpolicy.frameworks.torch.length_rule import LengthRule
from convpolicy.layers.backend import LayerRequest


def output_padding(left: int, right: int, longest: int) -> int | None:
    """Return the ``output_padding`` with which torch cuts ``left`` and ``right`` samples, or None if it cannot.

    Args:
        left, right: samples to cut.
        longest: the larger one of stride and dilation, in samples.
    """
    more = left - right
    return more if left >= 0 and 0 <= more < longest else None


class Steps(NamedTuple):
    """How the output for one input length is computed; the numbers may be symbolic.

    Attributes:
        before, after: zeros that are added to the input, so that the full result contains the samples that the plan appends.
        first: position of the first output in the full result of the longer input.
        length_out: number of outputs.
        is_traced: True if no number may be compared, since it is symbolic and the comparison would become a condition of the program.
    """

    before: Any
    after: Any
    first: Any
    length_out: Any
    is_traced: bool


class FullResult(NamedTuple):
    """Computes outputs from the full result of torch's transposed convolution.

    Attributes:
        kernel: number of samples that one window spans.
        stride, dilation: in samples.
        groups: number of channel groups.
        wraps: True when what is cut is added to the other end. The bias is then added after that.
    """

    kernel: int
    stride: int
    dilation: int
    groups: int
    wraps: bool

    def steps(self, length: Any, cuts: tuple[Any, Any], varies: bool = False) -> Steps:
        """Return the steps for an input length and what is cut; both may be symbolic. ``varies``: True if the cuts are no constants."""
        left, right = cuts
        is_traced = varies and torch.compiler.is_compiling()
        length_out = (length - 1) * self.stride + self.kernel - left - right
        if self.wraps:
            return Steps(0, 0, left, length_out, is_traced)
        # ONNX rounds a negative quotient towards 0, so no negative number is divided
        before, after = (_largest(self.stride - 1 - cut, 0) // self.stride for cut in cuts)
        return Steps(before, after, left + before * self.stride, length_out, is_traced)

    def run(self, data: Tensor, weight: Tensor, bias: Tensor | None, cuts: tuple[Any, Any], varies: bool = False) -> Tensor:
        """Return the output.

        Args:
            data: (…, in_channels, length).
            weight: (in_channels, out_channels / groups, kernel_size).
            bias: (out_channels,) or None.
            cuts: ``(left, right)``, what is cut.
            varies: True if the cuts are no constants.
        """
        steps, inside = self.steps(data.shape[-1], cuts, varies), None if self.wraps else bias
        if (steps.is_traced and not self.wraps) or not (isinstance(steps.before, int) and steps.before == steps.after == 0):
            data = lengthened(data, steps)
        full = F.conv_transpose1d(data, weight, inside, self.stride, 0, 0, self.groups, self.dilation)
        return self.cropped(full, steps, bias)

    def cropped(self, full: Tensor, steps: Steps, bias: Tensor | None) -> Tensor:
        """Return the output from a full result; ``bias`` is added only if the result wraps."""
        if not self.wraps:
            stop = steps.first + steps.length_out
            if steps.is_traced:  # torch compares the sizes of a slice, to know whether it is contiguous
                return F.pad(full, (-steps.first, stop - full.shape[-1]))
            return full[..., steps.first : stop]
        wrapped = _wrapped(full, steps.first, steps.length_out)
        return wrapped if bias is None else wrapped + bias.to(wrapped.dtype).unsqueeze(-1)


def lengthened(data: Tensor, steps: Steps) -> Tensor:
    """Return the input with the zeros of the steps."""
    return F.pad(data, (steps.before, steps.after))


def _largest(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) else torch.sym_max(a, b)  # type: ignore[no-untyped-call]


def _wrapped(full: Tensor, left: Any, length_out: Any) -> Tensor:
    """Add every sample ``p`` of a full result to the output ``(p - left) % length_out``."""
    if _is_symbolic(full):
        positions = torch.arange(full.shape[-1], device=full.device)
        target = (positions - symbolic.number(left, full.device)).remainder(symbolic.number(length_out, full.device))
        zeros = full.new_zeros((*full.shape[:-1], length_out))
        return zeros.scatter_add(-1, target.expand_as(full), full)
    lead = -left % length_out
    turns = -(-(lead + full.shape[-1]) // length_out)
    padded = F.pad(full, (lead, turns * length_out - lead - full.shape[-1]))
    parts = [padded[..., start : start + length_out] for start in range(0, padded.shape[-1], length_out)]
    output: Tensor = functools.reduce(torch.add, parts)
    return output


def _is_symbolic(full: Tensor) -> bool:
    """Return True where the length may be symbolic."""
    return torch.compiler.is_compiling() or isinstance(full.shape[-1], Tensor)


class Crops:
    """What a layer cuts; layers with the same request share one object.

    Attributes:
        full: how outputs are computed from the full result.
        static: ``(left, right)``, what is cut, or None when it depends on the length.
    """

    def __init__(self, request: LayerRequest) -> None:
        policy, spec = request.policy, request.spec
        rule, arguments = policy.part("padding")
        sizes = spec.kernel_size, spec.stride, spec.dilation
        wraps = policy.padding_mode.name == CIRCULAR
        self.full = FullResult(spec.effective_kernel, spec.stride, spec.dilation, spec.groups, wraps)
        self.static = request.static_pads()
        self._rule = rule
        self._by_length = None if self.static is not None else LengthRule(f"padding {rule.name!r}", rule.crops, sizes, arguments)
        self._resized: dict[int, tuple[int, int]] = {}  # output_padding -> what is cut; a rule may refuse some
        for output_padding in range(spec.stride) if OUTPUT_PADDING in rule.params else ():
            with suppress(ConvPolicyError):
                self._resized[output_padding] = rule.resolve(*sizes, None, {**arguments, OUTPUT_PADDING: output_padding})

    @property
    def lengthens(self) -> bool:
        """True if zeros are added to the input, or may be for some length."""
        return not self.full.wraps and (self.static is None or min(self.static) < 0)

    def counts(self, length: Any) -> tuple[Any, Any]:
        """Return ``(left, right)``, what is cut for a length, which may be symbolic."""
        return self.static if self._by_length is None else self._by_length(length)  # type: ignore[return-value]

    def resized(self, length: Any, output_size: Any) -> tuple[Any, Any]:
        """Return what is cut for an output length; both lengths may be symbolic, and torch then refuses those out of range.

        Raises:
            InvalidValueError: the crop rule has no parameter ``output_padding``, or cuts differently on both sides for each output length
                and the length is symbolic.
        """
        require_output_padding(self._rule, output_size)
        first, (left, right) = next(iter(self._resized.items()))
        least = (length - 1) * self.full.stride + self.full.kernel - left - right - first  # with an output_padding of 0
        output_padding = output_size - least
        if isinstance(output_padding, int) and output_padding in self._resized:
            return self._resized[output_padding]
        torch._check(output_padding >= first)  # type: ignore[no-untyped-call]
        torch._check(output_padding < self.full.stride)  # type: ignore[no-untyped-call]
        if any(cuts != (left, right - more + first) for more, cuts in self._resized.items()):
            raise InvalidValueError(
                f"output_size must be an int for crop rule {self._rule.name!r}, which moves both sides, got {output_size}; compile the "
                f"model without dynamic lengths."
            )
        return left, right - output_padding + first

    def steps(self, length: Any) -> Steps:
        """Return the steps for an input length, which may be symbolic."""
        return self.full.steps(length, self.counts(length), self.static is None)


@registry.cached(maxsize=512)
def crops_of(request: LayerRequest) -> Crops:
    """Return the `Crops` of a request."""
    return Crops(request)


class Lengthen(nn.Module):
    """`lengthened` as a module, for torch.fx graphs and quantised layers."""

    def __init__(self, request: LayerRequest) -> None:
        super().__init__()
        self.request = request

    def forward(self, input: Tensor) -> Tensor:
        """Add zeros to an input (…, length); a quantised input keeps its scale."""
        steps = crops_of(self.request).steps(input.shape[-1])
        return _dequantized(input, lambda data: lengthened(data, steps))

    def extra_repr(self) -> str:
        """Return the crop rule."""
        return f"padding={self.request.policy.padding}"


class Crop(nn.Module):
    """`FullResult.cropped` as a module, for torch.fx graphs and quantised layers."""

    bias: nn.Parameter | None

    def __init__(self, request: LayerRequest, bias: Tensor | None = None) -> None:
        super().__init__()
        self.request = request
        self.register_parameter("bias", bias if bias is None or isinstance(bias, nn.Parameter) else nn.Parameter(bias.detach()))

    def forward(self, full: Tensor, input: Tensor) -> Tensor:
        """Crop a full result (…, length) of an input; a quantised result keeps its scale, which may clip a sum."""
        crops = crops_of(self.request)
        steps = crops.steps(input.shape[-1])
        return _dequantized(full, lambda data: crops.full.cropped(data, steps, self.bias))

    def extra_repr(self) -> str:
        """Return the crop rule and the padding mode."""
        return f"padding={self.request.policy.padding}, padding_mode={self.request.policy.padding_mode}"


class Cropped(nn.Module):
    """A fused or quantised transposed convolution of torch, between a `Lengthen` or None and a `Crop`."""

    def __init__(self, padder: nn.Module | None, native: nn.Module, cropper: nn.Module) -> None:
        super().__init__()
        self.padder, self.native, self.cropper = padder, native, cropper

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer for an input (…, length)."""
        data = input if self.padder is None else self.padder(input)
        output: Tensor = self.cropper(self.native(data), input)
        return output


def _dequantized(data: Tensor, function: Any) -> Tensor:
    if not data.is_quantized:
        result: Tensor = function(data)
        return result
    return torch.quantize_per_tensor(function(data.dequantize()), data.q_scale(), data.q_zero_point(), data.dtype)
