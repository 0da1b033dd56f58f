"""The NumPy backend against the float64 reference: every rule × mode, every path through the code, every kind of input."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
from helpers.differential import CHANNELS, GROUPS, MODES, RULES, Case, Choice, Sizes, judge, random_data, same_bits
from helpers.numpy_layers import cases, check_backend, check_layer, check_written_in_place

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.numpy import layer as numpy_layer

# -- the grid -------------------------------------------------------------------------------------------------------------


@pytest.mark.grid(every=7)  # a fifth of the cases in each dtype; 5 divides no number of modes, groups, strides, …
@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_rule_and_mode_is_the_reference(dtype, first):
    """Every rule × mode × groups × stride × dilation × bias, inputs shorter than the kernel among them."""
    check_backend("numpy", dtype, itertools.islice(cases(seed=int(dtype[-2:])), first, None, 5))


def test_the_grid_is_whole():
    """As many cases as the product has where defined, of which many are shorter than their kernel."""
    whole = list(cases(0))
    strided = len(RULES) - 2  # torch_same and torch-left take stride 1 only
    assert len(whole) == (strided * 3 + 2) * len(MODES) * 3 * 2 * 2
    assert sum(case.length < case.sizes.effective for case in whole) > len(whole) / 10


# -- every path through the code ------------------------------------------------------------------------------------------


BLOCKS = {  # batch, in, out, kernel, stride, dilation, groups, length -> what is cut
    "columns": (2, 128, 3, 16, 1, 2, 1, 2500),  # 512 outputs at a time
    "strided columns": (1, 256, 4, 8, 3, 1, 2, 3100),
    "items": (80, 64, 2, 16, 1, 1, 1, 35),  # 51 inputs of 20 outputs at a time
    "least columns": (1, 2048, 2, 24, 1, 1, 1, 160),  # 64 outputs even where they exceed a block
    "depthwise": (2, 48, 48, 7, 1, 3, 48, 900),
    "depthwise, by every second tap": (2, 48, 48, 4, 1, 1, 48, 300),
    "depthwise, one tap": (2, 48, 48, 1, 1, 1, 48, 40),
    "depthwise, the shortest rows": (2, 8, 8, 9, 1, 1, 8, 32 + 8),
    "depthwise, shorter": (2, 8, 8, 9, 1, 1, 8, 31 + 8),
    "depthwise, two outputs each": (3, 16, 32, 5, 2, 2, 16, 200),
    "one channel": (3, 1, 6, 9, 2, 2, 1, 200),
    "kernel 1": (2, 200, 5, 1, 1, 1, 1, 6000),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BLOCKS)
def test_wide_layers(name, dtype, monkeypatch):
    """Layers wide or long enough to be computed block by block, and depthwise ones, are the sum of shifted inputs."""
    batch, in_channels, out_channels, kernel, stride, dilation, groups, length = BLOCKS[name]
    layer = cp.Conv1d(in_channels, out_channels, kernel, stride, 0, dilation, groups, seed=1, dtype=dtype)
    data = random_data(2, length, batch, dtype, in_channels)
    products = []
    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda *arrays, **out: products.append(matmul(*arrays, **out)))
    actual = layer(data)
    monkeypatch.undo()
    if in_channels == groups:
        assert len(products) <= 1  # of the view, in no blocks
    else:
        assert len(products) > 1
        assert sum(product.size for product in products) == actual.size
    check_layer(layer, data, stride, dilation, groups, dtype)


@pytest.mark.parametrize(("batch", "length"), [(1, 64), (1, 65), (2, 63), (7, 20), (3, 129), (5, 200)])
def test_the_edges_of_blocks(batch, length, monkeypatch):
    """With blocks of 64 outputs, the least, one output more or less and a last block of any size are right."""
    monkeypatch.setattr(numpy_layer, "BLOCK_BYTES", 1)
    layer = cp.Conv1d(4, 6, 3, groups=2, seed=3)
    check_layer(layer, random_data(4, length + 2, batch), 1, 1, 2, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_integers_are_exact(dtype):
    """Where no sum is rounded every bit is the reference's."""
    draw = np.random.default_rng(0)
    for number, case in enumerate(itertools.islice(cases(1), 0, None, 7)):
        layer = case.layer("torch", "numpy", number, dtype)
        for parameter in (layer.weight, *([layer.bias] if case.sizes.bias else [])):
            parameter[...] = draw.integers(-9, 10, parameter.shape)
        data = draw.integers(-9, 10, (1, CHANNELS, case.length)).astype(dtype)
        params = dict(case.mode.params)
        plan = layer.plan(case.length)
        exact = reference.conv1d(
            data, layer.weight, layer.bias, left=plan.left, right=plan.right, mode=case.mode.name, **params,
            stride=case.sizes.stride, dilation=case.sizes.dilation, groups=case.sizes.groups,
        )  # fmt: skip
        assert layer(data).tolist() == exact.output.tolist(), case


@pytest.mark.parametrize("groups", GROUPS)
def test_nan_reaches_only_the_outputs_that_read_it(groups):
    """One NaN, in the input or as the padded constant, is in exactly the outputs whose taps fall on it, in its group."""
    kernel, stride, dilation, length = 3, 2, 2, 11
    mode = Choice("constant", value=math.nan)
    layer = cp.Conv1d(4, 4, kernel, stride, (3, 1), dilation, groups, seed=0, padding_mode=mode)
    clean = cp.Conv1d(4, 4, kernel, stride, (3, 1), dilation, groups, seed=0)
    data = random_data(0, length)
    starts = range(-3, length + 1 - (kernel - 1) * dilation, stride)
    taps = [{start + tap * dilation for tap in range(kernel)} for start in starts]
    padded = [not read <= set(range(length)) for read in taps]
    assert np.isnan(layer(data)).tolist() == [[padded] * 4]
    for channel, position in itertools.product(range(4), range(length)):
        poisoned = data.copy()
        poisoned[0, channel, position] = math.nan
        same_group = [out * groups // 4 == channel * groups // 4 for out in range(4)]
        expected = [[hit and position in read for read in taps] for hit in same_group]
        assert np.isnan(clean(poisoned)).tolist() == [expected]


# -- every kind of input --------------------------------------------------------------------------------------------------


def layers():
    """Return layers of every group count with every rule that pads unequally, mirrored."""
    mode = Choice("reflect", overflow="zero-extend")
    return [cp.Conv1d(4, 8, 4, s, "same_upper", 1, g, padding_mode=mode, seed=5) for g in GROUPS for s in (1, 2)]


@pytest.mark.parametrize("layer", layers(), ids=repr)
def test_unbatched_input(layer):
    """(channels, length) gives the bits of a batch of one without its first axis; each item of a batch is within rounding."""
    data = random_data(6, 17, batch=5)
    batched = layer(data)
    for item, row in zip(data, batched):
        same_bits(layer(item[None])[0], layer(item))
        np.testing.assert_allclose(layer(item), row, rtol=0, atol=reference.tolerance("float32", 17, np.abs(data).max() * 16))
    assert len({row.tobytes() for row in batched}) == 5


@pytest.mark.parametrize("layer", layers(), ids=repr)
def test_a_batch_of_none(layer):
    """Batch 0 gives batch 0 of the right channels and length, and is still checked."""
    empty = layer(np.zeros((0, 4, 17), "float32"))
    assert (empty.dtype, empty.shape) == ("float32", (0, 8, layer.plan(17).length_out))
    with pytest.raises(ValueError, match="input must have shape"):
        layer(np.zeros((0, 3, 17), "float32"))


def strided(data):
    """Return the same values laid out in other ways in memory, none of them contiguous."""
    wide = np.zeros((*data.shape[:2], 3 * data.shape[2]), data.dtype)
    wide[..., ::3] = data
    backwards = np.ascontiguousarray(data[::-1, ::-1, ::-1])
    views = {
        "every third": wide[..., ::3],
        "backwards": backwards[::-1, ::-1, ::-1],
        "transposed": np.ascontiguousarray(data.transpose(2, 1, 0)).transpose(2, 1, 0),
        "column order": np.asfortranarray(data),
        "broadcast": np.broadcast_to(data[:, :1, :1], data.shape),
        "read-only": data.copy(),
    }
    views["read-only"].setflags(write=False)
    return views


@pytest.mark.parametrize("view", strided(np.zeros((2, 4, 3))))
@pytest.mark.parametrize("padding", [0, "same_upper"])
@pytest.mark.parametrize("groups", GROUPS)
def test_memory_order_does_not_matter(view, padding, groups):
    """Strided, reversed, transposed, broadcast and read-only inputs give what a contiguous copy gives."""
    data = strided(random_data(7, 19, batch=3))[view]
    case = Case(Sizes(3, 2, 2, groups, True), Choice("valid" if padding == 0 else padding), Choice("zeros"), 19)
    layer = case.layer("torch", "numpy", 8)
    judge(case, layer(data), data, layer.weight, layer.bias)


@pytest.mark.parametrize("groups", GROUPS)
def test_parameters_written_in_place_take_effect(groups):
    """What is written into ``layer.weight`` and ``layer.bias`` is what the layer computes with."""
    check_written_in_place("numpy", groups)


REACH = {"zeros": lambda length: 5, "replicate": lambda length: 5 * length, "reflect": lambda length: length - 1}


@pytest.mark.parametrize("mode", REACH)
def test_an_input_shorter_than_the_kernel(mode):
    """Padded to one window it gives one output, even from nothing but zeros; one sample less is refused, naming all lengths."""
    for length in range(6):
        left, right = (5 - length + 1) // 2, (5 - length) // 2
        if left > REACH[mode](length):
            continue
        case = Case(Sizes(5, 1, 1, 1, True), Choice("explicit", left=left, right=right), Choice(mode), length)
        layer = case.layer("torch", "numpy", length)
        data = random_data(length, length)
        assert layer(data).shape == (1, CHANNELS, 1)
        judge(case, layer(data), data, layer.weight, layer.bias)
        if length and left <= REACH[mode](length - 1):
            message = f"input of length {length - 1} is too short: padded to 4 .* window of 5; .* {length} "
            with pytest.raises(ValueError, match=message):
                layer(data[..., 1:])


def test_the_same_seed_is_the_same_layer():
    """Equal seeds give the bits of each other's weights, biases and outputs; another seed or no seed gives others."""
    data = random_data(9, 12)
    first, again, other = (cp.Conv1d(4, 6, 3, seed=seed) for seed in (1, 1, 2))
    for name in ("weight", "bias"):
        same_bits(getattr(first, name), getattr(again, name))
        assert not (getattr(first, name) == getattr(other, name)).any()
    assert first.weight is not again.weight
    same_bits(first(data), again(data))
    same_bits(first(data), first(data))  # a call leaves nothing behind


def test_a_copy_is_a_layer_of_its_own():
    """Deep copies and pickles compute the same bits, and writing into one leaves the other alone."""
    layer = layers()[0]
    data = random_data(3, 12)
    expected = layer(data)
    for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same_bits(expected, made(data))
        made.weight[...] = 0
        same_bits(expected, layer(data))


def test_a_capture_is_a_copy():
    """What trains on after a capture changes neither the captured weight nor its bias."""
    layer = cp.Conv1d(2, 3, 3, seed=0)
    taken = cp.capture(layer)
    before = layer.weight.copy(), layer.bias.copy()
    layer.weight += 1
    layer.bias += 1
    np.testing.assert_array_equal(taken.weight, before[0])
    np.testing.assert_array_equal(taken.bias, before[1])
