"""Compute the plain weight of weight normalisation: w = g · v / ‖v‖."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.tensors import cast


def folded(directions: NDArray[Any], lengths: NDArray[Any], dtypes: tuple[str, str]) -> NDArray[Any]:
    """Return the plain weight that weight normalisation describes.

    Args:
        directions: the tensor v, in the NumPy dtype that holds its bits.
        lengths: the tensor g, whose length is 1 on every axis over which the norm is computed.
        dtypes: names of the dtypes of v and g.

    Returns:
        The weight g · v / ‖v‖, of the shape and dtype of v. It is computed in float64 and rounded once; where v is zero it is NaN,
        as in torch. Source: torch/nn/utils/weight_norm.py; Salimans and Kingma 2016, equation 2.
    """
    narrow = dtypes[0] in ("bfloat16", "float16")
    v = cast(directions, dtypes[0], "float32") if narrow else directions
    g = cast(lengths, dtypes[1], "float64")
    axes = tuple(axis for axis, length in enumerate(lengths.shape) if length == 1)
    kept = [axis for axis in range(v.ndim) if axis not in axes]
    letters = list(range(v.ndim))
    squares = np.einsum(v, letters, v, letters, kept, dtype=np.float64, casting="same_kind")
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = g / np.sqrt(np.expand_dims(squares, axes))
        weight = np.empty_like(v)
        np.multiply(v, scale, out=weight, dtype=np.float64, casting="same_kind")
    return cast(weight, "float32", dtypes[0]) if narrow else weight
