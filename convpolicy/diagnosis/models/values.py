"""How an array of one module differs from that of its partner, in words."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 64  # numbers from which statistics tell something
MOST_ROWS = 65536  # rows or columns that are compared in another order
UNRELATED = 0.2  # correlation below which two weights have nothing in common
SHARE = 0.15  # relative error that the spread of so many random numbers may have
ARRANGED = ("reversed along", "axes in the order")  # starts of texts about arrays with the same values in other places
CONSTANT = {"bias": 0.0, "shift": 0.0, "mean": 0.0, "scale": 1.0, "variance": 1.0}  # initial values


def difference(role: str, a: NDArray[Any] | None, b: NDArray[Any] | None) -> str:
    """Return how ``b`` differs from ``a``; empty if they are equal.

    Args:
        role: role of the array in the module.
        a, b: the arrays, or None where a module has none.
    """
    if a is None or b is None:
        return "" if a is b else f"only {'b' if a is None else 'a'} has one"
    if a.shape == b.shape and np.array_equal(a, b, equal_nan=True):
        return ""
    if sorted(a.shape) != sorted(b.shape):
        return f"shape {b.shape} instead of {a.shape}"
    if text := _arranged(a, b):
        return text
    if a.shape != b.shape:
        return f"shape {b.shape} instead of {a.shape}"
    for side, array in (("b", b), ("a", a)):
        if wrong := int((~np.isfinite(array)).sum()):
            return f"{wrong} of {array.size} values are NaN or infinite in {side}"
    for side, array in (("b", b), ("a", a)):
        text = initial(role, array)
        if text and (role in CONSTANT or unrelated(a, b)):
            return f"not loaded in {side}: {text}"
    return _numbers(a, b)


def _arranged(a: NDArray[Any], b: NDArray[Any]) -> str:
    """Return which arrangement of ``a`` is ``b``; empty if none is."""
    for axes in itertools.permutations(range(a.ndim)):
        turned = a.transpose(axes)
        if turned.shape != b.shape:
            continue
        if axes != tuple(range(a.ndim)) and np.array_equal(turned, b):
            return "transposed" if a.ndim == 2 else f"axes in the order {axes}"
        for axis in range(a.ndim):
            if np.array_equal(np.flip(turned, axis), b):
                return f"reversed along axis {axis}"
    if _reordered(a, b):
        return "its rows have another order"
    if a.ndim == 2 and _reordered(a.T, b.T):
        return "its columns have another order; if its input is flattened, channels and positions are exchanged"
    return ""


def _reordered(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return True if two arrays have the same rows in another order."""
    if a.ndim == 0 or not 1 < len(a) <= MOST_ROWS or a.shape != b.shape:
        return False
    rows = {row.tobytes(): number for number, row in enumerate(np.ascontiguousarray(a))}
    order = [rows.get(row.tobytes()) for row in np.ascontiguousarray(b)]
    return len(rows) == len(a) and sorted(order, key=lambda at: -1 if at is None else at) == list(range(len(a)))


def _numbers(a: NDArray[Any], b: NDArray[Any]) -> str:
    wide = np.asarray(a, np.float64), np.asarray(b, np.float64)
    changed = int((a != b).sum())
    apart = float(np.abs(wide[0] - wide[1]).max())
    ratios = wide[1][wide[0] != 0] / wide[0][wide[0] != 0]
    if len(ratios) > 1 and changed == a.size and np.ptp(ratios) <= 1e-5 * np.abs(ratios).max():
        return f"multiplied by {np.median(ratios):.6g}"
    return f"{changed} of {a.size} values differ, by up to {apart:.3g}"


def initial(role: str, array: NDArray[Any]) -> str:
    """Return which initial values of frameworks an array looks like; empty if like none."""
    if role in CONSTANT and array.size and (array == CONSTANT[role]).all():
        return f"all values are {CONSTANT[role]:g}, as in a new module"
    if role != "weight" or array.size < FEW or array.ndim < 2:
        return ""
    fan_in, fan_out = int(np.prod(array.shape[1:])), int(array.shape[0] * np.prod(array.shape[2:]))
    spread, largest = float(array.std()), float(np.abs(array).max())
    uniform = {
        "±√(1/fan_in) (PyTorch default)": fan_in**-0.5,
        "±√(6/(fan_in + fan_out)) (Keras default)": (6 / (fan_in + fan_out)) ** 0.5,
    }
    for text, limit in uniform.items():
        if largest <= limit * 1.000001 and largest >= 0.9 * limit and abs(spread / (limit / 3**0.5) - 1) < SHARE:
            return f"its values are spread as in a new module, uniform {text}"
    normal = {"√(1/fan_in) (Flax default)": fan_in**-0.5, "0.02": 0.02}
    for text, deviation in normal.items():
        if abs(spread / deviation - 1) < SHARE / 3 and abs(float(array.mean())) < deviation * 4 / array.size**0.5:
            return f"its values are spread as in a new module, normal with standard deviation {text}"
    return ""


def unrelated(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return True if two arrays have no more in common than random numbers."""
    if a.shape != b.shape or a.size < FEW:
        return False
    one, other = (np.ravel(np.asarray(array, np.float64)) for array in (a, b))
    scale = float(one.std() * other.std())
    return scale > 0 and abs(float(((one - one.mean()) * (other - other.mean())).mean())) / scale < UNRELATED
