"""Layers for the tests of `why`."""

from __future__ import annotations

import numpy as np

import convpolicy as cp

X = np.random.default_rng(3).standard_normal((2, 4, 21)).astype("float32")


def layer(**words):
    """A NumPy layer of seeded weights."""
    return cp.Conv1d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 4, "padding": (1, 2), "seed": 0} | words)
