"""Padding by sums, per side and per channel, and learned constants: state, transformations, parents, training, captures, and faults."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx, serialization
from helpers.flax_layers import NAMES, Choice, assert_near, built, random, same, weights
from helpers.wrong_sums import FAULTS, FAULTS_OF_LEARNED
from jax import export

import convpolicy as cp
from convpolicy.bits.float32 import rounded
from convpolicy.testing import ConformanceError, checks_of, faults_of
from convpolicy.testing import backend_cases as kit

CHANNELS = np.array([0.5, -1.0, 2.0, 3.0])
LEARNED_LAYERS = {
    "a number": {"padding": "causal", "padding_mode": Choice("constant", value=0.5, learned=True)},
    "one per channel": {"padding": (3, 2), "padding_mode": Choice("constant", value=CHANNELS, learned=True)},
    "one side": {"padding": (1, 2), "padding_mode": ("odd", Choice("constant", value=CHANNELS, learned=True))},
}
LAYERS = LEARNED_LAYERS | {
    "per side": {"padding": (2, 1), "padding_mode": ("reflect", Choice("constant", value=2.5))},
    "per channel": {"padding": (2, 1), "padding_mode": Choice("constant", value=CHANNELS, left=-2.0)},
    "odd, folded": {"padding": (20, 1), "padding_mode": Choice("odd", overflow="periodic")},
    "ramp by length": {"padding": "same_lower", "stride": 2, "padding_mode": Choice("linear_ramp", value=CHANNELS)},
    "cut": {"padding": Choice("crop", left=-1, right=2), "padding_mode": "extrapolate"},
}
each_learned = pytest.mark.parametrize("name", LEARNED_LAYERS)
each_backend = pytest.mark.parametrize("backend", NAMES)


def values(layer, backend):
    """Weight, bias and learned constant, as NumPy arrays."""
    return cp.backends()[backend].parameters(layer)


def changed(layer, backend):
    """Give a layer another learned constant, and return it."""
    value = values(layer, backend)["padding_value"] * 3 + 1
    cp.backends()[backend].assign(layer, {"padding_value": value})
    return value


@pytest.mark.grid(every=5)  # three programs are compiled for each
@pytest.mark.parametrize("name", LAYERS)
@each_backend
def test_transformations(backend, name):
    """jit, vmap and grad of the layer; another length is another plan."""
    layer, data = built(LAYERS[name], backend), random(2, 9, 4)
    call = (nnx.jit if backend == "flax" else jax.jit)(lambda layer, data: layer(data))
    for cut in (0, 3):
        expected = layer(data[:, cut:])
        np.testing.assert_allclose(call(layer, data[:, cut:]), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(jax.vmap(layer)(data[:, cut:]), expected, rtol=1e-4, atol=1e-4)
    gradient = (nnx.grad if backend == "flax" else jax.grad)(lambda layer: (layer(data) ** 2).sum())(layer)
    found = nnx.to_pure_dict(gradient) if backend == "flax" else gradient.variables["params"]
    assert set(found) == {"kernel", "bias", *(["padding_value"] if name in LEARNED_LAYERS else [])}
    assert all(np.any(slope) for slope in found.values())


@each_learned
def test_nnx_state(name):
    """The parameter is in the state of a layer that learns, split, merged and cloned with it; no other layer has it."""
    layer, data = built(LEARNED_LAYERS[name]), random(2, 9, 4)
    changed(layer, "flax")
    assert isinstance(layer.padding_value, nnx.Param)
    graph, state = nnx.split(layer, nnx.Param)
    assert set(nnx.to_pure_dict(state)) == {"kernel", "bias", "padding_value"}
    assert state["padding_value"].value.shape == layer._request.learned().shape
    for other in (nnx.merge(graph, state), nnx.clone(layer)):
        assert np.array_equal(other(data), layer(data))
    fresh = built(LEARNED_LAYERS[name], seed=9)
    nnx.update(fresh, state)
    assert np.array_equal(fresh(data), layer(data))
    plain = built(LAYERS["per channel"])
    assert set(nnx.to_pure_dict(nnx.state(plain))) == {"kernel", "bias"}
    assert not hasattr(plain, "padding_value")


@each_learned
def test_linen_variables(name):
    """The parameter is in the tree that a module's init returns and apply reads; without it apply says so."""
    layer, data = built(LEARNED_LAYERS[name], "flax-linen"), random(2, 9, 4)
    value = changed(layer, "flax-linen")
    params = layer.module.init(jax.random.key(3), data)["params"]
    assert set(params) == set(layer.variables["params"]) == {"kernel", "bias", "padding_value"}
    assert np.array_equal(params["padding_value"], layer.module.request.learned())
    again = serialization.from_bytes({"params": params}, serialization.to_bytes(layer.variables))
    assert np.array_equal(again["params"]["padding_value"], value)
    assert np.array_equal(layer.module.apply(again, data), layer(data))
    plain = built(LAYERS["per channel"], "flax-linen")
    assert set(plain.module.init(jax.random.key(3), data)["params"]) == {"kernel", "bias"}
    with pytest.raises(Exception, match="padding_value"):
        layer.module.apply(plain.variables, data)


def test_linen_draws_the_kernel_as_ever():
    """In a parent, with the keys of its path: a learned constant changes no other initial value, of it or of what comes after."""

    class Model(linen.Module):
        inner: linen.Module

        @linen.compact
        def __call__(self, data):
            return linen.Conv(3, (1,), bias_init=linen.initializers.normal())(self.inner(data))

    data = random(1, 9, 4)
    modules = [built(LAYERS[name], "flax-linen", bias=True).module.clone(parent=None) for name in ("a number", "per channel")]
    learned, plain = (Model(module).init(jax.random.key(5), data)["params"] for module in modules)
    value = learned["inner"].pop("padding_value")
    assert np.array_equal(value, np.float32(0.5))
    assert jax.tree.all(jax.tree.map(np.array_equal, learned, plain))


@each_backend
def test_without_a_seed_the_same_is_drawn(backend):
    """A learned constant takes no random number."""
    found = []
    for name in ("a number", "per channel"):
        np.random.seed(4)
        layer = built(LAYERS[name], backend, seed=None)
        found.append({role: value for role, value in weights(layer).items() if role != "padding_value"})
    assert same(*found)


@each_backend
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_start_is_rounded_once(backend, dtype):
    """0.1 and a third of each dtype, as NumPy rounds them; JAX's own type."""
    with jax.experimental.enable_x64():
        for value in (0.1, np.array([0.1, 1 / 3, -1e-3, 7.7])):
            layer = built(
                {"padding": 2, "padding_mode": Choice("constant", value=value, learned=True)},
                backend,
                dtype=dtype,
                policy="torch",
            )
            assert np.array_equal(values(layer, backend)["padding_value"], rounded(value, dtype))
            own = layer.padding_value.value if backend == "flax" else layer.variables["params"]["padding_value"]
            assert own.dtype == jnp.dtype(dtype)


@each_backend
def test_a_layer_without_pads_has_it_too(backend):
    """With a gradient of 0."""
    layer = built(LEARNED_LAYERS["one per channel"], backend, padding=0)
    found = cp.backends()[backend].gradients(layer, np.ones((1, 4, 9), "float32"), np.ones((1, 8, 7), "float32"))
    assert np.array_equal(found["padding_value"], np.zeros(4, "float32"))


@pytest.mark.grid(every=5)
@each_backend
@each_learned
def test_training_finds_the_constant(backend, name):
    """Descent on the constant alone, compiled, learns that of another layer."""
    target, layer, data = built(LEARNED_LAYERS[name], backend), built(LEARNED_LAYERS[name], backend), random(8, 9, 4)
    cp.backends()[backend].assign(target, {"padding_value": np.full_like(values(target, backend)["padding_value"], 1.25)})
    wanted = target(data)
    if backend == "flax":
        graph, others = nnx.split(layer)
        others = nnx.to_pure_dict(others)

        def output(value):
            return nnx.merge(graph, nnx.State({**others, "padding_value": nnx.Param(value)}))(data)
    else:
        others = layer.variables["params"]

        def output(value):
            return layer.module.apply({"params": {**others, "padding_value": value}}, data)

    slope = jax.jit(jax.value_and_grad(lambda value: ((output(value) - wanted) ** 2).mean()))
    value, losses = jnp.asarray(others["padding_value"]), []
    for _step in range(300):
        loss, gradient = slope(value)
        losses.append(loss)
        value = value - 0.5 * gradient
    assert losses[-1] < losses[0] / 100
    assert jnp.abs(value - 1.25).max() < 0.3


@each_backend
@each_learned
def test_capture_keeps_the_value_of_now(backend, name):
    """Built on both backends the outputs have the same bits, and both learn on; NumPy, which does not learn, refuses it."""
    layer, data = built(LEARNED_LAYERS[name], backend), random(2, 9, 4)
    value = changed(layer, backend)
    for other in NAMES:
        again = cp.port(layer, to=other)
        assert np.array_equal(values(again, other)["padding_value"], value)
        assert np.array_equal(again(data), layer(data))
    with pytest.raises(cp.InvalidValueError, match=r"must not be learned on backend 'numpy'.*pick one of: .*flax.*, or leave"):
        cp.port(layer, to="numpy")


@each_backend
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in LEARNED_LAYERS])
def test_sums_run_on_numpy(backend, name):
    """Captured and built there, and back: the same plan, and the same numbers within rounding."""
    layer, data = built(LAYERS[name], backend), random(2, 9, 4)
    on_numpy = cp.port(layer, to="numpy")
    found = on_numpy(np.asarray(data).transpose(0, 2, 1)).transpose(0, 2, 1)
    assert_near(jnp.asarray(found), layer(data), layer, 9 * data)  # a sum of several samples
    back = cp.port(on_numpy, to=backend)
    assert cp.capture(back).policy.padding_mode == cp.capture(layer).policy.padding_mode
    assert np.array_equal(back(data), layer(data))


def reshaped(backend):
    """A layer whose learned constant has another shape."""
    layer, other = built(LEARNED_LAYERS["a number"], backend), jnp.ones(1)
    if backend == "flax":
        layer.padding_value.value = other
    else:
        layer.variables["params"]["padding_value"] = other
    return layer


@each_backend
def test_refusals(backend):
    """Of another shape, absent, for a layer without one, for another number of channels, or for a length that is not known."""
    with pytest.raises(cp.InvalidValueError, match=r"its padding_value has shape \(1,\); replace it with one of shape \(\)"):
        cp.capture(reshaped(backend))
    with pytest.raises(cp.InvalidValueError, match=r"padding_value must have shape None, like the layer's, got \(4,\)"):
        cp.backends()[backend].assign(built(LAYERS["per channel"], backend), {"padding_value": CHANNELS})
    with pytest.raises(cp.InvalidValueError, match="one for each of the 2 input channels, got 4 values"):
        cp.Conv1d(2, 8, 3, **LAYERS["per channel"], policy=backend, backend=backend)
    wanted = jax.ShapeDtypeStruct(export.symbolic_shape("batch, length, 4"), jnp.float32)
    with pytest.raises(cp.InvalidValueError, match="length must be a number for padding"):
        export.export(jax.jit(built(LAYERS["odd, folded"], backend)))(wanted)
    if backend == "flax-linen":
        layer = built(LEARNED_LAYERS["a number"], backend)
        del layer.variables["params"]["padding_value"]
        with pytest.raises(
            cp.InvalidValueError, match="its variables have no padding_value; pass the variables that its init returned"
        ):
            cp.capture(layer)


@each_backend
def test_exported_for_one_length(backend):
    """jax.export of a sum and of a learned constant, with the batch unknown."""
    for name in ("ramp by length", "one side"):
        layer, data = built(LAYERS[name], backend), random(3, 9, 4)
        wanted = jax.ShapeDtypeStruct(export.symbolic_shape("batch, 9, 4"), jnp.float32)
        np.testing.assert_allclose(export.export(jax.jit(layer))(wanted).call(data), layer(data), rtol=1e-4, atol=1e-5)


def test_models_name_it():
    """Among the names of a ported nnx model."""

    class Model(nnx.Module):
        def __init__(self):
            self.first = built(LEARNED_LAYERS["one per channel"])

    ported = cp.port_model(Model(), to="flax")
    assert ported.parameters["first.padding_value"].name == "first.padding_value"
    assert "must not be learned" in cp.port_model(Model(), to="numpy").report[0].reason


@pytest.mark.grid(every=1)
@pytest.mark.parametrize("fault", [*FAULTS, *FAULTS_OF_LEARNED])
@each_backend
def test_wrong_layers_are_rejected(backend, fault):
    """The check that is meant sees each of them, by a number."""
    part = faults_of(cp.backends()[backend])[fault]
    name = {"learned constant taken as 1": "learned", "gradient to the padding_value doubled": "learned-gradient"}.get(
        fault, "values-float32"
    )
    with jax.experimental.enable_x64():
        (check,) = [check for check in checks_of(part, len(kit.MODES)) if check.name == name]  # each mode once
        with pytest.raises(ConformanceError, match=r"differs from the float64 reference at .*: got .*, expected .* within "):
            check()
