"""The MindSpore backend keeps the conventions of a ``mindspore.nn.Cell``, in PyNative and in graph mode, gradients included."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.usefixtures("scratch")
LAYERS = {
    "native": {},
    "pad": {"padding": 2},
    "unequal pads": {"padding": (3, 1)},
    "by length": {"padding": "same_lower", "stride": 2},
    "reflect": {"padding": (2, 1), "padding_mode": "reflect"},
    "constant": {"padding": "causal", "padding_mode": cp.Choice("constant", value=1.5), "dilation": 2},
    "groups": {"groups": 2, "padding": "full"},
    "depthwise": {"groups": 4, "padding_mode": "circular"},
    "torch": {"policy": "torch"},
    "cut": {"padding": cp.Choice("crop", left=1, right=2), "policy": "torch"},
    "cut by length": {"padding": "chomp", "stride": 2},
}
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
modes = pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE], ids=["pynative", "graph"])


def built(options, **more):
    """A layer of 4 → 8 channels, kernel 3, with a bias."""
    return cp.Conv1d(4, 8, 3, backend="mindspore", bias=True, **({"policy": "mindspore"} | options | more))


def random(*shape, dtype="float32"):
    """Random data, the same at every call."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def ideal(layer, data):
    """The float64 reference of a layer, and twice the rounding bound."""
    spec, plan = layer._request.spec, layer.plan(data.shape[-1])
    found = reference.conv1d(
        data, layer.weight.asnumpy()[:, :, 0], layer.bias.asnumpy(), left=plan.left, right=plan.right, mode=plan.mode,
        value=plan.value, stride=spec.stride, dilation=spec.dilation, groups=spec.groups,
    )  # fmt: skip
    return found.output, 2 * reference.tolerance(layer._request.dtype, found.terms, found.magnitude)


@layers
@modes
@pytest.mark.grid(every=13)  # each graph is compiled anew
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_modes_are_the_reference(options, mode, dtype):
    """PyNative and graph mode compute the plan, batched and unbatched, for two lengths."""
    mindspore.set_context(mode=mode)
    layer = built(options, dtype=dtype, seed=0)
    for length in (12, 15):
        data = random(2, 4, length, dtype=dtype)
        expected, bound = ideal(layer, data)
        output = layer(Tensor(data)).asnumpy()
        assert output.dtype == dtype
        assert output.shape == expected.shape
        assert (np.abs(output - expected) <= bound).all()
        assert (np.abs(layer(Tensor(data[0])).asnumpy() - expected[0]) <= bound[0]).all()


class Weighted(nn.Cell):
    """Sums a layer's output with given weights."""

    def __init__(self, layer, along):
        super().__init__()
        self.layer, self.along = layer, along

    def construct(self, x):
        return ops.sum(self.layer(x) * self.along)


@layers
@modes
def test_gradients(options, mode):
    """d(sum of output · random) by input, weight and bias: linear, so exact differences of the reference are the gradients."""
    mindspore.set_context(mode=mode)
    layer = built(options, seed=0)
    data = random(1, 4, 9)
    expected, _bound = ideal(layer, data)
    along = random(*expected.shape)
    weights = mindspore.ParameterTuple([layer.weight, layer.bias])
    gradient = mindspore.grad(Weighted(layer, Tensor(along)), 0, weights)
    by_data, (by_weight, by_bias) = gradient(Tensor(data))
    spec, plan = layer._request.spec, layer.plan(9)

    def total(data, weight, bias):
        output = reference.conv1d(
            data, weight, bias, left=plan.left, right=plan.right, mode=plan.mode, value=plan.value, stride=spec.stride,
            dilation=spec.dilation, groups=spec.groups,
        ).output  # fmt: skip
        return float((output * along).sum())

    point = [data.astype(float), layer.weight.asnumpy()[:, :, 0].astype(float), layer.bias.asnumpy().astype(float)]
    found = [by_data.asnumpy(), by_weight.asnumpy()[:, :, 0], by_bias.asnumpy()]
    picks = np.random.default_rng(1)
    for argument, (values, slope) in enumerate(zip(point, found)):
        assert slope.shape == values.shape
        for _ in range(8):
            place = tuple(picks.integers(0, size) for size in values.shape)
            moved = [array.copy() for array in point]
            moved[argument][place] += 1.0  # the function is linear in each argument
            difference = total(*moved) - total(*point)
            assert abs(difference - slope[place]) <= 2e-5 * max(1.0, np.abs(found[argument]).max())


@layers
def test_parameters_are_a_native_layers(options):
    """Names, 4-D weight and order are those of mindspore.nn.Conv1d; a native checkpoint loads, and goes back."""
    layer = built(options)
    native = nn.Conv1d(4, 8, 3, group=options.get("groups", 1), has_bias=True)
    assert isinstance(layer, nn.Conv1d)
    assert isinstance(layer, nn.Cell)
    shapes = {name: value.shape for name, value in native.parameters_dict().items()}
    assert {name: value.shape for name, value in layer.parameters_dict().items()} == shapes
    assert shapes["weight"] == (8, 4 // options.get("groups", 1), 1, 3)
    mindspore.save_checkpoint(native, "native.ckpt")
    assert mindspore.load_param_into_net(layer, mindspore.load_checkpoint("native.ckpt"), strict_load=True) == ([], [])
    assert np.array_equal(layer.weight.asnumpy(), native.weight.asnumpy())
    assert mindspore.load_param_into_net(native, dict(built(options, seed=1).parameters_dict())) == ([], [])
    assert np.array_equal(native.bias.asnumpy(), built(options, seed=1).bias.asnumpy())


def test_inside_a_cell():
    """In a SequentialCell the parameters carry the cell's prefix and train: one step of SGD moves them along the gradient."""
    net = nn.SequentialCell(built(LAYERS["reflect"], seed=0), nn.ReLU())
    assert [p.name for p in net.trainable_params()] == ["0.weight", "0.bias"]
    before = net[0].weight.asnumpy().copy()
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.MSELoss()), nn.SGD(net.trainable_params(), 0.1))
    losses = [float(step(Tensor(random(2, 4, 9)), Tensor(random(2, 8, 10)[..., :10])).asnumpy()) for _ in range(20)]
    assert losses[-1] < losses[0]
    assert not np.array_equal(before, net[0].weight.asnumpy())


def test_initial_values_follow_mindspores_seed():
    """Without a seed mindspore.set_seed decides: equal to the native layer's where the law is its own."""
    for bias in (True, False):
        mindspore.set_seed(3)
        native = nn.Conv1d(4, 8, 3, has_bias=bias)
        mindspore.set_seed(3)
        layer = cp.Conv1d(4, 8, 3, policy="mindspore", backend="mindspore", bias=bias)
        for name, values in native.parameters_dict().items():
            assert np.array_equal(values.asnumpy(), layer.parameters_dict()[name].asnumpy())
    mindspore.set_seed(3)
    first = built({"weight_init": "xavier_normal"}).weight.asnumpy()
    mindspore.set_seed(3)
    assert np.array_equal(first, built({"weight_init": "xavier_normal"}).weight.asnumpy())


@layers
def test_an_empty_batch(options):
    """Batch 0 gives an empty output of the right shape."""
    layer = built(options)
    assert layer(Tensor(random(0, 4, 12))).shape == (0, 8, layer.plan(12).length_out)


@modes
def test_bad_input(mode):
    """Too short an input, and wrong axes or channels, are refused in one sentence in both modes."""
    mindspore.set_context(mode=mode)
    layer = built({"padding": (1, 0)})
    for shape, says in (
        ((1, 4, 1), "input of length 1 is too short"),
        ((1, 3, 9), "input must have shape"),
        ((4,), "input must"),
    ):
        with pytest.raises(ValueError, match=says):
            layer(Tensor(random(*shape)))


def test_half_precision():
    """float16 in, float16 out, near the float64 reference."""
    layer = built(LAYERS["reflect"], dtype="float16", seed=0)
    data = random(1, 4, 9, dtype="float16")
    expected, bound = ideal(layer, data)
    output = layer(Tensor(data)).asnumpy()
    assert output.dtype == np.float16
    assert (np.abs(output - expected) <= bound).all()


def test_repr_names_the_policy():
    """Rule, mode and policy stand in the repr after MindSpore's own text."""
    ends = "policy='mindspore', padding=explicit(left=2, right=1), padding_mode=reflect)"
    assert repr(built(LAYERS["reflect"])).endswith(ends)


FAST = {  # label -> in, out, kernel, stride, padding, dilation, groups, mode: more than FAST_PRODUCTS multiply-adds each
    "dense": (32, 64, 5, 1, 2, 1, 1, "zeros"),
    "strided, by length": (32, 64, 4, 2, "same_lower", 1, 1, "zeros"),
    "grouped pointwise": (128, 128, 1, 1, 0, 1, 2, "zeros"),
    "depthwise": (64, 64, 31, 1, 15, 1, 64, "zeros"),
    "reflected, dilated": (32, 64, 5, 1, 6, 3, 1, "reflect"),
}


@pytest.mark.parametrize("label", FAST)
def test_fast_layers_multiply_windows(label, monkeypatch):
    """A fast layer with many products is within rounding of the framework's own, forward and backward, and takes its windows."""
    *sizes, mode = FAST[label]
    layers = [cp.Conv1d(*sizes, True, mode, backend="mindspore", seed=3, execution=e) for e in ("exact", "fast")]
    taken = []
    multiply = type(layers[1])._multiply_windows
    monkeypatch.setattr(type(layers[1]), "_multiply_windows", lambda *a: taken.append(1) or multiply(*a))
    data = random(2, sizes[0], 1300)
    own, fast = (layer(Tensor(data)).asnumpy() for layer in layers)
    assert taken == [1]
    terms = sizes[0] // sizes[6] * sizes[2] + 1
    wide = np.abs(data).max() * np.abs(layers[0].weight.asnumpy()).max() * terms  # above every sum of magnitudes
    bound = 2 * reference.tolerance("float32", terms, wide)
    assert np.abs(own - fast).max() <= bound
    assert np.abs(own).max() > 1000 * bound
    gradients = [mindspore.grad(lambda x, each=each: each(x).sum(), 0, each.trainable_params())(Tensor(data)) for each in layers]
    for mine, expected in zip((gradients[1][0], *gradients[1][1]), (gradients[0][0], *gradients[0][1])):
        np.testing.assert_allclose(mine.asnumpy(), expected.asnumpy(), rtol=1e-3, atol=1e-2)  # float32 sums of 2600 samples


def test_fast_layers_keep_the_frameworks_way_where_it_is_faster():
    """Few products, a plain kernel of one sample, and a graph: every bit of the exact layer."""
    for sizes, length in (((4, 8, 3), 20), ((256, 256, 1), 600)):
        exact, fast = (cp.Conv1d(*sizes, backend="mindspore", seed=3, execution=e) for e in ("exact", "fast"))
        data = Tensor(random(1, sizes[0], length))
        assert np.array_equal(exact(data).asnumpy(), fast(data).asnumpy())
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    exact, fast = (cp.Conv1d(32, 64, 5, backend="mindspore", seed=3, execution=e) for e in ("exact", "fast"))
    data = Tensor(random(1, 32, 600))
    assert np.array_equal(exact(data).asnumpy(), fast(data).asnumpy())
