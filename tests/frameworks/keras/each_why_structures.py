"""`why` of Keras models of every structure: functional, nested, shared and subclassed ones, operations, masks, and what must not change."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.torch_twins import numbers
from keras import layers, ops

import convpolicy as cp
from convpolicy.models.readers import reader_of
from convpolicy.models.recording import record

SHAPE = (20, 3)


def functional():
    """A shared layer, operations, a nested model and a sum."""
    keras.backend.clear_session()  # names of operations have no numbers
    keras.utils.set_random_seed(3)
    data = keras.Input(SHAPE)
    shared = layers.Conv1D(3, 3, padding="same", name="shared")
    inner = keras.Sequential([keras.Input(SHAPE), layers.Dense(3, name="a"), layers.Dense(3, "relu", name="b")], name="inner")
    hidden = ops.max_pool(keras.activations.softmax(layers.Add()([inner(shared(ops.gelu(shared(data)))), data])), (2,), (2,))
    return keras.Model(data, hidden)


class Block(layers.Layer):
    """Layers as attributes and in a list, and functions."""

    def __init__(self, **words):
        super().__init__(**words)
        self.conv = layers.Conv1D(3, 3, padding="same", name="conv")
        self.many = [layers.BatchNormalization(name="norm"), layers.Dropout(0.5, name="drop")]
        self.act = layers.LeakyReLU(0.1, name="act")

    def call(self, data, training=None):
        """Add two branches."""
        hidden = ops.tanh(self.conv(data))
        for layer in self.many:
            hidden = layer(hidden, training=training)
        return self.act(hidden) + keras.activations.silu(data)


class Subclassed(keras.Model):
    """Blocks, and a layer whose activation is a layer."""

    default = False

    def __init__(self):
        super().__init__()
        keras.utils.set_random_seed(3)
        self.blocks = [Block(name="first"), Block(name="second")]
        self.head = layers.Dense(4, activation=layers.LeakyReLU(0.2, name="inner"), name="head")
        self(np.zeros((1, *SHAPE), np.float32), training=False)

    def call(self, data, training=None):
        """Run the blocks one after the other."""
        for block in self.blocks:
            data = block(data, training=self.default if training is None else training)
        return self.head(ops.mean(data, axis=1))


class Training(Subclassed):
    """Trains unless it is told not to."""

    default = True


def copy(model):
    """Return a model with the same weights."""
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    return other


def values(model):
    return [np.array(ops.convert_to_numpy(variable.value)) for variable in model.variables]


def recorded(model, x):
    return [(call.path, call.title) for call in record("a", reader_of(model), x).leaves()]


def found(diagnosis):
    return [(cause.path_b, cause.aspect) for cause in diagnosis.causes]


def mended(a, b, x):
    """Run the lines that ``why`` prints, and ask again."""
    diagnosis = cp.why(a, b, x)
    names = {"model": b, "keras": keras, "diagnosis": diagnosis}
    exec(diagnosis.fix, names)
    return cp.why(a, names["model"], x).equal


def test_functional():
    """Every layer and operation is recorded, the shared one twice; a fault in it is one cause."""
    model, x = functional(), numbers((2, 3, 20))
    assert recorded(model, np.moveaxis(x, 1, -1)) == [
        ("shared", "convolution"), ("gelu", "gelu by tanh"), ("shared", "convolution"), ("inner/a", "linear"),
        ("inner/b", "linear"), ("inner/b/activation", "relu"), ("add", "Add"), ("softmax", "softmax"),
        ("max_pool", "max pooling"),
    ]  # fmt: skip
    assert cp.why(model, copy(model), x).verdict == "equal to the bit"
    b = copy(model)
    b.get_layer("inner").get_layer("b").activation = keras.activations.tanh
    assert found(cp.why(model, b, x)) == [("inner/b/activation", "function")]
    assert mended(model, b, x)
    b = copy(model)
    b.get_layer("shared").padding = "causal"
    assert [path for path, _aspect in found(cp.why(model, b, x))] == ["shared"]
    assert mended(model, b, x)


def test_subclassed():
    """Layers in attributes and lists, and functions, which have the path of the layer that calls them."""
    model, x = Subclassed(), numbers((2, 3, 20))
    block = [("conv", "convolution"), ("tanh", "tanh"), ("norm", "batch norm"), ("drop", "dropout"), ("act", "leaky relu"),
             ("silu", "silu")]  # fmt: skip
    expected = [(f"{name}/{path}", title) for name in ("first", "second") for path, title in block]
    assert recorded(model, np.moveaxis(x, 1, -1)) == [*expected, ("head", "linear"), ("head/inner", "leaky relu")]
    b = Subclassed()
    assert cp.why(model, b, x).verdict == "equal to the bit"
    b.blocks[1].many[0].epsilon, b.blocks[0].act.negative_slope, b.head.activation.negative_slope = 0.1, 0.3, 0.05
    assert found(cp.why(model, b, x)) == [("first/act", "slope"), ("second/norm", "eps"), ("head/inner", "slope")]
    assert mended(model, b, x)


def test_training():
    """A model that trains when it is called: statistics and dropout are found in every layer, and nothing is updated."""
    a, b, x = Subclassed(), Training(), numbers((2, 3, 20))
    before = values(b)
    aspects = [(f"{name}/{path}", aspect) for name in ("first", "second")
               for path, aspect in (("norm", "batch_statistics"), ("drop", "active"))]  # fmt: skip
    assert found(cp.why(a, b, x)) == aspects
    assert all(map(np.array_equal, before, values(b)))
    assert mended(a, b, x)


def test_masks_and_tokens():
    """A mask goes along with the tensors that are put in; recurrent layers are compared."""

    def make():
        keras.utils.set_random_seed(3)
        return keras.Sequential([
            keras.Input((9,), dtype="int32"), layers.Embedding(7, 4, mask_zero=True, name="words"),
            layers.LSTM(5, return_sequences=True, name="lstm"), layers.Bidirectional(layers.GRU(3), name="both"), layers.Dense(2),
        ])  # fmt: skip

    a, b = make(), make()
    tokens = np.random.default_rng(0).integers(1, 7, (3, 9))
    tokens[:, 6:] = 0
    assert cp.why(a, b, tokens).verdict == "equal to the bit"
    b.get_layer("words").embeddings.assign(values(b)[0][::-1])
    assert found(cp.why(a, b, tokens)) == [("words", "weight")]
    kernel = b.get_layer("lstm").trainable_variables[0]
    b.get_layer("words").embeddings.assign(values(a)[0])
    kernel.assign(np.array(ops.convert_to_numpy(kernel.value)) * 2)
    assert found(cp.why(a, b, tokens)) == [("lstm", "lstm_cell/kernel")]


@pytest.mark.parametrize("policy", ["float16", "mixed_float16"])
def test_another_dtype(policy):
    """The dtype is the only cause."""

    def make(policy):
        return keras.Sequential([
            keras.Input(SHAPE), layers.Conv1D(4, 3, activation="relu", dtype=policy, name="conv"), layers.Dense(4, dtype=policy),
        ])  # fmt: skip

    a, b = make("float32"), make(policy)
    b.set_weights([weight.astype(np.float16).astype(np.float32) for weight in a.get_weights()])
    a.set_weights([np.asarray(weight, np.float32) for weight in b.get_weights()])
    assert found(cp.why(a, b, numbers((2, 3, 20)))) == [("conv", "dtype")]


def test_several_inputs():
    """A dict of arrays goes to a functional model by its names, and to ``call`` by those of its arguments."""
    inputs = {name: keras.Input(SHAPE, name=name) for name in "uv"}
    model = keras.Model(inputs, layers.Dense(2)(inputs["u"]) + layers.Dense(2)(inputs["v"]))
    x = {name: numbers((2, *SHAPE), seed) for seed, name in enumerate("uv")}
    assert cp.why(model, copy(model), x).verdict == "equal to the bit"

    class Two(keras.Model):
        def __init__(self, seed):
            super().__init__()
            self.dense = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed), name="dense")
            self.dense.build((None, *SHAPE))

        def call(self, u, v):
            return self.dense(u) - self.dense(v)

    assert cp.why(Two(1), Two(1), x).verdict == "equal to the bit"
    assert found(cp.why(Two(1), Two(2), x)) == [("dense", "weight")]


def patches():
    """Return what `why` replaces while a model runs."""
    nn, numpy = keras.src.backend.nn, keras.src.backend.numpy
    return keras.Layer.__call__, keras.Operation.__call__, nn.relu, nn.gelu, nn.softmax, numpy.tanh, numpy.exp


class Raising(layers.Layer):
    """Raises an error when it is called for the n-th time after it was told to."""

    error, number = None, 0

    def call(self, data):
        """Raise the error."""
        self.number -= 1
        if self.error is not None and self.number == 0:
            raise self.error
        return data * 2.0


def raising(side, number, error):
    """Two models, one of which raises; their first layers differ, so that the later ones run again alone."""
    pair = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        inner = [
            layers.Conv1D(3, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            Raising(name="last"),
        ]
        pair.append(keras.Sequential([keras.Input(SHAPE), *inner]))
        pair[-1].layers[1].trainable = False
    last = pair["ab".index(side)].layers[-1]
    last.error, last.number = error, number
    return pair


def left(pair):
    """Return what must not change: patches, activations, modes and weights."""
    flags = [[layer.trainable for layer in model.layers] for model in pair]
    return patches(), [model.layers[0].activation for model in pair], flags, [values(model) for model in pair]


@pytest.mark.parametrize(("side", "number"), [("a", 1), ("b", 1), ("b", 2)])
def test_after_ctrl_c(side, number):
    """While a model is recorded, and while a layer runs alone: the interrupt goes on, and everything is as before."""
    pair = raising(side, number, KeyboardInterrupt())
    before = left(pair)
    with pytest.raises(KeyboardInterrupt):
        cp.why(*pair, numbers((2, 3, 20)))
    np.testing.assert_equal(left(pair), before)


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_model_that_raises(side):
    """One sentence with the path of the layer, and everything is as before."""
    pair = raising(side, 1, ValueError("no such luck"))
    before = left(pair)
    message = rf"^{side} cannot be run on x of shape .*: module 'last' raises: .*no such luck"
    with pytest.raises(cp.InvalidValueError, match=message) as caught:
        cp.why(*pair, numbers((2, 3, 20)))
    assert "\x1b" not in str(caught.value)
    np.testing.assert_equal(left(pair), before)


def test_bad_input():
    """The shape that the model takes, and layers without weights, are named."""
    with pytest.raises(
        cp.InvalidValueError, match=r"a cannot be run on x .* the model takes inputs of shape \(None, 20, 3\), got"
    ):
        cp.why(functional(), functional(), numbers((2, 4, 20)))
    lazy = keras.Sequential([layers.Dense(3, name="lazy")])
    with pytest.raises(cp.InvalidValueError, match=r"layer '.*lazy' has no weights yet; call the model once"):
        cp.why(lazy, functional(), numbers((2, 3, 20)))
    with pytest.raises(cp.InvalidValueError, match="a and b must have modules in common"):
        cp.why(functional(), keras.Sequential([keras.Input(SHAPE), layers.Cropping1D(1)]), numbers((2, 3, 20)))
    with pytest.raises(cp.InvalidValueError, match=r"got 'share', which is none of b\. Did you mean 'shared'\?"):
        cp.why(functional(), functional(), numbers((2, 3, 20)), names={"shared": "share"})
