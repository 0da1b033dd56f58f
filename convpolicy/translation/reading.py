"""`Request`, a layer independent of its framework, and functions that read and check arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from convpolicy.arithmetic import single
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import check_length
from convpolicy.core.policy import Policy
from convpolicy.core.resolution import OUTPUT_PADDING
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, with_hint
from convpolicy.parts.rule import Rule
from convpolicy.translation.values import Call, Expression, Value, atom, code_of, minus

CONV, CONV_TRANSPOSE = "Conv1d", "ConvTranspose1d"  # the kinds of layer that dialects read and write
SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
WITHOUT_SIZES = ("valid", "explicit")  # rules that do not depend on kernel_size, stride and dilation
DTYPES = {
    "float": "float32", "half": "float16", "double": "float64",
    **{name: name for name in ("float32", "float64", "float16", "bfloat16")},
}  # fmt: skip
REQUIRED = object()


@attrs.frozen
class Request:
    """The layer that a call builds, independent of its framework.

    Args:
        framework: name of the source framework, with the version if the user named one.
        values: the six sizes of `SIZES` by name, each an integer or an expression.
        policy: padding, padding mode, initializers and layouts; for a transposed convolution a `TransposedPolicy`.
        bias: True, False or an expression.
        padding: a number of samples on each side, which replaces the policy's rule if it or ``output_padding`` is an expression.
        output_padding: number of samples that a transposed convolution cuts less on the right than ``padding``.
        length: input length in samples, or None for any length.
        activation: name of the activation after the convolution, or None.
        dtype: canonical name of the dtype, or None for the framework's default.
        notes: comments about differences that no target can express.
    """

    framework: str
    values: Mapping[str, Value]
    policy: LayerPolicy
    bias: Value = True
    padding: Value = None
    output_padding: Value = 0
    length: int | None = None
    activation: str | None = None
    dtype: str | None = None
    notes: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        self.spec  # noqa: B018 - raises for inconsistent sizes
        if self.is_known("kernel_size", "stride", "dilation"):
            self.pads()  # raises for sizes that the framework refuses

    @property
    def transposed(self) -> bool:
        """True for a transposed convolution."""
        return self.policy.is_transposed

    @property
    def layer(self) -> str:
        """Kind of layer, `CONV` or `CONV_TRANSPOSE`."""
        return CONV_TRANSPOSE if self.transposed else CONV

    def half(self, policy: Policy) -> LayerPolicy:
        """Return the policy of this kind of layer: the policy itself, or its transposed half."""
        return policy.half() if self.transposed else policy

    @cached_property
    def spec(self) -> ConvSpec:
        """The sizes as integers. In place of an expression, channels have the value of ``groups`` and other sizes the value 1."""
        groups = self.values["groups"] if self.is_known("groups") else 1
        substitutes = {"in_channels": groups, "out_channels": groups}
        sizes = (self.values[n] if self.is_known(n) else substitutes.get(n, 1) for n in SIZES)
        return ConvSpec.of(*sizes, transposed=self.transposed)

    def is_known(self, *names: str) -> bool:
        """Return True if all these sizes are numbers, not expressions."""
        return not any(isinstance(self.values[name], Expression) for name in names)

    def number(self, name: str, why: str) -> int:
        """Return a size as a number.

        Args:
            name: name of the size.
            why: why its value is needed, used in the message.

        Raises:
            InvalidValueError: the size is an expression; the message contains it.
        """
        if not self.is_known(name):
            raise InvalidValueError(f"{name} must be a number here, got {code_of(self.values[name])}, as {why}; write its value.")
        return int(self.values[name])

    def pads(self) -> tuple[Value, Value] | None:
        """Return the padding as (left, right), in samples or as expressions, or None if it depends on the input length.

        For a transposed convolution, the numbers are what is cut.

        Raises:
            InvalidValueError: the padding depends on a size that is an expression, or the framework refuses the sizes.
        """
        if self.padding is not None:
            return self.padding, minus(self.padding, self.output_padding)
        if self.policy.padding.name not in WITHOUT_SIZES:
            for name in ("kernel_size", "stride", "dilation"):
                self.number(name, f"the padding {self.policy.padding.name} depends on it")
        elif self.transposed and not self.is_known("kernel_size", "stride", "dilation"):
            arguments = self.policy.part("padding")[1]
            return arguments["left"], arguments["right"] - arguments[OUTPUT_PADDING]
        sizes = self.spec.kernel_size, self.spec.stride, self.spec.dilation
        if self.length is None:
            return self.policy.static_pads(*sizes)
        plan = self.policy.plan(*sizes, length=self.length)
        return plan.left, plan.right

    @property
    def is_frozen(self) -> bool:
        """True when the padding is valid for `length` only."""
        rule: Rule = self.policy.part("padding")[0]
        return self.length is not None and not rule.is_static(self.spec.kernel_size, self.spec.stride, self.spec.dilation)

    @property
    def mode(self) -> str:
        """Name of the padding mode."""
        return self.policy.padding_mode.name

    def fan(self, rule: str) -> Value:
        """Return a fan as a number, or as an expression if one of the sizes is an expression.

        Args:
            rule: ``"fan_in"``, ``"fan_out"``, ``"fan_avg"`` or ``"fan_in_all_groups"``.
        """
        channels = ["in_channels", "out_channels"]
        fan_in = self.policy.part("layout")[0].fan_in
        first, second = channels if fan_in == "I" else reversed(channels)  # the channels of fan_in and of fan_out
        names = {"fan_in": (first, "kernel_size", "groups"), "fan_out": (second, "kernel_size"),
                 "fan_in_all_groups": (first, "kernel_size"), "fan_avg": (first, second, "kernel_size", "groups")}[rule]  # fmt: skip
        if self.is_known(*names):
            return self.spec.fans_of(fan_in).of(rule)
        inputs, outputs, kernel, groups = (atom(self.values[n]) for n in (first, second, "kernel_size", "groups"))
        fan_in = f"{inputs} * {kernel}" if groups == "1" else f"{inputs} // {groups} * {kernel}"
        text = {
            "fan_in": fan_in,
            "fan_out": f"{outputs} * {kernel}",
            "fan_in_all_groups": f"{inputs} * {kernel}",
            "fan_avg": f"({fan_in} + {outputs} * {kernel}) / 2",
        }
        return Expression(text[rule])


def bind(call: Call, parameters: Mapping[str, Value], positional: int, title: str) -> dict[str, Value]:
    """Bind the arguments of a call to parameters, defaults included.

    Args:
        call: the call.
        parameters: name of each parameter with its default or `REQUIRED`, in positional order.
        positional: number of parameters that may be passed by position.
        title: name of the class, used in messages.

    Returns:
        Values by parameter name.

    Raises:
        InvalidValueError: an argument is missing, unknown or passed twice, or there are too many. For an unknown one, the message
            suggests the nearest name.
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
        raise InvalidValueError(f"{title} needs {missing[0]!r}, which is missing in {call.text!r}; add it.")
    return {**parameters, **arguments}


def size(argument: str, value: Value) -> Value:
    """Read a size, alone or in a tuple of one, as an integer or an expression. `ConvSpec` checks the integer.

    Args:
        argument: name of the argument, used in messages.
        value: value in the call.

    Raises:
        InvalidValueError: the value is computed by a call.
    """
    value = single(argument, value)
    if isinstance(value, Call):
        raise computed(argument, value)
    return value


def computed(argument: str, value: Value) -> InvalidValueError:
    """Return the error for an argument that is computed when the code runs."""
    return InvalidValueError(
        f"{argument} must be a literal or a name, got {code_of(value)}, which is computed; write its value or a name."
    )


def literal(argument: str, value: Value, why: str) -> Any:
    """Read a value that must be a literal.

    Args:
        argument: name of the argument, used in messages.
        value: value in the call.
        why: why the value is needed, used in the message.

    Raises:
        InvalidValueError: the value is a name or a call; the message contains it.
    """
    if isinstance(value, (Expression, Call)):
        raise InvalidValueError(f"{argument} must be a literal here, got {code_of(value)}, as {why}; write its value.")
    return value


def flag(argument: str, value: Value) -> Value:
    """Read a flag: True, False or an expression.

    Raises:
        InvalidTypeError, InvalidValueError: the value is something else.
    """
    if isinstance(value, Call):
        raise computed(argument, value)
    if not isinstance(value, (bool, Expression)):
        raise InvalidTypeError(f"{argument} must be True or False, got {value!r} of type {type(value).__name__}; pass a bool.")
    return value


def word(argument: str, value: Value, allowed: Any) -> str:
    """Read a string that must be one of several names.

    Args:
        argument: name of the argument, used in messages.
        value: value in the call.
        allowed: the names, in the order of the message.

    Raises:
        InvalidValueError: the value is another string, for which the message suggests the nearest name, or not a literal.
    """
    text = literal(argument, value, "the padding depends on it")
    if not isinstance(text, str) or text not in allowed:
        raise InvalidValueError(
            f"{argument} must be one of {', '.join(allowed)}, got {text!r}; pick one.{nearest(str(text), allowed)}"
        )
    return text


def dtype_of(value: Value, words: Mapping[str, str]) -> str | None:
    """Read a dtype such as ``mylib.float64`` or ``"float16"``, and return its canonical name or None.

    Args:
        value: value in the call.
        words: canonical dtype of each built-in name of Python that names a dtype in the framework, such as ``float``.
    """
    text = value.path if isinstance(value, Expression) else value
    if not isinstance(text, str):
        return None
    module, _dot, name = text.rpartition(".")
    if isinstance(value, Expression) and not module:
        return words.get(name)
    return DTYPES.get(name.lower())


def request(framework: str, policy: LayerPolicy, values: Mapping[str, Value], length: Any, **rest: Any) -> Request:
    """Build a `Request` with a checked length, and with the bias in its policy."""
    bias = rest.get("bias", True)
    policy = policy.evolve(bias=not isinstance(bias, bool) or bias)
    samples = None if length is None else check_length(length)
    return Request(framework, {name: size(name, values[name]) for name in SIZES}, policy, length=samples, **rest)
