"""The dialect ``keras``: how ``translate`` reads Keras code. `channels` finds input channels, `dialect_written` writes code."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras import channels
from convpolicy.frameworks.keras.dialect_written import WRITER
from convpolicy.frameworks.keras.surroundings import SURROUNDINGS
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import CONSTANT, SEED, Named, families, plain, variance_scaling
from convpolicy.translation.meaning import ONLY_TRAINING, Meaning
from convpolicy.translation.reading import REQUIRED, literal, word
from convpolicy.translation.values import Value, code_of

REGULARIZERS = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding``, a name in any case, and the input channels from ``input_shape`` or ``input_dim``."""
    in_channels = _channels(arguments)
    padding = literal("padding", arguments["padding"], "it decides the padding")
    text = word("padding", padding.lower() if isinstance(padding, str) else padding, ("valid", "same", "causal"))
    return Meaning(policy={"padding": text}, arguments={"in_channels": in_channels})


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
READER = Reader(
    classes=(
        SourceClass(
            title="keras.layers.Conv1D",
            paths=("keras.layers.Convolution1D", "tensorflow.keras.layers.Conv1D", "tensorflow.keras.layers.Convolution1D"),
            parameters={
                "filters": REQUIRED,
                "kernel_size": REQUIRED,
                "strides": 1,
                "padding": "valid",
                "data_format": None,
                "dilation_rate": 1,
                "groups": 1,
                "activation": None,
                "use_bias": True,
                "kernel_initializer": None,
                "bias_initializer": None,
                **dict.fromkeys(REGULARIZERS),
                "name": None,
                "trainable": True,
                "dtype": None,
                "input_shape": None,
                "input_dim": None,
            },
            positional=16,
            names={
                "filters": "out_channels",
                "strides": "stride",
                "dilation_rate": "dilation",
                "use_bias": "bias",
                "kernel_initializer": "weight_init",
                "bias_initializer": "bias_init",
            },
            meaning=meaning,
            left_out={
                **dict.fromkeys(REGULARIZERS, ONLY_TRAINING),
                "name": "layers have no name there",
                "trainable": ONLY_TRAINING,
            },
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
    description = "keras.layers.Conv1D, read and written."
    return Dialect("keras", reader=READER, writer=WRITER, aliases=("tensorflow",), description=description)
