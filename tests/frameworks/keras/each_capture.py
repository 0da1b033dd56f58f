"""One backend's layers taken apart and built elsewhere, exactly or not at all.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.keras_layers import (
    BACKEND,
    DEPTHWISE,
    LAYERS,
    LEARNED_LAYERS,
    NAME,
    RUNS,
    Choice,
    Conv1D,
    DepthwiseConv1D,
    PaddedConv1D,
    built,
    computed,
    random,
)

import convpolicy as cp
from convpolicy import reference


@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back(name):
    """A layer of each kind: captured under this backend's name, rebuilt here to the bit, and on NumPy within rounding."""
    options, kind = LAYERS[name]
    layer, data = built(options, seed=1, bias_init="normal"), random(2, 4, 25)
    taken = cp.capture(layer)
    assert (taken.backend, taken.dtype) == (NAME, "float32")
    assert taken.spec == cp.ConvSpec.of(4, 8, 3, options.get("stride", 1), options.get("dilation", 1), options.get("groups", 1))
    again = taken.build(NAME)
    assert type(again) is kind
    expected = BACKEND.run(layer, data)
    assert BACKEND.run(again, data).tobytes() == expected.tobytes()
    if name in LEARNED_LAYERS:
        return  # NumPy's layers do not learn
    magnitude = (7 if "folded" in name else 3) * np.abs(data).max() + 3  # elements of a sum, and constants
    bound = 2 * reference.tolerance("float32", 13 + 3, magnitude * np.abs(taken.weight).sum((1, 2)).max() + 3)
    on_numpy = cp.port(layer, to="numpy")
    assert np.abs(on_numpy(data) - expected).max() <= bound
    back = cp.port(on_numpy, to=NAME)
    assert cp.capture(back).weight.tobytes() == taken.weight.tobytes()
    assert np.abs(BACKEND.run(back, data) - expected).max() <= bound


@pytest.mark.parametrize("words", [
    {}, {"padding": "same", "strides": 2}, {"padding": "causal", "dilation_rate": 2, "use_bias": False},
    {"groups": 2, "padding": "SAME"}, {"dtype": "float16"}, {"dtype": "bfloat16"}, {"data_format": "channels_first"},
    {"kernel_constraint": "max_norm", "kernel_regularizer": "l2", "activation": "linear"},
], ids=str)  # fmt: skip
def test_keras_own_conv1d(words):
    """Any keras.layers.Conv1D that is one convolution: every bit when built again, also of 16-bit layers."""
    channels_first = words.get("data_format") == "channels_first"
    if RUNS == "tensorflow" and channels_first:
        words |= {"groups": 1}  # without groups TensorFlow computes it on some processors
    layer = Conv1D(8, 3, bias_initializer="random_normal", **words)
    data = random(2, 4, 12)
    layer.build((2, 4, 12) if channels_first else (2, 12, 4))
    twin = Conv1D(8, 3, **{**words, "data_format": "channels_last"})  # the same weights, which every processor computes
    twin.build((2, 12, 4))
    twin.set_weights(layer.get_weights())
    expected = np.array(keras.ops.convert_to_numpy(keras.ops.cast(twin(data.transpose(0, 2, 1)), "float32"))).transpose(0, 2, 1)
    taken = cp.capture(layer)
    assert taken.policy.name == NAME
    assert taken.policy.padding.name == {"same": "same_upper"}.get(layer.padding, layer.padding)
    assert (taken.bias is not None) == layer.use_bias == taken.policy.bias
    assert taken.dtype == words.get("dtype", "float32")
    assert BACKEND.run(taken.build(NAME), data).astype("float32").tobytes() == expected.tobytes()
    if channels_first:
        try:
            own = np.array(keras.ops.convert_to_numpy(layer(data)))
        except Exception as error:  # TensorFlow on a CPU without its own oneDNN kernels
            assert RUNS == "tensorflow" and "only supports the NHWC tensor format on the CPU" in str(error)
            with pytest.raises(type(error), match="NHWC"):
                BACKEND.run(layer, data)
        else:
            np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)
            assert BACKEND.run(layer, data).tobytes() == own.tobytes()


@pytest.mark.parametrize("words", [{}, {"depth_multiplier": 3, "padding": "same", "strides": 2, "dilation_rate": 2}], ids=str)
def test_keras_own_depthwiseconv1d(words):
    """A DepthwiseConv1D comes back as one, and its weight is (in · multiplier, 1, kernel)."""
    layer, data = DepthwiseConv1D(3, **words), random(2, 4, 12)
    expected = computed(layer, data.transpose(0, 2, 1)).transpose(0, 2, 1)
    taken = cp.capture(layer)
    assert (taken.policy.name, taken.spec.groups, taken.spec.in_channels) == (DEPTHWISE, 4, 4)
    assert taken.weight.shape == (4 * layer.depth_multiplier, 1, 3)
    again = taken.build(NAME)
    assert type(again) is DepthwiseConv1D
    assert BACKEND.run(again, data).tobytes() == expected.tobytes()
    np.testing.assert_allclose(taken.build("numpy")(data), expected, rtol=1e-4, atol=1e-5)


def test_a_capture_is_a_copy():
    """Training on changes nothing in it."""
    layer = built({}, seed=0)
    taken = cp.capture(layer)
    before = taken.weight.copy()
    layer.kernel.assign(np.zeros((3, 4, 8)))
    assert taken.weight.tobytes() == before.tobytes()


class Doubled(Conv1D):
    """Another function under the same name."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def replaced():
    """A layer whose call is another function."""
    layer = built({})
    layer.call = lambda inputs: inputs
    return layer


def adapted():
    """A layer with LoRA."""
    layer = built({})
    layer.enable_lora(2)
    return layer


def quantized():
    """A layer whose dtype policy quantizes."""
    layer = built({})
    layer._dtype_policy = keras.dtype_policies.get("int8_from_float32")
    return layer


def made(kind, *arguments, **words):
    """A built layer."""
    layer = kind(*arguments, **words)
    layer.build((None, 9, 4))
    return layer


REFUSED = {
    "subclass": (lambda: made(Doubled, 8, 3), ValueError, "Doubled cannot be captured exactly: its class overrides call"),
    "replaced": (replaced, ValueError, "its class overrides call; capture a plain Conv1D with its weights"),
    "activation": (lambda: made(Conv1D, 8, 3, activation="relu"), ValueError, "it applies the activation 'relu'; set activation to None"),
    "not built": (lambda: Conv1D(8, 3), ValueError, "it is not built and has no weights; call it once"),
    "LoRA": (adapted, ValueError, "LoRA adds to its kernel"),
    "mixed": (lambda: made(Conv1D, 8, 3, dtype="mixed_bfloat16"), ValueError, "its weights are float32 and it computes in bfloat16; build it with one"),
    "quantized": (quantized, ValueError, "it is quantized (int8_from_float32"),
    "separable": (lambda: made(keras.layers.SeparableConv1D, 8, 3), ValueError, "SeparableConv1D cannot be captured exactly: it is more than one"),
    "Conv2D": (lambda: keras.layers.Conv2D(8, 3), TypeError, "got an object of class keras.src.layers.convolutional.conv2d.Conv2D"),
    "Dense": (lambda: keras.layers.Dense(8), TypeError, "got an object of class keras.src.layers.core.dense.Dense"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix; never approximated."""
    build, kind, says = REFUSED[name]
    with pytest.raises(kind, match=says.replace("(", r"\(")) as raised:
        cp.capture(build())
    assert isinstance(raised.value, cp.ConvPolicyError)


def test_lora_merged_is_captured():
    """What LoRA's own file holds is the kernel that was computed with."""
    layer = adapted()
    layer.lora_kernel_b.assign(random(*layer.lora_kernel_b.shape))
    store = {}
    layer.save_own_variables(store)
    merged = built({})
    merged.set_weights([np.array(keras.ops.convert_to_numpy(value)) for value in store.values()])
    data = random(2, 9, 4)
    np.testing.assert_allclose(computed(cp.capture(merged).build(NAME), data), computed(layer, data), rtol=1e-4, atol=1e-5)


def test_attributes_changed_after_building():
    """A capture says what the next call does."""
    layer = built({"padding": (1, 1)}, seed=1)
    layer.padding = "valid"
    taken = cp.capture(layer)
    assert type(taken.build(NAME)) is Conv1D
    padded = built({"padding": (2, 1)}, seed=1)
    assert isinstance(padded, PaddedConv1D)
    assert cp.capture(padded).policy.padding == Choice("explicit", left=2, right=1)


@pytest.mark.parametrize(("activation", "says"), [
    ("relu", "relu"), ("gelu", "gelu, exact, by erf"), ("silu", "silu, also called swish"), ("leaky_relu", "leaky_relu(negative_slope=0.2)"),
])  # fmt: skip
def test_why_tells_the_activation(activation, says):
    """A layer that is not captured is run by its own backend: the activation is found, and the reason of the refusal is told."""
    plain, active = (Conv1D(6, 3, bias_initializer="random_normal", activation=word) for word in (None, activation))
    for layer in (plain, active):
        layer.build((None, 25, 4))
    active.set_weights(plain.get_weights())
    for pair in ((plain, active), (active, plain)):
        found = cp.why(*pair, random(2, 4, 25))
        assert (found.verdict, found.change.partition(": ")[2]) == ("one cause", f"apply {says} to the output")
        (note,) = found.notes
        assert f"it applies the activation {activation!r}; set activation to None and apply it after the layer." in note


def test_why_of_models():
    """Two models are compared layer by layer; beside a layer a model is run, and the note names what is in it."""
    model = keras.Sequential([keras.Input((25, 4)), Conv1D(6, 3, name="one"), Conv1D(6, 3, name="two")])
    assert [row.path_a for row in cp.why(model, model, random(2, 4, 25)).rows] == ["one", "two"]
    layer = Conv1D(6, 3)
    layer.build((None, 25, 4))
    assert "Sequential, which contains 'one', 'two'" in cp.why(layer, model, random(2, 4, 25)).notes[0]
