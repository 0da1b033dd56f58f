"""The dialect ``flax``: how ``translate`` reads code of ``flax.nnx``. `dialect_written` writes it."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy.arithmetic import integer
from convpolicy.core.named import policy as named_policy
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.flax.dialect_written import WRITER
from convpolicy.frameworks.flax.surroundings import SURROUNDINGS
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import CONSTANT, Named, families, orthogonal, plain, variance_scaling
from convpolicy.translation.meaning import SAMPLES, Meaning
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED, flag, literal, size, word
from convpolicy.translation.values import Expression, Value, code_of, minus, product


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``: a name, a number, or a sequence of one number or pair. CIRCULAR and REFLECT also name the mode."""
    padding = _padding(arguments)
    if isinstance(padding, Expression):
        return Meaning(padding=padding, notes=(SAMPLES,))
    if isinstance(padding, str):
        padding = word("padding", padding.upper(), ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR", "REFLECT"))
    return Meaning(policy={"padding": padding}, arguments=_ones(arguments))


def transposed_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``: a name, or numbers that pad the dilated input; and ``transpose_kernel``, which decides the weight layout."""
    padding, ones = _padding(arguments), _ones(arguments)
    kernel, dilation = (size(name, {**arguments, **ones}[name]) for name in ("kernel_size", "dilation"))
    policy = named_policy(POLICIES[_flag(arguments)]).half()
    layout = {"layout": policy.layout}
    if isinstance(padding, Expression):
        kernel, dilation = (
            value if isinstance(value, Expression) else integer(name, value, 1)
            for name, value in (("kernel_size", kernel), ("dilation", dilation))
        )
        return Meaning(
            policy=layout, padding=minus(product(minus(kernel, 1), dilation), padding), arguments=ones, notes=(SAMPLES,)
        )
    if isinstance(padding, str):
        named = policy.evolve(padding=word("padding", padding, dict(policy.padding_names)))
        return Meaning(policy={**layout, "padding": named.padding, "padding_mode": named.padding_mode}, arguments=ones)
    left, right = padding if isinstance(padding, (tuple, list)) and len(padding) == 2 else (padding, padding)
    sides = {"left": integer("padding", left), "right": integer("padding", right)}
    return Meaning(policy={**layout, "padding": Choice("lax_pads", **sides)}, arguments=ones)


def _flag(arguments: Mapping[str, Value]) -> bool:
    value = literal("transpose_kernel", arguments["transpose_kernel"], "it decides the weight layout")
    return bool(flag("transpose_kernel", value))


def _ones(arguments: Mapping[str, Value]) -> dict[str, Value]:
    """Return 1 for a stride and a dilation of None."""
    return {name: 1 for name in ("stride", "dilation") if arguments[name] is None}


def _padding(arguments: Mapping[str, Value]) -> Value:
    """Return the value of ``padding`` for the only spatial axis: a number, an expression, a name or a pair of numbers."""
    padding = arguments["padding"]
    if isinstance(padding, (tuple, list)):
        if len(padding) != 1:
            raise InvalidValueError(
                f"padding must contain one item for one spatial axis, got {code_of(padding)}; pass [(left, right)]."
            )
        padding = padding[0]
        if isinstance(padding, (tuple, list)) and len(set(padding)) == 1 and isinstance(padding[0], Expression):
            padding = padding[0]
        for side in padding if isinstance(padding, (tuple, list)) else ():
            literal("padding", side, "left and right differ")
    return padding


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
POLICIES = {False: "flax", True: "flax-transpose-kernel"}  # transpose_kernel -> policy
CONV_NAMES = {
    "in_features": "in_channels",
    "out_features": "out_channels",
    "strides": "stride",
    "kernel_dilation": "dilation",
    "feature_group_count": "groups",
    "use_bias": "bias",
    "kernel_init": "weight_init",
    "dtype": "computation dtype",
    "param_dtype": "dtype",
}
LEFT_OUT = {
    "dtype": "the dtype of the computation follows the input and the weights",
    "precision": "it is specific to JAX",
}
REFUSED = {
    "input_dilation": "it makes a transposed convolution",
    "mask": "the weight would be multiplied by it",
    "conv_general_dilated": "it replaces the convolution",
    "promote_dtype": "it replaces Flax's code",
    "preferred_element_type": "it changes the output's dtype",
}
LINEN_LEFT_OUT = {"name": "layers have no name there", "parent": "it only names the module"}
CONV = {  # parameters of Conv from kernel_size on
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
}
TRANSPOSED = {  # parameters of ConvTranspose from kernel_size on
    "kernel_size": REQUIRED,
    "strides": None,
    "padding": "SAME",
    "kernel_dilation": None,
    "use_bias": True,
    "mask": None,
    "dtype": None,
    "param_dtype": None,
    "precision": None,
    "kernel_init": None,
    "bias_init": None,
    "transpose_kernel": False,
    "promote_dtype": None,
    "preferred_element_type": None,
}


def _of(table: Mapping[str, str], parameters: Mapping[str, Value]) -> dict[str, str]:
    """Return the entries of a table for parameters that a class has."""
    return {name: entry for name, entry in table.items() if name in parameters}


def _transposed(
    title: str, paths: tuple[str, ...], first: dict[str, Value], positional: int, last: dict[str, Value]
) -> SourceClass:
    parameters = {**first, **TRANSPOSED, **last}
    names = {**CONV_NAMES, "features": "out_channels"}
    return SourceClass(
        title=title,
        paths=paths,
        parameters=parameters,
        positional=positional,
        names=_of(names, parameters),
        meaning=transposed_meaning,
        left_out=_of({**LEFT_OUT, **LINEN_LEFT_OUT}, parameters),
        refused=_of(REFUSED, parameters),
        layer=CONV_TRANSPOSE,
    )


READER = Reader(
    classes=(
        SourceClass(
            title="flax.nnx.Conv",
            paths=("flax.nnx.nn.linear.Conv",),
            parameters={
                "in_features": REQUIRED,
                "out_features": REQUIRED,
                **CONV,
                "conv_general_dilated": None,
                "promote_dtype": None,
                "preferred_element_type": None,
                "rngs": None,
            },
            positional=4,
            names=CONV_NAMES,
            meaning=meaning,
            left_out=LEFT_OUT,
            refused=REFUSED,
        ),
        SourceClass(
            title="flax.linen.Conv",
            paths=("flax.linen.linear.Conv",),
            parameters={
                "features": REQUIRED,
                **CONV,
                "promote_dtype": None,
                "conv_general_dilated": None,
                "conv_general_dilated_cls": None,
                "parent": None,
                "name": None,
            },
            positional=19,
            names={
                **{name: common for name, common in CONV_NAMES.items() if not name.endswith("features")},
                "features": "out_channels",
            },
            meaning=meaning,
            left_out={**LEFT_OUT, **LINEN_LEFT_OUT},
            refused={
                **{name: reason for name, reason in REFUSED.items() if name != "preferred_element_type"},
                "conv_general_dilated_cls": REFUSED["conv_general_dilated"],
            },
        ),
        _transposed(
            "flax.nnx.ConvTranspose",
            ("flax.nnx.nn.linear.ConvTranspose",),
            {"in_features": REQUIRED, "out_features": REQUIRED},
            4,
            {"rngs": None},
        ),
        _transposed(
            "flax.linen.ConvTranspose",
            ("flax.linen.linear.ConvTranspose",),
            {"features": REQUIRED},
            15,
            {"parent": None, "name": None},
        ),
    ),
    modules={"flax": "flax", "nnx": "flax.nnx", "linen": "flax.linen", "jax": "jax", "jnp": "jax.numpy"},
    initializers=INITIALIZERS,
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``flax``."""
    return Dialect(
        "flax",
        reader=READER,
        writer=WRITER,
        description="flax.nnx.Conv and flax.nnx.ConvTranspose, read and written; flax.linen.Conv and flax.linen.ConvTranspose, read.",
    )
