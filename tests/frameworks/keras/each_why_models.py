"""`why` of Keras models and torch models with the same weights: every kind of layer, every fault in its layer, its line mends it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.torch_twins import Last, load, network, numbers, weights
from keras import layers, ops
from torch import nn

import convpolicy as cp
from convpolicy.diagnosis.models.comparing import follows
from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.readers import reader_of
from convpolicy.models.recording import record

IS_TENSORFLOW = keras.config.backend() == "tensorflow"
LENGTH, CHANNELS = 20, 6


def fill(layer):
    """Give all weights of a layer random values, and return them by name."""
    drawn = {weight.path: weights(weight.shape, f"{number}{weight.name}") for number, weight in enumerate(_weights(layer))}
    for weight in _weights(layer):
        weight.assign(drawn[weight.path])
    return {weight.name: drawn[weight.path] for weight in _weights(layer)}


def _weights(layer):
    return [weight for weight in layer.weights if "seed" not in weight.path]


# name -> layer, and torch module with the same numbers
TWINS = {
    "convolution": lambda: (layers.Conv1D(4, 3, strides=2, dilation_rate=1), nn.Conv1d(6, 4, 3, 2)),
    "causal convolution": lambda: (layers.Conv1D(4, 3, padding="causal"), nn.Sequential(nn.ZeroPad1d((2, 0)), nn.Conv1d(6, 4, 3))),
    "transposed": lambda: (layers.Conv1DTranspose(4, 3, strides=2), nn.ConvTranspose1d(6, 4, 3, 2)),
    "depthwise": lambda: (layers.DepthwiseConv1D(3, depth_multiplier=2), nn.Conv1d(6, 12, 3, groups=6)),
    "linear": lambda: (layers.Dense(5), Last(nn.Linear(6, 5))),
    "batch norm": lambda: (layers.BatchNormalization(epsilon=1e-5), nn.BatchNorm1d(6)),
    "layer norm": lambda: (layers.LayerNormalization(epsilon=1e-5), Last(nn.LayerNorm(6))),
    "group norm": lambda: (layers.GroupNormalization(3, epsilon=1e-5), nn.GroupNorm(3, 6)),
    "instance norm": lambda: (layers.GroupNormalization(-1, epsilon=1e-5), nn.InstanceNorm1d(6, affine=True)),
    "rms norm": lambda: (layers.RMSNormalization(epsilon=1e-6), Last(nn.RMSNorm(6, eps=1e-6))),
    "prelu": lambda: (layers.PReLU(shared_axes=[1]), nn.PReLU(6)),
    "leaky relu": lambda: (layers.LeakyReLU(0.2), nn.LeakyReLU(0.2)),
    "relu6": lambda: (layers.ReLU(6), nn.ReLU6()),
    "elu": lambda: (layers.ELU(0.5), nn.ELU(0.5)),
    "softmax": lambda: (layers.Softmax(), nn.Softmax(1)),
    "mish": lambda: (layers.Activation("mish"), nn.Mish()),
    "hard swish": lambda: (layers.Activation("hard_silu"), nn.Hardswish()),
    "max pooling": lambda: (layers.MaxPooling1D(3, 2), nn.MaxPool1d(3, 2)),
    "max pooling, same": lambda: (layers.MaxPooling1D(3, 1, padding="same"), nn.MaxPool1d(3, 1, 1)),
    "average pooling": lambda: (layers.AveragePooling1D(3, padding="same", strides=1),
                                nn.AvgPool1d(3, 1, 1, count_include_pad=False)),
    "global pooling": lambda: (layers.GlobalAveragePooling1D(keepdims=True), nn.AdaptiveAvgPool1d(1)),
    "global maximum": lambda: (layers.GlobalMaxPooling1D(), nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten())),
    "upsampling": lambda: (layers.UpSampling1D(3), nn.Upsample(scale_factor=3)),
    "padding": lambda: (layers.ZeroPadding1D((1, 3)), nn.ConstantPad1d((1, 3), 0.0)),
    "cropping": lambda: (layers.Cropping1D((2, 1)), nn.ConstantPad1d((-2, -1), 0.0)),
    "dropout": lambda: (layers.Dropout(0.3), nn.Dropout(0.3)),
    "flatten": lambda: (layers.Flatten(), Last(nn.Flatten(), back=False)),
    "lstm": lambda: (layers.LSTM(4, return_sequences=True), Last(nn.LSTM(6, 4, batch_first=True))),
    "gru": lambda: (layers.GRU(4, return_sequences=True), Last(nn.GRU(6, 4, batch_first=True))),
}  # fmt: skip
if not IS_TENSORFLOW:  # on a CPU TensorFlow has the channels on the last axis only
    TWINS |= {
        "channels first": lambda: (layers.Conv1D(4, 3, data_format="channels_first"), nn.Conv1d(6, 4, 3)),
        "batch norm, axis 1": lambda: (layers.BatchNormalization(axis=1, epsilon=1e-5), nn.BatchNorm1d(6)),
        "pooling, channels first": lambda: (layers.AveragePooling1D(2, data_format="channels_first"), nn.AvgPool1d(2)),
    }


@pytest.mark.parametrize("name", TWINS)
def test_twins(name):
    """Equal in both directions; each layer that has a formula computes what its description says."""
    layer, module = TWINS[name]()
    shape = (CHANNELS, LENGTH) if "first" in name or "axis 1" in name else (LENGTH, CHANNELS)
    model = keras.Sequential([keras.Input(shape), layer])
    arrays = fill(layer)
    twin = nn.Sequential(module if isinstance(module, nn.Sequential) else load(module, arrays))
    if isinstance(module, nn.Sequential) and arrays:
        load(module[1], arrays)
    x = numbers((3, CHANNELS, LENGTH)) * 3
    twin.eval()
    for diagnosis in (cp.why(model, twin, x), cp.why(twin, model, x)):
        assert diagnosis.equal, str(diagnosis)
        assert {"equal", "rounding"} & {row.verdict for row in diagnosis.rows}
    reader = reader_of(model)
    (call,) = record("a", reader, x if shape[0] == CHANNELS else np.moveaxis(x, 1, -1)).leaves()
    expected = None if call.title in ("flatten", "recurrent") else True
    assert follows(Unit((call,), reader).computed(call.inputs), call.output, "float32") is expected


@pytest.mark.parametrize("turned", [False, True])
def test_an_axis_is_compared_in_the_axes_of_the_other_model(turned):
    """A softmax over the channels and one over the positions: the axis is the cause, in the numbers of the model that is changed."""
    model = keras.Sequential(
        [keras.Input((LENGTH, CHANNELS)), layers.Conv1D(CHANNELS, 1, name="conv"), layers.Softmax(name="soft")]
    )
    arrays = fill(model.get_layer("conv"))
    twin = nn.Sequential(load(nn.Conv1d(CHANNELS, CHANNELS, 1), arrays), nn.Softmax(-1)).eval()
    a, b = (twin, model) if turned else (model, twin)
    diagnosis = cp.why(a, b, numbers((3, CHANNELS, LENGTH)))
    (cause,) = diagnosis.causes
    assert (cause.path_b, cause.aspect) == (("soft", "axis") if turned else ("1", "axis"))
    assert cause.text == "axis is -1 in b and, in the axes of b, 1 in a"
    exec(diagnosis.fix, {"model": b, "nn": nn, "keras": keras, "diagnosis": diagnosis})
    assert cp.why(a, b, numbers((3, CHANNELS, LENGTH))).equal


NAMES = (
    "conv",
    "norm",
    "gelu",
    "conv2",
    "layer",
    "relu",
    "drop",
    "max",
    "group",
    "average",
    "leaky",
    "flat",
    "dense",
    "soft",
    "last",
)


def keras_network():
    """The model of `network`; the first activation belongs to its convolution."""
    model = keras.Sequential([
        keras.Input((64, 4)), layers.ZeroPadding1D(2, name="pad"), layers.Conv1D(8, 5, strides=2, name="conv"),
        layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="norm"), layers.Activation("gelu", name="gelu"),
        layers.Conv1D(8, 3, padding="same", name="conv2"), layers.LayerNormalization(epsilon=1e-5, name="layer"),
        layers.ReLU(name="relu"), layers.Dropout(0.2, name="drop"), layers.MaxPooling1D(2, name="max"),
        layers.GroupNormalization(2, epsilon=1e-5, name="group"), layers.AveragePooling1D(3, 1, "same", name="average"),
        layers.LeakyReLU(0.1, name="leaky"), layers.Flatten(name="flat"), layers.Dense(10, activation="softmax", name="dense"),
        layers.Dense(10, name="last"),
    ])  # fmt: skip
    for layer in model.layers:
        fill(layer)
    return model


@pytest.fixture(scope="module")
def a():
    """The torch model with the weights of the Keras model."""
    model, twin = keras_network(), network()
    for name, module in zip(NAMES, twin, strict=True):
        if name != "soft":
            load(module, {weight.name: array(weight) for weight in _weights(model.get_layer(name))})
    twin[9].count_include_pad = False
    return twin


def array(variable):
    return np.asarray(ops.convert_to_numpy(variable.value))


def set_to(name, **attributes):
    """Return a function that sets attributes of a layer."""

    def change(model):
        for attribute, value in attributes.items():
            setattr(model.get_layer(name), attribute, value)

    return change


def data_to(name, weight, function):
    """Return a function that changes a weight."""

    def change(model):
        variable = getattr(model.get_layer(name), weight)
        variable.assign(np.array(function(array(variable))))

    return change


def training(name):
    """Return a function that calls one layer as in training, whatever the model does."""

    def change(model):
        data = tensor = keras.Input((64, 4))
        for layer in model.layers:
            tensor = layer(tensor, training=True) if layer.name == name else layer(tensor)
        return keras.Model(data, tensor)

    return change


def new(shape, seed=5):
    return keras.initializers.GlorotUniform(seed)(shape)


FAULTS = {  # name -> change of b, path of the layer, aspects
    "padding": (set_to("conv2", padding="causal"), "conv2", "split"),
    "kernel": (data_to("conv2", "kernel", lambda kernel: kernel[::-1]), "conv2", "flip"),
    "batch norm": (set_to("norm", epsilon=1e-3), "norm", "eps"),
    "mean": (data_to("norm", "moving_mean", lambda mean: mean * 0), "norm", "mean"),
    "statistics": (training("norm"), "norm", "batch_statistics"),
    "gelu": (set_to("gelu", activation=ops.gelu), "gelu", "function"),
    "other activation": (set_to("gelu", activation=keras.activations.silu), "gelu", "function"),
    "own activation": (set_to("dense", activation=keras.activations.log_softmax), "dense/activation", "function"),
    "layer norm": (set_to("layer", epsilon=1e-3), "layer", "eps"),
    "dropout": (training("drop"), "drop", "active"),
    "groups": (set_to("group", groups=4), "group", "groups"),
    "group norm": (set_to("group", epsilon=1e-3), "group", "eps"),
    "pool": (set_to("average", pool_size=(5,)), "average", "kernel_size", "padding"),
    "slope": (set_to("leaky", negative_slope=0.3), "leaky", "slope"),
    "transposed": (data_to("last", "kernel", np.transpose), "last", "weight"),
    "not loaded": (data_to("last", "kernel", lambda kernel: new(kernel.shape)), "last", "weight"),
    "no bias": (data_to("dense", "bias", lambda bias: bias * 0), "dense", "bias"),
}


def faulty(*names):
    """Return the Keras model with faults."""
    model = keras_network()
    for name in names:
        model = FAULTS[name][0](model) or model
    return model


def test_equal_models(a):
    """The momenta differ, which is a note; the weights and Keras are as before."""
    model = keras_network()
    model.get_layer("norm").momentum = 0.99
    before = [array(variable) for variable in model.variables]
    diagnosis = cp.why(a, model, numbers())
    assert diagnosis.equal, str(diagnosis)
    assert diagnosis.notes == ("norm: momentum is 0.99 in b and 0.9 in a; it matters in training only",)
    assert [row.path_b for row in diagnosis.rows][:2] == ["pad + conv", "norm"]
    assert "dense/activation" in {row.path_b for row in diagnosis.rows}
    assert all(np.array_equal(one, array(variable)) for one, variable in zip(before, model.variables, strict=True))


GROUPS = (
    ("padding",),
    ("pool",),
    ("not loaded",),
    ("statistics", "transposed"),
    ("kernel", "layer norm", "no bias"),
    ("batch norm", "own activation"),
    ("gelu", "dropout"),
    ("mean", "groups"),
    ("other activation", "group norm", "slope"),
)


def test_every_fault_is_planted():
    """In one group each."""
    assert sorted(name for names in GROUPS for name in names) == sorted(FAULTS)


@pytest.mark.parametrize("names", GROUPS, ids="+".join)
def test_faults(a, names):
    """Each is found in its layer, alone and with others, and nothing else; the lines that are printed mend them."""
    b = faulty(*names)
    before = [array(variable) for variable in b.variables]
    diagnosis = cp.why(a, b, numbers())
    assert all(np.array_equal(one, array(variable)) for one, variable in zip(before, b.variables, strict=True))
    found = {(cause.path_b, cause.aspect) for cause in diagnosis.causes}
    if names == ("not loaded",):
        assert "uniform ±√(6/(fan_in + fan_out)) (Keras default)" in diagnosis.causes[0].text
    assert found == {(FAULTS[name][1], aspect) for name in names for aspect in FAULTS[name][2:]}, str(diagnosis)
    names_of_code = {"model": b, "keras": keras, "diagnosis": diagnosis}
    assert diagnosis.fix
    if "…" not in diagnosis.fix and "pool" not in names:  # the padding of "same" follows the pool_size
        exec(diagnosis.fix, names_of_code)
        assert cp.why(a, names_of_code["model"], numbers()).equal, diagnosis.fix
