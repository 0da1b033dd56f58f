"""Conditions on a transposed layer and on a call, for the table of `transposed_rules`."""

from __future__ import annotations

from convpolicy.frameworks.torch.crops import output_padding
from convpolicy.frameworks.torch.execution.conditions import has_zeros
from convpolicy.layers.backend import LayerRequest


def cuts_full(request: LayerRequest) -> bool:
    """Return True for the crop rule of code that cuts the full result, where an exact layer does the same."""
    rule, _ = request.policy.part("padding")
    cuts = request.static_pads()
    return bool(rule.cuts_full) and request.execution == "exact" and (cuts is None or max(cuts) > 0)


def native_crop(request: LayerRequest) -> tuple[int, int] | None:
    """Return ``(padding, output_padding)`` with which ``torch.nn.ConvTranspose1d`` cuts by the policy, or None when it cannot."""
    cuts, spec = request.static_pads(), request.spec
    if cuts is None or not has_zeros(request) or cuts_full(request):
        return None
    more = output_padding(*cuts, max(spec.stride, spec.dilation))
    return None if more is None else (cuts[0], more)


def is_plain(request: LayerRequest) -> bool:
    """Return True for one group of channels without dilation, whose cut samples are dropped."""
    return request.spec.groups == request.spec.dilation == 1 and has_zeros(request)
