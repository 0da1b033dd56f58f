"""Layouts of transposed weights: every number at its own index, with the kernel reversed where it is stored so, and back again."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest
from helpers.refusals import refused
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp

LAYOUTS = {name: layout for name, layout in cp.layouts().items() if layout.transposed}
QUICK = settings(max_examples=60, deadline=None, derandomize=True)
sizes = st.integers(1, 5)


def numbered(shape):
    """An array in which every value is another."""
    return np.arange(np.prod(shape)).reshape(shape)


def place(weight, axes, flip):
    """What is stored of a weight (in, out/groups, kernel), element by element."""
    lengths = dict(zip("IOW", weight.shape))
    stored = np.full([lengths.get(axis, 1) for axis in axes], -1)
    for index in itertools.product(*map(range, weight.shape)):
        at = dict(zip("IOW", index))
        at["W"] = lengths["W"] - 1 - at["W"] if flip else at["W"]
        stored[tuple(at.get(axis, 0) for axis in axes)] = weight[index]
    return stored


def check_layout(layout, weight, flip=None):
    """Assert that a layout stores each number at its index, and restores the weight."""
    stored = layout.stored(weight)
    np.testing.assert_array_equal(stored, place(weight, layout.axes, layout.flip if flip is None else flip))
    np.testing.assert_array_equal(layout.restored(stored), weight)
    assert stored.dtype == weight.dtype


@QUICK
@given(
    letters=st.permutations("IOW"),
    ones=st.lists(st.integers(0, 3), max_size=1),
    flip=st.booleans(),
    shape=st.tuples(sizes, sizes, sizes),
)
def test_any_order(letters, ones, flip, shape):
    """Every order of I, O and W with an axis of length 1 anywhere, flipped or not."""
    for at in ones:
        letters = [*letters[:at], "1", *letters[at:]]
    check_layout(cp.Layout("mine", "".join(letters), transposed=True, flip=flip), numbered(shape))


@pytest.mark.parametrize("name", LAYOUTS)
def test_registered_layouts(name):
    """Those that are built in, of the frameworks too: places, names, and that they are in policies of transposed layers only."""
    layout = LAYOUTS[name]
    check_layout(layout, numbered((3, 4, 5)))
    packed = layout.pack({"weight": numbered((3, 4, 5)), "bias": np.arange(4)})
    assert list(packed) == [layout.weight, layout.bias]
    unpacked = layout.unpack(packed)
    np.testing.assert_array_equal(unpacked["weight"], numbered((3, 4, 5)))
    np.testing.assert_array_equal(unpacked["bias"], np.arange(4))
    assert layout.unpack(layout.pack({"weight": numbered((1, 1, 2)), "bias": None}))["bias"] is None
    assert (layout.canonical, layout.holds_data) == ("IOW", False)
    assert cp.policy("torch").transposed.evolve(layout=name).layout.name == name
    for call in (layout.from_oiw, layout.to_oiw):
        refused(
            lambda call=call: call(numbered((3, 4, 5))),
            TypeError,
            f"layout {name!r} is of transposed weights",
            "stored and restored",
        )


@pytest.mark.parametrize("wrong", ["flip", "no flip", "in and out exchanged"])
def test_a_wrong_layout_is_rejected(wrong):
    """The check can fail, on a weight whose axes are all of the same length too."""
    layout = cp.Layout("mine", "IOW", transposed=True)
    weight = numbered((3, 3, 3))
    check_layout(layout, weight)
    with pytest.raises(AssertionError):
        if wrong == "in and out exchanged":
            np.testing.assert_array_equal(layout.stored(weight.swapaxes(0, 1)), place(weight, "IOW", flip=False))
        else:
            check_layout(attrs.evolve(layout, flip=wrong == "no flip"), weight, flip=wrong == "flip")


def test_layouts_of_convolutions_are_as_before():
    """``stored`` and ``restored`` are ``from_oiw`` and ``to_oiw`` there, also in a depthwise layout."""
    for name, layout in cp.layouts().items():
        if layout.holds_data or layout.transposed:
            continue
        weight, groups = (numbered((6, 1, 4)), 3) if name == "WIM" else (numbered((6, 3, 4)), 1)
        np.testing.assert_array_equal(layout.stored(weight, groups), layout.from_oiw(weight, groups))
        np.testing.assert_array_equal(layout.restored(layout.stored(weight, groups)), weight)
        np.testing.assert_array_equal(layout.to_oiw(layout.stored(weight, groups)), weight)
        assert layout.canonical == ("IMW" if name == "WIM" else "OIW")


def test_the_fan_of_a_layout():
    """``fan_in="O"`` counts the output side, as torch does; a framework that counts the other draws other weights from the same numbers."""

    class Other:
        @cp.hookimpl
        def convpolicy_layouts(self):
            return [cp.Layout("other", "IOW", transposed=True, fan_in="I", description="Other.")]

    half = cp.policy("torch").transposed
    cp.register(Other(), "other")
    try:
        drawn, other = (policy.initial(4, 16, 3, seed=1)["weight"] for policy in (half, half.evolve(layout="other")))
    finally:
        cp.unregister("other")
    np.testing.assert_allclose(other, drawn * 2, rtol=1e-6)  # √(1/(4 · 3)) in place of √(1/(16 · 3))


REFUSED = [
    ({"axes": "WIM", "transposed": True}, "axes of transposed weights must be made of O, I, W, got 'WIM'"),
    ({"axes": "NCW", "transposed": True}, "axes of transposed weights must be made of O, I, W, got 'NCW'"),
    (
        {"axes": "OIW", "flip": True},
        "only a layout with transposed=True may have flip=True or fan_in='O', got flip=True and fan_in='I'",
    ),
    (
        {"axes": "OIW", "fan_in": "O"},
        "only a layout with transposed=True may have flip=True or fan_in='O', got flip=False and fan_in='O'",
    ),
    ({"axes": "IOW", "transposed": True, "fan_in": "W"}, "only a layout with transposed=True may have flip=True or fan_in='O'"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_what_no_layout_can_be(arguments, says):
    """Depthwise or data axes, and flip or the other fan in a layout of convolutions."""
    refused(lambda: cp.Layout("mine", **arguments), ValueError, f"layout 'mine': {says}")


def test_weights_that_do_not_fit():
    """Another number of axes, or a long axis ``1``."""
    layout = cp.Layout("mine", "IO1W", transposed=True)
    refused(lambda: layout.stored(numbered((2, 3))), ValueError, "axes IOW need an array of 3 axes, got shape (2, 3)")
    refused(lambda: layout.restored(numbered((2, 3, 4))), ValueError, "axes IO1W need an array of 4 axes, got shape (2, 3, 4)")
    refused(lambda: layout.restored(numbered((2, 3, 2, 4))), ValueError, "needs length 1 on its axis '1', got shape (2, 3, 2, 4)")
