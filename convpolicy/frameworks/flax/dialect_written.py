"""How ``translate`` writes code of ``flax.nnx``."""

from __future__ import annotations

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax.initial_code import initial
from convpolicy.translation.crops import CropCode, around, wraps
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.paddings import Padding, native_word, require_mode, word_or_number
from convpolicy.translation.reading import CONV_TRANSPOSE, Request
from convpolicy.translation.values import code_of, minus, product

NAMES = ("VALID", "SAME", "SAME_LOWER", "CAUSAL", "CIRCULAR", "REFLECT")
JAX_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
CROP_NAMES = ("VALID", "SAME", "CIRCULAR")
CROP = CropCode(
    arguments={"padding": "VALID"},
    crop="lambda x: x[:, {bounds}]",
    pad="lambda x: jnp.pad(x, ((0, 0), ({}, {}), (0, 0)))",
    circular=('lambda x: jnp.pad(x, ((0, 0), ({}, {}), (0, 0)), mode="wrap")', ()),
    periodic=True,
    at_least_stride=True,
    base="nnx.Module",
    call="__call__",
    axis="1",
    slice=":, left:stop",
)
PLAIN = (
    "relu",
    "relu6",
    "sigmoid",
    "tanh",
    "elu",
    "selu",
    "silu",
    "softplus",
    "softmax",
)  # activations whose function in nnx has the same name


def padding(request: Request) -> Padding:
    """Return Flax's own ``padding``, pairs for other zero pads, or a ``jnp.pad`` before the layer for another mode."""
    require_mode(request, "flax", ("zeros", *JAX_MODES))
    if (name := word_or_number(request, "flax", NAMES, modes=False)) is not None:
        return Padding({"padding": name}, word=True, periodic=True)
    pads = request.pads()
    if pads is None:  # Flax has a name for every rule that depends on the length
        raise InvalidValueError(
            f"padding {request.policy.padding} depends on the length, which flax cannot express; pass length=..."
        )
    if pads == (0, 0):
        return Padding({"padding": "VALID"}, periodic=True)
    if request.mode == "zeros":
        return Padding({"padding": [pads]}, periodic=True)
    pad = f'lambda x: jnp.pad(x, ((0, 0), {code_of(pads)}, (0, 0)), mode="{JAX_MODES[request.mode]}")'
    return Padding({"padding": "VALID"}, (pad,), periodic=True)


def crop(request: Request) -> Padding:
    """Return Flax's own ``padding``, or pairs of numbers, which express any cuts of zeros."""
    if (name := native_word(request, "flax", CROP_NAMES, modes=False)) is not None:
        return Padding({"padding": name}, word=True, periodic=True)
    pads = request.pads()
    if pads is None or wraps(request, pads):
        return around(request, CROP)
    kernel, dilation = request.values["kernel_size"], request.values["dilation"]
    reach = minus(kernel, 1) if dilation == 1 else product(minus(kernel, 1), dilation)
    left, right = (minus(reach, side) for side in pads)
    return Padding({"padding": [(left, right)]})


SIZES = "{in_channels}, {out_channels}, ({kernel_size},)"
ARGUMENTS = {
    "stride": "strides",
    "dilation": "kernel_dilation",
    "bias": "use_bias",
    "weight_init": "kernel_init",
    "bias_init": "bias_init",
    "dtype": "param_dtype",
}
WRITER = Writer(
    classes=(
        TargetClass(
            code="nnx.Conv",
            sizes=SIZES,
            names={**ARGUMENTS, "groups": "feature_group_count"},
            padding=padding,
            extra="rngs=nnx.Rngs(0)",
        ),
        TargetClass(
            code="nnx.ConvTranspose",
            sizes=SIZES,
            names=ARGUMENTS,
            padding=crop,
            extra="rngs=nnx.Rngs(0)",
            layer=CONV_TRANSPOSE,
        ),
    ),
    function=TargetFunction(
        code="jax.lax.conv_general_dilated",
        names={"stride": "window_strides", "dilation": "rhs_dilation", "groups": "feature_group_count"},
        required=("stride",),
        axes=None,
        takes_bias=False,
        size="({},)",
        extra='dimension_numbers=("NWC", "{axes}", "NWC")',
    ),
    imports={"jax": "import jax", "jnp": "import jax.numpy as jnp", "nnx": "from flax import nnx"},
    initial=initial,
    sequence="nnx.Sequential({})",
    activations={
        **{name: f"nnx.{name}" for name in PLAIN},
        "swish": "nnx.silu",
        "gelu": "lambda x: nnx.gelu(x, approximate=False)",
        "leaky_relu": "lambda x: nnx.leaky_relu(x, 0.2)",
    },
    dtype="jnp.{}",
    remarks={"float64": "JAX has float64 after jax.config.update('jax_enable_x64', True)"},
)
