"""What the rules ask of a layer's sizes and policy, and of a call."""

from __future__ import annotations

from typing import NamedTuple

from convpolicy.arithmetic import split, static_total
from convpolicy.core.plan import ConvSpec, Plan
from convpolicy.frameworks.torch.policy_layer import NATIVE_MODES
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.choice import Choice

ZEROS = Choice("zeros")
SLOW_DEPTHWISE_PAD = 7  # from here oneDNN leaves its depthwise kernel


class Call(NamedTuple):
    """One call: sizes, plan, and items in the batch."""

    spec: ConvSpec
    plan: Plan
    batch: int

    @property
    def inputs(self) -> int:
        """Elements of the input."""
        return self.batch * self.spec.in_channels * self.plan.length

    @property
    def outputs(self) -> int:
        """Elements of the output."""
        return self.batch * self.spec.out_channels * self.plan.length_out

    @property
    def columns(self) -> int:
        """Elements of one item's windows, each copied into a column."""
        return self.spec.kernel_size * self.spec.in_channels * self.plan.length_out


def weights(spec: ConvSpec) -> int:
    """Return the number of weights."""
    return spec.out_channels * (spec.in_channels // spec.groups) * spec.kernel_size


def is_pointwise(request: LayerRequest) -> bool:
    """Return True for a kernel of one sample that is a matrix."""
    spec = request.spec
    return spec.kernel_size == spec.stride == spec.groups == 1 and request.static_pads() == (0, 0)


def is_depthwise(request: LayerRequest) -> bool:
    """Return True where every channel is a group."""
    return request.spec.groups == request.spec.in_channels > 1


def is_grouped(request: LayerRequest) -> bool:
    """Return True for groups of several channels."""
    return 1 < request.spec.groups < request.spec.in_channels


def is_dense(request: LayerRequest) -> bool:
    """Return True for one group and more than a matrix."""
    return request.spec.groups == 1 and not is_pointwise(request)


def has_zeros(request: LayerRequest) -> bool:
    """Return True for mode zeros."""
    return request.policy.padding_mode == ZEROS


def fits_inside(call: Call) -> bool:
    """Return True when oneDNN keeps its kernel while it adds the zeros."""
    depthwise = call.spec.groups == call.spec.in_channels > 1
    return not depthwise or max(call.plan.left, call.plan.right) < SLOW_DEPTHWISE_PAD


def has_samples(request: LayerRequest) -> bool:
    """Return True when pads repeat samples of the input."""
    return not has_zeros(request) and request.static_pads() != (0, 0)


def has_unequal_zeros(request: LayerRequest) -> bool:
    """Return True for zeros whose numbers differ, or may for some length."""
    pads = request.static_pads()
    return has_zeros(request) and (pads is None or pads[0] != pads[1])


def native_padding(request: LayerRequest) -> int | str | None:
    """Return the ``padding`` argument with which ``torch.nn.Conv1d`` itself does this, or None when it cannot."""
    pads = request.static_pads()
    if pads is None or min(pads) < 0 or request.policy.padding_mode not in NATIVE_MODES:
        return None
    spec = request.spec
    if pads[0] == pads[1]:
        return pads[0]  # never "same", which torch takes longer to look at
    return "same" if spec.stride == 1 and pads == split(static_total(spec.kernel_size, spec.dilation), "right") else None


def is_padded(request: LayerRequest) -> bool:
    """Return True when the layer is no ``torch.nn.Conv1d`` itself, which an exact layer stays wherever it can be."""
    return request.execution == "fast" or native_padding(request) is None


def slow_depthwise(request: LayerRequest) -> bool:
    """Return True for a depthwise layer for which oneDNN leaves its depthwise kernel."""
    pads = request.static_pads()
    return is_depthwise(request) and has_zeros(request) and pads is not None and max(pads) >= SLOW_DEPTHWISE_PAD
