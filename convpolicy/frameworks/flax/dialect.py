"""The dialect ``flax``: how ``translate`` reads code of ``flax.nnx``. `dialect_written` writes it."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax.dialect_written import WRITER
from convpolicy.frameworks.flax.surroundings import SURROUNDINGS
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import CONSTANT, Named, families, orthogonal, plain, variance_scaling
from convpolicy.translation.meaning import SAMPLES, Meaning
from convpolicy.translation.reading import REQUIRED, literal, word
from convpolicy.translation.values import Expression, Value, code_of


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``: a name, a number, or a sequence of one number or pair. CIRCULAR and REFLECT also name the mode."""
    padding = arguments["padding"]
    if isinstance(padding, (tuple, list)):
        if len(padding) != 1:
            raise InvalidValueError(
                f"padding must contain one item for one spatial axis, got {code_of(padding)}; pass [(left, right)]."
            )
        padding = padding[0]
        if isinstance(padding, (tuple, list)) and len(set(padding)) == 1 and isinstance(padding[0], Expression):
            padding = padding[0]
    if isinstance(padding, Expression):
        return Meaning(padding=padding, notes=(SAMPLES,))
    if isinstance(padding, str):
        padding = word("padding", padding.upper(), ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT"))
    elif isinstance(padding, (tuple, list)):
        for side in padding:
            literal("padding", side, "left and right differ")
    ones = {name: 1 for name in ("stride", "dilation") if arguments[name] is None}
    return Meaning(policy={"padding": padding}, arguments=ones)


INITIALIZERS = {
    **{name: plain("zeros") for name in ("zeros", "zerosinit")},
    **{name: plain("ones") for name in ("ones", "onesinit")},
    "constant": CONSTANT,
    "normal": Named({"stddev": 0.01}, lambda stddev: Choice("normal", std=stddev)),
    "uniform": Named({"scale": 0.01}, lambda scale: Choice("uniform", low=0.0, high=scale)),
    "truncatednormal": Named(
        {"stddev": 0.01, "dtype": None, "lower": -2.0, "upper": 2.0},
        lambda stddev, lower, upper: Choice("truncated_normal", std=stddev, lower=lower, upper=upper),
    ),
    **families("glorot", "xavier", "he", "kaiming", "lecun"),
    "variancescaling": variance_scaling({name: name for name in ("truncated_normal", "normal", "uniform")}),
    "orthogonal": orthogonal("scale"),
}
READER = Reader(
    classes=(
        SourceClass(
            title="flax.nnx.Conv",
            paths=("flax.nnx.nn.linear.Conv",),
            parameters={
                "in_features": REQUIRED,
                "out_features": REQUIRED,
                "kernel_size": REQUIRED,
                "strides": 1,
                "padding": "SAME",
                "input_dilation": 1,
                "kernel_dilation": 1,
                "feature_group_count": 1,
                "use_bias": True,
                "mask": None,
                "dtype": None,
                "param_dtype": None,
                "precision": None,
                "kernel_init": None,
                "bias_init": None,
                "conv_general_dilated": None,
                "promote_dtype": None,
                "preferred_element_type": None,
                "rngs": None,
            },
            positional=4,
            names={
                "in_features": "in_channels",
                "out_features": "out_channels",
                "strides": "stride",
                "kernel_dilation": "dilation",
                "feature_group_count": "groups",
                "use_bias": "bias",
                "kernel_init": "weight_init",
                "dtype": "computation dtype",
                "param_dtype": "dtype",
            },
            meaning=meaning,
            left_out={
                "dtype": "the dtype of the computation follows the input and the weights",
                "precision": "it is specific to JAX",
            },
            refused={
                "input_dilation": "it makes a transposed convolution",
                "mask": "the weight would be multiplied by it",
                "conv_general_dilated": "it replaces the convolution",
                "promote_dtype": "it replaces Flax's code",
                "preferred_element_type": "it changes the output's dtype",
            },
        ),
    ),
    modules={"flax": "flax", "nnx": "flax.nnx", "linen": "flax.linen", "jax": "jax", "jnp": "jax.numpy"},
    initializers=INITIALIZERS,
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``flax``."""
    return Dialect("flax", reader=READER, writer=WRITER, description="flax.nnx.Conv, read and written.")
