"""The table of rules that selects an implementation of `lowerings` for a torch layer; nothing is timed at run time.

Each rule contains the measurement behind it: on the CPU in float32, with AVX-512 and with AVX2, for batches of 1 and 8, over the
layers of tests/data/conv1d-layers.json. See docs/guides/speed.md. Every other call uses the default: another processor, device or
dtype, autocast, or an unbatched input.

A ratio in a reason is the time of the implementation over the time of the default.
"""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.conditions import has_zeros, native_padding
from convpolicy.frameworks.torch.execution.convolution_rules import CONVOLUTIONS, EXACT
from convpolicy.frameworks.torch.execution.lowerings import LENGTH_FREE, LOWERINGS, TRIED
from convpolicy.frameworks.torch.execution.product_rules import PRODUCTS
from convpolicy.frameworks.torch.execution.rule import Table
from convpolicy.layers.backend import LayerRequest

FAST = (*PRODUCTS, *CONVOLUTIONS)
RULES = {"exact": EXACT, "fast": (*FAST, *EXACT), "auto": (*FAST, *EXACT)}  # "auto": for calls that are not timed


def drops_outputs(request: LayerRequest) -> bool:
    """Return True for a padding rule of code that pads both sides and drops outputs, where an exact layer does the same."""
    rule, _ = request.policy.part("padding")
    return bool(rule.drops_outputs) and request.execution == "exact" and has_zeros(request)


def default(request: LayerRequest) -> str:
    """Return the implementation that is bit-identical to the framework's own code."""
    if drops_outputs(request):
        return "drop"
    padding = native_padding(request) if has_zeros(request) else None
    return "pad_first" if padding is None else "same" if padding == "same" else "native"


TABLE = Table(LOWERINGS, TRIED, LENGTH_FREE, RULES, default)
