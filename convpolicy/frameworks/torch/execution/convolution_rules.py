"""Rules for implementations that are torch's own convolution with another padding or memory layout. See `rules`."""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.conditions import (
    IM2COL_ELEMENTS,
    LARGE_INPUT,
    LONG,
    adds_quickly,
    fits_inside,
    has_samples,
    has_unequal_zeros,
    has_wide_zeros,
    is_dense,
    is_depthwise,
    is_grouped,
    is_padded,
    native_padding,
    slow_depthwise,
)
from convpolicy.frameworks.torch.execution.rule import ON_AMD, ON_AMD_512, ON_AMD_AVX2, ON_INTEL, Rule

JOINED_ELEMENTS = 1 << 17  # from this size on, concatenating mirrored or repeated samples is faster than torch's own serial loop
JOINED_ZEROS = 1 << 19  # from this size on, concatenating zeros is faster than filling an array and copying the input into it

SUMMED_PRODUCTS = 1 << 17  # up to this number of products, the sum of taps of a depthwise layer is faster than oneDNN's kernel

CONVOLUTIONS = (
    Rule(
        "taps",
        lambda r: is_depthwise(r) and r.spec.kernel_size <= 9,
        lambda c: c.products <= SUMMED_PRODUCTS,
        False,
        "Small depthwise inputs, for which oneDNN takes as long as for larger ones: 0.23 to 0.93.",
        ON_AMD_AVX2,
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
        "pad_first",
        lambda r: is_depthwise(r) and has_wide_zeros(r, 6),
        None,
        False,
        "With AVX2, pads of 6 are as slow: 0.20 to 0.29.",
        ON_AMD_AVX2,
    ),
    Rule(
        "pad_first",
        lambda r: is_grouped(r) and has_wide_zeros(r, 1) and r.spec.kernel_size >= 16,
        None,
        False,
        "Large grouped kernels, for which oneDNN is slow when it pads: 0.39 to 0.91.",
        ON_AMD_AVX2,
    ),
    Rule(
        "pad_first",
        lambda r: is_dense(r) and has_wide_zeros(r, 5) and r.spec.stride < 4,
        lambda c: c.plan.length_out >= 512 and c.inputs > IM2COL_ELEMENTS,
        False,
        "The same for dense layers with pads of 5 and more: 0.57 to 1.05. Fewer outputs: up to 1.37.",
        ON_AMD_AVX2,
    ),
    Rule(
        "pad_first",
        lambda r: is_dense(r) and has_wide_zeros(r, 3) and r.spec.stride >= 4,
        lambda c: c.plan.length_out >= 256,
        False,
        "The same for strides of 4 and more with pads of 3 and more: 0.71 to 0.99. Fewer outputs: up to 1.54.",
        ON_AMD_AVX2,
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
        "native",
        lambda r: has_unequal_zeros(r) and r.static_pads() is None,
        adds_quickly,
        False,
        "The same: 0.78 to 0.87. Wider pads: up to 1.61.",
        ON_AMD_AVX2,
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
        "The same for strided depthwise layers, two threads: 0.73 to 0.91. Other layers: up to 4.2.",
        ON_AMD,
    ),
    Rule(
        "overpad",
        lambda r: has_unequal_zeros(r) and is_dense(r) and r.spec.stride == 2 and r.spec.in_channels >= 64,
        lambda c: c.threads > 1 and c.inputs > IM2COL_ELEMENTS and adds_quickly(c),
        False,
        "The same for dense layers with strides of 2, two threads: 0.89 to 0.98. One thread: up to 1.04, wider pads up to 1.7.",
        ON_AMD_AVX2,
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
        lambda r: has_samples(r) and is_depthwise(r),
        lambda c: c.inputs >= 4 * LARGE_INPUT and adds_quickly(c),
        False,
        "The same for longer inputs: 0.48 to 0.82. Shorter ones: up to 1.44.",
        ON_AMD_AVX2,
    ),
    Rule(
        "edges",
        has_samples,
        lambda c: c.inputs >= LARGE_INPUT and c.plan.length_out >= 4096 and adds_quickly(c),
        False,
        "The long input is not copied: 0.77 to 0.99. Wider pads: up to 2.1.",
        ON_AMD_AVX2,
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
        ON_INTEL | ON_AMD_AVX2,
    ),
    Rule(
        "concatenate",
        lambda r: has_unequal_zeros(r) and native_padding(r) is None,
        lambda c: c.inputs >= JOINED_ZEROS,
        False,
        "Nothing is written twice: 0.4 to 0.9 of the time for padding.",
    ),
)
