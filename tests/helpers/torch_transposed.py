"""What the tests of torch's transposed layers cut: rules and pairs, by their definitions, and random cases of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
from helpers.transposed import DILATIONS, GROUPS, KERNELS, STRIDES, Sizes

CUTS = (  # what is cut: rules, and pairs that cut, append zeros, or both
    *("at_least_stride", "same_upper", "same_lower", "causal"),
    *((1, 2), (3, 0), (0, 3), (-2, 1), (1, -4), (-3, -5), (4, 4)),
)


def defined_cuts(cut: object, sizes: Sizes) -> tuple[int, int]:
    """What a rule cuts, written out again from its definition."""
    excess = sizes.effective - sizes.stride
    if isinstance(cut, tuple):
        return cut
    return {
        "at_least_stride": (0, min(excess, 0)),
        "same_upper": (excess // 2, excess - excess // 2) if excess > 0 else (0, excess),
        "same_lower": (excess - excess // 2, excess // 2) if excess > 0 else (0, excess),
        "causal": (0, excess),
    }[str(cut)]


def cases(seed: int, each: int) -> Iterator[tuple[Sizes, object, str, int]]:
    """Random sizes for every way of cutting, with both modes: sizes, what is cut, mode, input length with at least one output."""
    generator = random.Random(seed)
    for cut, mode in itertools.product(CUTS, ("zeros", "circular")):
        done = 0
        while done < each:
            sizes = Sizes(
                generator.choice(KERNELS), generator.choice(STRIDES), generator.choice(DILATIONS), generator.choice(GROUPS),
                generator.random() < 0.5,
            )  # fmt: skip
            length = generator.randrange(1, 12)
            if sizes.full(length) > sum(defined_cuts(cut, sizes)):
                yield sizes, cut, mode, length
                done += 1


def random_arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Standard normal float32 arrays."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]
