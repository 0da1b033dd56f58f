"""`Request`, what a call asks for independent of its framework, and helpers that read arguments, each with its own refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.arithmetic import single
from convpolicy.core.plan import ConvSpec, check_length
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, with_hint
from convpolicy.parts.padding import PaddingRule
from convpolicy.translation.values import Call, Expression, Value, atom, code_of

SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
WITHOUT_SIZES = ("valid", "explicit")  # rules that do not read kernel_size, stride and dilation
DTYPES = {
    "float": "float32", "half": "float16", "double": "float64",
    **{name: name for name in ("float32", "float64", "float16", "bfloat16")},
}  # fmt: skip
REQUIRED = object()


@attrs.frozen
class Request:
    """What a call asks for, independent of its framework.

    Args:
        framework: the dialect it was read from, with its version where one is named.
        values: the six sizes of `SIZES`, integers or expressions.
        policy: padding, mode, initializers, layouts.
        bias: True, False or an expression.
        padding: an expression for both sides, instead of the policy's rule.
        length: input length in samples, or None for any length.
        activation: name of the function that follows, or None.
        dtype: canonical name, or None for the framework's default.
        notes: differences that no target can express, a comment each.
        layer: the kind of layer, ``"Conv1d"``.
    """

    framework: str
    values: Mapping[str, Value]
    policy: Policy
    bias: Value = True
    padding: Expression | None = None
    length: int | None = None
    activation: str | None = None
    dtype: str | None = None
    notes: tuple[str, ...] = ()
    layer: str = "Conv1d"

    def __attrs_post_init__(self) -> None:
        self.spec  # noqa: B018 - refuses sizes that do not go together
        if self.is_known("kernel_size", "stride", "dilation"):
            self.pads()  # as the framework refuses them

    @property
    def spec(self) -> ConvSpec:
        """The sizes; channels that are expressions count as ``groups``, other sizes that are expressions as 1."""
        groups = self.values["groups"] if self.is_known("groups") else 1
        substitutes = {"in_channels": groups, "out_channels": groups}
        return ConvSpec.of(*(self.values[n] if self.is_known(n) else substitutes.get(n, 1) for n in SIZES))

    def is_known(self, *names: str) -> bool:
        """Return True when these sizes are numbers."""
        return not any(isinstance(self.values[name], Expression) for name in names)

    def number(self, name: str, why: str) -> int:
        """Return a size whose value is needed.

        Raises:
            InvalidValueError: it is an expression; holds it and why the value is needed.
        """
        if not self.is_known(name):
            raise InvalidValueError(f"{name} must be a number here, got {code_of(self.values[name])}, as {why}; write its value.")
        return int(self.values[name])

    def pads(self) -> tuple[Value, Value] | None:
        """Return (left, right) in samples or as expressions, None where they depend on the length.

        Raises:
            InvalidValueError: they depend on a size that is an expression, or the framework refuses the sizes.
        """
        if self.padding is not None:
            return self.padding, self.padding
        if self.policy.padding.name not in WITHOUT_SIZES:
            for name in ("kernel_size", "stride", "dilation"):
                self.number(name, f"the pads of {self.policy.padding.name} depend on it")
        sizes = self.spec.kernel_size, self.spec.stride, self.spec.dilation
        if self.length is None:
            return self.policy.static_pads(*sizes)
        plan = self.policy.plan(*sizes, length=self.length)
        return plan.left, plan.right

    @property
    def is_frozen(self) -> bool:
        """True when the pads hold for `length` only."""
        rule: PaddingRule = self.policy.part("padding")[0]
        return self.length is not None and not rule.is_static(self.spec.kernel_size, self.spec.stride, self.spec.dilation)

    @property
    def mode(self) -> str:
        """The padding mode's name."""
        return self.policy.padding_mode.name

    def fan(self, rule: str) -> Value:
        """Return a fan as a number, or as an expression where a size is one."""
        names = {"fan_in": ("in_channels", "kernel_size", "groups"), "fan_out": ("out_channels", "kernel_size"),
                 "fan_in_all_groups": ("in_channels", "kernel_size"), "fan_avg": ("in_channels", "out_channels", "kernel_size", "groups")}[rule]  # fmt: skip
        if self.is_known(*names):
            return self.spec.fans.of(rule)
        inputs, outputs, kernel, groups = (atom(self.values[n]) for n in ("in_channels", "out_channels", "kernel_size", "groups"))
        fan_in = f"{inputs} * {kernel}" if groups == "1" else f"{inputs} // {groups} * {kernel}"
        text = {
            "fan_in": fan_in,
            "fan_out": f"{outputs} * {kernel}",
            "fan_in_all_groups": f"{inputs} * {kernel}",
            "fan_avg": f"({fan_in} + {outputs} * {kernel}) / 2",
        }
        return Expression(text[rule])


def bind(call: Call, parameters: Mapping[str, Value], positional: int, title: str) -> dict[str, Value]:
    """Return the value of every parameter in a call, defaults included.

    Args:
        call: the call.
        parameters: name -> default, or `REQUIRED`, in positional order.
        positional: how many may be passed by position.
        title: of the class, for messages.

    Returns:
        Parameter name -> value.

    Raises:
        InvalidValueError: too many, unknown (holds the nearest), doubled or missing arguments.
    """
    names = list(parameters)
    if len(call.positional) > positional:
        raise InvalidValueError(
            f"{title} takes at most {positional} positional arguments, got {len(call.positional)} in {call.text!r}; "
            f"pass the rest by keyword."
        )
    arguments = dict(zip(names, call.positional))
    for name, value in call.keywords:
        if name not in parameters:
            raise InvalidValueError(with_hint(f"{title} has no argument {name!r}", "it has", names, nearest(name, names)))
        if name in arguments:
            raise InvalidValueError(f"{title} got {name!r} twice in {call.text!r}; leave one out.")
        arguments[name] = value
    missing = [name for name, default in parameters.items() if default is REQUIRED and name not in arguments]
    if missing:
        raise InvalidValueError(f"{title} needs {missing[0]!r}, got none in {call.text!r}; add it.")
    return {**parameters, **arguments}


def size(argument: str, value: Value) -> Value:
    """Return a size, alone or in a tuple of one: an integer (checked later, by `ConvSpec`) or an expression.

    Raises:
        InvalidValueError: a call, which is computed.
    """
    value = single(argument, value)
    if isinstance(value, Call):
        raise computed(argument, value)
    return value


def computed(argument: str, value: Value) -> InvalidValueError:
    """Return the error for an argument whose value is known only when the code runs."""
    return InvalidValueError(
        f"{argument} must be a literal or a name, got {code_of(value)}, which is computed; write its value or a name."
    )


def literal(argument: str, value: Value, why: str) -> Any:
    """Return a value that must be written out.

    Args:
        argument: its name, for messages.
        value: as read from the call.
        why: what depends on it, for the message.

    Raises:
        InvalidValueError: a name or a call; holds it and why its value is needed.
    """
    if isinstance(value, (Expression, Call)):
        raise InvalidValueError(f"{argument} must be written out here, got {code_of(value)}, as {why}; write its value.")
    return value


def flag(argument: str, value: Value) -> Value:
    """Return True, False, or an expression.

    Raises:
        InvalidTypeError: anything else.
    """
    if isinstance(value, Call):
        raise computed(argument, value)
    if not isinstance(value, (bool, Expression)):
        raise InvalidTypeError(f"{argument} must be True or False, got {value!r} of type {type(value).__name__}; pass a bool.")
    return value


def word(argument: str, value: Value, allowed: Any) -> str:
    """Return one of the framework's own words.

    Args:
        argument: its name, for messages.
        value: as read from the call.
        allowed: the words, in the order of the message.

    Raises:
        InvalidValueError: another word, or one that is not written out; holds the nearest.
    """
    text = literal(argument, value, "it decides what is padded")
    if not isinstance(text, str) or text not in allowed:
        raise InvalidValueError(
            f"{argument} must be one of {', '.join(allowed)}, got {text!r}; pick one.{nearest(str(text), allowed)}"
        )
    return text


def dtype_of(value: Value, words: Mapping[str, str]) -> str | None:
    """Return the canonical name of a dtype written as ``mylib.float64`` or ``"float16"``, or None.

    Args:
        value: as read from the call.
        words: word of Python's own that names a dtype in the framework -> its canonical name.
    """
    text = value.path if isinstance(value, Expression) else value
    if not isinstance(text, str):
        return None
    module, _dot, name = text.rpartition(".")
    if isinstance(value, Expression) and not module:
        return words.get(name)
    return DTYPES.get(name.lower())


def request(framework: str, policy: Policy, values: Mapping[str, Value], length: Any, **rest: Any) -> Request:
    """Build a `Request` from what a dialect has read, with the length checked and the bias in the policy."""
    bias = rest.get("bias", True)
    policy = policy.evolve(bias=not isinstance(bias, bool) or bias)
    samples = None if length is None else check_length(length)
    return Request(framework, {name: size(name, values[name]) for name in SIZES}, policy, length=samples, **rest)
