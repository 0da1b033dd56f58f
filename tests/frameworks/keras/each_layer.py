"""One backend's layers keep the conventions of a ``keras.layers.Layer``: models, files, compilation, training, refusals.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import json
import os

import keras
import numpy as np
import pytest
from helpers.keras_layers import (
    BACKEND,
    LAYERS,
    LEARNED_LAYERS,
    NAME,
    OF_ANY_LENGTH,
    RUNS,
    TRANSPOSED_LAYERS,
    Choice,
    Conv1D,
    PaddedConv1D,
    built,
    computed,
    random,
)

import convpolicy as cp
from convpolicy.frameworks.keras.plugin import RUNS_ON
from convpolicy.frameworks.keras.policy_layer import FollowsPolicy


@pytest.fixture(params=LAYERS | TRANSPOSED_LAYERS)
def case(request):
    """Its name, a layer, and data (batch, length, channels)."""
    options, kind = (LAYERS | TRANSPOSED_LAYERS)[request.param]
    layer = built(options, seed=1)
    assert type(layer) is kind
    return request.param, layer, random(2, 9, 4)


def test_shapes_and_names(case):
    """Keras's own weights, and a learned constant after them; the shape of the output before it is computed, also of a length not known."""
    name, layer, data = case
    output = computed(layer, data)
    assert [weight.name for weight in layer.weights] == ["kernel", "bias", *(["padding_value"] if name in LEARNED_LAYERS else [])]
    assert tuple(layer.compute_output_shape(data.shape)) == output.shape
    assert tuple(keras.ops.shape(layer(keras.Input((9, 4)))))[1:] == output.shape[1:]
    assert tuple(layer.compute_output_shape((None, None, 4))) == (None, None, 8)


def test_configurations(case):
    """get_config is plain JSON; from_config and the same weights give the same bits."""
    _name, layer, data = case
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    again.build((None, None, 4))
    again.set_weights(layer.get_weights())
    assert computed(again, data).tobytes() == computed(layer, data).tobytes()
    if isinstance(layer, FollowsPolicy):
        assert again.policy == layer.policy == type(layer.policy).from_dict(config["policy"])
        assert again.plan(9) == layer.plan(9)


@pytest.mark.grid(every=3)
def test_models_and_their_files(case, tmp_path):
    """In a functional model and a Sequential: saved as .keras and loaded, the same bits; weights files and clones too."""
    _name, layer, data = case
    entry = keras.Input((None, 4))
    functional = keras.Model(entry, keras.layers.Dense(2)(layer(entry)))
    sequential = keras.Sequential([keras.layers.Conv1D(4, 1), layer])
    for number, model in enumerate((functional, sequential)):
        expected = computed(model, data)
        model.save(tmp_path / f"{number}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{number}.keras")
        assert computed(loaded, data).tobytes() == expected.tobytes()
        model.save_weights(tmp_path / f"{number}.weights.h5")
        loaded.set_weights([0 * array for array in loaded.get_weights()])
        loaded.load_weights(tmp_path / f"{number}.weights.h5")
        assert computed(loaded, data).tobytes() == expected.tobytes()
    clone = keras.models.clone_model(functional)
    clone.set_weights(functional.get_weights())
    assert computed(clone, data).tobytes() == computed(functional, data).tobytes()


@pytest.mark.parametrize("name", ["pair", "depthwise reflect"])
@pytest.mark.parametrize("weight_init", [None, "uniform"])
def test_a_configuration_draws_as_the_policy_does(name, weight_init):
    """A layer made of a configuration starts as one that `Conv1d` builds after the same set_random_seed."""
    options = LAYERS[name][0] | ({} if weight_init is None else {"weight_init": weight_init, "bias_init": "uniform"})
    keras.utils.set_random_seed(4)
    layer = built(options)
    keras.utils.set_random_seed(4)
    again = type(layer).from_config(layer.get_config())
    again.build((None, None, 4))
    for mine, theirs in zip(again.get_weights(), layer.get_weights()):
        assert mine.tobytes() == theirs.tobytes()
    if weight_init is not None:
        other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        with pytest.raises(cp.InvalidValueError, match=r"shape must be \(3, [41], [28]\), the shape for sizes=.*, got"):
            other.build((None, None, 8))


@pytest.mark.grid(every=5)
@pytest.mark.parametrize("jit_compile", ["auto", False])
def test_trained_as_keras_does(case, jit_compile):
    """One step of fit changes every weight by the learning rate times the gradient; predict gives what a call gives."""
    name, layer, data = case
    if jit_compile is False and name not in ("pair", "reflect", "depthwise"):
        return  # the way of compilation shows in a few
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.5), loss="mse", jit_compile=jit_compile)
    before, output = BACKEND.parameters(layer), computed(layer, data)
    target = random(*output.shape) + 1
    upstream = (2 * (output - target) / output.size).transpose(0, 2, 1)
    gradients = BACKEND.gradients(layer, data.transpose(0, 2, 1), upstream)
    model.fit(data, target, verbose=0, batch_size=2)
    for role, after in BACKEND.parameters(layer).items():
        assert (after != before[role]).any()
        np.testing.assert_allclose(after, before[role] - 0.5 * gradients[role], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(data, verbose=0), computed(layer, data), rtol=1e-4, atol=1e-5)


@pytest.mark.grid(every=5)
def test_batches_of_many_lengths(case):
    """predict after predict, each with another length, as by a call; TensorFlow traces them without the length then."""
    _name, layer, _data = case
    model = keras.Sequential([layer])
    model.compile()
    for length in (9, 14, 20, 11):
        data = random(2, length, 4)
        np.testing.assert_allclose(model.predict(data, verbose=0), computed(layer, data), rtol=1e-4, atol=1e-5)


if RUNS == "tensorflow":
    import tensorflow as tf

    @pytest.mark.grid(every=3)
    def test_traced_without_a_length(case):
        """tf.function with a length of None gives the bits of a call; with XLA wherever `supports_jit` says so."""
        name, layer, _data = case
        assert layer.supports_jit == (name in OF_ANY_LENGTH)
        signature = [tf.TensorSpec([None, None, 4], tf.float32)]
        traced = tf.function(layer, input_signature=signature)
        compiled = tf.function(layer, input_signature=signature, jit_compile=True)
        for length in (9, 14):
            data = random(2, length, 4)
            assert traced(data).numpy().tobytes() == computed(layer, data).tobytes()
            if layer.supports_jit:
                np.testing.assert_allclose(compiled(data), computed(layer, data), rtol=1e-4, atol=1e-5)
        fixed = tf.function(layer, jit_compile=True)
        np.testing.assert_allclose(fixed(random(2, 9, 4)), computed(layer, random(2, 9, 4)), rtol=1e-4, atol=1e-5)

    def test_traced_without_a_length_it_refuses_too():
        """What the policy refuses is refused when the graph runs."""
        for name, says in (
            ("circular", "reaches at most 1 for length 1"),
            ("reflect", "paddings must be less than the dimension"),
        ):
            layer = built(LAYERS[name][0], seed=1)
            traced = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 4], tf.float32)])
            with pytest.raises(tf.errors.OpError, match=says):
                traced(random(1, 1, 4))

elif RUNS == "jax":
    import jax

    @pytest.mark.grid(every=3)
    def test_jitted(case):
        """jax.jit of stateless_call gives what a call gives."""
        _name, layer, data = case
        values = [weight.value for weight in layer.trainable_variables]
        output, _state = jax.jit(lambda v, x: layer.stateless_call(v, [], x))(values, data)
        np.testing.assert_allclose(np.array(output), computed(layer, data), rtol=1e-4, atol=1e-5)

else:
    import torch

    def test_a_module_of_torch(case):
        """The layer is a torch.nn.Module: its state dict loads, and torch's own optimizer trains it."""
        _name, layer, data = case
        other = type(layer).from_config(layer.get_config())
        other.build((None, None, 4))
        other.load_state_dict(layer.state_dict())
        assert computed(other, data).tobytes() == computed(layer, data).tobytes()
        before = layer.kernel.numpy().copy()
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)
        layer(torch.from_numpy(data)).sum().backward()
        optimizer.step()
        assert (layer.kernel.numpy() != before).any()

    # torch's own, where dynamo ends a graph between a weight and what is computed from it
    @pytest.mark.grid(every=3)
    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
    @pytest.mark.parametrize("name", ["valid", "same_lower", "zero-extended", "depthwise reflect", "odd", "learned, one side"])
    def test_traced_by_dynamo(name):
        """torch.compile, without a compiler of C++, gives the bits of a call."""
        layer = built(LAYERS[name][0], seed=1)
        torch.compiler.reset()
        compiled = torch.compile(layer.__call__, backend="eager")
        for length in (9, 14):
            data = torch.from_numpy(random(2, length, 4))
            assert torch.equal(compiled(data), layer(data))


def test_keras_own_arguments_go_on():
    """Activation, regularizer, constraint and mixed precision of Keras, on a layer that pads by a plan."""
    layer = built(LAYERS["reflect"][0], seed=1)
    config = layer.get_config() | {
        "activation": "relu", "kernel_regularizer": "l2", "kernel_constraint": "max_norm", "dtype": "mixed_bfloat16", "name": "mine",
    }  # fmt: skip
    other = PaddedConv1D.from_config(config)
    other.build((None, None, 4))
    other.set_weights(layer.get_weights())
    output = other(random(2, 9, 4))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(other.kernel.dtype) == "float32"
    found, expected = np.array(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))), computed(layer, random(2, 9, 4))
    assert len(other.losses) == 1
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=0.15)


def test_the_device():
    """Passed on to Keras."""
    assert computed(built({}, device="cpu:0" if RUNS != "torch" else "cpu", seed=0), random(1, 9, 4)).shape == (1, 7, 8)


def test_keras_own_default_dtype_decides():
    """As in Keras's own layer, without dtype= and with dtype=None."""
    keras.config.set_dtype_policy("bfloat16")
    try:
        for more in ({}, {"dtype": None}):
            assert built({}, **more).kernel.dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


REFUSED = {
    "dtype": (lambda: built({}, dtype="int8"), ValueError, f"dtype must be one of .* for backend '{NAME}', got 'int8'"),
    "channels": (lambda: built(LAYERS["pair"][0])(random(1, 9, 3)), ValueError, "expected axis -1 of input shape to have value 4"),
    "axes": (lambda: built(LAYERS["pair"][0])(random(9, 4)), ValueError, "expected min_ndim=3, found ndim=2"),
    "too wide": (lambda: built(LAYERS["circular"][0])(random(1, 1, 4)), ValueError, "padding mode 'circular' reaches at most 1 for length 1"),
    "short": (lambda: built({"padding": (1, 0), "padding_mode": "replicate"})(random(1, 1, 4)), ValueError, "input of length 1 is too short"),
    "no policy": (lambda: PaddedConv1D(8, 3, policy={"name": "x"}), ValueError, "policy key 'schema' must be"),
    "stride": (lambda: PaddedConv1D(8, 3, 0, policy=cp.policy("torch")), ValueError, "stride must be at least 1, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each says what came; those that are not Keras's own are ConvPolicyErrors."""
    call, kind, says = REFUSED[fault]
    with pytest.raises(kind, match=says) as raised:
        call()
    assert isinstance(raised.value, cp.ConvPolicyError) == (fault not in ("channels", "axes"))


@pytest.mark.parametrize("other", sorted({*RUNS_ON} - {NAME}))
def test_one_process_has_one_keras(other):
    """The backends of the other frameworks are refused, with what to set; nothing is imported for them."""
    wanted = RUNS_ON[other]
    says = (
        f"backend '{other}' needs Keras to run on {wanted}, but in this process it runs on {RUNS}; set KERAS_BACKEND={wanted} "
        f"before Keras is imported, or choose backend='{NAME}'."
    )
    layer = built({}, seed=0)
    for call in (
        lambda: built({}, backend=other),
        lambda: cp.port(layer, to=other),
        lambda: cp.backends()[other].run(layer, random(1, 4, 9)),
    ):
        with pytest.raises(cp.InvalidValueError) as raised:
            call()
        assert str(raised.value) == says
    assert os.environ["KERAS_BACKEND"] == RUNS


def test_a_choice_of_a_mode_survives():
    """Parameters of mode and rule are in the file, not only their names."""
    layer = built({"padding": Choice("same_static", odd_side="left"), "padding_mode": Choice("reflect", overflow="zero-extend")})
    again = PaddedConv1D.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.policy.padding == Choice("same_static", odd_side="left")
    assert again.policy.padding_mode == Choice("reflect", overflow="zero-extend")
    assert type(built({})) is Conv1D
