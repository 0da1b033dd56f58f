"""`why` of nnx models and torch models with the same weights: every kind of module, every fault in its module, its line mends it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx.transforms.compilation import JitWrapped
from helpers.flax_faults import FAULTS, GROUPS, NOT_AN_ATTRIBUTE, RNGS, fill, flax_network, same, state
from helpers.torch_twins import Last, load, network, numbers
from torch import nn

import convpolicy as cp
from convpolicy.diagnosis.models.comparing import follows
from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.readers import reader_of
from convpolicy.models.recording import record


class Function(nnx.Module):
    """A function in an attribute."""

    def __init__(self, function):
        self.function = function

    def __call__(self, data):
        return self.function(data)


def pooled(function, *args, **kwargs):
    return Function(lambda data: function(data, *args, **kwargs))


# name -> module, and torch module with the same numbers
TWINS = {
    "convolution": lambda: (nnx.Conv(6, 4, 3, strides=2, padding=1, rngs=RNGS), nn.Conv1d(6, 4, 3, 2, 1)),
    "circular": lambda: (nnx.Conv(6, 4, 3, padding="CIRCULAR", rngs=RNGS), nn.Conv1d(6, 4, 3, 1, 1, padding_mode="circular")),
    "transposed": lambda: (nnx.ConvTranspose(6, 4, (3,), strides=2, padding="VALID", transpose_kernel=True, rngs=RNGS),
                           nn.ConvTranspose1d(6, 4, 3, 2)),
    "linear": lambda: (nnx.Linear(6, 5, rngs=RNGS), Last(nn.Linear(6, 5))),
    "general linear": lambda: (nnx.LinearGeneral(6, 5, rngs=RNGS), Last(nn.Linear(6, 5))),
    "batch norm": lambda: (nnx.BatchNorm(6, use_running_average=True, rngs=RNGS), nn.BatchNorm1d(6)),
    "layer norm": lambda: (nnx.LayerNorm(6, epsilon=1e-5, rngs=RNGS), Last(nn.LayerNorm(6))),
    "group norm": lambda: (nnx.GroupNorm(6, 3, epsilon=1e-5, rngs=RNGS), nn.GroupNorm(3, 6)),
    "instance norm": lambda: (nnx.InstanceNorm(6, epsilon=1e-5, rngs=RNGS), nn.InstanceNorm1d(6, affine=True)),
    "rms norm": lambda: (nnx.RMSNorm(6, rngs=RNGS), Last(nn.RMSNorm(6, eps=1e-6))),
    "prelu": lambda: (nnx.PReLU(), nn.PReLU()),
    "gelu": lambda: (Function(nnx.gelu), nn.GELU("tanh")),
    "exact gelu": lambda: (Function(functools.partial(nnx.gelu, approximate=False)), nn.GELU()),
    "leaky relu": lambda: (Function(functools.partial(jax.nn.leaky_relu, negative_slope=0.2)), nn.LeakyReLU(0.2)),
    "mish": lambda: (Function(lambda data: jax.nn.mish(x=data)), nn.Mish()),
    "tanh": lambda: (Function(jnp.tanh), nn.Tanh()),
    "softmax": lambda: (Function(lambda data: nnx.softmax(data, axis=1)), nn.Softmax(2)),
    "max pooling": lambda: (pooled(nnx.max_pool, (3,), (2,)), nn.MaxPool1d(3, 2)),
    "same": lambda: (pooled(nnx.max_pool, (3,), None, "SAME"), nn.MaxPool1d(3, 1, 1)),
    "average pooling": lambda: (pooled(nnx.avg_pool, (3,), (2,), [(1, 1)]), nn.AvgPool1d(3, 2, 1)),
    "without padding": lambda: (pooled(nnx.avg_pool, (3,), (2,), [(1, 1)], False), nn.AvgPool1d(3, 2, 1, count_include_pad=False)),
    "global pooling": lambda: (Function(lambda data: jnp.mean(data, axis=1, keepdims=True)), nn.AdaptiveAvgPool1d(1)),
    "padding": lambda: (Function(lambda data: jnp.pad(data, ((0, 0), (2, 1), (0, 0)), mode="reflect")), nn.ReflectionPad1d((2, 1))),
    "repeat": lambda: (Function(lambda data: jnp.repeat(data, 2, axis=1)), nn.Upsample(scale_factor=2)),
    "resize": lambda: (Function(lambda data: jax.image.resize(data, (3, 40, 6), "linear")), nn.Upsample(scale_factor=2, mode="linear")),
    "dropout": lambda: (nnx.Dropout(0.3, deterministic=True, rngs=RNGS), nn.Dropout(0.3)),
}  # fmt: skip


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("name", TWINS)
def test_twins(name):
    """Equal in both directions; each module or function computes what its description says."""
    module, twin = TWINS[name]()
    model = nnx.Sequential(nnx.Conv(6, 6, 1, rngs=RNGS), module)
    first = nn.Conv1d(6, 6, 1)
    load(first, fill(model.layers[0]))
    torch_model = nn.Sequential(first, load(twin, fill(module))).eval()
    x = numbers((3, 6, 20)) * 3
    for diagnosis in (cp.why(model, torch_model, x), cp.why(torch_model, model, x)):
        assert diagnosis.equal, str(diagnosis)
        assert [row.verdict in ("equal", "rounding", "inherited") for row in diagnosis.rows] == [True, True]
    reader = reader_of(model)
    _first, call = record("a", reader, np.moveaxis(x, 1, -1)).leaves()
    assert follows(Unit((call,), reader).computed(call.inputs), call.output, "float32")


def test_recurrent_modules():
    """An LSTM that JAX scans is one module; the gates are in torch's order."""
    model = nnx.Sequential(nnx.RNN(nnx.OptimizedLSTMCell(6, 4, rngs=RNGS)))
    cell = model.layers[0].cell
    inner, outer = fill(cell.dense_i), fill(cell.dense_h)
    lstm = nn.LSTM(6, 4, batch_first=True)
    twin = nn.Sequential(
        Last(load(lstm, {"kernel": inner["kernel"], "recurrent_kernel": outer["kernel"], "bias": outer["bias"]}))
    )
    x = numbers((3, 20, 6))
    assert cp.why(twin, model, (np.moveaxis(x, 1, -1), x)).equal
    cell.dense_h.bias.value += 0.1
    (cause,) = {cause.path_b for cause in cp.why(twin, model, (np.moveaxis(x, 1, -1), x)).causes}
    assert cause == "layers.0"


def test_a_small_epsilon():
    """The defaults of both frameworks differ by 9e-6; a mean that is zero up to rounding does not hide it."""
    a, b = nn.Sequential(nn.LayerNorm(48)), nnx.Sequential(nnx.LayerNorm(48, rngs=RNGS))
    x = numbers((2, 24, 48))
    x[..., 0] = 0
    x[..., 1] -= x.sum(-1)
    reader = reader_of(b)
    (call,) = record("a", reader, x).leaves()
    assert follows(Unit((call,), reader).computed(call.inputs), call.output, "float32")
    assert [(cause.path_b, cause.aspect) for cause in cp.why(a, b, (x, x)).causes] == [("layers.0", "eps")]


def test_tokens_and_modules_of_more_axes():
    """An embedding has a formula; convolutions of two axes are compared by their settings and weights."""
    embedding = nnx.Embed(7, 4, rngs=RNGS)
    twin = load(nn.Embedding(7, 4), fill(embedding))
    assert cp.why(nnx.Sequential(embedding), nn.Sequential(twin), np.arange(6).reshape(2, 3)).equal
    conv = nnx.Conv(3, 4, (3, 3), rngs=RNGS)
    twin = load(nn.Conv2d(3, 4, 3, padding=1), fill(conv))
    x = numbers((2, 3, 8, 9))
    assert cp.why(nn.Sequential(twin), nnx.Sequential(conv), x).equal
    conv.kernel.value = conv.kernel.value[::-1]
    (cause,) = cp.why(nn.Sequential(twin), nnx.Sequential(conv), x).causes
    assert (cause.path_b, cause.aspect) == ("layers.0", "weight")


@pytest.fixture(scope="module")
def a():
    """The torch model with the weights of the Flax model."""
    model, twin = flax_network(), network()
    parts = {0: model.conv, 1: model.norm, 3: model.middle.layers[0], 4: model.middle.layers[1], 8: model.group, 12: model.dense,
             14: model.last}  # fmt: skip
    for at, module in parts.items():
        own = {name: np.asarray(value.value) for name, value in vars(module).items() if isinstance(value, nnx.Variable)}
        load(twin[at], own)
    return twin


def test_every_fault_is_planted():
    """In one group each."""
    assert sorted(name for names in GROUPS for name in names) == sorted(FAULTS)


def test_equal_models(a):
    """The flattened signal is not seen, and has no part in the answer; the model is as before."""
    model = flax_network()
    before = state(model)
    diagnosis = cp.why(a, model, numbers())
    assert diagnosis.equal, str(diagnosis)
    assert not diagnosis.notes
    assert same(before, state(model))
    expected = ["conv", "norm", "act", *(f"middle.layers.{number}" for number in range(4)), "max_pool", "group", "avg_pool",
                "leaky_relu", "", "dense", "softmax", "last"]  # fmt: skip
    assert [row.path_b for row in diagnosis.rows] == expected


@pytest.mark.grid(every=1)
@pytest.mark.parametrize("names", GROUPS, ids="+".join)
def test_faults(a, names):
    """Each is found in its module, alone and with others, and nothing else; the lines that are printed mend them."""
    b = flax_network()
    for name in names:
        FAULTS[name][0](b)
    before = state(b)
    diagnosis = cp.why(a, b, numbers())
    assert same(before, state(b))
    found = {(cause.path_b, cause.aspect) for cause in diagnosis.causes}
    assert found == {FAULTS[name][1:] for name in names} | ({("max_pool", "padding")} & found), str(diagnosis)
    lines = [line for line in diagnosis.fix.splitlines() if "…" not in line]
    mendable = [path for path, aspect in found if path not in NOT_AN_ATTRIBUTE and aspect != "weight"]
    assert len(lines) == len(mendable)
    exec("\n".join(lines), {"model": b, "nnx": nnx, "jax": jax, "jnp": jnp, "diagnosis": diagnosis})
    left = {(cause.path_b, cause.aspect) for cause in cp.why(a, b, numbers()).causes}
    assert left == {(path, aspect) for path, aspect in found if path not in mendable}


def test_compiled_models():
    """``nnx.jit`` is seen through; in ``jax.jit`` nothing is seen, and the difference is said to arise there."""

    class Compiled(nnx.Module):
        def __init__(self, seed):
            rngs = nnx.Rngs(seed)
            self.one, self.two, self.norm = nnx.Linear(6, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs)

        @nnx.jit
        def __call__(self, data):
            return self.two(nnx.relu(self.norm(self.one(data))))

    class Hidden(nnx.Module):
        def __init__(self, seed):
            self.one = nnx.Linear(6, 6, rngs=nnx.Rngs(seed))

        def __call__(self, data):
            graph, values = nnx.split(self.one)
            return nnx.silu(jax.jit(lambda values, data: nnx.merge(graph, values)(nnx.relu(data)))(values, data))

    x = numbers((2, 6))
    calls = [(call.path, call.title) for call in record("a", reader_of(Compiled(0)), x).leaves()]
    assert calls == [("one", "linear"), ("norm", "batch norm"), ("relu", "relu"), ("two", "linear")]
    b = Compiled(0)
    b.two.kernel.value *= 2
    assert [(cause.path_b, cause.aspect) for cause in cp.why(Compiled(0), b, x).causes] == [("two", "weight")]
    assert cp.why(Hidden(0), Hidden(0), x).equal
    assert [(cause.path_b, cause.aspect) for cause in cp.why(Hidden(0), Hidden(1), x).causes] == [("silu", "unseen")]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_another_dtype(dtype):
    """The dtype is the only cause."""
    a, b = (nnx.Sequential(nnx.Linear(6, 6, dtype=kind, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(6, 3, dtype=kind, rngs=nnx.Rngs(1)))
            for kind in (None, getattr(jnp, dtype)))  # fmt: skip
    assert [(cause.path_b, cause.aspect) for cause in cp.why(a, b, numbers((2, 6))).causes] == [("layers.0", "dtype")]


class Raising(nnx.Module):
    """Raises an error when it is called for the n-th time; it calls functions in containers and stores an intermediate result."""

    def __init__(self):
        self.error, self.left, self.functions, self.pair = None, [0], [nnx.relu], (nnx.relu, nnx.gelu)

    def __call__(self, data):
        self.sow(nnx.Intermediate, "kept", data)
        self.left[0] -= 1
        if self.error is not None and self.left[0] == 0:
            raise self.error
        return data * 2


class Stack(nnx.Module):
    """Modules in front of one that raises."""

    def __init__(self, seed):
        rngs = nnx.Rngs(seed)
        self.first, self.norm, self.drop = nnx.Linear(6, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.functions, self.pair, self.last = [nnx.relu], (nnx.relu, nnx.gelu), Raising()

    def __call__(self, data):
        return self.last(self.pair[1](self.functions[0](self.drop(self.norm(self.first(data))))))


def raising(side, number, error):
    """Two models, one of which raises; their first modules differ, so that the later ones run again alone."""
    pair = [Stack(0), Stack(1)]
    last = pair["ab".index(side)].last
    last.error, last.left = error, [number]
    return pair


def left(pair):
    """Return what must not change: Flax and JAX, modes, functions in containers, statistics and random states."""
    replaced = (
        nnx.relu,
        jax.nn.gelu,
        jnp.tanh,
        jnp.exp,
        nnx.max_pool,
        nnx.BatchNorm.__call__,
        Stack.__call__,
        JitWrapped.__call__,
    )
    modes = [(model.norm.use_running_average, model.drop.deterministic, list(model.functions), model.pair) for model in pair]
    return replaced, modes, [sorted(vars(model.last)) for model in pair]


@pytest.mark.parametrize(("side", "number"), [("a", 1), ("b", 1), ("b", 2)])
@pytest.mark.parametrize("error", [ValueError("no such luck"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_what_is_left_after_an_error(error, side, number):
    """While a model is recorded, and while a module runs alone, an interrupt goes on; an error has the path of its module."""
    pair = raising(side, number, error)
    before, own = left(pair), [state(model) for model in pair]
    if number == 2 and not isinstance(error, KeyboardInterrupt):
        causes = {(cause.path_b, cause.text) for cause in cp.why(*pair, numbers((2, 6))).causes}
        assert ("last", "b's module cannot take a's input: ValueError: no such luck") in causes
    else:
        message = rf"^{side} cannot be run on x .*: module 'last' raises: no such luck; pass|^$"
        with pytest.raises((cp.InvalidValueError, KeyboardInterrupt), match=message):
            cp.why(*pair, numbers((2, 6)))
    assert left(pair) == before
    assert all(same(one, state(model)) for one, model in zip(own, pair, strict=True))


def test_bad_input():
    """One sentence each."""
    a, x = Stack(0), numbers((2, 6))
    for b, words, message in (
        (nnx.Linear(7, 6, rngs=RNGS), {}, r"b cannot be run on x of shape \(2, 6\): "),
        (nnx.Sequential(nnx.Linear(6, 6, rngs=RNGS), nnx.Linear(7, 6, rngs=RNGS)), {}, "module 'layers.1' raises: "),
        (nnx.Sequential(jnp.sin), {}, "a and b must have modules in common"),
        (Stack(0), {"names": {"first": "frist"}}, r"got 'frist', which is none of b\. Did you mean 'first'\?"),
        (Stack(0), {"names": {"frist": "first"}}, r"got 'frist', which is none of a\. Did you mean 'first'\?"),
    ):
        with pytest.raises(cp.InvalidValueError, match=message) as caught:
            cp.why(a, b, x, **words)
        assert "\n" not in str(caught.value)
