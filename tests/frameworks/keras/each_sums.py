"""One backend's layers pad by sums, per side and per channel, and learn a constant: weights, files, dtypes, lengths, and faults.

`test_each_backend.py` runs this file in a process for each backend; the layers of these modes are also in `helpers.keras_layers.LAYERS`.
"""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest
from helpers.keras_layers import (
    BACKEND,
    CHANNELS,
    LAYERS,
    LEARNED_LAYERS,
    NAME,
    RUNS,
    Choice,
    Conv1D,
    PaddedConv1D,
    built,
    computed,
    random,
)
from helpers.wrong_sums import FAULTS, FAULTS_OF_LEARNED

import convpolicy as cp
from convpolicy.testing import ConformanceError, checks_of, faults_of
from convpolicy.testing import backend_cases as kit
from convpolicy.testing.learned import MODES as LEARNED_MODES

each_learned = pytest.mark.parametrize("name", LEARNED_LAYERS)
SUMS = tuple(
    mode for mode in kit.MODES if mode.name in ("constant", "extrapolate", "linear_ramp", "per_side", "odd", "odd_symmetric")
)
MODES = (*SUMS, *LEARNED_MODES)
RULES = (Choice("explicit", left=3, right=2), Choice("same_upper"), Choice("crop", left=-1, right=1))


def changed(layer):
    """Give a layer another learned constant, and return it."""
    value = BACKEND.parameters(layer)["padding_value"] * 3 + 1
    BACKEND.assign(layer, {"padding_value": value})
    return value


@each_learned
@pytest.mark.parametrize("bias", [True, False])
def test_the_weight_in_files(name, bias, tmp_path):
    """It is kept by its name beside Keras's own numbers, read back to the bit, and missing where a file has none."""
    model, other, plain = (keras.Sequential([keras.Input((None, 4)), layer]) for layer in (
        built(LEARNED_LAYERS[name][0], seed=0, bias=bias), built(LEARNED_LAYERS[name][0], seed=1, bias=bias), built(LAYERS["odd"][0], bias=bias)
    ))  # fmt: skip
    changed(model.layers[0])
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        (group,) = file["layers"].values()
        assert set(group["vars"]) == {"0", "padding_value", *(["1"] if bias else [])}
    other.load_weights(tmp_path / "a.weights.h5")
    assert [w.tobytes() for w in other.get_weights()] == [w.tobytes() for w in model.get_weights()]
    plain.save_weights(tmp_path / "b.weights.h5")
    if "depthwise" not in name:
        with pytest.raises(ValueError, match=r"expected . variables, but received"):
            other.load_weights(tmp_path / "b.weights.h5")


@each_learned
def test_the_weight_itself(name):
    """Of the layer's dtype, trainable, and starting from the policy's value; a layer without pads has it too, with a gradient of 0."""
    layer = built(LEARNED_LAYERS[name][0])
    start = layer._request.learned()
    assert any(variable is layer.padding_value for variable in layer.trainable_variables)
    assert layer.padding_value.shape == start.shape
    assert np.array_equal(keras.ops.convert_to_numpy(layer.padding_value), start)
    idle = built(LEARNED_LAYERS[name][0] | {"padding": 0})
    assert np.array_equal(BACKEND.gradients(idle, random(1, 4, 9), random(1, 8, 7))["padding_value"], 0 * start)


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_the_start_is_rounded_once(dtype):
    """0.1 and a third of each dtype, as NumPy rounds them."""
    from convpolicy.bits.float32 import rounded

    for value in (0.1, np.array([0.1, 1 / 3, -1e-3, 7.7])):
        layer = built({"padding": 2, "padding_mode": Choice("constant", value=value, learned=True)}, dtype=dtype)
        assert np.array_equal(BACKEND.parameters(layer)["padding_value"], rounded(value, dtype))


@each_learned
def test_capture_keeps_the_value_of_now(name):
    """Built again it computes the same bits and learns on; NumPy, which does not learn, refuses it in one sentence."""
    layer = built(LEARNED_LAYERS[name][0], seed=1)
    value = changed(layer)
    again = cp.port(layer, to=NAME)
    assert np.array_equal(BACKEND.parameters(again)["padding_value"], value)
    assert again.padding_value.trainable
    assert computed(again, random(2, 9, 4)).tobytes() == computed(layer, random(2, 9, 4)).tobytes()
    with pytest.raises(cp.InvalidValueError, match=rf"must not be learned on backend 'numpy'.*pick one of: .*{NAME}.*, or leave"):
        cp.port(layer, to="numpy")
    fixed = cp.capture(layer).policy
    modes = [
        dict(mode.params)
        for mode in (fixed.padding_mode, dict(fixed.padding_mode.params).get("right"))
        if isinstance(mode, Choice)
    ]
    learned = next(words for words in modes if words.get("learned"))
    assert np.array_equal(getattr(learned["value"], "array", learned["value"]), value)


def test_training_finds_the_constant():
    """A layer whose constant alone is trained learns that of another one."""
    options = LEARNED_LAYERS["learned, one side"][0]
    target, layer = built(options, seed=0), built(options, seed=0)
    BACKEND.assign(target, {"padding_value": np.full(4, 1.25)})
    layer._kernel.trainable = layer.bias.trainable = False
    model, data = keras.Sequential([layer]), random(8, 9, 4)
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    losses = model.fit(data, computed(target, data), epochs=90, verbose=0, batch_size=8).history["loss"]
    assert losses[-1] < losses[0] / 100
    assert np.abs(BACKEND.parameters(layer)["padding_value"] - 1.25).max() < 0.3


def test_models_name_it():
    """Among the names of a ported model, which NumPy refuses to build and this backend builds."""
    model = keras.Sequential([keras.Input((None, 4)), built(LEARNED_LAYERS["learned"][0], seed=0)])
    model.layers[0].name = "first"
    ported = cp.port_model(model, to=NAME)
    assert ported.parameters["first/padding_value"].name == "first/padding_value"
    assert "must not be learned" in cp.port_model(model, to="numpy").report[0].reason


def test_other_channels_are_refused():
    """A layer made of a configuration says how many channels its constants are for."""
    for name in ("per channel", "learned, one side"):
        again = PaddedConv1D.from_config(built(LAYERS[name][0]).get_config())
        with pytest.raises(cp.InvalidValueError, match="one for each of the 3 input channels, got 4 values"):
            again.build((None, None, 3))


@pytest.mark.parametrize("name", ["per channel", "odd", "learned, one side"])
def test_mixed_precision(name):
    """Weights of float32, computed in bfloat16: near to the layer of float32."""
    layer = built(LAYERS[name][0], seed=1)
    other = type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})
    other.build((None, None, 4))
    other.set_weights(layer.get_weights())
    output = other(random(2, 9, 4))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in other.weights} == {"float32"}
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")), computed(layer, random(2, 9, 4)), atol=0.25
    )


if RUNS == "tensorflow":
    import tensorflow as tf

    @pytest.mark.grid(every=5)
    @pytest.mark.parametrize("number", range(len(MODES)), ids=[str(mode) for mode in MODES])
    def test_a_graph_of_any_length_is_the_reference(number):
        """tf.function with a length of None: one trace computes every length, forward and backward as a call does."""
        spec, rule = cp.ConvSpec.of(kit.IN, kit.OUT, 3, 1 + number % 2, 1, 2), RULES[number % len(RULES)]
        case = kit.Case(spec, True, rule, MODES[number], 9, "keras", batch=2)
        values, _data = kit.arrays(number, case, "float32")
        layer = kit.build(BACKEND, case, values, "float32")

        def slopes(data):
            watched = [data, *(variable.value for variable in layer.trainable_variables)]
            with tf.GradientTape() as tape:
                tape.watch(watched)
                output = layer(data)
                loss = tf.reduce_sum(output**2)
            return output, tape.gradient(loss, watched, unconnected_gradients="zero")

        traced = tf.function(slopes, input_signature=[tf.TensorSpec([None, None, 4])])
        for length in (5, 9):
            now = case._replace(length=length)
            _values, data = kit.arrays(length, now, "float32")
            given = tf.constant(data.transpose(0, 2, 1))
            (output, found), (own, expected) = traced(given), slopes(given)
            if not layer.plan(length).learned:
                kit.judge(now, values, data, output.numpy().transpose(0, 2, 1), "float32")
            assert np.array_equal(output, own)
            for one, other in zip(found, expected):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    def test_what_is_compiled_by_xla_without_a_length():
        """Constants, also learned ones, by fixed pads: fit and predict compile them; sums say that they cannot be."""
        assert built(LAYERS["learned"][0]).supports_jit
        assert built(LAYERS["per channel"][0]).supports_jit
        assert not built(LAYERS["odd"][0]).supports_jit
        assert not built(LAYERS["per side"][0]).supports_jit

    @pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
    @pytest.mark.parametrize("name", ["odd", "ramp by length", "learned, one side"])
    def test_other_dtypes_in_a_graph(name, dtype):
        """The same as by a call, within a few roundings."""
        layer, data = built(LAYERS[name][0], seed=1, dtype=dtype), tf.constant(random(2, 9, 4), dtype)
        traced = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 4], dtype)])
        found, expected = (tf.cast(output, "float64").numpy() for output in (traced(data), layer(data)))
        np.testing.assert_allclose(found, expected, atol={"float64": 1e-13, "float16": 0.02, "bfloat16": 0.15}[dtype])


@pytest.mark.parametrize("fault", [*FAULTS, *FAULTS_OF_LEARNED])
def test_wrong_layers_are_rejected(fault):
    """The check that is meant sees each of them on this backend, by a number."""
    name = {"learned constant taken as 1": "learned", "gradient to the padding_value doubled": "learned-gradient"}.get(
        fault, "values-float32"
    )
    (check,) = [check for check in checks_of(faults_of(BACKEND)[fault], 25) if check.name == name]  # each of the kit's modes once
    with pytest.raises(ConformanceError, match=r"differs from the float64 reference at .*: got .*, expected .* within "):
        check()


# -- ZeroPadding1D before a convolution ---------------------------------------------------------------------------------------

Zeros, Depthwise = keras.layers.ZeroPadding1D, keras.layers.DepthwiseConv1D
SEQUENCES = {  # layers -> pads
    "one": (lambda: [Zeros((2, 1)), Conv1D(8, 3, strides=2, bias_initializer="normal")], (2, 1)),
    "several": (lambda: [Zeros(1), Zeros((0, 3)), Conv1D(8, 3, dilation_rate=2, groups=2)], (1, 4)),
    "causal": (lambda: [Zeros((0, 1)), Conv1D(8, 3, padding="causal")], (2, 1)),
    "depthwise": (lambda: [Zeros((3, 0)), Depthwise(3, strides=2)], (3, 0)),
    "input": (lambda: [keras.Input((9, 4)), Zeros(2), Conv1D(8, 3)], (2, 2)),
    "half": (lambda: [Zeros(2, dtype="float16"), Conv1D(8, 3, dtype="float16")], (2, 2)),
    "of convpolicy": (lambda: [Zeros((1, 0)), built({"padding": (3, 1)})], (4, 1)),
    "by length": (lambda: [Zeros((1, 0)), Conv1D(8, 3, padding="same", strides=2)], "its Conv1D pads by same_upper with mode zeros; set its"),
    "another mode": (lambda: [Zeros((1, 0)), built(LAYERS["reflect"][0])], "its PaddedConv1D pads by .* with mode reflect; set its"),
    "dtypes": (lambda: [Zeros(1), Conv1D(8, 3, dtype="float16")], "its input and layers are float16, float32; build all of them with one"),
    "axes": (lambda: [Zeros(1, data_format="channels_first"), Conv1D(8, 3)], "its layers have different data_formats; build all of them with one"),
    "activation": (lambda: [Zeros(1), Conv1D(8, 3, activation="relu")], "Conv1D cannot be captured exactly: it applies the activation"),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_zero_padding_before_a_convolution(name):
    """A Sequential of both is captured as one convolution, on every backend the same within rounding, or refused with the reason."""
    layers, expected = SEQUENCES[name]
    model, data = keras.Sequential(layers()), random(2, 9, 4)
    if not model.built:
        model.build((None, None, 4))
    if isinstance(expected, str):
        with pytest.raises(cp.InvalidValueError, match=expected):
            cp.capture(model)
        return
    taken = cp.capture(model)
    assert taken.policy.padding == Choice("explicit", left=expected[0], right=expected[1])
    again = taken.build(NAME)
    wide = {"atol": 0.02} if name == "half" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(computed(again, data), computed(model, data), **wide)
    np.testing.assert_allclose(
        taken.build("numpy", dtype="float32")(data.transpose(0, 2, 1)).transpose(0, 2, 1), computed(model, data), **wide
    )


def test_other_sequences_are_no_convolution():
    """Without a ZeroPadding1D, with more behind it, or of a class of its own: as before, what is in it is named."""

    class Own(Zeros):
        """Another function."""

    for layers in ([Conv1D(8, 3)], [Zeros(1), Conv1D(8, 3), Conv1D(3, 3)], [Own(1), Conv1D(8, 3)]):
        model = keras.Sequential(layers)
        model.build((None, 9, 4))
        with pytest.raises(cp.InvalidTypeError, match=r"must be a 1-D convolution, got .*Sequential, which contains 'conv1d"):
            cp.capture(model)


def test_constants_per_channel_are_in_a_file():
    """The policy of a configuration holds every one of them."""
    layer = built(LAYERS["per channel"][0])
    assert cp.Policy.from_dict(layer.get_config()["policy"]).padding_mode == Choice("constant", left=-2.0, value=CHANNELS)
