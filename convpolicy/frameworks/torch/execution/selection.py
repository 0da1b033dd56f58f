"""Selects the implementation of a call by the tables of rules, for convolutions and transposed convolutions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from convpolicy import registry
from convpolicy.frameworks.torch.execution import processor, rules, transposed_rules
from convpolicy.frameworks.torch.execution.conditions import Call
from convpolicy.frameworks.torch.execution.processor import Processor
from convpolicy.frameworks.torch.execution.rule import Rule, Table
from convpolicy.layers.backend import LayerRequest

TIMED_DTYPES = ("float32", "float64")
TABLES = {False: rules.TABLE, True: transposed_rules.TABLE}  # is the convolution transposed? -> its table


def table(request: LayerRequest) -> Table:
    """Return the implementations and rules for the layer of a request."""
    return TABLES[request.spec.transposed]


@registry.cached(maxsize=512)
def default(request: LayerRequest) -> str:
    """Return the implementation that is bit-identical to the framework's own code."""
    return table(request).default(request)


def applies(request: LayerRequest) -> bool:
    """Return True when another implementation than the default may run for this layer."""
    return is_timed(request) or (request.dtype == "float32" and any(rule.sizes(request) for rule in _rules(request)))


def is_timed(request: LayerRequest) -> bool:
    """Return True when the layer times its implementations."""
    return request.execution == "auto" and request.dtype in TIMED_DTYPES


def choose(request: LayerRequest, plan: Any, batch: int, *, gradients: bool) -> str:
    """Return the implementation for a float32 call on the CPU: that of the first matching rule, or the default."""
    rule = deciding(request, plan, batch, gradients=gradients)
    return default(request) if rule is None else rule.lowering


def deciding(request: LayerRequest, plan: Any, batch: int, *, gradients: bool) -> Rule | None:
    """Return the first rule that matches a call and whose implementation can compute it, or None."""
    own, usual, spec = table(request), default(request), request.spec
    call = Call(spec, plan, batch, torch.get_num_threads())
    for rule in _rules(request):
        lowering = own.lowerings[rule.lowering]
        if (
            (rule.training or not gradients)
            and (request.execution != "exact" or lowering.bits_of == usual)
            and rule.sizes(request)
            and (rule.call is None or rule.call(call))
            and not lowering.why_not(plan, spec.in_channels, spec.groups)
        ):
            return rule
    return None


def traced(request: LayerRequest) -> tuple[str, Any] | None:
    """Return an implementation that is faster for every call, with and without gradients, and a plan for some length.

    Returns:
        ``(name, plan)``, or None where no rule applies to every call.
    """
    for rule in _rules(request) if request.dtype == "float32" else ():
        if rule.training and rule.call is None and rule.sizes(request):
            return rule.lowering, request.plan(request.spec.effective_kernel)
    return None


def _rules(request: LayerRequest) -> tuple[Rule, ...]:
    return _on(processor.current(), request.spec.transposed, request.execution)


@lru_cache(maxsize=16)
def _on(kind: Processor, transposed: bool, execution: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in TABLES[transposed].rules[execution] if kind in rule.processors)
