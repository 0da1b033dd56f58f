"""Both backends against the real ``flax.nnx.ConvTranspose`` and ``flax.linen.ConvTranspose``, to the bit."""

from __future__ import annotations

import itertools

import attrs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers.flax_transposed import IN, KERNELS, OUT, is_plain, own, policy_of, stored

import convpolicy as cp
from convpolicy import reference

NAMES = ("SAME", "VALID", "CIRCULAR", "SAME_LOWER", "same", "same_lower", "valid")
NUMBERS = ((0, 0), (3, 1), (-1, 2), (9, 11))  # pads of the dilated input
LENGTHS = (1, 4)
BACKENDS = ("flax", "flax-linen")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_kernel = pytest.mark.parametrize("transpose_kernel", KERNELS)


def both(argument):
    """The argument of Flax for a name or for a pair of pads, and that of convpolicy."""
    if isinstance(argument, str):
        return argument, argument
    return [argument], cp.Choice("lax_pads", left=argument[0], right=argument[1])


def arguments_of(kernel, stride, dilation, argument):
    return {"strides": (stride,), "kernel_dilation": (dilation,), "padding": both(argument)[0]}


def layers(backend, transpose_kernel, sizes, argument, draw, dtype="float32", channels=(IN, OUT)):
    """Flax's own layer, and ours with the same random weights or None if it is refused."""
    kernel, stride, dilation = sizes
    weight, bias = draw.standard_normal((*channels, kernel)), draw.standard_normal(channels[1])
    theirs = own(backend, weight, bias, transpose_kernel, dtype, **arguments_of(*sizes, argument))
    try:
        ours = cp.ConvTranspose1d(
            *channels, kernel, stride, both(argument)[1], dilation=dilation, policy=policy_of(backend, transpose_kernel),
            backend=backend, weight_init=weight, bias_init=bias, dtype=dtype,
        )  # fmt: skip
    except cp.ConvPolicyError as error:
        assert "stride must be 1" in str(error)
        ours = None
    return theirs, ours


def compare(backend, transpose_kernel, sizes, argument, draw, dtype="float32", channels=(IN, OUT), lengths=LENGTHS):
    """Compare outputs of all lengths, bit for bit, and ours with the float64 reference; return how many were compared."""
    theirs, ours = layers(backend, transpose_kernel, sizes, argument, draw, dtype, channels)
    kernel, stride, dilation = sizes
    compared = 0
    for length in lengths:
        data = jnp.asarray(draw.standard_normal((2, length, channels[0])), dtype)
        if ours is None:
            with pytest.raises(ValueError, match="String padding is not implemented"):
                theirs(data)
            continue
        assert is_plain(ours, backend)
        half = cp.policy(policy_of(backend, transpose_kernel)).transposed.evolve(padding=both(argument)[1])
        plan = half.plan(kernel, stride, dilation, length=length)
        expected = theirs(data)
        assert expected.shape == (2, plan.length_out, channels[1])
        if not plan.length_out:
            continue
        found = ours(data)
        assert found.dtype == expected.dtype
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes(), (sizes, argument, length)
        values = cp.backends()[backend].parameters(ours)
        ideal = ideal_of(plan, data, values["weight"], values["bias"])
        limit = 2 * reference.tolerance(dtype, ideal.terms, ideal.magnitude)
        error = np.abs(np.asarray(found, "float64").transpose(0, 2, 1) - ideal.output)
        assert (error <= limit).all(), (sizes, argument, length)
        compared += 1
    return compared


def ideal_of(plan, data, weight, bias):
    """The float64 reference of a plan for data (batch, length, channels)."""
    return reference.conv_transpose1d(
        np.asarray(data, "float64").transpose(0, 2, 1), weight, bias, left=plan.left, right=plan.right, mode=plan.mode,
        stride=plan.stride, dilation=plan.dilation,
    )  # fmt: skip


@pytest.mark.grid(every=31)
@each_kernel
@pytest.mark.parametrize("stride", range(1, 6))
@pytest.mark.parametrize("kernel", range(1, 10))
def test_every_padding_to_the_bit(kernel, stride, transpose_kernel):
    """Every name and numbers, dilation 1-3, short lengths: every bit of Flax's layer on its own backend, or both refuse."""
    draw, compared = np.random.default_rng([kernel, stride]), 0
    for dilation, argument in itertools.product((1, 2, 3), (*NAMES, *NUMBERS)):
        compared += compare("flax", transpose_kernel, (kernel, stride, dilation), argument, draw)
    assert compared > 3 * 6
    compared = sum(compare("flax-linen", transpose_kernel, (kernel, stride, 2), name, draw, lengths=(5,)) for name in NAMES)
    assert compared >= 3


@pytest.mark.grid(every=5)
@each_kernel
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@each_backend
def test_dtypes(backend, dtype, transpose_kernel):
    """A name, the wrap-around and numbers, in each other dtype."""
    draw = np.random.default_rng(1)
    with jax.experimental.enable_x64():
        counts = [
            compare(backend, transpose_kernel, (4, 2, 1), argument, draw, dtype, lengths=(3,))
            for argument in ("SAME", "CIRCULAR", (3, 1))
        ]
    assert counts == [1, 1, 1]


@pytest.mark.grid(every=2)
@each_kernel
def test_many_channels(transpose_kernel):
    """Layers of a size as in models, whose sums XLA splits; an upsampling by 8 with kernel 16."""
    draw = np.random.default_rng(2)
    for argument in ("SAME", "VALID", "CIRCULAR"):
        assert compare("flax", transpose_kernel, (16, 8, 1), argument, draw, channels=(32, 24), lengths=(9,)) == 1


@each_kernel
@each_backend
def test_defaults(backend, transpose_kernel):
    """Without arguments both cut SAME and have a bias; the state has the same names and shapes."""
    ours = cp.ConvTranspose1d(
        IN, OUT, 4, policy=policy_of(backend, transpose_kernel), backend=backend, weight_init="normal", seed=1
    )
    weight = cp.backends()[backend].parameters(ours)["weight"]
    data = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6, IN)), "float32")
    assert np.array_equal(ours(data), own(backend, weight, np.zeros(OUT), transpose_kernel)(data))


@each_kernel
@pytest.mark.parametrize("stride", [1, 2])
def test_the_graph_is_flaxs_own(transpose_kernel, stride):
    """A layer's GraphDef is equal to that of an ``nnx.ConvTranspose`` made without convpolicy, so that one is compiled for both."""
    for name in ("SAME", "CIRCULAR", "VALID"):
        strides = {} if stride == 1 else {"strides": stride}
        theirs = nnx.ConvTranspose(IN, OUT, (3,), padding=name, transpose_kernel=transpose_kernel, rngs=nnx.Rngs(0), **strides)
        ours = cp.ConvTranspose1d(IN, OUT, 3, stride, name, policy=policy_of("flax", transpose_kernel), backend="flax", seed=5)
        assert nnx.graphdef(theirs) == nnx.graphdef(ours)


# -- deliberately wrong ---------------------------------------------------------------------------------------------------

WRONG = {
    "other side": lambda half: half.evolve(padding=cp.Choice("same_lower")),
    "as a number": lambda half: half.evolve(padding=(1, 1)),
    "nothing cut": lambda half: half.evolve(padding="VALID"),
    "wrapped": lambda half: half.evolve(padding="CIRCULAR"),
}


@pytest.mark.grid(every=1)
@each_kernel
@pytest.mark.parametrize("fault", WRONG)
@each_backend
def test_another_crop_is_not_equal(backend, fault, transpose_kernel):
    """The comparison tells what is deliberately another crop: SAME of kernel 5 and stride 2 cuts 1 and 2."""
    policy, draw = cp.policy(policy_of(backend, transpose_kernel)), np.random.default_rng(3)
    wrong = attrs.evolve(policy, transposed=WRONG[fault](policy.transposed))
    weight, data = draw.standard_normal((IN, OUT, 5)), jnp.asarray(draw.standard_normal((1, 6, IN)), "float32")
    expected = own(backend, weight, None, transpose_kernel, strides=(2,))(data)
    for used, equal in ((policy, True), (wrong, False)):
        found = cp.ConvTranspose1d(IN, OUT, 5, 2, bias=False, policy=used, backend=backend, weight_init=weight)(data)
        assert np.array_equal(found, expected) == equal


@pytest.mark.grid(every=1)
@each_kernel
@each_backend
def test_circular_of_the_other_kernel_is_not_equal(backend, transpose_kernel):
    """CIRCULAR cuts the extra sample right, with transpose_kernel left."""
    draw = np.random.default_rng(4)
    weight, data = draw.standard_normal((IN, OUT, 5)), jnp.asarray(draw.standard_normal((1, 6, IN)), "float32")
    expected = own(backend, weight, None, transpose_kernel, strides=(2,), padding="CIRCULAR")(data)
    found = {
        other: cp.ConvTranspose1d(
            IN, OUT, 5, 2, "CIRCULAR", bias=False, policy=policy_of(backend, other), backend=backend, weight_init=weight
        )(data)
        for other in KERNELS
    }
    assert np.array_equal(found[transpose_kernel], expected)
    assert not np.allclose(found[not transpose_kernel], expected, atol=1e-2)


@pytest.mark.grid(every=1)
@each_kernel
@each_backend
def test_a_kernel_in_the_other_direction_is_not_equal(backend, transpose_kernel):
    """The stored kernel is in reverse unless ``transpose_kernel``; a kernel stored in the other direction is another layer."""
    draw = np.random.default_rng(5)
    weight, data = draw.standard_normal((IN, OUT, 5)), jnp.asarray(draw.standard_normal((1, 6, IN)), "float32")
    layer = cp.ConvTranspose1d(
        IN, OUT, 5, 2, bias=False, policy=policy_of(backend, transpose_kernel), backend=backend, weight_init=weight
    )
    kernel = layer.kernel.value if backend == "flax" else layer.variables["params"]["kernel"]
    assert np.array_equal(kernel, stored(weight, transpose_kernel).astype("float32"))
    expected = own(backend, weight, None, transpose_kernel, strides=(2,))(data)
    flipped = own(backend, weight[..., ::-1], None, transpose_kernel, strides=(2,))(data)
    assert np.array_equal(layer(data), expected)
    assert not np.allclose(layer(data), flipped, atol=1e-2)
