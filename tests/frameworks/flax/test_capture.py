"""Flax's own layers taken apart and built elsewhere: every bit of the weights, the same outputs, or a refusal with its reason."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax.linen_layer import LinenConv1d

SIZES = {"kernel_dilation": 2, "feature_group_count": 2}
# as Flax's own layers are told
NATIVE = {
    "default": {},
    "VALID": {"padding": "VALID", "use_bias": False},
    "valid": {"padding": "valid", "strides": None},
    "SAME": {"padding": "SAME", "strides": 2, **SIZES},
    "same_lower": {"padding": "same_lower", "strides": (2,)},
    "CAUSAL": {"padding": "CAUSAL", **SIZES},
    "CIRCULAR": {"padding": "CIRCULAR", "strides": 2},
    "REFLECT": {"padding": "REFLECT", "kernel_dilation": (2,)},
    "number": {"padding": 2},
    "list of a number": {"padding": [1], "strides": [3]},
    "pair": {"padding": [(3, 1)]},
    "one side cut": {"padding": [(-1, 2)]},
    "both sides cut": {"padding": [(-2, -1)], "strides": 2},
    "words that change nothing": {"precision": "default", "dtype": jnp.float32, "param_dtype": "float32", "input_dilation": 1},
    "mask": {"mask": jnp.asarray(np.random.default_rng(5).integers(0, 2, (3, 4, 8)), "float32")},
}
# as convpolicy builds them, with subclasses that pad by the plan
PADDED = {
    "reflect": {"padding": (2, 1), "padding_mode": "reflect"},
    "by length": {"padding": "same_lower", "stride": 2, "padding_mode": "circular", "policy": "mindspore"},
    "constant": {"padding": 2, "padding_mode": cp.Choice("constant", value=1.5), "bias": False},
}


def own(api, kernel=(3,), **words):
    """A layer of Flax, 4 → 8 channels, with weights that are not its initial ones; of linen, bound to its variables."""
    draw = np.random.default_rng(1)
    groups = words.get("feature_group_count", 1)
    params = {"kernel": draw.standard_normal((*kernel, 4 // groups, 8)), "bias": draw.standard_normal(8)}
    params = {name: jnp.asarray(value, words.get("param_dtype", "float32")) for name, value in params.items()}
    if api == "linen":
        return linen.Conv(8, kernel, **words).bind({"params": params})
    layer = nnx.Conv(4, 8, kernel, **words, rngs=nnx.Rngs(0))
    layer.kernel.value = params["kernel"]
    if layer.bias is not None:
        layer.bias.value = params["bias"]
    return layer


def check(layer, backend):
    """Capture, build on NumPy, capture that, build on both backends: every bit stays, and the outputs are the layer's."""
    taken = cp.capture(layer)
    assert taken.backend == backend
    on_numpy = taken.build("numpy")
    data = np.random.default_rng(2).standard_normal((2, 4, 11)).astype("float32")
    expected = np.asarray(layer(jnp.asarray(data.transpose(0, 2, 1)))).transpose(0, 2, 1)
    found = on_numpy(data)
    magnitude = np.abs(data).max() * np.abs(taken.weight).sum((1, 2)).max() + 8  # a bias, a constant
    bound = 2 * reference.tolerance("float32", taken.weight[0].size + 1, magnitude)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound
    for name in ("flax", "flax-linen"):
        again = cp.port(on_numpy, to=name)
        back = cp.capture(again)
        assert (back.spec, back.dtype, back.policy.padding, back.policy.padding_mode, back.policy.bias) == (
            taken.spec, taken.dtype, taken.policy.padding, taken.policy.padding_mode, taken.policy.bias,
        )  # fmt: skip
        assert back.weight.tobytes() == taken.weight.tobytes()
        assert (back.bias is None) == (taken.bias is None) == (not taken.policy.bias)
        assert taken.bias is None or back.bias.tobytes() == taken.bias.tobytes()
        assert np.array_equal(cp.backends()[name].run(again, data), expected)
    return taken


@pytest.mark.parametrize("words", NATIVE.values(), ids=NATIVE)
@pytest.mark.parametrize("api", ["nnx", "linen"])
def test_flaxs_own_layers(api, words):
    """Every form of padding and of sizes that Flax takes; built on both backends again, the outputs have the layer's bits."""
    taken = check(own(api, **words), "flax" if api == "nnx" else "flax-linen")
    mask = words.get("mask")
    kernel = own("nnx", **words).kernel.value
    assert np.array_equal(taken.weight.transpose(2, 1, 0), kernel if mask is None else kernel * mask)


@pytest.mark.parametrize("options", PADDED.values(), ids=PADDED)
@pytest.mark.parametrize("backend", ["flax", "flax-linen"])
def test_own_subclasses(backend, options):
    """Layers that pad by the plan keep their policy."""
    layer = cp.Conv1d(4, 8, 4, **options, backend=backend, seed=1)
    assert check(layer, backend).policy.name == options.get("policy", "torch")


def test_every_way_to_hand_over_a_linen_module():
    """Bound, beside its variables, and as a part of a bound model: the same capture."""

    class Model(linen.Module):
        def setup(self):
            self.conv = linen.Conv(8, (3,))

        def __call__(self, data):
            return self.conv(data)

    model = Model()
    variables = model.init(jax.random.key(0), jnp.ones((1, 9, 4)))
    params = {"params": variables["params"]["conv"]}
    found = [
        cp.capture(layer)
        for layer in (model.bind(variables).conv, linen.Conv(8, (3,)).bind(params), LinenConv1d(linen.Conv(8, (3,)), params))
    ]
    assert {taken.weight.tobytes() for taken in found} == {np.asarray(params["params"]["kernel"]).transpose(2, 1, 0).tobytes()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("api", ["nnx", "linen"])
def test_dtypes(api, dtype):
    """Kept; bfloat16 as the float32 numbers it holds; written back to the bit."""
    with jax.experimental.enable_x64():
        layer = own(api, param_dtype=jnp.dtype(dtype).type, padding="SAME_LOWER")
        taken = cp.capture(layer)
        assert (taken.dtype, str(taken.weight.dtype)) == (dtype, "float32" if dtype == "bfloat16" else dtype)
        again = cp.port(layer, to="flax")
        assert again.kernel.value.dtype == jnp.dtype(dtype)
        assert np.array_equal(again.kernel.value, own("nnx", param_dtype=jnp.dtype(dtype).type).kernel.value)


@pytest.mark.parametrize("backend", ["flax", "flax-linen"])
def test_assign(backend):
    """Weight or bias alone, into the variables as Flax keeps them or as NumPy does; a bias where there is none is refused."""
    part, layer = cp.backends()[backend], cp.Conv1d(4, 8, 3, policy=backend, backend=backend, seed=0)
    before, bias = part.parameters(layer), np.arange(8, dtype="float32")
    if backend == "flax-linen":
        layer.variables = jax.tree.map(np.asarray, layer.variables)
    part.assign(layer, {"weight": None, "bias": bias})
    assert np.array_equal(part.parameters(layer)["weight"], before["weight"])
    assert np.array_equal(part.parameters(layer)["bias"], bias)
    part.assign(layer, {"weight": 2 * before["weight"], "bias": None})
    assert np.array_equal(part.parameters(layer)["weight"], 2 * before["weight"])
    assert np.array_equal(part.parameters(layer)["bias"], bias)
    plain = cp.Conv1d(4, 8, 3, policy=backend, backend=backend, bias=False)
    with pytest.raises(cp.InvalidValueError, match=r"bias must have shape None, like the layer's, got \(8,\)"):
        part.assign(plain, {"weight": before["weight"], "bias": bias})


def test_a_capture_is_a_copy():
    """Training on afterwards changes nothing in it."""
    layer = own("nnx")
    taken = cp.capture(layer)
    before = taken.weight.copy()
    layer.kernel.value = layer.kernel.value * 2
    assert np.array_equal(taken.weight, before)
    assert taken.weight.flags.writeable


class Doubled(nnx.Conv):
    """Another function under the same name."""

    def __call__(self, inputs):
        return 2 * super().__call__(inputs)


class DoubledLinen(linen.Conv):
    """The same in linen."""

    def __call__(self, inputs):
        return 2 * super().__call__(inputs)


def changed(**attributes):
    """An nnx.Conv, some of whose attributes were written over."""
    layer = own("nnx")
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def rewritten(name, value):
    """A padded layer, one of whose attributes was written over."""
    layer = cp.Conv1d(4, 8, 3, **PADDED["reflect"], backend="flax")
    setattr(layer, name, value)
    return layer


def abstract():
    """A layer without values."""
    return nnx.eval_shape(lambda: nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(0)))


EVERYWHERE = {
    "2-D": ({"kernel": (3, 3), "padding": "VALID"}, r"its kernel has shape \(3, 3, 4, 8\) and not 3 axes"),
    "input_dilation": ({"input_dilation": 2}, "it dilates its input, as a transposed convolution does; set input_dilation to 1"),
    "precision": ({"precision": "highest"}, "its precision is not the default; set precision to None"),
    "precisions": ({"precision": (jax.lax.Precision.HIGH, jax.lax.Precision.DEFAULT)}, "its precision is not the default"),
    "computation": ({"dtype": jnp.bfloat16}, "the dtypes of its weights and its computation are bfloat16, float32; convert both to one of float32"),
    "promotion": ({"promote_dtype": lambda *arrays, dtype: arrays}, "it has another promote_dtype; use Flax's own"),
    "convolution": ({"conv_general_dilated": lambda *_, **__: None}, "it has another conv_general_dilated; use jax.lax.conv"),
    "two pairs": ({"padding": [(1, 2), (1, 2)]}, "Invalid padding format"),
    "a small word": ({"padding": "circular"}, "Flax has no padding 'circular' for it; correct its padding"),
    "a rule of convpolicy": ({"padding": "torch-left"}, "Flax has no padding 'torch-left'"),
    "preset": ({"precision": jax.lax.DotAlgorithmPreset.F32_F32_F32}, "its precision is not the default"),
    "strides": ({"strides": (1, 2)}, r"its strides are \(1, 2\) and its kernel_dilation \(1,\); pass one number for each"),
    "mask": ({"mask": jnp.ones((3, 1, 8))}, r"its mask has shape \(3, 1, 8\); replace it with one of shape \(3, 4, 8\)"),
}  # fmt: skip
REFUSED = {
    **{f"{api}: {name}": ((lambda api=api, words=words: own(api, **words)), says) for name, (words, says) in EVERYWHERE.items() for api in ("nnx", "linen")},
    "subclass": (lambda: Doubled(4, 8, (3,), rngs=nnx.Rngs(0)), "layer Doubled cannot be captured exactly: its class overrides __call__"),
    "linen subclass": (lambda: DoubledLinen(8, (3,)).bind({"params": {}}), "its variables have no kernel; pass the variables that its init returned"),
    "linen subclass with variables": (
        lambda: LinenConv1d(DoubledLinen(8, (3,)), own("linen").variables), "layer DoubledLinen cannot be captured exactly: its class overrides __call__"
    ),
    "element type": (lambda: own("nnx", preferred_element_type=jnp.float32), "its output has another dtype than its input; set preferred_element_type"),
    "unbound": (lambda: linen.Conv(8, (3,)), r"an unbound linen module has no weights; pass module.bind\(variables\)"),
    "no bias": (lambda: linen.Conv(8, (3,)).bind({"params": {"kernel": jnp.ones((3, 4, 8))}}), "its variables have no bias"),
    "another module": (lambda: LinenConv1d(linen.Dense(8), {}), "layer Dense cannot be captured exactly: its module is not a flax.linen.Conv"),
    "bias taken away": (lambda: changed(bias=None), "use_bias is set, but it has no bias"),
    "bias of another shape": (lambda: changed(bias=nnx.Param(jnp.ones(1))), r"its bias has shape \(1,\); replace it with one of shape \(8,\)"),
    "groups": (lambda: changed(feature_group_count=2), r"its kernel has shape \(3, 4, 8\), but its sizes need \(3, 2, 8\); build a new layer"),
    "resized": (lambda: rewritten("strides", 2), "its sizes or padding were changed after it was built; build a new layer"),
    "padded twice": (lambda: rewritten("padding", "SAME"), "its sizes or padding were changed after it was built"),
    "abstract": (abstract, "its weights are of class ShapeDtypeStruct and have no values; replace them with arrays"),
    "integers": (lambda: changed(kernel=nnx.Param(jnp.ones((3, 4, 8), "int8")), bias=None, use_bias=False), "the dtypes of its weights and its computation are int8"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix."""
    build, says = REFUSED[name]
    layer = build()
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(layer)


def test_while_tracing():
    """Weights that are being traced hold no values."""
    layer = LinenConv1d(linen.Conv(8, (3,)), dict(own("linen").variables))
    with pytest.raises(cp.InvalidValueError, match=r"its weights are of class .*Tracer and have no values"):
        jax.jit(lambda layer: cp.capture(layer).weight)(layer)


@pytest.mark.parametrize("layer", [
    lambda: nnx.Linear(4, 8, rngs=nnx.Rngs(0)), lambda: linen.ConvLocal(8, (3,)), lambda: linen.Dense(8),
], ids=["Linear", "ConvLocal", "Dense"])  # fmt: skip
def test_what_is_no_convolution(layer):
    """Refused by its class; the backends that can be captured are named."""
    with pytest.raises(cp.InvalidTypeError, match=r"of one of the backends flax, flax-linen, .*got an object of class flax\."):
        cp.capture(layer())
