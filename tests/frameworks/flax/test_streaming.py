"""Steps of layers of Flax under ``jax.jit``, with traced states, gradients, masks and learned constants."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import convpolicy as cp

RANDOM = np.random.default_rng(0)
LENGTH, CHUNK = 24, 4
ROUNDINGS = 64 * 2.0**-24  # of sums of fewer than 30 products of numbers around 1, computed twice
LAYERS = {
    "causal": {"padding": "causal"},
    "constant": {"padding": (3, 1), "padding_mode": cp.Choice("constant", value=2.0)},
    "reflect": {"padding": (2, 2), "padding_mode": "reflect"},
    "learned": {"padding": (2, 1), "padding_mode": cp.Choice("constant", value=0.5, learned=True)},
    "transposed": {"padding": (1, 2), "transposed": True},
    "transposed kernel": {"padding": (1, 2), "transposed": True, "policy": "flax-transpose-kernel"},
    "transposed groups": {"padding": (2, 0), "transposed": True, "groups": 2},
}


def built(backend, padding, transposed=False, stride=2, **more):
    """A layer of 2 → 4 channels and kernel 5."""
    kind = cp.ConvTranspose1d if transposed else cp.Conv1d
    words = {"policy": "flax", "bias_init": "uniform", "seed": 0} | more
    return kind(2, 4, 5, stride, padding=padding, backend=backend, **words)


def data(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape), jnp.float32)


def joined(streaming, step, x):
    """The outputs of all chunks and of the end."""
    state, outputs = streaming.initial_state(x.shape[0]), []
    for start in range(0, x.shape[1], CHUNK):
        output, state = step(x[:, start : start + CHUNK], state)
        outputs.append(output)
    return jnp.concatenate([*outputs, streaming.flush(state)], axis=1)


def same(a, b):
    assert a.shape == b.shape
    assert jnp.abs(a - b).max() <= ROUNDINGS * max(1, float(jnp.abs(b).max()))


@pytest.mark.grid(every=2)
@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("flax", name) for name in LAYERS), *(("flax-linen", name) for name in ("learned", "transposed groups"))],
)
def test_a_step_under_jit(backend, name):
    """It is compiled once for each length of chunk and state, and gives the outputs of the whole; a counter may be traced."""
    layer, traced = built(backend, **LAYERS[name]), []
    streaming, x = cp.streaming(layer), data(2, LENGTH, 2)

    def step(chunk, state):
        traced.append(chunk.shape)
        return streaming.step(chunk, state)

    same(joined(streaming, jax.jit(step), x), layer(x))
    assert len(traced) < LENGTH // CHUNK


def test_a_flush_under_jit():
    """If no counter decides what is left, the flush is compiled, too; else JAX says that a counter must have a value."""
    streaming, x = cp.streaming(built("flax", padding=(2, 2))), data(1, 9, 2)
    _output, state = streaming.step(x, streaming.initial_state(1))
    same(jax.jit(streaming.flush)(state), streaming.flush(state))
    streaming = cp.streaming(built("flax", padding=(2, 2), padding_mode="reflect"))
    _output, state = streaming.step(x, streaming.initial_state(1))
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(streaming.flush)(state)


def test_gradients_through_steps():
    """They are those of the layer on the whole input."""
    layer, x = built("flax", padding=(2, 2), padding_mode="replicate", stride=1), data(1, 12, 2)
    streaming = cp.streaming(layer)
    weights = data(*layer(x).shape)
    of_whole = jax.jit(jax.grad(lambda x: (layer(x) * weights).sum()))(x)
    of_steps = jax.jit(jax.grad(lambda x: (joined(streaming, streaming.step, x) * weights).sum()))(x)
    same(of_steps, of_whole)


def test_gradients_to_the_weights_of_linen():
    """The variables of a `LinenConv1d` may be traced after the stream was prepared."""
    layer, x = built("flax-linen", padding="causal"), data(1, 12, 2)
    streaming, variables = cp.streaming(layer), layer.variables

    def loss(params, run):
        layer.variables = {"params": params}
        return (run(x) ** 2).sum()

    whole = jax.jit(jax.grad(loss), static_argnums=1)(variables["params"], layer.__call__)
    steps = jax.jit(jax.grad(loss), static_argnums=1)(variables["params"], lambda x: joined(streaming, streaming.step, x))
    assert whole.keys() == steps.keys() == {"kernel", "bias"}
    for name, gradient in whole.items():
        same(steps[name], gradient)


def test_masks():
    """The kernel is masked as in the layer's own call, also by a mask that changes later."""
    layer = nnx.Conv(2, 4, (3,), padding="CAUSAL", mask=jnp.ones((3, 2, 4)), rngs=nnx.Rngs(0))
    streaming, x = cp.streaming(layer), data(1, 9, 2)
    layer.mask = jnp.asarray(RANDOM.integers(0, 2, (3, 2, 4)), jnp.float32)
    same(joined(streaming, streaming.step, x), layer(x))


def test_a_bound_module_of_linen():
    """It is streamed as its `LinenConv1d`."""
    module, x = linen.ConvTranspose(4, (3,), (2,), padding=((2, 1),)), data(1, 9, 2)
    bound = module.bind(module.init(jax.random.key(0), x))
    streaming = cp.streaming(bound)
    same(joined(streaming, streaming.step, x), bound(x))


def test_numpy_chunks():
    """They are taken as the layer takes them, and a state has no view of them; integers are refused."""
    layer = built("flax", padding="valid")
    streaming, x = cp.streaming(layer), np.asarray(data(1, 9, 2))
    chunk = x[:, :3].copy()
    _output, state = streaming.step(chunk, streaming.initial_state(1))
    chunk[...] = 9
    same(streaming.step(x[:, 3:], state)[0], layer(x))
    with pytest.raises(cp.InvalidTypeError, match="chunk must be a JAX or NumPy array of floats, got"):
        streaming.step(np.zeros((1, 3, 2), int), state)
