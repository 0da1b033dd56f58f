"""Axis order of weights and data, in both directions: every value placed by its index, not only carried there and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp

quick = settings(max_examples=60, derandomize=True, deadline=None)
LAYOUTS = {name: layout for name, layout in cp.layouts().items() if not layout.transposed}
DENSE = ["OIW", "OI1W", "WIO", "OWI"]
DATA = ["NCW", "NWC"]
DTYPES = ["float32", "float64", "float16", "int8", "complex64"]
PARAMETERS = {  # weight name and bias name in the frameworks that store weights so
    "OIW": ("weight", "bias"), "OI1W": ("weight", "bias"), "OWI": ("weight", "bias"), "WIO": ("kernel", "bias"),
    "WIM": ("kernel", "bias"),
}  # fmt: skip
sizes = st.integers(1, 5)


def numbered(shape, dtype="float64"):
    """Return an array of different numbers in no order."""
    count = int(np.prod(shape))
    return np.random.default_rng(count).permutation(np.arange(count)).reshape(shape).astype(dtype)


def place(array, order, axes):
    """Copy element by element from axes ``order`` to ``axes``; an axis 1 has length 1."""
    length = dict(zip(order, array.shape)) | {"1": 1}
    result = np.zeros([length[letter] for letter in axes], dtype=array.dtype)
    for index in itertools.product(*(range(n) for n in array.shape)):
        position = dict(zip(order, index)) | {"1": 0}
        result[tuple(position[letter] for letter in axes)] = array[index]
    return result


def depthwise(array, groups):
    """Copy (groups * multiplier, 1, kernel) element by element to (kernel, groups, multiplier)."""
    outputs, _, kernel = array.shape
    multiplier = outputs // groups
    result = np.zeros((kernel, groups, multiplier), dtype=array.dtype)
    for channel, m, tap in itertools.product(range(groups), range(multiplier), range(kernel)):
        result[tap, channel, m] = array[channel * multiplier + m, 0, tap]
    return result


def assert_same(got, expected):
    """Assert equal dtype, shape and values."""
    assert (got.dtype, got.shape, got.tolist()) == (expected.dtype, expected.shape, expected.tolist())


def test_every_layout_is_tested():
    """The built-in layouts of convolutions and data are those below, named by their own axes, and each says what it holds.

    Those of transposed weights are in test_transposed_layouts.py.
    """
    assert {name: layout.axes for name, layout in LAYOUTS.items()} == {name: name for name in [*DENSE, "WIM", *DATA]}
    assert [name for name in LAYOUTS if LAYOUTS[name].holds_data] == sorted(DATA)
    assert {layout.provider for layout in LAYOUTS.values()} == {"layouts"}


@quick
@given(name=st.sampled_from(DENSE), shape=st.tuples(sizes, sizes, sizes), dtype=st.sampled_from(DTYPES), groups=sizes)
def test_weights_both_ways(name, shape, dtype, groups):
    """Each value of an OIW weight stands at its own index of the layout, and comes back to where it was."""
    weight = numbered(shape, dtype)
    stored = LAYOUTS[name].from_oiw(weight, groups)
    assert_same(stored, place(weight, "OIW", name))
    assert_same(LAYOUTS[name].to_oiw(stored), weight)


@quick
@given(name=st.sampled_from(DENSE), shape=st.tuples(sizes, sizes, sizes))
def test_stored_weights_both_ways(name, shape):
    """Starting from what a framework stores, OIW holds each value at its index, and the way back is exact."""
    stored = numbered([dict(zip("OIW", shape)).get(letter, 1) for letter in name])
    weight = LAYOUTS[name].to_oiw(stored)
    assert weight.shape == shape
    assert_same(place(weight, "OIW", name), stored)
    assert_same(LAYOUTS[name].from_oiw(weight), stored)


@quick
@given(groups=sizes, multiplier=sizes, kernel=sizes, dtype=st.sampled_from(DTYPES))
def test_depthwise_both_ways(groups, multiplier, kernel, dtype):
    """``WIM``: output channel ``i * multiplier + m`` of the convolution is multiplier m of input channel i."""
    weight = numbered((groups * multiplier, 1, kernel), dtype)
    stored = LAYOUTS["WIM"].from_oiw(weight, groups)
    assert_same(stored, depthwise(weight, groups))
    assert_same(LAYOUTS["WIM"].to_oiw(stored), weight)


@quick
@given(name=st.sampled_from(DATA), shape=st.tuples(st.integers(0, 4), sizes, st.integers(0, 6)), dtype=st.sampled_from(DTYPES))
def test_data_both_ways(name, shape, dtype):
    """Each sample of (batch, channels, length) stands at its own index of the layout, empty data included."""
    data = numbered(shape, dtype)
    stored = LAYOUTS[name].from_ncw(data)
    assert_same(stored, place(data, "NCW", name))
    assert_same(LAYOUTS[name].to_ncw(stored), data)


@quick
@given(letters=st.permutations("OIW"), ones=st.lists(st.integers(0, 3), max_size=2), shape=st.tuples(sizes, sizes, sizes))
def test_any_order_a_plugin_may_register(letters, ones, shape):
    """A layout of any order of O, I and W with axes of length 1 anywhere places each value by its index."""
    for at in ones:
        letters = [*letters[:at], "1", *letters[at:]]
    layout = cp.Layout("mine", "".join(letters))
    weight = numbered(shape)
    assert_same(layout.from_oiw(weight), place(weight, "OIW", layout.axes))
    assert_same(layout.to_oiw(layout.from_oiw(weight)), weight)


@quick
@given(letters=st.permutations("NCW"), shape=st.tuples(sizes, sizes, sizes))
def test_any_order_of_data_a_plugin_may_register(letters, shape):
    """A layout of any order of N, C and W places each sample by its index, in both directions."""
    layout = cp.Layout("mine", "".join(letters))
    data = numbered(shape)
    assert_same(layout.from_ncw(data), place(data, "NCW", layout.axes))
    assert_same(layout.to_ncw(layout.from_ncw(data)), data)


def test_a_transposed_layout_is_noticed():
    """The check above can fail: on a weight with equal sizes the axes OWI are not those of OIW, though the shapes agree."""
    weight = numbered((3, 3, 3))
    with pytest.raises(AssertionError):
        assert_same(LAYOUTS["OWI"].from_oiw(weight), place(weight, "OIW", "OIW"))
    assert (depthwise(numbered((4, 1, 3)), 2) != numbered((4, 1, 3)).reshape(2, 2, 3).T).any()  # m and i swapped


@pytest.mark.parametrize("groups", [1, 2])
def test_wio_is_the_kernel_of_a_channels_last_convolution(groups):
    """``WIO`` with ``NWC``: y[n, t, o] = Σ x[n, t + w, i] · K[w, i, o], as TensorFlow and Flax define it."""
    layer = cp.Conv1d(4, 6, 3, groups=groups, bias=False, policy="torch", seed=1, dtype="float64")
    data = np.random.default_rng(2).standard_normal((2, 4, 8))
    kernel, x = LAYOUTS["WIO"].from_oiw(layer.weight, groups), LAYOUTS["NWC"].from_ncw(data)
    y = LAYOUTS["NWC"].from_ncw(layer(data))
    per_group = 4 // groups
    for n, t, o in itertools.product(range(2), range(6), range(6)):
        first = o // (6 // groups) * per_group
        expected = sum(x[n, t + w, first + i] * kernel[w, i, o] for w in range(3) for i in range(per_group))
        assert y[n, t, o] == pytest.approx(expected, rel=0, abs=1e-13)


def test_wim_is_the_kernel_of_a_depthwise_convolution():
    """``WIM``: y[n, t, i·M + m] = Σ x[n, t + w, i] · K[w, i, m], as Keras's DepthwiseConv1D defines it."""
    layer = cp.Conv1d(3, 6, 4, groups=3, bias=False, seed=1, dtype="float64")
    data = np.random.default_rng(2).standard_normal((2, 3, 8))
    kernel, output = LAYOUTS["WIM"].from_oiw(layer.weight, 3), layer(data)
    for n, t, i, m in itertools.product(range(2), range(5), range(3), range(2)):
        expected = sum(data[n, i, t + w] * kernel[w, i, m] for w in range(4))
        assert output[n, i * 2 + m, t] == pytest.approx(expected, rel=0, abs=1e-13)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_names(name):
    """``pack`` gives the framework's names and axes, without a bias of None; ``unpack`` is its inverse."""
    layout, (weight_name, bias_name) = LAYOUTS[name], PARAMETERS[name]
    weight, bias = numbered((6, 1, 4)), numbered((6,))
    packed = layout.pack({"weight": weight, "bias": bias}, groups=3)
    assert list(packed) == [weight_name, bias_name]
    assert_same(packed[weight_name], depthwise(weight, 3) if name == "WIM" else place(weight, "OIW", name))
    assert_same(packed[bias_name], bias)
    unpacked = layout.unpack(packed)
    assert list(unpacked) == ["weight", "bias"]
    assert_same(unpacked["weight"], weight)
    assert_same(unpacked["bias"], bias)
    for without in ({"weight": weight, "bias": None}, {"weight": weight}):
        alone = layout.pack(without, groups=3)
        assert list(alone) == [weight_name]
        assert layout.unpack(alone)["bias"] is None


@quick
@given(letters=st.permutations("IOW"), shape=st.tuples(sizes, sizes, st.integers(2, 5)))
def test_a_flipped_kernel(letters, shape):
    """``flip``: tap w of a transposed weight is stored at W - 1 - w, comes back to w, and is elsewhere without ``flip``."""
    flipped, plain = (cp.Layout("mine", "".join(letters), transposed=True, flip=flip) for flip in (True, False))
    weight = numbered(shape)
    stored = flipped.stored(weight)
    assert_same(stored, place(weight[..., [*range(shape[2])][::-1]], "IOW", flipped.axes))
    assert_same(flipped.restored(stored), weight)
    assert_same(plain.stored(weight), place(weight, "IOW", plain.axes))
    assert_same(flipped.unpack(flipped.pack({"weight": weight, "bias": None}))["weight"], weight)


def test_names_of_a_plugin():
    """A layout with names of its own uses them in both directions."""
    layout = cp.Layout("mine", "WOI", weight="w", bias="b")
    weight, bias = numbered((2, 3, 4)), numbered((2,))
    packed = layout.pack({"weight": weight, "bias": bias})
    assert list(packed) == ["w", "b"]
    assert_same(packed["w"], place(weight, "OIW", "WOI"))
    assert_same(layout.unpack(packed)["weight"], weight)


@pytest.mark.parametrize("axes", ["OI", "OIWW", "OIM", "OW1", "NCWO", "NC", "WIMO", "oiw", "", "OIW2"])
def test_axes_that_mean_nothing(axes):
    """A layout must hold each of its letters once; anything else is refused when it is made, naming layout and axes."""
    with pytest.raises(cp.ConvPolicyError, match="layout 'mine': axes must be made of") as raised:
        cp.Layout("mine", axes)
    assert isinstance(raised.value, ValueError)
    assert str(raised.value).endswith(f"got {axes!r}.")


REFUSED = [
    (lambda: LAYOUTS["OIW"].from_oiw(numbered((2, 3))), ValueError, "shape (2, 3)"),
    (lambda: LAYOUTS["OI1W"].to_oiw(numbered((2, 3, 4))), ValueError, "shape (2, 3, 4)"),
    (lambda: LAYOUTS["OI1W"].to_oiw(numbered((2, 3, 2, 4))), ValueError, "got shape (2, 3, 2, 4)"),
    (lambda: LAYOUTS["WIM"].from_oiw(numbered((4, 2, 3)), 2), ValueError, "got shape (4, 2, 3) with groups=2"),
    (lambda: LAYOUTS["WIM"].from_oiw(numbered((5, 1, 3)), 2), ValueError, "got shape (5, 1, 3) with groups=2"),
    (lambda: LAYOUTS["WIM"].from_oiw(numbered((4, 1, 3)), 0), ValueError, "groups must be at least 1, got 0"),
    (lambda: LAYOUTS["WIM"].from_oiw(numbered((4, 1, 3)), "2"), TypeError, "groups must be an integer, got '2'"),
    (lambda: LAYOUTS["NCW"].from_oiw(numbered((2, 3, 4))), TypeError, "layout 'NCW' is of data"),
    (lambda: LAYOUTS["OIW"].from_ncw(numbered((2, 3, 4))), TypeError, "layout 'OIW' is of weights"),
    (lambda: LAYOUTS["NWC"].to_ncw(numbered((2, 3))), ValueError, "shape (2, 3)"),
    (lambda: LAYOUTS["WIO"].unpack({"weight": numbered((2, 3, 4))}), ValueError, "needs the parameter 'kernel', got ['weight']"),
]


@pytest.mark.parametrize(("call", "builtin", "says"), REFUSED, ids=[says for _, _, says in REFUSED])
def test_arrays_that_do_not_fit(call, builtin, says):
    """A wrong number of axes, a long axis 1, no depthwise weight, the wrong kind of layout or a missing name is refused."""
    with pytest.raises(cp.ConvPolicyError) as raised:
        call()
    assert isinstance(raised.value, builtin)
    assert says in str(raised.value)
