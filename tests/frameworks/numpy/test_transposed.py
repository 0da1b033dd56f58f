"""NumPy's transposed convolution against the float64 scatter: every rule, mode and size, its adjoint, and every kind of input."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
from helpers.numpy_transposed import FAULTS, RULES, Case, Choice, Wrong, cases, check, data_of, judge
from helpers.scatter import reached
from helpers.transposed import GROUPS, IN, KERNELS, OUT, STRIDES, Sizes

import convpolicy as cp
from convpolicy.frameworks.numpy import transposed as numpy_transposed

# -- the grid -------------------------------------------------------------------------------------------------------------


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_size_and_rule_is_the_reference(kernel, stride, dtype):
    """Kernel 1 to 9, stride 1 to 5, dilation 1 to 3, every crop rule with cuts of both signs; groups, bias and mode drawn."""
    assert check("numpy", cases(kernel, stride), dtype) > len(RULES)


def test_the_grid_is_whole():
    """Every rule occurs with every group, mode and bias, with kernels below, at and above the stride."""
    every = [case for kernel, stride in itertools.product(KERNELS, STRIDES) for case in cases(kernel, stride)]
    for rule in RULES:
        own = [case for case in every if case.rule == rule]
        assert {case.sizes.groups for case in own} == set(GROUPS)
        assert {case.mode for case in own} == {"zeros", "circular"}
        assert {case.sizes.bias for case in own} == {True, False}
        if rule.name != "symmetric":  # which needs a kernel of at least the stride
            assert {np.sign(case.sizes.kernel - case.sizes.stride) for case in own} == {-1, 0, 1}


@pytest.fixture(scope="module", autouse=True)
def wrong():
    """Register the wrong variants of the backend."""
    cp.register(Wrong(), "wrong-transposed")
    yield
    cp.unregister("wrong-transposed")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_layer_is_rejected(fault):
    """The judge above refuses every wrong variant, and accepts the one without a fault."""
    every = [case for kernel, stride in ((3, 2), (4, 1), (2, 3)) for case in cases(kernel, stride)]
    if fault == "right":
        assert check(fault, every) == len(every)
        return
    with pytest.raises((AssertionError, cp.InvalidValueError)):
        check(fault, every)


def test_small_integers_are_exact():
    """Where no sum is rounded every bit is that of the scatter."""
    draw = np.random.default_rng(0)
    for kernel, stride in ((1, 1), (3, 2), (5, 3), (2, 5), (9, 4)):
        for number, case in enumerate(cases(kernel, stride)):
            layer = case.layer("numpy", number)
            for parameter in (layer.weight, *([layer.bias] if case.sizes.bias else [])):
                parameter[...] = draw.integers(-9, 10, parameter.shape)
            data = draw.integers(-9, 10, (1, IN, case.length)).astype("float32")
            output = layer(data)
            outputs = reached(case.length, (kernel, stride, case.sizes.dilation), *case.cuts(), case.mode)
            per_out, per_in = OUT // case.sizes.groups, IN // case.sizes.groups
            for out, at in itertools.product(range(OUT), range(len(outputs))):
                inputs = range(out // per_out * per_in, (out // per_out + 1) * per_in)
                total = sum(
                    data[0, i, sample] * layer.weight[i, out % per_out, tap] for sample, tap in outputs[at] for i in inputs
                )
                assert output[0, out, at] == total + (layer.bias[out] if case.sizes.bias else 0), case


# -- the adjoint ----------------------------------------------------------------------------------------------------------


def pairing(kernel, stride, dilation, groups, pads, mode, unpaired=0):
    """⟨Ax, y⟩ and ⟨x, Aᵀy⟩ of a convolution that adds ``pads`` and the transposed convolution of the same weight that cuts them.

    Args:
        unpaired: samples of the input after the last window, which output_padding restores.
    """
    draw = np.random.default_rng([kernel, stride, dilation, groups])
    weight = draw.integers(-9, 10, (OUT, IN // groups, kernel)).astype(float)
    outputs = 4
    length = (outputs - 1) * stride + (kernel - 1) * dilation + 1 - sum(pads) + unpaired
    sizes = {"stride": stride, "dilation": dilation, "groups": groups, "bias": False, "weight_init": weight, "dtype": "float64"}
    rule = Choice("crop", left=-pads[0], right=-pads[1]) if min(pads) < 0 else pads
    forward = cp.Conv1d(IN, OUT, kernel, padding=rule, padding_mode=mode, **sizes)
    back = cp.ConvTranspose1d(OUT, IN, kernel, padding=(pads[0], pads[1] - unpaired), padding_mode=mode, **sizes)
    x, y = draw.integers(-9, 10, (2, IN, length)).astype(float), draw.integers(-9, 10, (2, OUT, outputs)).astype(float)
    return forward, back, x, y


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", STRIDES)
def test_it_is_the_adjoint_of_the_convolution(stride, dilation, groups, mode):
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩ exactly on integers, where what the convolution adds is what the transposed one cuts, in both modes."""
    for kernel, pads in itertools.product((1, 2, 4, 9), ((0, 0), (1, 2), (2, 0), (-1, 1), (0, -1))):
        for unpaired in range(stride if mode == "zeros" else 1):
            forward, back, x, y = pairing(kernel, stride, dilation, groups, pads, mode, unpaired)
            if x.shape[2] <= max(*pads, 0) or (mode == "circular" and min(pads) < 0):
                continue
            assert back(y).shape == x.shape
            assert (forward(x) * y).sum() == (x * back(y)).sum(), (kernel, pads, unpaired)


@pytest.mark.parametrize("fault", ["cut on the other side", "kernel flipped", "in and out exchanged", "circular dropped"])
def test_a_wrong_adjoint_is_rejected(fault):
    """The equation above fails for each."""
    forward, back, x, y = pairing(4, 2, 1, 1, (1, 2), "circular" if fault == "circular dropped" else "zeros")
    assert (forward(x) * y).sum() == (x * back(y)).sum()
    arguments = {"padding": (1, 2), "stride": 2, "bias": False, "dtype": "float64", "weight_init": back.weight}
    changes = {
        "cut on the other side": {"padding": (2, 1)},
        "kernel flipped": {"weight_init": back.weight[..., ::-1].copy()},
        "in and out exchanged": {"weight_init": back.weight.swapaxes(0, 1).reshape(back.weight.shape)},
        "circular dropped": {"padding_mode": "zeros"},
    }
    wrong = cp.ConvTranspose1d(OUT, IN, 4, **{**arguments, **changes[fault]})
    assert (forward(x) * y).sum() != (x * wrong(y)).sum()


# -- every path through the code and every kind of input ------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 64, 4096])
@pytest.mark.parametrize("groups", GROUPS)
def test_the_edges_of_blocks(block, groups, monkeypatch):
    """Blocks of one sample, of some and of all: overlapping ends of blocks are added."""
    monkeypatch.setattr(numpy_transposed, "BLOCK_BYTES", block)
    for length in (1, 2, 7, 20):
        case = Case(Sizes(5, 2, 2, groups), Choice("explicit", left=3, right=-1), "zeros", length)
        assert check("numpy", [case]) == 1


def layers():
    """Layers of every group count, with a rule that cuts unequally."""
    return [
        Case(Sizes(4, stride, 1, groups), Choice("same_upper"), "zeros", 7).layer("numpy", 5)
        for groups in GROUPS
        for stride in (1, 3)
    ]


@pytest.mark.parametrize("layer", layers(), ids=repr)
def test_unbatched_input_and_a_batch_of_none(layer):
    """(channels, length) gives the bits of a batch of one without its first axis; batch 0 gives batch 0, and is still checked."""
    data = data_of(Case(Sizes(4, 1, 1, 1), RULES[0], "zeros", 7), 0, batch=3)
    assert np.array_equal(layer(data[1]), layer(data[1:2])[0])
    empty = layer(data[:0])
    assert (empty.dtype, empty.shape) == ("float32", (0, OUT, layer.plan(7).length_out))
    with pytest.raises(cp.InvalidValueError, match="input must have shape"):
        layer(np.zeros((0, 3, 7), "float32"))


@pytest.mark.parametrize("groups", GROUPS)
def test_memory_order_does_not_matter(groups):
    """Strided, reversed, transposed, broadcast and read-only inputs are read as what they are."""
    case = Case(Sizes(3, 2, 2, groups), Choice("explicit", left=1, right=2), "zeros", 6)
    layer, data = case.layer("numpy", 1), data_of(case, 1)
    wide = np.zeros((2, IN, 18), "float32")
    wide[..., ::3] = data
    read_only = data.copy()
    read_only.setflags(write=False)
    views = (
        wide[..., ::3], data[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1], data.transpose(2, 1, 0).copy().transpose(2, 1, 0),
        np.asfortranarray(data), read_only,
    )  # fmt: skip
    for view in views:
        judge(case, layer(view), data, layer.weight, layer.bias)
    repeated = np.broadcast_to(data[:, :1, :1], data.shape)
    judge(case, layer(repeated), repeated, layer.weight, layer.bias)


@pytest.mark.parametrize("groups", GROUPS)
def test_parameters_written_in_place_take_effect(groups):
    """What is written into ``layer.weight`` and ``layer.bias`` is what the layer computes with; another array is refused."""
    case = Case(Sizes(3, 2, 1, groups), Choice("explicit"), "zeros", 6)
    layer, data = case.layer("numpy", 0), data_of(case, 0)
    for number, write in enumerate((layer.weight[...], layer.bias[...], layer.weight[1, 0, 2:], layer.bias[3:])):
        before = layer(data)
        write[...] = np.random.default_rng(number).standard_normal(write.shape)
        assert not np.array_equal(before, layer(data))
        judge(case, layer(data), data, layer.weight, layer.bias)
    layer.weight = layer.weight.swapaxes(0, 1)
    if groups != 2:  # where both axes are of one length
        with pytest.raises(cp.InvalidValueError, match="weight must have shape"):
            layer(data)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_nan_reaches_only_the_outputs_that_it_is_added_to(mode):
    """One NaN in turn is in exactly the outputs that a scatter by hand finds, in its own group."""
    case = Case(Sizes(3, 3, 2, 2), Choice("explicit", left=2, right=1), mode, 5)
    layer, data = case.layer("numpy", 0), data_of(case, 0, batch=1)
    outputs = reached(5, (3, 3, 2), 2, 1, mode)
    for channel, sample in itertools.product(range(IN), range(5)):
        poisoned = data.copy()
        poisoned[0, channel, sample] = math.nan
        hit = [any(at == sample for at, _tap in read) for read in outputs]
        same_group = [out // (OUT // 2) == channel // (IN // 2) for out in range(OUT)]
        assert np.isnan(layer(poisoned))[0].tolist() == [[own and each for each in hit] for own in same_group]


def test_a_layer_is_captured_copied_and_pickled():
    """A capture has spec, policy and weights and builds the layer again; a copy and a pickle compute the same bits; repr shows it."""
    case = Case(Sizes(4, 2, 1, 2), Choice("explicit", left=1, right=1, output_padding=1), "zeros", 6)
    layer, data = case.layer("numpy", 3), data_of(case, 3)
    captured = cp.capture(layer)
    assert captured.spec == cp.ConvSpec(IN, OUT, 4, 2, groups=2, transposed=True)
    assert captured.policy == layer.policy
    assert np.array_equal(captured.weight, layer.weight)
    for same in (captured.build("numpy"), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert np.array_equal(same(data), layer(data))
        assert type(same) is type(layer)
    assert repr(layer).startswith("NumpyConvTranspose1d(4, 8, kernel_size=4, stride=2, dilation=1, groups=2, bias=True, ")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights(dtype):
    """A seed gives the policy's weights bit for bit, which depend on the seed only; without one NumPy's global state decides."""
    half = cp.policy("torch").transposed
    layer = cp.ConvTranspose1d(6, 4, 5, groups=2, seed=3, dtype=dtype)
    drawn = half.initial(6, 4, 5, 2, seed=3, dtype=dtype)
    assert layer.weight.tobytes() == drawn["weight"].tobytes()
    assert layer.bias.tobytes() == drawn["bias"].tobytes()
    np.random.seed(0)
    first = cp.ConvTranspose1d(6, 4, 5)
    second = cp.ConvTranspose1d(6, 4, 5)
    np.random.seed(0)
    assert np.array_equal(cp.ConvTranspose1d(6, 4, 5).weight, first.weight)
    assert not np.array_equal(first.weight, second.weight)
