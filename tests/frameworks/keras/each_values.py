"""One backend's values: the kit's checks, the bits of Keras's own layers, initial weights, and faults that are rejected.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import itertools
import random as python_random

import keras
import numpy as np
import pytest
from helpers.keras_layers import (
    BACKEND,
    DEPTHWISE,
    EXACT_DTYPES,
    LAYERS,
    NAME,
    RUNS,
    Choice,
    Conv1D,
    DepthwiseConv1D,
    built,
    random,
)

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.keras import layer as layers
from convpolicy.frameworks.keras import values
from convpolicy.testing import ConformanceError, parametrize_with_checks

EXAMPLES = {"keras": 10, "keras-torch": 20, "keras-jax": 6}  # two of them compile new shapes
CONV1D_POLICIES = (NAME, "tensorflow") if RUNS == "tensorflow" else (NAME,)
IN, OUT = 4, 8


@parametrize_with_checks([BACKEND], max_examples=EXAMPLES[NAME])
def test_the_kit(check):
    """Shapes, dtypes, refusals, values, capture and gradients against the float64 reference, in every dtype."""
    check()


def assert_same_bits(own, ours, data):
    """Both give the same output, for the same weights."""
    expected, actual = BACKEND.run(own, data), BACKEND.run(ours, data)
    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
    assert expected.tobytes() == actual.tobytes()


@pytest.mark.parametrize("dtype", EXACT_DTYPES)
@pytest.mark.parametrize("policy", CONV1D_POLICIES)
def test_the_policy_is_keras_own_conv1d_to_the_bit(policy, dtype):
    """Kernels 1-5 (two of them in float64), strides and dilations 1-3, groups 1, 2, 4, with and without bias, each padding word."""
    groups, biases, compared = itertools.cycle((1, 2, 1, 1, 4, 1, 1)), itertools.cycle((True, False, False)), 0
    kernels = (1, 2, 3, 4, 5) if (dtype, policy) == ("float32", NAME) else (2, 5)
    for kernel, (stride, dilation), padding in itertools.product(
        kernels, ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3)), ("valid", "same", "causal")
    ):
        sizes, bias = {"groups": next(groups)}, next(biases)
        words = {"bias": bias, "policy": policy, "backend": NAME, "dtype": dtype, "seed": compared, **sizes}
        ours = cp.Conv1d(IN, OUT, kernel, stride, padding, dilation, **words)
        own = Conv1D(OUT, kernel, stride, padding, dilation_rate=dilation, use_bias=bias, dtype=dtype, **sizes)
        assert type(ours) is Conv1D
        own.build((None, None, IN))
        own.set_weights(ours.get_weights())
        assert_same_bits(own, ours, random(2, IN, 15 + compared % 3, dtype=dtype))
        compared += 1
    assert compared == 15 * len(kernels)


@pytest.mark.parametrize("dtype", EXACT_DTYPES)
def test_the_depthwise_policy_is_keras_own_depthwiseconv1d_to_the_bit(dtype):
    """Kernels 1-4, strides with dilations, one and two outputs per channel."""
    for kernel, stride, dilation, padding in itertools.product((1, 2, 3, 4), (1, 2, 3), (1, 2), ("valid", "same")):
        multiplier = kernel % 2 + 1
        ours = cp.Conv1d(
            IN, IN * multiplier, kernel, stride, padding, dilation, IN, policy=DEPTHWISE, backend=NAME, dtype=dtype, seed=kernel
        )  # fmt: skip
        own = DepthwiseConv1D(kernel, stride, padding, multiplier, dilation_rate=dilation, dtype=dtype)
        assert type(ours) is DepthwiseConv1D
        own.build((None, None, IN))
        own.set_weights(ours.get_weights())
        assert_same_bits(own, ours, random(2, IN, 15, dtype=dtype))


def test_a_grouped_conv1d_and_a_depthwiseconv1d():
    """The same function; the same bits on torch and JAX, not on TensorFlow, which is why the policy says which one is built."""
    draw, differ = np.random.default_rng(0), 0
    for kernel, stride, multiplier in itertools.product((1, 2, 3, 4), (1, 2), (1, 2)):
        weight, data = draw.standard_normal((IN * multiplier, 1, kernel)).astype("float32"), random(2, IN, 19)
        options = {"groups": IN, "policy": NAME, "backend": NAME, "weight_init": weight, "bias": False}
        grouped = cp.Conv1d(IN, IN * multiplier, kernel, stride, **options)
        depthwise = cp.Conv1d(IN, IN * multiplier, kernel, stride, **(options | {"policy": DEPTHWISE}))
        assert [type(layer) for layer in (grouped, depthwise)] == [Conv1D, DepthwiseConv1D]
        outputs = [BACKEND.run(layer, data) for layer in (grouped, depthwise)]
        differ += outputs[0].tobytes() != outputs[1].tobytes()
        bound = 2 * reference.tolerance("float32", kernel, np.abs(data).max() * np.abs(weight).sum((1, 2)).max())
        assert np.abs(outputs[0] - outputs[1]).max() <= bound
    assert (differ > 0) == (RUNS == "tensorflow")


def test_what_keras_refuses():
    """Conv1D takes no stride together with a dilation, and so its policies do not; DepthwiseConv1D takes both."""
    with pytest.raises(ValueError, match="not supported in conjunction"):
        Conv1D(OUT, 3, strides=2, dilation_rate=2)
    for policy in CONV1D_POLICIES:
        with pytest.raises(cp.InvalidValueError, match="stride and dilation must not both be above 1 under policy"):
            cp.Conv1d(IN, OUT, 3, 2, dilation=2, policy=policy, backend=NAME)
    assert cp.Conv1d(IN, OUT, 3, 2, dilation=2, groups=IN, policy=DEPTHWISE, backend=NAME).strides == (2,)
    with pytest.raises(cp.InvalidValueError, match=r"needs a depthwise weight \(out, 1, kernel\), got shape \(8, 2, 3\); pass"):
        cp.Conv1d(IN, OUT, 3, groups=2, policy=DEPTHWISE, backend=NAME)
    with pytest.raises(LookupError, match="unknown padding rule 'sam'"):
        cp.Conv1d(IN, OUT, 3, padding="sam", policy=NAME, backend=NAME)


# -- initial weights ---------------------------------------------------------------------------------------------------


def state():
    """A number of Python's random state, from which Keras seeds each initializer."""
    return python_random.random()


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
@pytest.mark.parametrize("name", ["valid", "same", "pair", "circular", "depthwise", "depthwise reflect"])
def test_without_a_seed_keras_own_state_decides(name, dtype):
    """After set_random_seed the bits are those of Keras's own layer, and as many numbers were drawn."""
    options, kind = LAYERS[name]
    for seed, bias in enumerate((True, False)):
        keras.utils.set_random_seed(seed)
        words = {"use_bias": bias, "dtype": dtype}
        own = DepthwiseConv1D(3, depth_multiplier=2, **words) if "depthwise" in name else Conv1D(8, 3, **words)
        own.build((None, None, 4))
        after = state()
        keras.utils.set_random_seed(seed)
        ours = built(options, bias=bias, dtype=dtype)
        assert state() == after
        assert type(ours) is kind
        assert [(w.name, w.shape, w.dtype) for w in ours.weights] == [(w.name, w.shape, w.dtype) for w in own.weights]
        for mine, theirs in zip(ours.get_weights(), own.get_weights()):
            assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", ["valid", "pair", "circular"])
def test_a_seed_gives_the_policys_bits_and_leaves_keras_state(name):
    """Every policy's own initial weights, on this backend."""
    for policy in ("keras", "keras-torch", "keras-jax", "torch", "flax", "mindspore", "paddle"):
        keras.utils.set_random_seed(1)
        after = state()
        keras.utils.set_random_seed(1)
        layer = built(LAYERS[name][0], policy=policy, seed=5, bias=True, padding=0)
        assert state() == after
        expected = cp.policy(policy).evolve(bias=True).initial(4, 8, 3, seed=5)
        assert all(found.tobytes() == expected[role].tobytes() for role, found in BACKEND.parameters(layer).items())


def test_a_seed_is_that_of_set_random_seed():
    """The policy's bits after seed 5 are those of Keras's own layers after set_random_seed(5)."""
    for policy, make in ((NAME, lambda: Conv1D(8, 3)), (DEPTHWISE, lambda: DepthwiseConv1D(3, depth_multiplier=2))):
        keras.utils.set_random_seed(5)
        own = make()
        own.build((None, None, 4))
        ours = built({}, policy=policy, groups=4 if policy == DEPTHWISE else 1, seed=5)
        assert ours.get_weights()[0].tobytes() == own.get_weights()[0].tobytes()


LAWS = {
    "uniform": (Choice("uniform", low=-0.5, high=0.25), keras.initializers.RandomUniform(-0.5, 0.25, seed=1)),
    "normal": (Choice("normal", std=0.3), keras.initializers.RandomNormal(0.0, 0.3, seed=1)),
    "truncated normal": (Choice("truncated_normal", std=0.3), keras.initializers.TruncatedNormal(0.0, 0.3, seed=1)),
    "he_uniform": (Choice("he_uniform"), keras.initializers.HeUniform(seed=1)),
    "he normal": (Choice("he_truncated_normal"), keras.initializers.HeNormal(seed=1)),
    "lecun": (Choice("lecun_truncated_normal"), keras.initializers.LecunNormal(seed=1)),
    "glorot normal": (Choice("glorot_truncated_normal"), keras.initializers.GlorotNormal(seed=1)),
    "scaled": (
        Choice("he_normal", fan="fan_out"),
        keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1),
    ),
    "ones": (Choice("ones"), keras.initializers.Ones()),
}


@pytest.mark.parametrize("law", LAWS)
def test_other_laws_draw_from_keras_own_state(law):
    """Without a seed each law is drawn by Keras's initializer of that law."""
    initializer, own = LAWS[law]
    config = own.get_config() | ({"seed": None} if "seed" in own.get_config() else {})
    keras.utils.set_random_seed(3)
    layer = Conv1D(8, 3, groups=2, kernel_initializer=type(own).from_config(config))
    layer.build((None, None, 4))
    keras.utils.set_random_seed(3)
    ours = built({}, groups=2, weight_init=initializer)
    assert ours.get_weights()[0].tobytes() == layer.get_weights()[0].tobytes()


def test_a_law_that_keras_does_not_have():
    """Cut elsewhere than at two standard deviations: refused without a seed, the policy's own bits with one."""
    cut = Choice("truncated_normal", lower=-1.0, upper=1.0)
    with pytest.raises(cp.InvalidValueError, match=r"where Keras truncates a normal distribution, got -1.0 and 1.0; pass a seed"):
        built({}, weight_init=cut)
    expected = cp.policy("torch").evolve(weight_init=cut).initial(4, 8, 3, seed=2)["weight"]
    ours = built({}, policy=cp.policy("torch").evolve(weight_init=cut), seed=2)
    assert BACKEND.parameters(ours)["weight"].tobytes() == expected.tobytes()


# -- a stranger's mode, and faults --------------------------------------------------------------------------------------


class Stranger:
    """Someone else's plugin: modes that are nothing but index maps."""

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        return [
            cp.PaddingMode("every-other", lambda positions, length: np.clip(positions // 2 * 2, 0, length - 1)),
            cp.PaddingMode("dotted", lambda positions, length: np.where(positions % 2, positions % length, -1)),
        ]


@pytest.mark.parametrize("mode", ["every-other", "dotted"])
@pytest.mark.parametrize("name", ["valid", "depthwise"])
def test_a_mode_given_only_as_an_index_map(mode, name):
    """A third party's mode runs forward and backward: by linearity, output and gradient agree with the index map's matrix."""
    cp.register(Stranger(), "stranger")
    try:
        for length in (2, 7):
            options = LAYERS[name][0] | {"padding": (3, 2), "padding_mode": mode, "stride": 1, "dilation": 1}
            layer, data = built(options, bias=False, seed=1), random(1, 4, length)
            plan = layer.plan(length)
            sources = np.array([*plan.left_sources, *range(length), *plan.right_sources])
            matrix = (sources == np.arange(length)[:, None]).astype("float64")  # (length, padded)
            weight, groups = BACKEND.parameters(layer)["weight"], options.get("groups", 1)
            ideal = reference.conv1d(data @ matrix, weight, None, groups=groups)
            bound = 2 * reference.tolerance("float32", ideal.terms, ideal.magnitude)
            assert (np.abs(BACKEND.run(layer, data) - ideal.output) <= bound).all()
            upstream = random(*ideal.output.shape)
            found = BACKEND.gradients(layer, data, upstream)["input"]
            turned = weight[..., ::-1].reshape(groups, 8 // groups, 4 // groups, 3).swapaxes(1, 2).reshape(4, 8 // groups, 3)
            back = reference.conv1d(upstream, turned, None, left=2, right=2, groups=groups)
            terms, magnitude = back.terms + length + 5, back.magnitude @ matrix.T
            assert (np.abs(found - back.output @ matrix.T) <= 2 * reference.tolerance("float32", terms, magnitude)).all()
    finally:
        cp.unregister("stranger")


def swapped(padded):
    """Each side gets what the other should have."""
    return lambda self, x: keras.ops.flip(padded(self, keras.ops.flip(x, 1)), 1)


def shifted(padded):
    """One sample more on the left, one fewer on the right."""
    return lambda self, x: keras.ops.roll(padded(self, x), 1, axis=1)


def raised(padded):
    """Everything a little larger."""
    return lambda self, x: padded(self, x) * (1 + 1e-4)


@pytest.mark.parametrize("fault", [swapped, shifted, raised])
def test_the_kit_rejects_wrong_padding(fault, monkeypatch):
    """Sides swapped, shifted by one, or not quite the samples: the check of values fails."""
    from convpolicy.testing import checks_of

    (check,) = [check for check in checks_of(BACKEND, 12) if check.id == f"{NAME}-values-float32"]
    check()
    monkeypatch.setattr(layers._PadsByPlan, "_padded", fault(layers._PadsByPlan._padded))
    with pytest.raises(ConformanceError, match="differs from the float64 reference"):
        check()


def test_the_kit_rejects_wrong_gradients_and_weights(monkeypatch):
    """A gradient to the kernel that is flipped, and a kernel read along another axis."""
    from convpolicy.testing import checks_of

    checks = {check.id.removeprefix(f"{NAME}-"): check for check in checks_of(BACKEND, 12)}
    own = values.GRADIENTS[RUNS]

    def flipped(*given):
        to_input, to_kernel, *rest = own(*given)
        return to_input, keras.ops.flip(to_kernel, 0), *rest

    monkeypatch.setitem(values.GRADIENTS, RUNS, flipped)
    with pytest.raises(ConformanceError, match="gradient to the weight differs"):
        checks["gradients-float32"]()
    read = values.parameters
    monkeypatch.setattr(values, "parameters", lambda layer: {**read(layer), "weight": read(layer)["weight"][::-1]})
    with pytest.raises(ConformanceError):
        checks["assign"]()
