"""What pooling, upsampling and padding modules over one axis compute, in float64. Data are (batch, channels, length)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.formulas import Doubles, Result


def pooling(x: Doubles, settings: Mapping[str, Any], _arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Maximum or average of each window.

    With ``ceil_mode`` a last window that starts inside the input or its left padding may run over the end. ``count_padding`` counts
    the padding, but not what runs over it, in averages (torch/nn/functional.py, avg_pool1d).
    """
    kernel, stride, (left, right) = settings["kernel_size"], settings["stride"], settings["padding"]
    length = x.shape[2]
    room = length + left + right - kernel
    outputs = room // stride + 1
    if settings["ceil_mode"]:
        outputs = -(-room // stride) + 1
        outputs -= (outputs - 1) * stride >= length + left
    starts = np.arange(outputs) * stride - left
    positions = starts[:, None] + np.arange(kernel)
    inside = (positions >= 0) & (positions < length)
    windows = x[:, :, np.clip(positions, 0, length - 1)]
    if settings["function"] == "max":
        values = np.where(inside, windows, -np.inf).max(-1)
        return Result(values, np.abs(values), 0)
    counted = (positions < length + right) if settings["count_padding"] else inside
    counts = counted.sum(-1)
    windows = np.where(inside, windows, 0.0)
    return Result(windows.sum(-1) / counts, np.abs(windows).sum(-1) / counts, kernel + 1)


def upsampling(x: Doubles, settings: Mapping[str, Any], _arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Nearest or linear interpolation to ``factor`` times the length.

    ``nearest`` rounds the position in the input down. ``nearest exact`` takes the sample whose middle is nearest.
    ``align_corners`` maps the first and last samples onto each other; otherwise samples are in the middle of their intervals.
    """
    length, factor = x.shape[2], settings["factor"]
    outputs = int(length * factor)
    if settings["function"] == "nearest exact":
        values = x[:, :, np.minimum(np.floor((np.arange(outputs) + 0.5) * (length / outputs)).astype(int), length - 1)]
        return Result(values, np.abs(values), 0)
    if settings["function"] == "nearest":
        values = x[:, :, np.minimum(np.floor(np.arange(outputs) / factor).astype(int), length - 1)]
        return Result(values, np.abs(values), 0)
    if settings["align_corners"]:
        at = np.arange(outputs) * ((length - 1) / max(outputs - 1, 1))
    else:
        at = np.clip((np.arange(outputs) + 0.5) / factor - 0.5, 0, length - 1)
    below = np.floor(at).astype(int)
    above, share = np.minimum(below + 1, length - 1), at - below
    values = x[:, :, below] * (1 - share) + x[:, :, above] * share
    return Result(values, np.abs(x).max(2, keepdims=True) + np.abs(values), 4 * length)  # positions are rounded too


NUMPY_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padding(x: Doubles, settings: Mapping[str, Any], _arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Pad the last axis; negative numbers cut."""
    left, right, mode = settings["left"], settings["right"], settings["mode"]
    cut = x[:, :, max(-left, 0) : x.shape[2] - max(-right, 0)]
    widths = ((0, 0), (0, 0), (max(left, 0), max(right, 0)))
    if mode == "constant":
        values = np.pad(cut, widths, constant_values=settings["value"])
    else:
        values = np.pad(cut, widths, mode=NUMPY_MODES[mode])
    return Result(values, np.abs(values), 0)
