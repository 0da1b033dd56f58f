"""The dialect ``mindspore``: how ``translate`` reads MindSpore code. `dialect_written` writes it."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.mindspore.dialect_written import WRITER
from convpolicy.frameworks.mindspore.surroundings import SURROUNDINGS
from convpolicy.frameworks.shared_code import SIZES, WITH_MODE, number_or_word
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import (
    CONSTANT,
    DIRAC,
    Named,
    gain_of,
    orthogonal,
    plain,
    scaled,
    truncated_at_values,
    variance_scaling,
)
from convpolicy.translation.meaning import Meaning, cut
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED, size, word
from convpolicy.translation.values import Expression, Value, code_of


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``pad_mode``, a name, and ``padding``, a number that needs ``pad_mode="pad"``."""
    number = _number(arguments)
    if number is None:
        return Meaning(policy={"padding": arguments["pad_mode"]})
    return Meaning(padding=number) if isinstance(number, Expression) else Meaning(policy={"padding": number})


def transposed_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read what ``pad_mode`` and ``padding`` of a transposed convolution cut."""
    number = _number(arguments)
    if number is None:
        return Meaning(policy={"padding": arguments["pad_mode"]})
    return cut(number if isinstance(number, Expression) else integer("padding", number, 0))


def _number(arguments: Mapping[str, Value]) -> Value:
    """Return the value of ``padding``, or None where ``pad_mode`` is a name."""
    for name in ("kernel_size", "stride", "padding", "dilation"):
        if isinstance(arguments[name], (tuple, list)):
            raise InvalidValueError(
                f"{name} must be an integer, got {arguments[name]!r}, which MindSpore refuses; pass the number."
            )
    mode, padding = word("pad_mode", arguments["pad_mode"], ("same", "valid", "pad")), arguments["padding"]
    if mode != "pad":
        if isinstance(padding, Expression) or padding != 0:
            raise InvalidValueError(
                f"padding must be 0 unless pad_mode is 'pad', got {code_of(padding)} with pad_mode={mode!r}; pass pad_mode='pad'."
            )
        return None
    padding = size("padding", padding)
    if isinstance(padding, str):
        raise InvalidValueError(f"padding must be an integer, got {padding!r}; pass names as pad_mode.")
    return padding


def _he(shape: str) -> Named:
    return Named(
        {"negative_slope": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"},
        lambda negative_slope, mode, nonlinearity: scaled(mode, gain_of(nonlinearity, negative_slope), shape),
    )


INITIALIZERS = {
    "zero": plain("zeros"),
    "zeros": plain("zeros"),
    "one": plain("ones"),
    "ones": plain("ones"),
    "constant": CONSTANT,
    "normal": Named({"sigma": 0.01, "mean": 0.0}, lambda sigma, mean: Choice("normal", mean=mean, std=sigma)),
    "uniform": Named({"scale": 0.07}, lambda scale: Choice("uniform", low=-scale, high=scale)),
    "truncatednormal": Named(
        {"sigma": 0.01, "mean": 0.0, "a": -2.0, "b": 2.0}, lambda sigma, mean, a, b: truncated_at_values(mean, sigma, a, b)
    ),
    "heuniform": _he("uniform"),
    "henormal": _he("normal"),
    "xavieruniform": Named({"gain": 1}, lambda gain: scaled("fan_avg", gain, "uniform")),
    "xaviernormal": Named({"gain": 1}, lambda gain: scaled("fan_avg", gain, "normal")),
    # MindSpore 2.0.0 and 2.10.0 draw a uniform distribution for truncated_normal, as measured
    "variancescaling": variance_scaling({"uniform": "uniform", "untruncated_normal": "normal", "truncated_normal": "uniform"}),
    "orthogonal": orthogonal("gain"),
    "dirac": DIRAC,
}
PARAMETERS = {
    **SIZES,
    "pad_mode": "same",
    "padding": 0,
    "dilation": 1,
    "group": 1,
    "has_bias": False,
    "weight_init": None,
    "bias_init": None,
    "dtype": None,
}
READER = Reader(
    classes=(
        SourceClass(
            title="mindspore.nn.Conv1d",
            paths=("mindspore.nn.layer.Conv1d", "mindspore.nn.layer.conv.Conv1d"),
            parameters=PARAMETERS,
            positional=12,
            names={"group": "groups", "has_bias": "bias"},
            meaning=meaning,
        ),
        SourceClass(
            title="mindspore.nn.Conv1dTranspose",
            paths=("mindspore.nn.layer.Conv1dTranspose", "mindspore.nn.layer.conv.Conv1dTranspose"),
            parameters=PARAMETERS,
            positional=12,
            names={"group": "groups", "has_bias": "bias"},
            meaning=transposed_meaning,
            layer=CONV_TRANSPOSE,
        ),
        SourceClass(
            title="mindspore.mint.nn.Conv1d",
            parameters={**SIZES, **WITH_MODE, "dtype": None},
            positional=10,
            meaning=number_or_word,
            policy={"weight_init": FAN_IN_UNIFORM, "bias_init": "uniform", "layout": "OIW"},
        ),
    ),
    others=(
        SourceClass(
            title="mindspore.ops.conv1d",
            paths=("mindspore.ops.function.conv1d", "mindspore.ops.function.nn_func.conv1d"),
            parameters={
                "input": REQUIRED,
                "weight": REQUIRED,
                "bias": None,
                "stride": 1,
                "pad_mode": "valid",
                "padding": 0,
                "dilation": 1,
                "groups": 1,
            },
            positional=8,
            meaning=meaning,
            policy={"layout": "OIW"},
            data=("input", "weight", "bias"),
        ),
    ),
    modules={
        "mindspore": "mindspore",
        "ms": "mindspore",
        "nn": "mindspore.nn",
        "mint": "mindspore.mint",
        "ops": "mindspore.ops",
        "initializer": "mindspore.common.initializer",
    },
    initializers=INITIALIZERS,
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``mindspore``."""
    description = "mindspore.nn.Conv1d and Conv1dTranspose, read and written; mindspore.mint.nn.Conv1d, read."
    return Dialect("mindspore", reader=READER, writer=WRITER, description=description)
