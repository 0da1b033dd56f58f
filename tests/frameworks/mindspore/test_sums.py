"""Padding by sums, per side and per channel, and learned constants: in graph mode as in PyNative, trained, saved and ported."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from helpers.wrong_sums import FAULTS, FAULTS_OF_LEARNED, check_rejected
from mindspore import Tensor, nn, ops

import convpolicy as cp
from convpolicy import reference
from convpolicy.layers.backend import LEARNED
from convpolicy.testing import backend_cases as kit
from convpolicy.testing.adjoint import adjoint, counts
from convpolicy.testing.learned import MODES as LEARNED_MODES

pytestmark = pytest.mark.usefixtures("scratch")
BACKEND = cp.backends()["mindspore"]
Choice = cp.Choice
PER_CHANNEL = np.array([0.5, -1.0, 2.0, 3.0])
SUMS = tuple(
    mode for mode in kit.MODES if mode.name in ("constant", "extrapolate", "linear_ramp", "per_side", "odd", "odd_symmetric")
)
RULES = (Choice("explicit", left=3, right=2), Choice("same_upper"), Choice("crop", left=-1, right=1), Choice("causal"))
LEARNED_LAYERS = {
    "a number": Choice("constant", value=0.5, learned=True),
    "one per channel": Choice("constant", value=PER_CHANNEL, learned=True),
    "one side": Choice("per_side", left="reflect", right=Choice("constant", value=PER_CHANNEL, learned=True)),
}
each_learned = pytest.mark.parametrize("mode", LEARNED_LAYERS.values(), ids=LEARNED_LAYERS)


def built(mode, **more):
    """A layer of 4 → 8 channels, kernel 3, with a bias, that pads 3 on the left and 2 on the right."""
    words = {"policy": "mindspore", "padding": (3, 2), "bias": True, "seed": 0} | more
    return cp.Conv1d(4, 8, 3, padding_mode=mode, backend="mindspore", **words)


def random(*shape, dtype="float32"):
    """Random data, the same at every call."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def cases(mode):
    """One layer for every rule, with strides, groups and lengths."""
    for number, rule in enumerate(RULES):
        spec = cp.ConvSpec.of(kit.IN, kit.OUT, 3, 1 + number % 2, 1 + number // 2 % 2, (1, 2, 4)[number % 3])
        yield kit.Case(spec, number % 2 == 0, rule, mode, 7 + number, "mindspore", batch=2)


class Weighted(nn.Cell):
    """Sums a layer's output with given weights."""

    def __init__(self, layer, along):
        super().__init__()
        self.layer, self.along = layer, along

    def construct(self, x):
        return ops.sum(self.layer(x) * self.along)


@pytest.mark.grid(every=21)  # each case is compiled anew
@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("mode", [*SUMS, *LEARNED_MODES], ids=str)
def test_a_graph_is_the_reference(mode, dtype):
    """Graph mode computes the sums, batched and unbatched; PyNative is what the kit checks."""
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    for number, case in enumerate(cases(mode)):
        values, data = kit.arrays(number, case, dtype)
        layer = kit.build(BACKEND, case, values, dtype)
        kit.judge(case, values, data, layer(Tensor(data)).asnumpy(), dtype)
        if not number:
            kit.judge(case._replace(batch=1), values, data[:1], layer(Tensor(data[0])).asnumpy()[None], dtype)


@pytest.mark.grid(every=4)
@pytest.mark.parametrize("mode", [*SUMS[1:], *LEARNED_MODES], ids=str)
def test_gradients_of_a_graph(mode):
    """To input, weight and the learned constant they are the float64 adjoint's."""
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    for number, case in enumerate(cases(mode)):
        values, data = kit.arrays(number, case, "float32")
        layer, plan = kit.build(BACKEND, case, values, "float32"), case.plan()
        upstream = random(2, kit.OUT, plan.length_out)
        weights = mindspore.ParameterTuple(layer.trainable_params())
        to_input, to_weights = mindspore.grad(Weighted(layer, Tensor(upstream)), 0, weights)(Tensor(data))
        names = ("weight", "bias", LEARNED) if case.bias else ("weight", LEARNED)
        found = {"input": to_input, **dict(zip(names, to_weights))}
        words = (case.spec, plan, values["weight"], data, upstream)
        ideal, magnitude, terms = adjoint(*words), adjoint(*words, absolute=True), counts(case.spec, plan)
        for name, gradient in found.items():
            array = gradient.asnumpy()[:, :, 0] if name == "weight" else gradient.asnumpy()
            wanted, size = ideal[name], magnitude[name]
            if array.ndim == 0:
                array, wanted, size = array[None], wanted.sum(keepdims=True), size.sum(keepdims=True)
            bound = kit.TWO_COMPUTATIONS * reference.tolerance("float32", terms[name] + 1, size)
            kit.within(case, name, array, wanted, bound)
        assert (LEARNED in found) == (case.request(values, "float32").learned() is not None)


@each_learned
def test_the_parameter(mode):
    """It has one name and shape and is trainable; no other layer has it, and MindSpore's own says that it did not load it."""
    layer, plain = built(mode), built("odd")
    assert list(layer.parameters_dict()) == ["weight", "bias", LEARNED]
    assert list(plain.parameters_dict()) == ["weight", "bias"]
    assert [own.name for own in layer.trainable_params()] == ["weight", "bias", LEARNED]
    assert layer.padding_value.shape == layer._request.learned().shape
    assert np.array_equal(layer.padding_value.asnumpy(), layer._request.learned())
    native = nn.Conv1d(4, 8, 3, has_bias=True)
    assert mindspore.load_param_into_net(native, dict(layer.parameters_dict())) == ([], [LEARNED])


def test_a_layer_that_adds_nothing_has_it_too():
    """A learned constant of a layer without pads stays a parameter, whose gradient is 0."""
    layer = built(LEARNED_LAYERS["one per channel"], padding=0)
    gradients = BACKEND.gradients(layer, random(1, 4, 9), random(1, 8, 7))
    assert np.array_equal(gradients[LEARNED], np.zeros(4, "float32"))


@pytest.mark.grid(every=2)
@each_learned
@pytest.mark.parametrize("graph", [False, True], ids=["pynative", "graph"])
def test_training_finds_the_constant(mode, graph):
    """A layer whose constant alone is trained moves towards that of another one."""
    mindspore.set_context(mode=mindspore.GRAPH_MODE if graph else mindspore.PYNATIVE_MODE)
    target = built(mode)
    hidden = np.full_like(target.padding_value.asnumpy(), 1.25)
    BACKEND.assign(target, {LEARNED: hidden})
    layer = built(mode)
    for own in (layer.weight, layer.bias):
        own.requires_grad = False
    data = Tensor(random(8, 4, 9))
    wanted = target(data)
    net = nn.WithLossCell(layer, nn.MSELoss())
    step = nn.TrainOneStepCell(net, nn.Adam(layer.trainable_params(), 0.2))
    losses = [float(step(data, wanted).asnumpy()) for _ in range(20)]
    assert losses[-1] < losses[0] / 4
    assert (np.abs(layer.padding_value.asnumpy() - hidden) < np.abs(layer._request.learned() - hidden)).all()


@each_learned
def test_checkpoints(mode):
    """Inside a cell it is saved and loaded with the cell's prefix, strictly, to the bit."""
    net, other = (nn.SequentialCell(built(mode, seed=seed), nn.ReLU()) for seed in (0, 1))
    value = net[0].padding_value.asnumpy() * 3 + 1
    BACKEND.assign(net[0], {LEARNED: value})
    mindspore.save_checkpoint(net, "a.ckpt")
    loaded = mindspore.load_checkpoint("a.ckpt")
    assert mindspore.load_param_into_net(other, loaded, strict_load=True) == ([], [])
    assert np.array_equal(other[0].padding_value.asnumpy(), value)
    data = Tensor(random(2, 4, 9))
    assert np.array_equal(other(data).asnumpy(), net(data).asnumpy())


@each_learned
@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_converted_files_keep_it(mode, suffix):
    """To torch's axes and back: name, shape and bits, and no sentence calls it a tensor of another layer."""
    net = nn.SequentialCell(built(mode), nn.ReLU())
    mindspore.save_checkpoint(net, "a.ckpt")
    there = cp.convert("a.ckpt", f"b.{suffix}", source="mindspore", target="torch", layers=net)
    assert [row.name for row in there.tensors] == ["0.weight", "0.bias", f"0.{LEARNED}"]
    assert not any("other layers" in note for note in there.notes)
    cp.convert(f"b.{suffix}", "c.ckpt", source="torch", target="mindspore", layers=net)
    own, back = mindspore.load_checkpoint("a.ckpt"), mindspore.load_checkpoint("c.ckpt")
    for name, value in own.items():
        assert (back[name].shape, back[name].asnumpy().tobytes()) == (value.shape, value.asnumpy().tobytes())


@each_learned
def test_capture_keeps_the_trained_value(mode):
    """It is built again with the value that it has now; a backend that does not learn refuses it in one sentence."""
    layer = built(mode)
    value = layer.padding_value.asnumpy() * 3 + 1
    BACKEND.assign(layer, {LEARNED: value})
    again = cp.port(layer, to="mindspore")
    data = Tensor(random(2, 4, 9))
    assert np.array_equal(again.padding_value.asnumpy(), value)
    assert np.array_equal(again(data).asnumpy(), layer(data).asnumpy())
    with pytest.raises(
        cp.InvalidValueError, match=r"must not be learned on backend 'numpy'.*pick one of: .*mindspore.*, or leave"
    ):
        cp.port(layer, to="numpy")
    layer.padding_value.set_dtype(mindspore.float16)
    with pytest.raises(cp.InvalidValueError, match="convert both to one of"):
        cp.capture(layer)
    layer.padding_value = mindspore.Parameter(Tensor(np.zeros((2, 2), "float32")), name=LEARNED)
    with pytest.raises(cp.InvalidValueError, match="its sizes or its padding were changed after it was built; build a new layer"):
        cp.capture(layer)


@pytest.mark.parametrize("mode", SUMS, ids=str)
def test_sums_run_on_numpy(mode):
    """Captured and built there, a layer gives the same within the roundings of both."""
    for number, case in enumerate(cases(mode)):
        values, data = kit.arrays(number, case, "float32")
        other = cp.port(kit.build(BACKEND, case, values, "float32"), to="numpy")
        kit.judge(case, values, data, other(data), "float32")


@pytest.mark.parametrize("mode", ["odd", Choice("constant", left=1.0, right=PER_CHANNEL), LEARNED_LAYERS["one side"]], ids=str)
def test_fast_layers(mode):
    """A fast layer with many products multiplies windows of the padded input: within rounding of the exact one."""
    sizes = {"padding": (3, 2), "padding_mode": mode, "policy": "mindspore", "backend": "mindspore", "seed": 3}
    exact, fast = (cp.Conv1d(4, 256, 9, **sizes, execution=execution) for execution in ("exact", "fast"))
    data = random(2, 4, 1300)
    assert fast._has_many(data.shape)
    own, other = exact(Tensor(data)).asnumpy(), fast(Tensor(data)).asnumpy()
    wide = (np.abs(data).max() * 3 + np.abs(PER_CHANNEL).max()) * np.abs(exact.weight.asnumpy()).sum((1, 2, 3)).max()
    assert np.abs(own - other).max() <= 2 * reference.tolerance("float32", 4 * 9 + reference.SUM_ROUNDINGS, wide)


def test_values_of_one_side():
    """A constant that only the side's own parameter says, and nothing of it on the other side: the number is that one."""
    data = random(1, 4, 9)
    for mode, padding in (
        (Choice("constant", left=1.5, right=1.5), (2, 1)),
        (Choice("constant", left=1.5), (2, 0)),
        (Choice("per_side", left=Choice("constant", value=2.0), right="reflect"), (2, 1)),
        (Choice("per_side", left=Choice("constant", value=PER_CHANNEL), right="reflect"), (0, 1)),
    ):
        layer = built(mode, padding=padding)
        assert layer.plan(9).copies
        own = cp.port(layer, to="numpy")
        bound = 2 * reference.tolerance("float32", 13, (np.abs(data).max() + 2) * np.abs(own.weight).sum((1, 2)).max())
        assert np.abs(layer(Tensor(data)).asnumpy() - own(data)).max() <= bound


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("fault", [*FAULTS, *FAULTS_OF_LEARNED])
def test_wrong_layers_are_rejected(fault):
    """The kit sees each of them on this backend."""
    check_rejected(BACKEND, fault)
