"""The dialect ``keras``: how ``translate`` reads Keras code. `channels` finds input channels, `dialect_written` writes code."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras import channels
from convpolicy.frameworks.keras.dialect_written import WRITER
from convpolicy.frameworks.keras.surroundings import SURROUNDINGS
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import CONSTANT, SEED, Named, families, plain, variance_scaling
from convpolicy.translation.meaning import ONLY_TRAINING, Meaning, cut_by_word
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED, literal, size, word
from convpolicy.translation.values import Value, code_of, product

ANY_BACKEND = "keras-torch"  # policy of a Keras that runs on a framework without the faults of TensorFlow
REGULARIZERS = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``, a name in any case, and the input channels from ``input_shape`` or ``input_dim``."""
    in_channels = _channels(arguments)
    text = _name(arguments, ("valid", "same", "causal"))
    return Meaning(policy={"padding": text}, arguments={"in_channels": in_channels})


def functional_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``, ``data_format`` and ``dilations`` of ``tf.nn.conv1d``."""
    data_format = literal("data_format", arguments["data_format"], "it decides the axes")
    formats = {"NWC": "channels_last", "NCW": "channels_first", None: None}
    if data_format not in formats:
        raise InvalidValueError(f"data_format must be NWC or NCW, got {data_format!r}; pick one.")
    dilation = {"dilation": 1} if arguments["dilation"] is None else {}
    return Meaning(
        policy={"padding": _name(arguments, ("valid", "same"))},
        arguments={"data_format": formats[data_format], **dilation},
    )


def depthwise_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read a depthwise layer as a convolution whose groups are its input channels, with its Glorot initializer in numbers."""
    read = meaning(arguments)
    channels, multiplier = read.arguments["in_channels"], size("depth_multiplier", arguments["depth_multiplier"])
    kernel = size("kernel_size", arguments["kernel_size"])
    if channels is None:
        raise InvalidValueError(
            "in_channels is needed, because the groups of a DepthwiseConv1D are its input channels; pass in_channels=... "
            "(--in-channels)."
        )
    numbers = (channels, multiplier, kernel)
    glorot = {}
    if all(isinstance(number, int) for number in numbers):
        limit = math.sqrt(6 / (kernel * (channels + multiplier)))  # fan_in is kernel · channels, fan_out kernel · multiplier
        glorot = {"weight_init": Choice("uniform", low=-limit, high=limit)}
    sizes = {"groups": channels, "out_channels": product(channels, multiplier)}
    return attrs.evolve(
        read,
        policy={**read.policy, **glorot},
        arguments={**read.arguments, **sizes},
        notes=() if glorot else (DEPTHWISE_INITIAL,),
    )


def transposed_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read what ``padding`` and ``output_padding`` cut, and the input channels as `meaning`."""
    in_channels, more = _channels(arguments), arguments["output_padding"]
    more = None if more is None else size("output_padding", more)
    read = cut_by_word(ANY_BACKEND, _name(arguments, ("valid", "same")), more)
    return attrs.evolve(read, arguments={"in_channels": in_channels})


def _name(arguments: Mapping[str, Value], allowed: tuple[str, ...]) -> str:
    """Return the name in ``padding``, in lower case."""
    padding = literal("padding", arguments["padding"], "it decides the padding")
    return word("padding", padding.lower() if isinstance(padding, str) else padding, allowed)


def _channels(arguments: Mapping[str, Value]) -> Value:
    shape, axis = arguments["input_shape"], 0 if arguments["data_format"] == "channels_first" else -1
    declared = shape[axis] if isinstance(shape, (tuple, list)) and len(shape) == 2 else arguments["input_dim"]
    in_channels = arguments["in_channels"]
    if declared is not None and in_channels not in (None, declared):
        raise InvalidValueError(
            f"in_channels must be {code_of(declared)}, as in the call, got {code_of(in_channels)}; leave it out."
        )
    return in_channels if declared is None else declared


_RANDOM_NORMAL = Named({"mean": 0.0, "stddev": 0.05, **SEED}, lambda mean, stddev: Choice("normal", mean=mean, std=stddev))
_RANDOM_UNIFORM = Named(
    {"minval": -0.05, "maxval": 0.05, **SEED}, lambda minval, maxval: Choice("uniform", low=minval, high=maxval)
)
INITIALIZERS = {
    "zeros": plain("zeros"),
    "ones": plain("ones"),
    "constant": CONSTANT,
    "randomnormal": _RANDOM_NORMAL,
    "normal": _RANDOM_NORMAL,
    "randomuniform": _RANDOM_UNIFORM,
    "uniform": _RANDOM_UNIFORM,
    "truncatednormal": Named(
        {"mean": 0.0, "stddev": 0.05, **SEED}, lambda mean, stddev: Choice("truncated_normal", mean=mean, std=stddev)
    ),
    **families("glorot", "he", "lecun"),
    "variancescaling": variance_scaling(
        {"truncated_normal": "truncated_normal", "untruncated_normal": "normal", "uniform": "uniform"}
    ),
    "orthogonal": Named({"gain": 1.0, **SEED}, lambda gain: Choice("orthogonal", gain=gain)),
}
SIZES = {"filters": REQUIRED, "kernel_size": REQUIRED, "strides": 1, "padding": "valid"}
BEHIND = {  # parameters after the activation
    "use_bias": True,
    "kernel_initializer": None,
    "bias_initializer": None,
    **dict.fromkeys(REGULARIZERS),
    "name": None,
    "trainable": True,
    "dtype": None,
    "input_shape": None,
    "input_dim": None,
}
DEPTHWISE_INITIAL = "initial weight: the fans of a depthwise layer are not known here, so those of its groups are used"
PACKAGES = ("keras", "tensorflow.keras")
NAMES = {
    "filters": "out_channels",
    "strides": "stride",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "kernel_initializer": "weight_init",
    "bias_initializer": "bias_init",
}
LEFT_OUT = {
    **dict.fromkeys(REGULARIZERS, ONLY_TRAINING),
    "name": "layers have no name there",
    "trainable": ONLY_TRAINING,
}


def _paths(*names: str) -> tuple[str, ...]:
    """Return the paths under which classes can be imported, the title first."""
    return tuple(f"{package}.layers.{name}" for package in PACKAGES for name in names)


TITLE, *PATHS = _paths("Conv1D", "Convolution1D")
TRANSPOSED_TITLE, *TRANSPOSED_PATHS = _paths("Conv1DTranspose", "Convolution1DTranspose")
DEPTHWISE_TITLE, *DEPTHWISE_PATHS = _paths("DepthwiseConv1D")
READER = Reader(
    classes=(
        SourceClass(
            title=TITLE,
            paths=tuple(PATHS),
            parameters={**SIZES, "data_format": None, "dilation_rate": 1, "groups": 1, "activation": None, **BEHIND},
            positional=16,
            names=NAMES,
            meaning=meaning,
            left_out=LEFT_OUT,
        ),
        SourceClass(
            title=TRANSPOSED_TITLE,
            paths=tuple(TRANSPOSED_PATHS),
            parameters={**SIZES, "output_padding": None, "data_format": None, "dilation_rate": 1, "activation": None, **BEHIND},
            positional=16,
            names=NAMES,
            meaning=transposed_meaning,
            left_out=LEFT_OUT,
            layer=CONV_TRANSPOSE,
        ),
    ),
    others=(
        SourceClass(
            title=DEPTHWISE_TITLE,
            paths=tuple(DEPTHWISE_PATHS),
            parameters={
                "kernel_size": REQUIRED,
                "strides": 1,
                "padding": "valid",
                "depth_multiplier": 1,
                "data_format": None,
                "dilation_rate": 1,
                "activation": None,
                "use_bias": True,
                "depthwise_initializer": "glorot_uniform",
                "bias_initializer": None,
                "depthwise_regularizer": None,
                "bias_regularizer": None,
                "activity_regularizer": None,
                "depthwise_constraint": None,
                "bias_constraint": None,
                "name": None,
                "trainable": True,
                "dtype": None,
                "input_shape": None,
                "input_dim": None,
            },
            positional=15,
            names={name: common for name, common in NAMES.items() if name not in ("filters", "kernel_initializer")},
            meaning=depthwise_meaning,
            left_out={
                **{name: reason for name, reason in LEFT_OUT.items() if not name.startswith("kernel")},
                **dict.fromkeys(("depthwise_regularizer", "depthwise_constraint"), ONLY_TRAINING),
                "depthwise_initializer": "its fans are those of a depthwise weight",
            },
            policy={"layout": "WIM"},
        ),
        SourceClass(
            title="tensorflow.nn.conv1d",
            parameters={
                "input": REQUIRED,
                "filters": REQUIRED,
                "stride": REQUIRED,
                "padding": REQUIRED,
                "data_format": "NWC",
                "dilations": None,
                "name": None,
            },
            positional=7,
            names={"dilations": "dilation"},
            meaning=functional_meaning,
            left_out={"name": "functions have no name there"},
            data=("input", "filters"),
        ),
    ),
    modules={"keras": "keras", "layers": "keras.layers", "tf": "tensorflow", "tensorflow": "tensorflow"},
    initializers=INITIALIZERS,
    dtypes={"float": "float32"},  # Keras treats Python's float as float32
    surroundings=SURROUNDINGS,
    channels=channels.follow,
)


def dialect() -> Dialect:
    """Return the dialect ``keras``."""
    description = "keras.layers.Conv1D and Conv1DTranspose, read and written."
    return Dialect("keras", reader=READER, writer=WRITER, aliases=("tensorflow",), description=description)
