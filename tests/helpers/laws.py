"""Whether two samples may be of one distribution."""

from __future__ import annotations

import numpy as np

CHANCE = 1e-9  # of rejecting two equal laws


def largest_gap(a, b):
    """The two-sample Kolmogorov-Smirnov statistic."""
    both = np.sort(np.concatenate([a, b]))
    return np.abs(
        np.searchsorted(np.sort(a), both, side="right") / a.size - np.searchsorted(np.sort(b), both, side="right") / b.size
    ).max()


def laws_alike(a, b):
    """Whether two samples may be of one law: Smirnov's bound, and for constants equality."""
    a, b = a.ravel().astype(float), b.ravel().astype(float)
    if a.size != b.size or not np.ptp(a) or not np.ptp(b):
        return a.size == b.size and bool(np.allclose(np.unique(a), np.unique(b), rtol=2.0**-22, atol=0))
    return largest_gap(a, b) <= np.sqrt(-np.log(CHANCE / 2) / 2) * np.sqrt(2 / a.size)
