"""The dialect ``paddle``: how ``translate`` reads Paddle code. `dialect_written` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.paddle.dialect_written import WRITER
from convpolicy.frameworks.paddle.surroundings import SURROUNDINGS
from convpolicy.frameworks.shared_code import MODES, SIZES
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.initializer_words import CONSTANT, DIRAC, Named, gain_of, orthogonal, scaled, truncated_at_values
from convpolicy.translation.meaning import ONLY_TRAINING, SAMPLES, Meaning, cut_both_sides, cut_by_word
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED, bind, literal, size, word
from convpolicy.translation.values import Call, Expression, Value, code_of

ATTRIBUTE = ("name", "initializer", "learning_rate", "regularizer", "trainable", "do_model_average", "need_clip")


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read the padding, ``weight_attr`` and ``bias_attr``, which contain an initializer, or False for no bias."""
    policy, padding, dilation, notes = _padding(arguments)
    return _with_attributes(arguments, Meaning(policy=policy, padding=padding), dilation, notes)


def functional_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read the padding of a functional convolution."""
    policy, padding, dilation, notes = _padding({**arguments, "padding_mode": "zeros"})
    return Meaning(policy=policy, padding=padding, arguments=dilation, notes=tuple(notes))


def transposed_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read what ``padding`` and ``output_padding`` cut, and ``weight_attr`` and ``bias_attr`` as `meaning`."""
    padding = _sides(arguments)
    more = size("output_padding", arguments["output_padding"])
    if not isinstance(padding, (str, tuple, list)):
        return _with_attributes(arguments, cut_both_sides({"padding": padding, "output_padding": more}), {}, [])
    if isinstance(padding, str):
        dilation, notes = _undilated(arguments) if padding == "SAME" else ({}, [])
        return _with_attributes(arguments, cut_by_word("paddle", padding, more or None), dilation, notes)
    more = integer("output_padding", literal("output_padding", more, "left and right may differ"), 0)
    if len(padding) != 2:
        raise InvalidValueError(f"padding must be a number or a pair [left, right], got {code_of(padding)}; pass one of these.")
    left, right = (integer("padding", side, 0) for side in padding)
    policy = {"padding": Choice("explicit", left=left, right=right, output_padding=more)}
    return _with_attributes(arguments, Meaning(policy=policy), {}, [])


def _with_attributes(arguments: Mapping[str, Value], padding: Meaning, dilation: Mapping[str, int], notes: list[str]) -> Meaning:
    """Return the meaning of a call: that of its padding, with its bias and initializers."""
    bias = _bias(arguments)
    changes: dict[str, Value] = {"bias": bias, **dilation}
    for role in ("weight", "bias") if bias is not False else ("weight",):
        changes[f"{role}_init"] = _initializer(arguments[f"{role}_init"], role, notes)
    return attrs.evolve(padding, arguments=changes, notes=tuple(notes))


def _padding(arguments: Mapping[str, Value]) -> tuple[dict[str, Any], Expression | None, dict[str, int], list[str]]:
    """Read ``padding``: a number, or for zeros also a name or a pair.

    Returns:
        ``(policy, padding, dilation, notes)``: changes of the policy, an expression for both sides or None, ``{"dilation": 1}`` where
        'SAME' sets it, and notes for the user.
    """
    mode = word("padding_mode", arguments["padding_mode"], MODES)
    padding = arguments["padding"]
    if mode != "zeros" and (not isinstance(padding, int) or isinstance(padding, bool)):
        raise InvalidValueError(f"padding must be an integer when padding_mode is {mode!r}, got {code_of(padding)}; pass one.")
    padding = _sides(arguments)
    if isinstance(padding, Expression):
        return {}, padding, {}, [SAMPLES]
    policy = {"padding": padding, "padding_mode": Choice("circular", overflow="periodic") if mode == "circular" else mode}
    return policy, None, *(_undilated(arguments) if padding == "SAME" else ({}, []))


def _sides(arguments: Mapping[str, Value]) -> Value:
    """Return the value of ``padding``: a number, an expression, a pair of numbers, ``"SAME"`` or ``"VALID"``."""
    padding = arguments["padding"]
    if isinstance(padding, (tuple, list)):
        if len(padding) == 3 and all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in padding):
            axis = 1 if arguments["data_format"] == "NLC" else 2
            if any(tuple(pair) != (0, 0) for number, pair in enumerate(padding) if number != axis):
                raise InvalidValueError(f"padding must be 0 for batch and channels, got {code_of(padding)}; pass [left, right].")
            padding = padding[axis]
        padding = padding[0] if len(padding) == 1 else padding
        for side in padding if isinstance(padding, (tuple, list)) else ():
            literal("padding", side, "left and right may differ")
    return word("padding", padding.upper(), ("SAME", "VALID")) if isinstance(padding, str) else padding


def _undilated(arguments: Mapping[str, Value]) -> tuple[dict[str, int], list[str]]:
    """Return ``{"dilation": 1}`` and a note where 'SAME' sets another dilation to 1."""
    if arguments["dilation"] == 1:
        return {}, []
    note = f"dilation={code_of(arguments['dilation'])} becomes 1: Paddle's 'SAME' silently sets the dilation to 1"
    return {"dilation": 1}, [note]


def _bias(arguments: Mapping[str, Value]) -> Value:
    """Return False for ``bias_attr=False``, which means no bias, otherwise the value of ``bias``."""
    attribute = arguments["bias_init"]
    bias = arguments.get("bias", True)  # Conv1DTranspose has only bias_attr
    if bias is False or isinstance(attribute, Call):
        return bias
    return literal("bias_attr", attribute, "False means that there is no bias") is not False and bias


def _initializer(value: Value, role: str, notes: list[str]) -> Value:
    """Return the initializer inside a ParamAttr, or the value itself; None means the default."""
    if not isinstance(value, Call) or value.short != "ParamAttr":
        return value
    arguments = bind(value, dict.fromkeys(ATTRIBUTE), len(ATTRIBUTE), "paddle.ParamAttr")
    notes += [
        f"{role}: {name}={code_of(argument)} is left out: {ONLY_TRAINING}"
        for name, argument in arguments.items()
        if argument is not None and name != "initializer"
    ]
    return arguments["initializer"]


def _kaiming(shape: str) -> Named:
    def choice(fan_in: Any, negative_slope: float, nonlinearity: str, mode: str) -> Choice:
        if fan_in is not None:
            raise ValueError("it sets fan_in")
        return scaled(mode, gain_of(nonlinearity, negative_slope), shape)

    return Named({"fan_in": None, "negative_slope": 0.0, "nonlinearity": "relu", "mode": "fan_in"}, choice)


def _xavier(shape: str) -> Named:
    def choice(fan_in: Any, fan_out: Any, gain: float) -> Choice:
        if fan_in is not None or fan_out is not None:
            raise ValueError("it sets fan_in or fan_out")
        return scaled("fan_avg", gain, shape)

    return Named({"fan_in": None, "fan_out": None, "gain": 1.0}, choice)


INITIALIZERS = {
    "constant": CONSTANT,
    "normal": Named({"mean": 0.0, "std": 1.0}, lambda mean, std: Choice("normal", mean=mean, std=std)),
    "uniform": Named({"low": -1.0, "high": 1.0}, lambda low, high: Choice("uniform", low=low, high=high)),
    # its bounds are absolute values, as measured on 3.3.1
    "truncatednormal": Named({"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}, truncated_at_values),
    "kaimingnormal": _kaiming("normal"),
    "kaiminguniform": _kaiming("uniform"),
    "xaviernormal": _xavier("normal"),
    "xavieruniform": _xavier("uniform"),
    "orthogonal": orthogonal("gain"),
    "dirac": DIRAC,
}
READER = Reader(
    classes=(
        SourceClass(
            title="paddle.nn.Conv1D",
            paths=("paddle.nn.layer.Conv1D", "paddle.nn.layer.conv.Conv1D"),
            parameters={
                **SIZES,
                "padding": 0,
                "dilation": 1,
                "groups": 1,
                "padding_mode": "zeros",
                "weight_attr": None,
                "bias_attr": None,
                "data_format": "NCL",
                "bias": True,
                "device": None,
                "dtype": None,
            },
            positional=7,
            names={"weight_attr": "weight_init", "bias_attr": "bias_init"},
            meaning=meaning,
        ),
        SourceClass(
            title="paddle.nn.Conv1DTranspose",
            paths=("paddle.nn.layer.Conv1DTranspose", "paddle.nn.layer.conv.Conv1DTranspose"),
            parameters={
                **SIZES,
                "padding": 0,
                "output_padding": 0,
                "groups": 1,
                "dilation": 1,
                "weight_attr": None,
                "bias_attr": None,
                "data_format": "NCL",
            },
            positional=11,
            names={"weight_attr": "weight_init", "bias_attr": "bias_init"},
            meaning=transposed_meaning,
            layer=CONV_TRANSPOSE,
        ),
    ),
    others=(
        SourceClass(
            title="paddle.nn.functional.conv1d",
            parameters={
                "x": REQUIRED,
                "weight": REQUIRED,
                "bias": None,
                "stride": 1,
                "padding": 0,
                "dilation": 1,
                "groups": 1,
                "data_format": "NCL",
                "name": None,
            },
            positional=9,
            meaning=functional_meaning,
            left_out={"name": "functions have no name there"},
            data=("x", "weight", "bias"),
        ),
    ),
    modules={"paddle": "paddle", "nn": "paddle.nn", "F": "paddle.nn.functional"},
    initializers=INITIALIZERS,
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``paddle``."""
    return Dialect("paddle", reader=READER, writer=WRITER, description="paddle.nn.Conv1D and Conv1DTranspose, read and written.")
