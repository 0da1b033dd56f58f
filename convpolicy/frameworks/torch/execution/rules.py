"""Which lowering a torch layer takes: one table, each row with the reason measured for it; nothing is timed at run time.

Measured on the CPU in float32, with AVX-512 and with AVX2, one item and eight, over the layers of tests/data/conv1d-layers.json; see
docs/guides/speed.md. Anything else (another processor, device or dtype, autocast, one unbatched input) takes the default.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from convpolicy.core.plan import Plan
from convpolicy.frameworks.torch.execution import processor
from convpolicy.frameworks.torch.execution.conditions import (
    Call,
    fits_inside,
    has_samples,
    has_unequal_zeros,
    has_zeros,
    is_dense,
    is_grouped,
    is_padded,
    is_pointwise,
    native_padding,
    slow_depthwise,
    weights,
)
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.frameworks.torch.execution.processor import AMD, INTEL, Processor
from convpolicy.layers.backend import LayerRequest

ON_INTEL = frozenset(Processor(INTEL, instructions) for instructions in ("AVX2", "AVX512"))  # the ratios of the table
ON_BOTH = ON_INTEL | {Processor(AMD, instructions) for instructions in ("AVX2", "AVX512")}
IM2COL_ELEMENTS = 20480  # up to here torch convolves one ungrouped item by im2col and a matrix product, above by oneDNN
CACHED_ELEMENTS = 1 << 15  # columns that stay in a core's cache
FEW_WEIGHTS = 20_000
LONG = 600  # samples
JOINED_ELEMENTS = 1 << 17  # from here on joining mirrored or repeated samples beats torch's own serial loop
JOINED_ZEROS = 1 << 19  # and joining zeros beats filling everything and copying over it


class Rule(NamedTuple):
    """One row.

    Attributes:
        lowering: name.
        sizes: what the layer's sizes and policy must be.
        call: what the call must be besides; None: any.
        training: True when it was measured to win with the backward pass too.
        reason: what was measured.
        processors: where it was measured to win.
    """

    lowering: str
    sizes: Callable[[LayerRequest], bool]
    call: Callable[[Call], bool] | None
    training: bool
    reason: str
    processors: frozenset[Processor] = ON_INTEL


FAST = (
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 12,
        None,
        False,
        "The same on AMD EPYC: 0.3 to 0.75 for few weights; 192 channels to 192 lose 0.07 there, 768 to 384 lose 0.24.",
        ON_BOTH,
    ),
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 17,
        None,
        True,
        "A kernel of one sample is a matrix product without a window: 0.1 to 0.96 of the convolution, with gradients 0.17 to 0.9.",
    ),
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 19,
        lambda c: c.plan.length >= LONG,
        True,
        "More weights with gradients: 0.6 to 0.95 for long inputs; from 2^20 weights on several items lose.",
    ),
    Rule(
        "matmul",
        is_pointwise,
        lambda c: c.batch == 1 or c.plan.length % 16 == 0 or c.plan.length >= LONG,
        False,
        "More weights: 0.6 to 0.98; several short items whose length is no multiple of 16 take up to 1.25.",
    ),
    Rule(
        "pad_first",
        lambda r: slow_depthwise(r) and r.spec.kernel_size >= 15,
        None,
        True,
        "oneDNN leaves its depthwise kernel at pads of 7: 0.12 to 0.26 when the input is padded first, with gradients 0.57 to 0.80.",
    ),
    Rule("pad_first", slow_depthwise, None, False, "As above: kernel 3, dilation 9 at 0.76 to 1.0; with gradients no gain."),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.dilation > 1 and weights(r.spec) <= 10**6,
        lambda c: c.batch == 1 and c.inputs <= IM2COL_ELEMENTS,
        False,
        "torch's own dilated convolution of one small item: 0.2 to 0.7 with one matrix product.",
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.stride % 4 == 0 and r.spec.out_channels >= 256 and weights(r.spec) >= 5 * 10**5,
        lambda c: c.batch == 1 and c.inputs > IM2COL_ELEMENTS,
        False,
        "Strides of 4 and 8 with many weights: 0.17 to 0.85; of 5 and 10 up to 1.3.",
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and weights(r.spec) <= FEW_WEIGHTS,
        lambda c: c.batch > 1 and c.columns <= CACHED_ELEMENTS,
        False,
        "Columns and weights that stay in the cache: 0.27 to 0.95, where oneDNN first reorders the weights; more weights up to 1.3.",
    ),
    Rule(
        "windows",
        lambda r: is_grouped(r) and r.spec.kernel_size <= 2,
        lambda c: c.batch == 1 and c.plan.length <= 1024 and (c.spec.kernel_size == 1 or c.columns <= 1 << 18),
        False,
        "Next to nothing is copied: 0.28 to 0.93; two samples and more columns up to 1.1.",
    ),
    Rule(
        "channels_last",
        lambda r: is_grouped(r) and r.spec.kernel_size >= 64 and r.spec.stride == 1,
        lambda c: c.plan.length >= LONG,
        True,
        "Grouped kernels of 64 samples and more: 0.5 to 1.0, with gradients 0.64 to 0.83; shorter inputs 0.7 to 1.7.",
    ),
    Rule(
        "channels_last",
        lambda r: is_grouped(r) and r.spec.kernel_size >= 64,
        lambda c: c.plan.length >= LONG,
        False,
        "With a stride 0.5 to 1.0, with gradients no gain.",
    ),
    Rule(
        "native",
        lambda r: has_unequal_zeros(r) and r.static_pads() is None,
        fits_inside,
        True,
        "For this length both sides get the same, and nothing is copied: 0.75 to 1.0.",
    ),
    Rule(
        "overpad",
        has_unequal_zeros,
        lambda c: c.inputs >= c.outputs and fits_inside(c),
        True,
        "The input is not copied, the smaller output is: 0.5 to 0.98.",
    ),
    Rule(
        "edges",
        has_samples,
        lambda c: c.inputs >= 1 << 18 and c.plan.length_out >= (4096 if c.inputs < 1 << 20 else 2048),
        False,
        "The long input is not copied: 0.59 to 0.95.",
    ),
)
EXACT = (
    Rule(
        "concatenate",
        lambda r: has_samples(r) and r.policy.padding_mode.name != "circular" and r.spec.in_channels > 1 and is_padded(r),
        lambda c: c.inputs >= JOINED_ELEMENTS,
        False,
        "torch pads mirrored and repeated samples in a loop over every element: 0.3 to 0.8 of it when parts are joined.",
    ),
    Rule(
        "concatenate",
        lambda r: has_unequal_zeros(r) and native_padding(r) is None,
        lambda c: c.inputs >= JOINED_ZEROS,
        False,
        "Nothing is written twice: 0.4 to 0.9 of the padding.",
    ),
)
RULES = {"exact": EXACT, "fast": (*FAST, *EXACT)}


def drops_outputs(request: LayerRequest) -> bool:
    """Return True for a rule that stands for padding both sides and dropping outputs, and for its bits."""
    rule, _ = request.policy.part("padding")
    return bool(rule.drops_outputs) and request.execution == "exact" and has_zeros(request)


def default(request: LayerRequest) -> str:
    """Return the lowering whose bits the framework's own code has."""
    if drops_outputs(request):
        return "drop"
    padding = native_padding(request) if has_zeros(request) else None
    return "pad_first" if padding is None else "same" if padding == "same" else "native"


def applies(request: LayerRequest) -> bool:
    """Return True when some rule may give this layer another lowering than its default."""
    return request.dtype == "float32" and any(rule.sizes(request) for rule in _rules(request))


def choose(request: LayerRequest, plan: Plan, batch: int, *, gradients: bool) -> str:
    """Return the lowering for one float32 call on the CPU: the first rule that holds and is legal, else the default."""
    rule = deciding(request, plan, batch, gradients=gradients)
    return default(request) if rule is None else rule.lowering


def deciding(request: LayerRequest, plan: Plan, batch: int, *, gradients: bool) -> Rule | None:
    """Return the first rule that holds for a call and is legal, if any."""
    usual, spec = default(request), request.spec
    call = Call(spec, plan, batch)
    for rule in _rules(request):
        lowering = LOWERINGS[rule.lowering]
        if (
            (rule.training or not gradients)
            and (request.execution == "fast" or lowering.bits_of == usual)
            and rule.sizes(request)
            and (rule.call is None or rule.call(call))
            and not lowering.why_not(plan, spec.in_channels, spec.groups)
        ):
            return rule
    return None


def traced(request: LayerRequest) -> tuple[str, Plan] | None:
    """Return the lowering that wins for every call, with gradients and without, and its plan for some length; None: there is none."""
    for rule in _rules(request) if request.dtype == "float32" else ():
        if rule.training and rule.call is None and rule.sizes(request):
            return rule.lowering, request.plan(request.spec.effective_kernel)
    return None


def _rules(request: LayerRequest) -> tuple[Rule, ...]:
    return _on(processor.current(), request.execution)


@lru_cache(maxsize=16)
def _on(this: Processor, execution: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES[execution] if this in rule.processors)
