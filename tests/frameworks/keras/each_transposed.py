"""One backend's transposed convolutions against Keras's own layer and the float64 reference: cuts, values, gradients.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from helpers.keras_layers import BACKEND, EXACT_DTYPES, NAME, RUNS, Choice, Conv1DTranspose, CroppedConv1DTranspose, random
from helpers.keras_transposed import HALF, IN, OUT, POLICIES, own_layer, share

import convpolicy as cp
from convpolicy import reference
from convpolicy.bits.float32 import rounded

# Keras on torch warns where it would have differed before it cut by itself
pytestmark = pytest.mark.filterwarnings("ignore:You might experience inconsistencies:UserWarning")
STRIDED = [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (1, 2), (1, 3)]  # strides and dilations that Keras accepts


def fails(kernel, padding, output_padding):
    """Whether TensorFlow fails for a kernel without dilation."""
    return RUNS == "tensorflow" and padding == "same" and output_padding == 0 and kernel % 2 == 0


def named(kernel):
    """Each stride, dilation, padding and output_padding of a kernel that Keras accepts and computes here."""
    for (stride, dilation), padding in itertools.product(STRIDED, ("valid", "same")):
        for output_padding in (None, *range(stride)):
            if not fails((kernel - 1) * dilation + 1, padding, output_padding) and (RUNS != "tensorflow" or dilation == 1):
                yield stride, dilation, padding, output_padding


def test_output_paddings_that_keras_refuses():
    """Strides, dilations and output_paddings up to 5: words and numbers refuse an output_padding that Keras does, and no other."""
    for stride, dilation, output_padding in itertools.product(range(1, 6), range(1, 6), range(1, 6)):
        if stride > 1 and dilation > 1:
            continue  # both refuse it
        verdicts = []
        for attempt in (
            lambda: Conv1DTranspose(OUT, 3, stride, "valid", output_padding, dilation_rate=dilation),
            lambda: cp.ConvTranspose1d(IN, OUT, 3, stride, "valid", output_padding, dilation=dilation, policy=NAME),
            lambda: cp.ConvTranspose1d(IN, OUT, 3, stride, 0, output_padding, dilation=dilation, policy=NAME),
        ):
            try:
                attempt()
                verdicts.append(True)
            except ValueError as error:
                assert "output_padding" in str(error)
                verdicts.append(False)
        assert len({*verdicts}) == 1, (stride, dilation, output_padding, verdicts)


# -- the policy is Keras's layer ----------------------------------------------------------------------------------------


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", range(1, 10))
def test_the_policy_is_keras_own_layer_to_the_bit(kernel):
    """Every stride, dilation, word and output_padding: the plan is what Keras cuts, and the built layer is Keras's with its bits."""
    compared = 0
    for stride, dilation, padding, output_padding in named(kernel):
        own, words = own_layer(kernel, stride, dilation, padding, output_padding), {"policy": NAME, "backend": NAME}
        ours = cp.ConvTranspose1d(IN, OUT, kernel, stride, padding, output_padding, dilation=dilation, seed=1, **words)
        assert (type(ours), ours.padding) == (Conv1DTranspose, padding)
        ours.bias.assign(random(OUT))
        own.set_weights(ours.get_weights())
        data = random(2, IN, 1 + compared % 5)
        native = HALF.evolve(padding=padding)
        if output_padding is not None:
            native = native.evolve(padding=Choice(native.padding.name, output_padding=output_padding))
        plan = native.plan(kernel, stride, dilation, length=data.shape[2])
        if plan.length_out:
            output = BACKEND.run(own, data)
            assert share(output, data, **BACKEND.parameters(own), plan=plan) <= 1
            assert BACKEND.run(ours, data).tobytes() == output.tobytes()
            captured = cp.capture(own)
            assert captured.policy.plan(kernel, stride, dilation, length=data.shape[2]) == plan
            compared += 1
    assert compared >= 30


@pytest.mark.parametrize("dtype", EXACT_DTYPES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_bits_of_other_dtypes_and_policies(policy, dtype):
    """Channels and lengths large enough for blocks, with and without bias."""
    for number, (kernel, stride, padding) in enumerate([(4, 2, "same"), (5, 3, "valid"), (2, 3, "same"), (16, 8, "same")]):
        words = {"bias": number % 2 == 0, "policy": policy, "backend": NAME, "dtype": dtype, "seed": number}
        ours = cp.ConvTranspose1d(16, 33, kernel, stride, padding, **words)
        own = Conv1DTranspose(33, kernel, stride, padding, use_bias=number % 2 == 0, dtype=dtype)
        own.build((None, None, 16))
        own.set_weights(ours.get_weights())
        data = random(2, 16, 40, dtype=dtype)
        assert BACKEND.run(own, data).tobytes() == BACKEND.run(ours, data).tobytes()


def test_any_way_to_say_a_cut_of_keras_is_keras_layer():
    """Cuts that Keras has, under another policy and as numbers: Keras's own layer, with that output_padding."""
    for padding, expected in (
        ((0, 0), ("valid", None)),
        ((0, -1), ("valid", 1)),
        ((1, 1), ("same", None)),
        ((1, 2), ("same", 1)),
    ):
        layer = cp.ConvTranspose1d(IN, OUT, 5, 3, padding, policy="torch", backend=NAME)
        assert (type(layer), layer.padding) == (Conv1DTranspose, expected[0])
        assert layer.output_padding == (None if expected[1] is None else (expected[1],))
    assert type(cp.ConvTranspose1d(IN, OUT, 5, 3, (1, 0), policy="torch", backend=NAME)) is CroppedConv1DTranspose


def test_dilation():
    """Keras's own layer with a dilation: to the bit; TensorFlow's CPU kernels may refuse it, XLA computes it within rounding."""
    for dilation, padding in itertools.product((2, 3), ("valid", "same")):
        own = own_layer(3, 1, dilation, padding, None)
        ours = cp.ConvTranspose1d(IN, OUT, 3, 1, padding, dilation=dilation, policy=NAME, backend=NAME, seed=1)
        own.set_weights(ours.get_weights())
        data, plan = random(2, IN, 7), HALF.evolve(padding=padding).plan(3, 1, dilation, length=7)
        assert share(BACKEND.run(ours, data), data, **BACKEND.parameters(ours), plan=plan) <= 1
        if RUNS == "tensorflow":
            import tensorflow as tf

            compiled = tf.function(own, jit_compile=True)(data.transpose(0, 2, 1)).numpy().transpose(0, 2, 1)
            assert share(compiled, data, **BACKEND.parameters(own), plan=plan) <= 1
        else:
            assert BACKEND.run(own, data).tobytes() == BACKEND.run(ours, data).tobytes()


# -- every plan ---------------------------------------------------------------------------------------------------------

PLANS = [
    ((1, 2), "zeros"), ((-2, 1), "zeros"), ((-3, -4), "zeros"), ((20, -30), "zeros"), ((-30, 20), "zeros"), ("causal", "zeros"),
    ("same_lower", "zeros"), ((1, 1), "circular"), ((2, -3), "circular"), ((9, 0), "circular"), ("same_upper", "circular"),
]  # fmt: skip


@pytest.mark.grid(every=6)
@pytest.mark.parametrize("kernel", [4, 1, 2, 3, 7, 9])
def test_every_plan_within_the_bound(kernel):
    """Cuts, appended zeros and what is wrapped, with strides, dilations, groups and dtypes, against the float64 reference."""
    draw, compared = np.random.default_rng(kernel), 0
    sizes = list(itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2, 4), PLANS))
    for number in draw.permutation(len(sizes))[:30]:
        stride, dilation, groups, (padding, mode) = sizes[number]
        dtype, length = BACKEND.dtypes[compared % len(BACKEND.dtypes)], int(draw.integers(3, 9))
        half = cp.policy("torch").transposed.evolve(padding=padding, padding_mode=mode)
        plan = half.plan(kernel, stride, dilation, length=length)
        if not plan.length_out:
            continue
        layer = cp.ConvTranspose1d(4, 8, kernel, stride, None, groups=groups, dilation=dilation, policy=half, backend=NAME,
                                   dtype=dtype, seed=compared)  # fmt: skip
        data = rounded(draw.standard_normal((2, 4, length)), dtype)
        output = np.float64(BACKEND.run(layer, data))
        assert share(output, data, **BACKEND.parameters(layer), plan=plan, dtype=dtype, groups=groups) <= 1, sizes[number]
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("dtype", EXACT_DTYPES)
@pytest.mark.parametrize(("stride", "dilation", "groups", "padding"), [
    (2, 1, 1, "same"), (2, 1, 1, (1, 0)), (3, 2, 2, (2, -1)), (1, 2, 1, (0, 3)), (2, 3, 4, (-2, 4)),
])  # fmt: skip
def test_gradients(stride, dilation, groups, padding, dtype):
    """To the input: the convolution with the same weight; to weight and bias: sums of products, all within the bound."""
    policy = cp.policy("torch").transposed if isinstance(padding, tuple) else HALF
    layer = cp.ConvTranspose1d(4, 8, 3, stride, padding, groups=groups, dilation=dilation, policy=policy, backend=NAME, seed=1,
                               dtype=dtype)  # fmt: skip
    data, weight = random(2, 4, 6, dtype=dtype), BACKEND.parameters(layer)["weight"]
    plan = policy.evolve(padding=padding).plan(3, stride, dilation, length=6)
    upstream = random(2, 8, plan.length_out, dtype=dtype)
    found = BACKEND.gradients(layer, data, upstream)
    (first, last), (before, after) = plan.cut, plan.appended
    full = np.pad(upstream[..., before : plan.length_out - after], ((0, 0), (0, 0), (first, last))).astype("float64")
    to_input = reference.conv1d(full, weight, stride=stride, dilation=dilation, groups=groups)
    assert (np.abs(found["input"] - to_input.output) <= reference.tolerance(dtype, to_input.terms, to_input.magnitude)).all()
    windows = np.stack([full[..., tap * dilation :: stride][..., :6] for tap in range(3)], axis=-1)

    def to_weight(samples, outputs):
        samples, outputs = samples.reshape(2, groups, -1, 6), outputs.reshape(2, groups, 8 // groups, 6, 3)
        return np.einsum("bgil,bgolt->giot", samples, outputs).reshape(4, 8 // groups, 3)

    bound = reference.tolerance(dtype, 2 * 6, to_weight(np.abs(np.float64(data)), np.abs(windows)))
    assert (np.abs(found["weight"] - to_weight(np.float64(data), windows)) <= bound).all()
    bound = reference.tolerance(dtype, 2 * plan.length_out, np.abs(np.float64(upstream)).sum((0, 2)))
    assert (np.abs(found["bias"] - np.float64(upstream).sum((0, 2))) <= bound).all()


def test_mixed_precision():
    """Under mixed_float16 the subclass computes in float16 with float32 weights, as Keras's own layer does."""
    own = Conv1DTranspose(8, 4, 2, dtype="mixed_float16")
    data = random(2, 9, 4)
    for padding, groups in (((0, 0), 1), ((2, 1), 2)):
        half = cp.policy("torch").transposed.evolve(padding=padding)
        layer = CroppedConv1DTranspose(8, 4, 2, groups=groups, policy=half, dtype="mixed_float16")
        output = layer(data)
        assert keras.backend.standardize_dtype(output.dtype) == keras.backend.standardize_dtype(own(data).dtype) == "float16"
        assert keras.backend.standardize_dtype(layer.kernel.dtype) == "float32"
        weights, plan = BACKEND.parameters(layer), half.plan(4, 2, length=9)
        exact = {"data": rounded(data, "float16").transpose(0, 2, 1), "weight": rounded(weights["weight"], "float16")}
        output = np.float64(keras.ops.convert_to_numpy(output)).transpose(0, 2, 1)
        assert share(output, **exact, bias=weights["bias"], plan=plan, dtype="float16", groups=groups) <= 1


def test_an_input_that_leaves_nothing():
    """Refused before anything is computed, with the length, and in a graph of unknown length when it runs."""
    layer = cp.ConvTranspose1d(IN, OUT, 3, 2, (4, 4), policy="torch", backend=NAME)
    with pytest.raises(ValueError, match="input of length 3 is too short: 4 and 4 samples are cut from a full result of 7"):
        BACKEND.run(layer, random(1, IN, 3))
    if RUNS == "tensorflow":
        import tensorflow as tf

        traced = tf.function(layer, input_signature=[tf.TensorSpec([None, None, IN], tf.float32)])
        with pytest.raises(tf.errors.OpError, match="input is too short: everything is cut from its full result"):
            traced(random(1, 3, IN))
