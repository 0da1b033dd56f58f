"""One backend's transposed convolutions: the bits of seeds, refusals, captures, and faults that are rejected.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.keras_layers import BACKEND, NAME, RUNS, Choice, Conv1DTranspose, CroppedConv1DTranspose, computed, random
from helpers.keras_transposed import HALF, IN, OUT, POLICIES, own_layer, share

import convpolicy as cp
from convpolicy.frameworks.keras import transposed_layer, values
from convpolicy.testing import ConformanceError, checks_of

# -- initial weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_a_seed_gives_the_bits_of_keras_own_layers(dtype):
    """Two layers in a row after set_random_seed, drawn with NumPy alone, and by a built layer."""
    for seed, kernel in ((0, 4), (42, 5)):
        keras.utils.set_random_seed(seed)
        own = [Conv1DTranspose(33, kernel, dtype=dtype), Conv1DTranspose(6, 3, dtype=dtype)]
        stream = HALF.start_stream(seed)
        for layer, (channels, out, taps) in zip(own, ((16, 33, kernel), (33, 6, 3))):
            layer.build((None, None, channels))
            drawn = HALF.initial(channels, out, taps, stream=stream, dtype=dtype)
            assert drawn["weight"].tobytes() == BACKEND.parameters(layer)["weight"].tobytes()
            assert not drawn["bias"].any()
            assert not BACKEND.parameters(layer)["bias"].any()
        built = cp.ConvTranspose1d(16, 33, kernel, policy=NAME, backend=NAME, seed=seed, dtype=dtype)
        assert BACKEND.parameters(built)["weight"].tobytes() == BACKEND.parameters(own[0])["weight"].tobytes()


LAWS = {"he_uniform": "he_uniform", "he_truncated_normal": "he_normal", "lecun_uniform": "lecun_uniform"}


@pytest.mark.parametrize("law", LAWS)
def test_the_output_side_is_the_fan_in(law):
    """Laws that read fan_in: the bits of Keras's own layer with and without a seed; a layout with the other fan has others."""
    keras.utils.set_random_seed(3)
    own = Conv1DTranspose(33, 4, kernel_initializer=LAWS[law])
    own.build((None, None, 16))
    expected = BACKEND.parameters(own)["weight"]
    half = HALF.evolve(weight_init=law)
    assert half.initial(16, 33, 4, seed=3)["weight"].tobytes() == expected.tobytes()
    keras.utils.set_random_seed(3)
    layer = cp.ConvTranspose1d(16, 33, 4, policy=half, backend=NAME)
    assert BACKEND.parameters(layer)["weight"].tobytes() == expected.tobytes()
    cp.register(OtherFan(), "other-fan")
    try:
        swapped = half.evolve(name="swapped", layout="WOI-other-fan")
        assert not np.allclose(swapped.initial(16, 33, 4, seed=3)["weight"], expected)
        keras.utils.set_random_seed(3)
        layer = cp.ConvTranspose1d(16, 33, 4, policy=swapped, backend=NAME)
        assert not np.allclose(BACKEND.parameters(layer)["weight"], expected)
    finally:
        cp.unregister("other-fan")


class OtherFan:
    """Keras's layout, with the input side as fan_in."""

    @cp.hookimpl
    def convpolicy_layouts(self):
        return [cp.Layout("WOI-other-fan", "WOI", weight="kernel", transposed=True)]


def test_every_policys_bits_on_this_backend():
    """With a seed, weight and bias of other frameworks' policies; the weights stay when a configuration is read again."""
    for policy in ("keras", "keras-torch", "keras-jax", "torch"):
        layer = cp.ConvTranspose1d(4, 8, 3, 2, (1, 0), groups=2, policy=policy, backend=NAME, seed=5)
        expected = cp.policy(policy).initial(4, 8, 3, groups=2, seed=5, transposed=True)
        assert all(found.tobytes() == expected[role].tobytes() for role, found in BACKEND.parameters(layer).items())
        again = CroppedConv1DTranspose.from_config(layer.get_config())
        again.build((None, None, 4))
        assert BACKEND.parameters(again)["weight"].shape == (4, 4, 3)


# -- refusals -----------------------------------------------------------------------------------------------------------


def test_what_keras_refuses():
    """Stride with dilation, an output_padding of the stride or more, and groups: Keras refuses them, and so does the policy."""
    with pytest.raises(ValueError, match="not supported in conjunction"):
        Conv1DTranspose(OUT, 3, 2, dilation_rate=2)
    with pytest.raises(ValueError, match="must be strictly less than"):
        Conv1DTranspose(OUT, 3, 2, output_padding=2)
    with pytest.raises(ValueError, match="Unrecognized keyword arguments"):
        Conv1DTranspose(OUT, 3, groups=2)
    for policy in POLICIES:
        words = {"policy": policy, "backend": NAME}
        with pytest.raises(cp.InvalidValueError, match="stride and dilation must not both be above 1 under policy"):
            cp.ConvTranspose1d(IN, OUT, 3, 2, dilation=2, **words)
        for padding in ("valid", "same"):
            with pytest.raises(cp.InvalidValueError, match="output_padding must be below the stride, 2, under policy"):
                cp.ConvTranspose1d(IN, OUT, 3, 2, padding, 2, **words)
    with pytest.raises(cp.InvalidValueError, match="must be divisible by groups=3, got 8 and 4"):
        CroppedConv1DTranspose(8, 3, groups=3, policy=HALF).build((None, None, 4))


def test_where_tensorflow_fails():
    """output_padding=0 with 'same' and an even effective kernel: refused before TensorFlow is called; elsewhere it is computed."""
    for kernel, stride, dilation in ((4, 2, 1), (2, 1, 1), (2, 1, 3)):
        own, even = own_layer(kernel, stride, dilation, "same", 0), (kernel - 1) * dilation + 1
        words = {"dilation": dilation, "policy": NAME, "backend": NAME}
        if RUNS != "tensorflow":
            ours = cp.ConvTranspose1d(IN, OUT, kernel, stride, "same", 0, **words)
            own.set_weights(ours.get_weights())
            assert BACKEND.run(ours, random(2, IN, 5)).tobytes() == BACKEND.run(own, random(2, IN, 5)).tobytes()
            continue
        import tensorflow as tf

        with pytest.raises(tf.errors.OpError):
            own(random(2, 5, IN))
        with pytest.raises(
            cp.InvalidValueError, match=f"output_padding=0 fails in TensorFlow for an even effective kernel, got {even}; pass 1"
        ):
            cp.ConvTranspose1d(IN, OUT, kernel, stride, "same", 0, **words)
        with pytest.raises(cp.InvalidValueError, match="output_padding=0 fails in TensorFlow"):
            cp.capture(own)
        other = cp.ConvTranspose1d(
            IN, OUT, kernel, stride, "same", 0, dilation=dilation, policy="keras-jax", backend=NAME, seed=1
        )
        half = cp.policy("keras-jax").transposed.evolve(padding=Choice("keras_same", output_padding=0))
        data, plan = random(2, IN, 5), half.plan(kernel, stride, dilation, length=5)
        assert share(BACKEND.run(other, data), data, **BACKEND.parameters(other), plan=plan) <= 1


# -- captures ----------------------------------------------------------------------------------------------------------


CAPTURED = [
    ({}, ()), ({"padding": "same", "strides": 3, "output_padding": 1}, ()), ({"padding": "SAME", "use_bias": False}, ()),
    ({"dtype": "float16", "strides": 2}, ()), ({"strides": 2}, (1, 2)), ({"strides": 5, "padding": "valid"}, (0, 3)),
    ({"strides": 2, "padding": "same"}, (2, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "crop"), CAPTURED, ids=str)
def test_there_and_back(words, crop):
    """Keras's own layer, alone and before Cropping1D: captured, and built again here to the bit, and on NumPy within rounding.

    Before Cropping1D the built layer may be Keras's own with padding='same', of which oneDNN computes other last bits.
    """
    layer = Conv1DTranspose(OUT, 4, bias_initializer="random_normal", **words)
    model = keras.Sequential([layer, keras.layers.Cropping1D(crop, dtype=layer.dtype_policy)]) if crop else layer
    model.build((None, 9, IN))
    data = random(2, IN, 9).astype(words.get("dtype", "float32"))
    expected = computed(model, data.transpose(0, 2, 1)).transpose(0, 2, 1)
    captured = cp.capture(model)
    assert (captured.backend, captured.dtype) == (NAME, words.get("dtype", "float32"))
    assert captured.spec == cp.ConvSpec.of(IN, OUT, 4, words.get("strides", 1), 1, 1, transposed=True)
    assert captured.policy.name == NAME
    assert (captured.bias is not None) == layer.use_bias
    again = captured.build(NAME)
    plan = captured.policy.plan(4, layer.strides[0], length=9)
    assert crop or BACKEND.run(again, data).tobytes() == expected.tobytes()
    assert share(np.float64(BACKEND.run(again, data)), data, captured.weight, captured.bias, plan, captured.dtype) <= 1
    assert share(np.float64(expected), data, captured.weight, captured.bias, plan, captured.dtype) <= 1
    if captured.dtype == "float32":
        assert share(captured.build("numpy")(data), data, captured.weight, captured.bias, plan) <= 1
    twice = cp.capture(again)
    assert twice.policy.plan(4, layer.strides[0], length=9) == plan
    assert twice.weight.tobytes() == captured.weight.tobytes()


def test_the_subclass_is_captured():
    """With groups, with what is wrapped, and with strided dilation."""
    for padding, mode, groups in (((1, 0), "zeros", 2), ((1, 4), "circular", 1)):
        layer = cp.ConvTranspose1d(4, 8, 3, 2, padding, None, groups, None, 2, mode, policy="torch", backend=NAME, seed=1)
        captured = cp.capture(layer)
        assert captured.spec == cp.ConvSpec.of(4, 8, 3, 2, 2, groups, transposed=True)
        assert captured.policy.padding == Choice("explicit", left=padding[0], right=padding[1])
        assert captured.policy.padding_mode.name == mode
        data = random(2, 4, 6)
        assert BACKEND.run(captured.build(NAME), data).tobytes() == BACKEND.run(layer, data).tobytes()


def made(*arguments, **words):
    """A built layer."""
    layer = Conv1DTranspose(*arguments, **words)
    layer.build((None, 9, 4))
    return layer


class Doubled(Conv1DTranspose):
    """Another function under the same name."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def sequence(*layers):
    """A built Sequential."""
    model = keras.Sequential(list(layers))
    model.build((None, 9, 4))
    return model


def circular():
    """A layer that wraps."""
    return cp.ConvTranspose1d(4, 8, 3, 2, (1, 1), padding_mode="circular", policy="torch", backend=NAME)


Cropping1D, ZeroPadding1D = keras.layers.Cropping1D, keras.layers.ZeroPadding1D
REFUSED = {
    "activation": (lambda: made(8, 3, activation="relu"), ValueError, "it applies the activation 'relu'; set activation to None"),
    "not built": (lambda: Conv1DTranspose(8, 3), ValueError, "it is not built and has no weights; call it once"),
    "subclass": (lambda: sequence(Doubled(8, 3), Cropping1D(1)), ValueError, "Doubled cannot be captured exactly: its class overrides call"),
    "mixed": (lambda: made(8, 3, dtype="mixed_bfloat16"), ValueError, "its weights are float32 and it computes in bfloat16; build"),
    "wrapped, then cropped": (lambda: sequence(circular(), Cropping1D(1)), ValueError, "pads by explicit.* with mode circular; set its padding"),
    "padded before": (lambda: sequence(ZeroPadding1D(1), Conv1DTranspose(8, 3)), TypeError, "must be a 1-D convolution, got .*Sequential"),
    "dtypes": (lambda: sequence(Conv1DTranspose(8, 3), Cropping1D(1, dtype="float16")), ValueError, "its input and layers are float16, float32"),
    "Conv2DTranspose": (lambda: keras.layers.Conv2DTranspose(8, 3), TypeError, "must be a 1-D convolution of one of .* got an object of class .*Conv2DTranspose"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix."""
    build, kind, says = REFUSED[name]
    with pytest.raises(kind, match=says) as raised:
        cp.capture(build())
    assert isinstance(raised.value, cp.ConvPolicyError)


# -- faults -------------------------------------------------------------------------------------------------------------


def other_side(own):
    """The left and the right cut exchanged."""
    return lambda full, plan: keras.ops.flip(own(keras.ops.flip(full, 1), plan), 1)


def shifted(own):
    """One sample later."""
    return lambda full, plan: own(keras.ops.roll(full, 1, axis=1), plan)


@pytest.mark.parametrize("fault", [other_side, shifted])
def test_a_wrong_crop_is_rejected(fault, monkeypatch):
    """The comparison with the reference fails for the other side, and for a shift by one."""
    layer = cp.ConvTranspose1d(IN, OUT, 4, 2, (2, 1), policy="torch", backend=NAME, seed=1)
    data, plan = random(2, IN, 6), cp.policy("torch").transposed.evolve(padding=(2, 1)).plan(4, 2, length=6)
    assert share(BACKEND.run(layer, data), data, **BACKEND.parameters(layer), plan=plan) <= 1
    monkeypatch.setattr(transposed_layer, "cropped", fault(transposed_layer.cropped))
    assert share(BACKEND.run(layer, data), data, **BACKEND.parameters(layer), plan=plan) > 1


@pytest.mark.parametrize("fault", [other_side, shifted])
def test_the_kit_rejects_a_wrong_crop(fault, monkeypatch):
    """The kit's check of transposed values passes, and fails with each fault."""
    (check,) = [check for check in checks_of(BACKEND, 12) if check.id == f"{NAME}-transposed-values-float32"]
    check()
    monkeypatch.setattr(transposed_layer, "cropped", fault(transposed_layer.cropped))
    with pytest.raises(ConformanceError, match="differs from the float64 reference"):
        check()


def test_a_reversed_kernel_is_rejected(monkeypatch):
    """Weights read with the kernel in reverse."""
    layer = cp.ConvTranspose1d(IN, OUT, 4, 2, policy=NAME, backend=NAME, seed=1)
    data, plan = random(2, IN, 6), HALF.plan(4, 2, length=6)
    read = {**values.parameters(layer), "weight": values.parameters(layer)["weight"][..., ::-1]}
    assert share(BACKEND.run(layer, data), data, **read, plan=plan) > 1
