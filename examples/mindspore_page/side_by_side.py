"""What the scripts of this folder share: the page's sizes with random numbers, and one line that compares two outputs.

Samples are whole numbers and weights multiples of 1/64, so float32 sums them exactly in any order. A difference is then never rounding.
"""

import numpy as np

BATCH, IN, OUT, KERNEL, LENGTH = 1, 120, 240, 4, 640


def random_signal():
    """A signal (batch, in, length). The page takes ones, which hide what padding does."""
    return np.random.default_rng(0).integers(-4, 4, (BATCH, IN, LENGTH)).astype(np.float32)


def random_weights(in_channels=IN):
    """Weight (out, in, kernel) and bias (out,)."""
    random = np.random.default_rng(1)
    shapes = (OUT, in_channels, KERNEL), (OUT,)
    weight, bias = ((random.integers(-64, 64, shape) / 64).astype(np.float32) for shape in shapes)
    return weight, bias


def compare(label, a, b):
    """Print the largest difference of two outputs, or their lengths where these differ."""
    lengths = a.shape[2], b.shape[2]
    text = f"largest difference {np.abs(a - b).max()}" if a.shape == b.shape else f"lengths {lengths[0]} and {lengths[1]}"
    print(f"{label}: {text}")
