"""Rules for implementations that are matrix products. See `rules`."""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.conditions import (
    IM2COL_ELEMENTS,
    LARGE_INPUT,
    LONG,
    is_dense,
    is_grouped,
    is_pointwise,
    weights,
)
from convpolicy.frameworks.torch.execution.rule import ON_AMD, ON_AMD_512, ON_AMD_AVX2, ON_INTEL, Rule

CACHED_ELEMENTS = 1 << 15  # columns of this size stay in the cache of a core
FEW_WEIGHTS = 20_000
MANY_WEIGHTS = 2_000_000
MOST_PRODUCTS = 45_000_000  # of weights and samples
SHORT = 1024  # samples

PRODUCTS = (
    Rule(
        "matmul",
        lambda r: is_pointwise(r) and weights(r.spec) <= 1 << 20,
        lambda c: c.batch == 1 and c.plan.length < SHORT,
        False,
        "One short item: 0.35 to 1.02, one thread 0.58 to 1.03. Several items up to 1.23, 3000 samples up to 1.38.",
        ON_AMD_AVX2,
    ),
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
        lambda r: is_dense(r) and r.spec.out_channels == 1,
        lambda c: c.batch == 1 and c.threads > 1 and c.plan.length_out >= 2048 and c.columns <= 600_000,
        False,
        "One output channel, two threads: 0.24 to 0.63. Larger windows up to 1.33, fewer outputs up to 1.37, one thread up to 1.25.",
        ON_AMD_AVX2,
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
        lambda r: is_grouped(r) and r.spec.kernel_size == 1,
        lambda c: c.batch == 1 and c.threads > 1 and c.plan.length < SHORT,
        False,
        "One short item, two threads: 0.44 to 0.79. One thread or several items: up to 1.12, a kernel of 2 up to 2.1.",
        ON_AMD_AVX2,
    ),
    Rule(
        "windows",
        lambda r: is_grouped(r) and r.spec.kernel_size <= 2,
        lambda c: c.batch == 1 and c.plan.length <= 1024 and (c.spec.kernel_size == 1 or c.columns <= 1 << 18),
        False,
        "Little is copied: 0.28 to 0.93. A kernel of 2 and more columns: up to 1.1.",
    ),
)
