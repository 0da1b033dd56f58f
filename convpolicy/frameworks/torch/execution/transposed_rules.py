"""The table of rules that selects an implementation of `transposed_lowerings` for a torch layer; nothing is timed at run time.

Each rule contains the measurement behind it, over the layers of tests/data/conv-transpose1d-layers.json for 10, 50 and 200 latent
frames, in float32, for a batch of 1: the processor's time of one thread on an AMD EPYC with AVX2, and the time of two threads on one
with AVX-512. See `rules`.
"""

from __future__ import annotations

from convpolicy.frameworks.torch.execution.conditions import weights
from convpolicy.frameworks.torch.execution.rule import ON_AMD, ON_AMD_512, ON_AMD_AVX2, Rule, Table
from convpolicy.frameworks.torch.execution.transposed_conditions import is_plain, native_crop
from convpolicy.frameworks.torch.execution.transposed_lowerings import LENGTH_FREE, LOWERINGS, TRIED
from convpolicy.layers.backend import LayerRequest

PRODUCT_ELEMENTS = 20480  # up to this input size torch computes one item by a matrix product, above it by oneDNN
LARGE_INPUT = 1 << 19  # elements, from which the results of oneDNN leave the cache
SHORT = 16  # samples

FAST = (
    Rule(
        "overlap_add_short",
        lambda r: is_plain(r) and weights(r.spec) >= 1 << 17,
        lambda c: c.batch == 1 and c.plan.length <= SHORT,
        False,
        "Torch multiplies many weights by few samples in an order that is slow for them: 0.15 to 0.66 of its time.",
        ON_AMD,
    ),
    Rule(
        "overlap_add",
        lambda r: is_plain(r) and r.spec.out_channels * r.spec.kernel_size <= 16,
        lambda c: c.batch == 1 and c.inputs > PRODUCT_ELEMENTS,
        False,
        "Few outputs for each input sample, as in Conv-TasNet: 0.04 to 0.42.",
        ON_AMD,
    ),
    Rule(
        "polyphase",
        lambda r: is_plain(r) and r.spec.stride >= 4 and 1 << 13 <= weights(r.spec) <= 1 << 18,
        lambda c: c.batch == 1 and c.inputs >= LARGE_INPUT,
        False,
        "A dense convolution of few weights, whose outputs are interleaved once: 0.37 to 1.02. Half of the fewest: up to 1.25.",
        ON_AMD_AVX2,
    ),
    Rule(
        "polyphase",
        lambda r: is_plain(r) and r.spec.stride >= 4 and 1 << 12 <= weights(r.spec) <= 400_000,
        lambda c: c.batch == 1 and c.inputs >= LARGE_INPUT and c.plan.left == 0,
        False,
        "As above, where nothing is cut on the left: 0.4 to 0.92. With a cut, or a stride of 2: up to 1.26.",
        ON_AMD_512,
    ),
    Rule(
        "overlap_add",
        lambda r: is_plain(r) and r.spec.in_channels >= 64,
        lambda c: c.batch == 1 and c.inputs >= 2 * LARGE_INPUT,
        False,
        "One matrix product over a long input: 0.45 to 0.95. Half as much input, or 32 channels: up to 1.04.",
        ON_AMD_AVX2,
    ),
    Rule(
        "overlap_add",
        lambda r: is_plain(r) and weights(r.spec) >= 10**7,
        lambda c: c.batch == 1 and c.inputs > PRODUCT_ELEMENTS,
        False,
        "oneDNN reorders the weights in every call, which takes longest for the largest: 0.46 to 0.63. Half as many: up to 1.06.",
        ON_AMD_AVX2,
    ),
)
RULES: dict[str, tuple[Rule, ...]] = {"exact": (), "fast": FAST, "auto": FAST}


def default(request: LayerRequest) -> str:
    """Return the implementation that is bit-identical to the framework's own code."""
    return "full" if native_crop(request) is None else "native"


TABLE = Table(LOWERINGS, TRIED, LENGTH_FREE, RULES, default)
