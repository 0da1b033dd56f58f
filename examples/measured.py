"""What the examples share: arrays that the real frameworks computed, and the largest difference between two arrays."""

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"


def measured(framework):
    """Return what ``data/measure.py`` stored of a framework, name -> array."""
    with np.load(DATA / f"{framework}.npz") as file:
        return dict(file)


def difference(a, b):
    """Return the largest absolute difference; infinite for arrays of different shapes."""
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
