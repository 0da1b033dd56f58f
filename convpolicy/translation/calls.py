"""Read a call of a layer class into a `Request`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, SourceClass
from convpolicy.translation.distributions import distribution_of
from convpolicy.translation.functions import sizes_of
from convpolicy.translation.initializer_words import choice_of
from convpolicy.translation.meaning import Meaning
from convpolicy.translation.reading import Request, bind, dtype_of, flag, literal, request
from convpolicy.translation.surroundings import Changes
from convpolicy.translation.values import Call, Expression, Path, Value, as_call, code_of, text_of

OF_WEIGHT = ("scaled", "orthogonal", "dirac")  # distributions that read the fans or axes of a weight
DATA_FORMATS = {
    None: {},
    "channels_last": {"data_layout": "NWC"},
    "NLC": {"data_layout": "NWC"},
    "channels_first": {"data_layout": "NCW"},
    "NCL": {"data_layout": "NCW"},
}


CHANNELS = Expression("in_channels")  # written where the number of input channels is unknown
CHANNELS_NOTE = "in_channels: the number of input channels, which the source code does not contain; write the number"


@attrs.frozen(kw_only=True)
class Context:
    """The framework of a call, and the options of its translation.

    Args:
        dialect: dialect of the framework.
        framework: name of the framework in comments, with the version if the user named one.
        policy: policy of the framework.
        length: input length in samples, or None.
        names: True to write an unknown number of input channels as the name ``in_channels``, False to refuse it.
    """

    dialect: Dialect
    framework: str
    policy: Policy
    length: Any = None
    names: bool = False

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Python's built-in names that name a dtype in the framework, such as ``float``."""
        return {} if self.dialect.reader is None else self.dialect.reader.dtypes


def read(call: Call, source: SourceClass, context: Context, in_channels: Value) -> Request:
    """Read a call of a layer class.

    Args:
        call: the call.
        source: the class that it calls.
        context: the framework, and the options of the translation.
        in_channels: number of input channels, or None, for a class whose calls do not contain it.

    Raises:
        ConvPolicyError: the framework refuses an argument, or an argument is computed, or its value is needed and not known.
        PluginError: a function of the dialect fails; the message names the dialect and its plugin.
    """
    with context.dialect.blamed(f"reading {source.title}"):
        return _read(call, source, context, in_channels)


def _read(call: Call, source: SourceClass, context: Context, in_channels: Value) -> Request:
    values = bind(call, source.parameters, source.positional, source.title)
    arguments = {source.names.get(name, name): value for name, value in values.items()}
    for name, reason in source.refused.items():
        if values[name] != source.parameters[name]:
            raise InvalidValueError(f"{name} must be left out, got {code_of(values[name])}, as {reason}; remove it.")
    notes = [
        f"{name}={code_of(values[name])} is left out: {reason}"
        for name, reason in source.left_out.items()
        if values[name] != source.parameters[name]
    ]
    if source.data:
        arguments |= sizes_of(str(context.policy.evolve(**source.policy).part("layout")[0].axes), arguments)
    elif not source.says_channels:
        arguments["in_channels"] = in_channels
    meaning: Meaning = source.meaning(arguments)
    arguments |= meaning.arguments
    notes += meaning.notes
    if isinstance(meaning.policy.get("padding"), (dict, set, bytes)):
        raise InvalidValueError(
            f"padding must be a number or a name, got {code_of(meaning.policy['padding'])}; pass a value that {source.title} allows."
        )
    channels_unknown = not source.says_channels and arguments["in_channels"] is None
    if channels_unknown and not context.names:
        raise InvalidValueError(
            f"in_channels is needed, because a call of {source.title} does not contain it; pass in_channels=... (--in-channels)."
        )
    arguments |= {"in_channels": CHANNELS} if channels_unknown else {}
    layout = _data_layout(arguments.get("data_format"))
    own: LayerPolicy = context.policy.half() if source.transposed else context.policy
    policy = own.evolve(**{**source.policy, **meaning.policy, **layout})
    arguments = {"stride": 1, "dilation": 1, "groups": 1, "bias": policy.bias, **arguments}
    bias = flag("bias", arguments["bias"])
    for role in ("weight", "bias") if bias is not False else ("weight",):
        policy = _with_initial(role, arguments, context.dialect, policy, notes)
    dtype = None if arguments.get("dtype") is None else dtype_of(arguments["dtype"], context.dtypes)
    if arguments.get("dtype") is not None and dtype is None:
        notes.append(f"dtype={code_of(arguments['dtype'])} is left out: its value is not known here")
    if arguments.get("device") is not None:
        notes.append(f"device={code_of(arguments['device'])} is left out: move the layer yourself")
    notes += [CHANNELS_NOTE] if channels_unknown else []
    return request(
        context.framework, policy, arguments, context.length, padding=meaning.padding, output_padding=meaning.output_padding,
        bias=bias, activation=_activation(arguments.get("activation")), dtype=dtype, notes=tuple(notes),
    )  # fmt: skip


def with_changes(request: Request, changes: Changes, dialect: Dialect, path: Path) -> Request:
    """Apply the code around a call to its request.

    Args:
        request: what the call alone asks for.
        changes: what the code around the call does to the layer.
        dialect: dialect of the framework.
        path: ``(name) -> path``: the dotted path that a name refers to, or None when it is not certain.

    Raises:
        InvalidValueError: the code around the call changes the outputs in a way that cannot be translated.
    """
    if changes.refusal is not None:
        raise InvalidValueError(changes.refusal)
    assert dialect.reader is not None
    fillers = dialect.reader.surroundings.fillers
    policy, notes = request.policy, [*request.notes, *changes.notes]
    for role, node in changes.initial.items():
        rest = ast.Call(node.func, node.args[1:], node.keywords)
        field, text = f"{role}_init", f"initial {role}: {text_of(node)} at line {node.lineno}"
        if role == "bias" and request.bias is False:
            notes.append(f"{text} is left out: the layer has no bias")
            continue
        try:
            call = as_call(rest, arithmetic=True, path=path)
            names = {name.rpartition(".")[2].replace("_", ""): named for name, named in fillers.items()}
            choice = choice_of(field, call, names, request.values["groups"])
        except ConvPolicyError:
            choice = None
        result = None if choice is None else _with_choice(role, choice, policy)
        if result is None:
            notes.append(f"{text} has no counterpart here, so the default is used")
        policy = result or policy
    return attrs.evolve(request, policy=policy, notes=tuple(dict.fromkeys(notes)), dtype=changes.dtype or request.dtype)


def _with_choice(role: str, choice: Choice, policy: LayerPolicy) -> LayerPolicy | None:
    """Return the policy with another initializer, or None for a bias with an initializer that only a weight can have."""
    result = policy.evolve(**{f"{role}_init": choice})
    distribution = distribution_of(result, role)
    return result if role == "weight" or distribution is None or distribution.kind not in OF_WEIGHT else None


def _with_initial(
    role: str, arguments: Mapping[str, Value], dialect: Dialect, policy: LayerPolicy, notes: list[str]
) -> LayerPolicy:
    """Return the policy with the initializer of a call; when it has no counterpart, the unchanged policy, and add a note."""
    value, field = arguments.get(f"{role}_init"), f"{role}_init"
    if value is None or isinstance(value, bool):
        return policy
    assert dialect.reader is not None
    choice = choice_of(field, value, dialect.reader.initializers, arguments["groups"])
    result = None if choice is None else _with_choice(role, choice, policy)
    if result is not None:
        return result
    notes.append(f"initial {role}: {code_of(value)} has no counterpart here, so the default is used")
    return policy


def _data_layout(data_format: Value) -> Mapping[str, str]:
    text = literal("data_format", data_format, "it decides the axes")
    if not (text is None or isinstance(text, str)) or text not in DATA_FORMATS:
        raise InvalidValueError(f"data_format must be one of {', '.join(filter(None, DATA_FORMATS))}, got {text!r}; pick one.")
    return DATA_FORMATS[text]


def _activation(value: Value) -> str | None:
    if isinstance(value, Expression) and "." in value.text:
        value = value.text.rpartition(".")[2]  # mylib.activations.relu
    text = literal("activation", value, "the function that follows depends on it")
    if text is not None and not isinstance(text, str):
        raise InvalidValueError(f"activation must be a name, got {text!r}; pass for example 'relu'.")
    return None if text == "linear" else text
