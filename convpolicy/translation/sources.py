"""The calls that can be read: each framework's Conv1d as a table of parameters, and how its words for padding are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.translation import initializer_words as initializer_names
from convpolicy.translation import padding_words
from convpolicy.translation.initializer_words import Named, choice_of
from convpolicy.translation.padding_words import Found
from convpolicy.translation.reading import REQUIRED, Wanted, bind, dtype_of, flag, literal, wanted
from convpolicy.translation.values import Call, Expression, Value, code_of

FOR_BIAS = ("zeros", "ones", "constant", "normal", "uniform", "truncated_normal")  # the others read the fans of a weight
ONLY_TRAINING = "only matters in training"


@attrs.frozen
class Source:
    """One framework's Conv1d, to be read.

    Args:
        title: how its users write it.
        paths: every dotted name it can be imported by.
        parameters: name -> default, in positional order, under their own names.
        positional: how many may be given by position.
        names: own name -> common name, where they differ.
        padding: reads the framework's words.
        initializers: its names.
        noted, refused: parameters that no target knows and why: a comment, or where outputs depend on it an error.
        changes: of the framework's policy.
    """

    title: str
    paths: tuple[str, ...]
    parameters: Mapping[str, Value]
    positional: int
    names: Mapping[str, str]
    padding: Callable[[Mapping[str, Value]], Found]
    initializers: Mapping[str, Named] = attrs.field(factory=dict)
    noted: Mapping[str, str] = attrs.field(factory=dict)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    changes: Mapping[str, Any] = attrs.field(factory=dict)

    def read(self, call: Call, framework: str, policy: Policy, in_channels: Value, length: Any) -> Wanted:
        """Read a call.

        Args:
            call: of this class.
            framework: how the result speaks of it.
            policy: of the framework.
            in_channels: for a framework whose calls do not hold it, or None.
            length: input length in samples, or None.

        Raises:
            ConvPolicyError: an argument that the framework refuses, that is computed, or whose value is needed.
        """
        own = bind(call, self.parameters, self.positional, self.title)
        given = {self.names.get(name, name): value for name, value in own.items()}
        for name, reason in self.refused.items():
            if own[name] != self.parameters[name]:
                raise InvalidValueError(f"{name} must be left out, got {code_of(own[name])}, as {reason}; remove it.")
        notes = [
            f"{name}={code_of(own[name])} is left out: {reason}"
            for name, reason in self.noted.items()
            if own[name] != self.parameters[name]
        ]
        if "in_channels" not in given:
            given["in_channels"] = _channels(self.title, given, in_channels)
        found = self.padding(given)
        changes = {**self.changes, **found.pop("policy", {})}
        notes += found.pop("notes", [])
        given |= {name: found.pop(name) for name in ("stride", "dilation") if name in found}
        changes |= _layout(given.get("data_format"))
        bias = _bias(given, self.title)
        for role in ("weight", "bias") if bias is not False else ("weight",):
            initial = _attribute(given.get(f"{role}_init"), role, notes)
            if initial is None:
                continue
            choice = choice_of(f"{role}_init", initial, self.initializers, given["groups"])
            if choice is None or (role == "bias" and choice.name not in FOR_BIAS):
                notes.append(f"initial {role}: {code_of(initial)} has no counterpart here, the default stands in")
            else:
                changes[f"{role}_init"] = choice
        dtype = None if given.get("dtype") is None else dtype_of(given["dtype"])
        if given.get("dtype") is not None and dtype is None:
            notes.append(f"dtype={code_of(given['dtype'])} is left out: which dtype it is is not known here")
        if given.get("device") is not None:
            notes.append(f"device={code_of(given['device'])} is left out: move the layer yourself")
        return wanted(
            framework, policy.evolve(**changes), given, length,
            bias=bias, activation=_activation(given.get("activation")), dtype=dtype, notes=tuple(notes), **found,
        )  # fmt: skip


def _channels(title: str, given: Mapping[str, Value], in_channels: Value) -> Value:
    """Return in_channels as the caller, ``input_shape`` or ``input_dim`` says."""
    shape, axis = given.get("input_shape"), 0 if given.get("data_format") == "channels_first" else -1
    own = shape[axis] if isinstance(shape, (tuple, list)) and len(shape) == 2 else given.get("input_dim")
    if own is not None and in_channels not in (None, own):
        raise InvalidValueError(
            f"in_channels must be {code_of(own)}, as the call says, got {code_of(in_channels)}; leave it out."
        )
    if own is None and in_channels is None:
        raise InvalidValueError(
            f"in_channels must be given, as a {title} does not hold it; pass in_channels=... (--in-channels)."
        )
    return in_channels if own is None else own


def _layout(data_format: Value) -> dict[str, str]:
    words = {None: {}, "channels_last": {"data_layout": "NWC"}, "NLC": {"data_layout": "NWC"}}
    words |= {"channels_first": {"data_layout": "NCW"}, "NCL": {"data_layout": "NCW"}}
    text = literal("data_format", data_format, "it decides the axes")
    if text not in words:
        raise InvalidValueError(f"data_format must be one of {', '.join(filter(None, words))}, got {text!r}; pick one.")
    return words[text]


def _bias(given: Mapping[str, Value], title: str) -> Value:
    """Return whether there is a bias; Paddle says so in ``bias`` or in ``bias_attr``."""
    if given["bias"] is False or "bias_init" not in given:
        return flag("bias", given["bias"])
    if title == "paddle.nn.Conv1D" and not isinstance(given["bias_init"], Call):
        return literal("bias_attr", given["bias_init"], "False means that there is no bias") is not False and flag(
            "bias", given["bias"]
        )
    return flag("bias", given["bias"])


def _attribute(value: Value, role: str, notes: list[str]) -> Value:
    """Return the initializer in what may be Paddle's ParamAttr, or None for the default."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, Call) or value.short != "ParamAttr":
        return value
    names = ("name", "initializer", "learning_rate", "regularizer", "trainable", "do_model_average", "need_clip")
    arguments = bind(value, dict.fromkeys(names), len(names), "paddle.ParamAttr")
    notes += [
        f"{role}: {n}={code_of(v)} is left out: {ONLY_TRAINING}" for n, v in arguments.items() if v is not None and n != names[1]
    ]
    return arguments["initializer"]


def _activation(value: Value) -> str | None:
    if isinstance(value, Expression) and "." in value.text:
        value = value.text.rpartition(".")[2]  # keras.activations.relu, tf.nn.relu
    text = literal("activation", value, "the function that follows depends on it")
    if text is not None and not isinstance(text, str):
        raise InvalidValueError(f"activation must be a name, got {text!r}; pass for example 'relu'.")
    return None if text == "linear" else text


_CONV = {"in_channels": REQUIRED, "out_channels": REQUIRED, "kernel_size": REQUIRED, "stride": 1}
_TORCH_TAIL = {"padding": 0, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
_REGULARIZERS = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")
_KERAS_TAIL = {"name": None, "trainable": True, "dtype": None, "input_shape": None, "input_dim": None}

SOURCES = {
    "torch": Source(
        "torch.nn.Conv1d",
        ("torch.nn.Conv1d", "torch.nn.modules.Conv1d", "torch.nn.modules.conv.Conv1d"),
        {**_CONV, **_TORCH_TAIL, "device": None, "dtype": None},
        11,
        {},
        padding_words.torch,
    ),
    "mindspore": Source(
        "mindspore.nn.Conv1d",
        ("mindspore.nn.Conv1d", "mindspore.nn.layer.Conv1d", "mindspore.nn.layer.conv.Conv1d"),
        {**_CONV, "pad_mode": "same", "padding": 0, "dilation": 1, "group": 1, "has_bias": False,
         "weight_init": None, "bias_init": None, "dtype": None},
        12,
        {"group": "groups", "has_bias": "bias"},
        padding_words.mindspore,
        initializer_names.MINDSPORE,
    ),
    "mindspore.mint": Source(
        "mindspore.mint.nn.Conv1d",
        ("mindspore.mint.nn.Conv1d",),
        {**_CONV, **_TORCH_TAIL, "dtype": None},
        10,
        {},
        padding_words.torch,
        changes={"weight_init": FAN_IN_UNIFORM, "bias_init": "uniform", "layout": "OIW"},
    ),
    "keras": Source(
        "keras.layers.Conv1D",
        tuple(f"{root}.layers.{name}" for root in ("keras", "tensorflow.keras") for name in ("Conv1D", "Convolution1D")),
        {"filters": REQUIRED, "kernel_size": REQUIRED, "strides": 1, "padding": "valid", "data_format": None, "dilation_rate": 1,
         "groups": 1, "activation": None, "use_bias": True, "kernel_initializer": None, "bias_initializer": None,
         **dict.fromkeys(_REGULARIZERS), **_KERAS_TAIL},
        16,
        {"filters": "out_channels", "strides": "stride", "dilation_rate": "dilation", "use_bias": "bias",
         "kernel_initializer": "weight_init", "bias_initializer": "bias_init"},
        padding_words.keras,
        initializer_names.KERAS,
        noted={**dict.fromkeys(_REGULARIZERS, ONLY_TRAINING), "name": "layers have no name there", "trainable": ONLY_TRAINING},
    ),
    "flax": Source(
        "flax.nnx.Conv",
        ("flax.nnx.Conv", "flax.nnx.nn.linear.Conv"),
        {"in_features": REQUIRED, "out_features": REQUIRED, "kernel_size": REQUIRED, "strides": 1, "padding": "SAME",
         "input_dilation": 1, "kernel_dilation": 1, "feature_group_count": 1, "use_bias": True, "mask": None, "dtype": None,
         "param_dtype": None, "precision": None, "kernel_init": None, "bias_init": None, "conv_general_dilated": None,
         "promote_dtype": None, "preferred_element_type": None, "rngs": None},
        4,
        {"in_features": "in_channels", "out_features": "out_channels", "strides": "stride", "kernel_dilation": "dilation",
         "feature_group_count": "groups", "use_bias": "bias", "kernel_init": "weight_init", "dtype": "computation dtype",
         "param_dtype": "dtype"},
        padding_words.flax,
        initializer_names.FLAX,
        noted={"dtype": "the dtype of the computation follows the input and the weights", "precision": "it is JAX's own"},
        refused={"input_dilation": "it makes a transposed convolution", "mask": "the weight would be multiplied by it",
                 "conv_general_dilated": "it is another convolution", "promote_dtype": "it is code of its own",
                 "preferred_element_type": "it changes the output's dtype"},
    ),
    "paddle": Source(
        "paddle.nn.Conv1D",
        ("paddle.nn.Conv1D", "paddle.nn.layer.Conv1D", "paddle.nn.layer.conv.Conv1D"),
        {**_CONV, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros", "weight_attr": None, "bias_attr": None,
         "data_format": "NCL", "bias": True, "device": None, "dtype": None},
        7,
        {"weight_attr": "weight_init", "bias_attr": "bias_init"},
        padding_words.paddle,
        initializer_names.PADDLE,
    ),
}  # fmt: skip
