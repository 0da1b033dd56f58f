"""The table of rules that selects an implementation of `lowerings` for a torch layer; nothing is timed at run time.

Each rule contains the measurement behind it: on the CPU in float32, with AVX-512 and with AVX2, for batches of 1 and 8, over the
layers of tests/data/conv1d-layers.json. See docs/guides/speed.md. Every other call uses the default: another processor, device or
dtype, autocast, or an unbatched input.

A ratio in a reason is the time of the implementation over the time of the default.
"""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.conditions import (
    fits_inside,
    has_samples,
    has_unequal_zeros,
    has_zeros,
    is_dense,
    is_depthwise,
    is_grouped,
    is_padded,
    is_pointwise,
    native_padding,
    slow_depthwise,
    weights,
)
from convpolicy.frameworks.torch.execution.lowerings import LENGTH_FREE, LOWERINGS, TRIED
from convpolicy.frameworks.torch.execution.rule import ON_AMD, ON_AMD_512, ON_INTEL, Rule, Table
from convpolicy.layers.backend import LayerRequest

IM2COL_ELEMENTS = 20480  # up to this size torch convolves one ungrouped item by im2col and a matrix product, above it by oneDNN
CACHED_ELEMENTS = 1 << 15  # columns of this size stay in the cache of a core
FEW_WEIGHTS = 20_000
MANY_WEIGHTS = 2_000_000
MOST_PRODUCTS = 45_000_000  # of weights and samples
LARGE_INPUT = 1 << 18  # elements, from which a copy of the input takes a large part of the time
LONG = 600  # samples
JOINED_ELEMENTS = 1 << 17  # from this size on, concatenating mirrored or repeated samples is faster than torch's own serial loop
JOINED_ZEROS = (
    1 << 19
)  # from this size on, concatenating zeros is faster than filling the whole array and copying the input into it

FAST = (
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 12,
        lambda c: c.threads > 1,
        False,
        "Few weights, two threads of an AMD EPYC: 0.3 to 0.75. One thread: up to 1.07. More weights: up to 1.24.",
        ON_AMD,
    ),
    Rule(
        "matmul",
        is_pointwise,
        lambda c: c.threads > 1 and c.batch == 1 and c.inputs > IM2COL_ELEMENTS and c.products <= MOST_PRODUCTS,
        False,
        "One item for which torch uses oneDNN, two threads: 0.33 to 0.96. More products: up to 1.1.",
        ON_AMD_512,
    ),
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 17,
        None,
        True,
        "A kernel of 1 needs no windows, only a matrix product: 0.1 to 0.96, with gradients 0.17 to 0.9.",
    ),
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 19,
        lambda c: c.plan.length >= LONG,
        True,
        "More weights with gradients: 0.6 to 0.95 for long inputs. From 2^20 weights on, several items are slower.",
    ),
    Rule(
        "matmul",
        is_pointwise,
        lambda c: c.batch == 1 or c.plan.length % 16 == 0 or c.plan.length >= LONG,
        False,
        "More weights: 0.6 to 0.98. Several short items with a length that 16 does not divide: up to 1.25.",
    ),
    Rule(
        "pad_first",
        lambda r: slow_depthwise(r) and r.spec.kernel_size >= 15,
        None,
        True,
        "oneDNN has no depthwise kernel for pads of 7 and more: 0.09 to 0.26 when padded first, with gradients 0.56 to 0.80.",
        ON_INTEL | ON_AMD,
    ),
    Rule(
        "pad_first",
        slow_depthwise,
        None,
        False,
        "As above, for smaller kernels: 0.29 to 1.0 for kernel 3 and dilation 9; no gain with gradients.",
        ON_INTEL | ON_AMD,
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.dilation > 1 and weights(r.spec) <= 10**6,
        lambda c: c.batch == 1 and c.inputs <= IM2COL_ELEMENTS,
        False,
        "A dilated convolution of one small item as one matrix product: 0.2 to 0.74.",
        ON_INTEL | ON_AMD,
    ),
    Rule(
        "linear",
        lambda r: is_dense(r) and weights(r.spec) >= 1 << 17,
        lambda c: c.batch == 1 and 2 <= c.plan.length_out <= 7,
        False,
        "Few outputs, for which oneDNN is slow: 0.14 to 0.95 on one thread of an AMD EPYC.",
        ON_AMD,
    ),
    Rule(
        "linear",
        lambda r: is_dense(r) and r.spec.stride < 4 and weights(r.spec) >= 1 << 14,
        lambda c: c.batch == 1 and 2 <= c.plan.length_out < 32 and c.plan.length_out % 16 > 0,
        False,
        "More outputs, whose number 16 does not divide: 0.23 to 1.0. With 16 outputs up to 1.6, with AVX2 and 8 to 31 up to 1.37.",
        ON_AMD_512,
    ),
    Rule(
        "linear",
        lambda r: is_dense(r) and r.spec.stride >= 4 and weights(r.spec) >= MANY_WEIGHTS,
        lambda c: c.batch == 1 and 2 <= c.plan.length_out < 32,
        False,
        "Strides of 4 and more with many weights: 0.61 to 0.86. Fewer weights: up to 1.24.",
        ON_AMD_512,
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.stride >= 8 and weights(r.spec) >= 4 * MANY_WEIGHTS,
        lambda c: c.batch == 1 and c.threads > 1 and 32 <= c.plan.length_out < 128,
        False,
        "More outputs, two threads: 0.78 to 0.95. A stride of 5, fewer weights or more outputs: up to 1.23.",
        ON_AMD_512,
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.out_channels == 1,
        lambda c: c.batch == 1 and c.threads > 1 and IM2COL_ELEMENTS < c.inputs < LARGE_INPUT,
        False,
        "One output channel, two threads: 0.46 to 0.74. Three times as many inputs: up to 1.3.",
        ON_AMD_512,
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and r.spec.stride % 4 == 0 and r.spec.out_channels >= 256 and weights(r.spec) >= 5 * 10**5,
        lambda c: c.batch == 1 and c.inputs > IM2COL_ELEMENTS,
        False,
        "Strides of 4 and 8 with many weights: 0.17 to 0.85. Strides of 5 and 10: up to 1.3.",
    ),
    Rule(
        "windows",
        lambda r: is_dense(r) and weights(r.spec) <= FEW_WEIGHTS,
        lambda c: c.batch > 1 and c.columns <= CACHED_ELEMENTS,
        False,
        "Columns and weights in the cache, where oneDNN first reorders the weights: 0.27 to 0.95. More weights: up to 1.3.",
    ),
    Rule(
        "windows",
        lambda r: is_grouped(r) and r.spec.kernel_size <= 2,
        lambda c: c.batch == 1 and c.plan.length <= 1024 and (c.spec.kernel_size == 1 or c.columns <= 1 << 18),
        False,
        "Little is copied: 0.28 to 0.93. A kernel of 2 and more columns: up to 1.1.",
    ),
    Rule(
        "channels_last",
        lambda r: is_grouped(r) and r.spec.kernel_size >= 64 and r.spec.stride == 1,
        lambda c: c.plan.length >= LONG,
        True,
        "Grouped kernels of 64 samples and more: 0.5 to 1.0, with gradients 0.64 to 0.83. Shorter inputs: 0.7 to 1.7.",
        ON_INTEL | ON_AMD,
    ),
    Rule(
        "channels_last",
        lambda r: is_grouped(r) and r.spec.kernel_size >= 64,
        lambda c: c.plan.length >= LONG,
        False,
        "The same with a stride: 0.5 to 1.0; no gain with gradients.",
        ON_INTEL | ON_AMD,
    ),
    Rule(
        "native",
        lambda r: has_unequal_zeros(r) and r.static_pads() is None,
        fits_inside,
        True,
        "The pads are equal for this length, so nothing is copied: 0.75 to 1.0.",
    ),
    Rule(
        "overpad",
        has_unequal_zeros,
        lambda c: c.inputs >= c.outputs and fits_inside(c),
        True,
        "The output, which is smaller, is copied instead of the input: 0.5 to 0.98.",
    ),
    Rule(
        "overpad",
        lambda r: has_unequal_zeros(r) and is_depthwise(r) and r.spec.stride > 1,
        lambda c: c.threads > 1 and c.inputs >= LARGE_INPUT and fits_inside(c),
        False,
        "The same for strided depthwise layers, two threads: 0.79 to 0.91. Other layers: up to 4.2.",
        ON_AMD_512,
    ),
    Rule(
        "edges",
        lambda r: has_samples(r) and r.policy.padding_mode.name in ("reflect", "replicate") and is_depthwise(r),
        lambda c: c.inputs >= LARGE_INPUT,
        False,
        "The long input of a depthwise layer is not copied: 0.42 to 0.97.",
        ON_AMD_512,
    ),
    Rule(
        "edges",
        has_samples,
        lambda c: c.inputs >= LARGE_INPUT and c.plan.length_out >= (4096 if c.inputs < 1 << 20 else 2048),
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
        "torch pads with mirrored and repeated samples in a serial loop: 0.3 to 0.8 of its time when parts are concatenated.",
    ),
    Rule(
        "concatenate",
        lambda r: has_unequal_zeros(r) and native_padding(r) is None,
        lambda c: c.inputs >= JOINED_ZEROS,
        False,
        "Nothing is written twice: 0.4 to 0.9 of the time for padding.",
    ),
)
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
