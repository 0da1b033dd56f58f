"""What the examples share: the page's signal made random, and one line that compares two outputs."""

import numpy as np

from convpolicy import reference

BATCH, IN, OUT, KERNEL, LENGTH = 1, 120, 240, 4, 640


def random_signal():
    """One signal of the page's shape; the page takes ones, which hide what a pad does."""
    return np.random.default_rng(0).standard_normal((BATCH, IN, LENGTH), dtype=np.float32)


def random_weights(in_channels=IN):
    """Weight (out, in, kernel) and bias (out,)."""
    random = np.random.default_rng(1)
    return (
        random.standard_normal((OUT, in_channels, KERNEL), dtype=np.float32) / 20,
        random.standard_normal(OUT, dtype=np.float32),
    )


def compare(label, a, b, data, weight, *, exact=False):
    """Print the shapes and a verdict: equal within the rounding of two float32 sums, or with ``exact`` in every bit."""
    largest_sum = float(np.abs(weight).sum((1, 2)).max() * np.abs(data).max())
    bound = 2 * reference.tolerance("float32", weight[0].size + 1, largest_sum)
    distance = float(np.abs(a - b).max()) if a.shape == b.shape else np.inf
    if exact:
        verdict = "every bit equal" if np.array_equal(a, b) else "different"
    else:
        verdict = "equal up to rounding" if distance <= bound else "different"
    print(f"{label}: {a.shape} and {b.shape}, {verdict}")
