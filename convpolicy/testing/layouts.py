"""Checks of a layout: it moves every number to the right place and back, and names the parameters differently."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as some
from numpy.typing import NDArray

from convpolicy.parts.layout import Layout
from convpolicy.testing.common import check_names, require, smallest
from convpolicy.testing.ladder import Check

MAX_EXAMPLES = 50
SMALL = some.integers(1, 4)


def checks(layout: Layout, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a layout, lowest rung first; packing is checked for weight layouts only."""
    each = _data if layout.holds_data else _weight
    rows = [
        ("names", "names", partial(_names, layout)),
        ("axes", "shapes and dtypes", partial(_each, layout, max_examples, partial(each, values=False))),
        ("values", "values", partial(_each, layout, max_examples, partial(each, values=True))),
    ]
    if not layout.holds_data:
        rows.append(("pack", "values", partial(_pack, layout)))
    return [Check(layout, *check) for check in rows]


def _names(layout: Layout) -> None:
    check_names(layout)
    if layout.holds_data:
        return
    for name in (layout.weight, layout.bias):
        require(isinstance(name, str) and bool(name.strip()), f"the name of a parameter must be text, got {name!r}.")
    require(layout.weight != layout.bias, f"weight and bias must have different names, got {layout.weight!r} for both.")


def _each(layout: Layout, max_examples: int, check: Any) -> None:
    smallest(partial(check, layout), max_examples, first=SMALL, second=SMALL, third=SMALL)


def _weight(layout: Layout, first: int, second: int, third: int, *, values: bool) -> None:
    """Every element is at the index that axes and flip define. In a depthwise layout, O = I · M."""
    depthwise, kernel = "M" in layout.axes, third
    weight = np.arange(first * second * kernel).reshape((first * second, 1, kernel) if depthwise else (first, second, kernel))
    groups = first if depthwise else 1
    directions = {"stored": (layout.stored(weight, groups=groups), layout.restored)}
    if not layout.transposed:
        directions["from_oiw"] = (layout.from_oiw(weight, groups=groups), layout.to_oiw)
    lengths = dict(zip("IMW" if depthwise else layout.canonical, (first, second, kernel)))
    expected = tuple(lengths.get(axis, 1) for axis in layout.axes)
    about = f"for a weight of shape {weight.shape}"
    for name, (stored, inverse) in directions.items():
        require(
            stored.shape == expected, f"{name} must return axes {layout.axes} of shape {expected}, got {stored.shape}, {about}."
        )
        back = inverse(stored)
        require(back.shape == weight.shape, f"{inverse.__name__} must return the shape back, got {back.shape}, {about}.")
        if values:
            _elements(layout, weight, stored, second, name)
            require(
                bool((back == weight).all()), f"{inverse.__name__} must be the inverse of {name}, got {back.tolist()}, {about}."
            )


def _elements(layout: Layout, weight: NDArray[Any], stored: NDArray[Any], multiplier: int, name: str) -> None:
    for index in np.ndindex(weight.shape):
        indices = dict(zip("OIW" if "M" in layout.axes else layout.canonical, index))
        if "M" in layout.axes:
            indices |= dict(zip("IM", divmod(index[0], multiplier)))
        if layout.flip:
            indices["W"] = weight.shape[2] - 1 - index[2]
        place = tuple(indices.get(axis, 0) for axis in layout.axes)
        require(
            stored[place] == weight[index],
            f"{name} must put element {index} at {place} of axes {layout.axes}, for a weight of shape {weight.shape}.",
        )


def _data(layout: Layout, first: int, second: int, third: int, *, values: bool) -> None:
    batch, channels, length = first, second, third
    data = np.arange(batch * channels * length).reshape(batch, channels, length)
    stored, lengths = layout.from_ncw(data), {"N": batch, "C": channels, "W": length}
    back = layout.to_ncw(stored)
    expected = tuple(lengths[axis] for axis in layout.axes)
    about = f"for data of shape {data.shape}"
    require(
        stored.shape == expected, f"from_ncw must return axes {layout.axes} of shape {expected}, got {stored.shape}, {about}."
    )
    require(back.shape == data.shape, f"to_ncw must return the shape back, got {back.shape}, {about}.")
    if not values:
        return
    for index in np.ndindex(data.shape):
        indices = dict(zip("NCW", index))
        place = tuple(indices[axis] for axis in layout.axes)
        require(stored[place] == data[index], f"from_ncw must put element {index} at {place} of axes {layout.axes}, {about}.")
    require(bool((back == data).all()), f"to_ncw must be the inverse of from_ncw, got {back.tolist()}, {about}.")


def _pack(layout: Layout) -> None:
    """`pack` returns weight and bias under the framework's names, and `unpack` reverses it, also without a bias."""
    for bias in (np.arange(4.0), None):
        values = {"weight": np.arange(12.0).reshape(4, 1, 3), "bias": bias}
        packed = layout.pack(values, groups=4 if "M" in layout.axes else 1)
        names = {layout.weight} | ({layout.bias} if bias is not None else set())
        require(set(packed) == names, f"pack must return {sorted(names)}, got {sorted(packed)}.")
        unpacked = layout.unpack(packed)
        for role, value in values.items():
            same = (
                unpacked[role] is None if value is None else unpacked[role] is not None and np.array_equal(unpacked[role], value)
            )
            require(same, f"unpack must return the {role} that was packed, got {unpacked[role]!r}.")
