"""Conditions on a layer and on a call, for the table of `rules`."""

from __future__ import annotations

from typing import NamedTuple

from convpolicy.arithmetic import split, static_total
from convpolicy.core.plan import Plan
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch.policy_layer import NATIVE_MODES
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice

ZEROS = Choice("zeros")
IM2COL_ELEMENTS = 20480  # up to this size torch convolves one ungrouped item by im2col and a matrix product, above it by oneDNN
LARGE_INPUT = 1 << 18  # elements, from which a copy of the input takes a large part of the time
LONG = 600  # samples
WIDEST_QUICK_PAD = 3  # samples, for a stride of 1, with AVX2
SLOW_DEPTHWISE_PAD = 7  # from this pad on oneDNN does not use its depthwise kernel


class Call(NamedTuple):
    """One call of a layer: sizes, plan, batch size and number of threads."""

    spec: ConvSpec
    plan: Plan
    batch: int
    threads: int

    @property
    def inputs(self) -> int:
        """Number of input elements."""
        return self.batch * self.spec.in_channels * self.plan.length

    @property
    def outputs(self) -> int:
        """Number of output elements."""
        return self.batch * self.spec.out_channels * self.plan.length_out

    @property
    def products(self) -> int:
        """Number of products of a weight and a sample."""
        return self.outputs * self.spec.kernel_size * (self.spec.in_channels // self.spec.groups)

    @property
    def columns(self) -> int:
        """Number of elements in the windows of one item, when each window is copied to a column."""
        return self.spec.kernel_size * self.spec.in_channels * self.plan.length_out


def weights(spec: ConvSpec) -> int:
    """Return the number of weights."""
    return spec.out_channels * (spec.in_channels // spec.groups) * spec.kernel_size


def is_pointwise(request: LayerRequest) -> bool:
    """Return True for a kernel of 1 whose convolution is one matrix product."""
    spec = request.spec
    return spec.kernel_size == spec.stride == spec.groups == 1 and request.static_pads() == (0, 0)


def is_depthwise(request: LayerRequest) -> bool:
    """Return True for a depthwise layer, where every channel is a group."""
    return request.spec.groups == request.spec.in_channels > 1


def is_grouped(request: LayerRequest) -> bool:
    """Return True for several groups of several channels."""
    return 1 < request.spec.groups < request.spec.in_channels


def is_dense(request: LayerRequest) -> bool:
    """Return True for an ungrouped layer that is not pointwise."""
    return request.spec.groups == 1 and not is_pointwise(request)


def has_zeros(request: LayerRequest) -> bool:
    """Return True for padding mode ``zeros``."""
    return request.policy.padding_mode == ZEROS


def fits_inside(call: Call) -> bool:
    """Return True when oneDNN can add the zeros without a slower kernel."""
    depthwise = call.spec.groups == call.spec.in_channels > 1
    return not depthwise or max(call.plan.left, call.plan.right) < SLOW_DEPTHWISE_PAD


def adds_quickly(call: Call) -> bool:
    """Return True for pads that oneDNN adds without a slower kernel on a processor with AVX2: up to 3, fewer with a stride."""
    return max(call.plan.left, call.plan.right) <= WIDEST_QUICK_PAD // call.spec.stride


def has_samples(request: LayerRequest) -> bool:
    """Return True for a layer that pads with something other than zeros."""
    return not has_zeros(request) and request.static_pads() != (0, 0)


def has_unequal_zeros(request: LayerRequest) -> bool:
    """Return True for zero padding whose sides differ, or may differ for some length."""
    pads = request.static_pads()
    return has_zeros(request) and (pads is None or pads[0] != pads[1])


def native_padding(request: LayerRequest) -> int | str | None:
    """Return the ``padding`` argument with which ``torch.nn.Conv1d`` pads by the policy, or None when it cannot."""
    pads = request.static_pads()
    if pads is None or min(pads) < 0 or request.policy.padding_mode not in NATIVE_MODES:
        return None
    spec = request.spec
    if pads[0] == pads[1]:
        return pads[0]  # never "same", for which torch needs more time
    return "same" if spec.stride == 1 and pads == split(static_total(spec.kernel_size, spec.dilation), "right") else None


def is_padded(request: LayerRequest) -> bool:
    """Return True for a subclass of ``torch.nn.Conv1d``; an exact layer is a plain one wherever possible."""
    return request.execution != "exact" or native_padding(request) is None


def has_wide_zeros(request: LayerRequest, least: int) -> bool:
    """Return True for zero padding of the same width for every length, of ``least`` samples and more on a side."""
    pads = request.static_pads()
    return has_zeros(request) and pads is not None and max(pads) >= least


def slow_depthwise(request: LayerRequest) -> bool:
    """Return True for a depthwise layer whose pads are too wide for oneDNN's depthwise kernel."""
    return is_depthwise(request) and has_wide_zeros(request, SLOW_DEPTHWISE_PAD)
