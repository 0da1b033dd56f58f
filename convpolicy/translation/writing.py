"""Write the code of a layer in a target framework, from a `Request` and a `Dialect`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.transposed_plan import CIRCULAR
from convpolicy.errors import InvalidValueError
from convpolicy.parts.layout import Layout
from convpolicy.translation.dialect import Dialect, TargetClass, Writer
from convpolicy.translation.distributions import distribution_of, in_fans
from convpolicy.translation.functions import BIAS_NOTE, WEIGHT_AXES_NOTE
from convpolicy.translation.reading import CONV, CONV_TRANSPOSE, Request
from convpolicy.translation.snippets import Snippet
from convpolicy.translation.values import Expression, Value, code_of

DEFAULT_DTYPES = (None, "float32")
WIDEST = 100  # the largest number of columns of a call on one line
LETTERS = {CONV: "O out, I in/groups, W kernel", CONV_TRANSPOSE: "I in, O out/groups, W kernel"}
AXES = {"NCW": "(batch, channels, length)", "NWC": "(batch, length, channels)"}


def write(request: Request, dialect: Dialect, name: str = "layer") -> Snippet:
    """Write a layer in a target framework.

    Args:
        request: the layer.
        dialect: dialect of the target framework.
        name: name that the layer is assigned to.

    Raises:
        ConvPolicyError: the target cannot express something that changes the outputs, or the value of a name is needed; the message
            says which and why.
        PluginError: a function of the dialect fails; the message names the dialect and its plugin.
    """
    target = dialect.target_class(request.layer)
    with dialect.blamed(f"writing {target.code}"):
        return _Layer(request, dialect, target, name).snippet()


def write_function(request: Request, dialect: Dialect, name: str) -> Snippet:
    """Write a functional convolution in a target framework, with `STAND_INS` for its tensors.

    Args:
        request: the convolution.
        dialect: dialect of the target framework.
        name: name that the output is assigned to.

    Raises:
        ConvPolicyError: as `write`, or the target has no functional convolution.
        PluginError: a function of the dialect fails; the message names the dialect and its plugin.
    """
    target = dialect.target_class(request.layer)
    function = None if dialect.writer is None else dialect.writer.function
    if dialect.writer is None or function is None:
        raise InvalidValueError(
            f"a functional convolution cannot be written in {dialect.name}; write {target.code} and assign the weight."
        )
    own = request.half(named_policy(dialect.policy))
    _refuse_strided_dilation(request, own)
    with dialect.blamed(f"writing {function.code}"):
        padding = target.padding(request)
        code = function.call(request, padding.arguments, padding.before)
    notes = [_data_note(request, own)] if request.policy.data_layout != own.data_layout else []
    if function.axes not in (None, request.policy.part("layout")[0].axes):
        axes = _axes(request.policy.part("layout")[0])
        notes.append(WEIGHT_AXES_NOTE.format(axes=axes, framework=request.framework, letters=LETTERS[request.layer]))
    notes += [BIAS_NOTE] if request.bias is not False and not function.takes_bias else []
    notes += request.notes
    return Snippet(name, imports_of(dialect.writer, code), padding.classes, tuple(notes), code)


class _Layer:
    """Collect the notes and arguments of one layer, and write its code."""

    def __init__(self, request: Request, dialect: Dialect, target: TargetClass, name: str) -> None:
        assert dialect.writer is not None
        self.request, self.dialect, self.writer, self.target, self.name = request, dialect, dialect.writer, target, name
        self.own = request.half(named_policy(dialect.policy))
        _refuse_strided_dilation(request, self.own)
        self.padding = target.padding(request)
        self.notes = [*self._differences(), *request.notes, *self.padding.notes]
        if request.is_frozen and not self.padding.word:
            self.notes.append(f"pads: for inputs of length {request.length} only")

    def snippet(self) -> Snippet:
        """Return the code of the layer."""
        arguments, statements = self._arguments()
        expression, layer = self._layers(arguments)
        lines = []
        for role, code in statements:
            statement = code.replace("{tensor}", f"{layer}.{getattr(self.own.part('layout')[0], role)}")
            if role == "bias" and isinstance(self.request.bias, Expression):
                statement = f"if {self.writer.has_bias.format(layer)}:\n    {statement}"
            lines.append(statement)
        if statement := self._dtype_statement(layer):
            lines.append(statement)
        imports = imports_of(self.writer, expression, *lines, *self.padding.classes)
        return Snippet(self.name, imports, self.padding.classes, tuple(self.notes), expression, tuple(lines))

    def _arguments(self) -> tuple[dict[str, Value], list[tuple[str, str]]]:
        """Return the keyword arguments in order, and (role, statement) of each initializer that is not an argument."""
        request, names = self.request, self.target.names
        sizes = {name: request.values[name] for name in ("stride", "dilation", "groups") if request.values[name] != 1}
        arguments: dict[str, Value] = {self._keyword("stride", sizes["stride"]): sizes.pop("stride")} if "stride" in sizes else {}
        arguments |= self.padding.arguments
        arguments |= {self._keyword(name, value): value for name, value in sizes.items()}
        if self.writer.spell_defaults or request.bias != self.own.bias:
            arguments[self._keyword("bias", request.bias)] = request.bias
        statements = []
        for role in ("weight", "bias") if request.bias is not False else ("weight",):
            code = self._initial(role)
            if code is None:
                continue
            argument = names.get(f"{role}_init")
            if argument is None:
                statements.append((role, code))
            else:
                optional = argument == names.get("bias") and isinstance(request.bias, Expression)  # one argument for both
                arguments[argument] = Expression(f"{code} if {request.bias} else False" if optional else code)
        bias = names.get("bias", "")
        if bias == names.get("bias_init") and isinstance(request.bias, Expression) and arguments.get(bias) == request.bias:
            arguments[bias] = Expression(f"None if {request.bias} else False")
        if request.dtype not in DEFAULT_DTYPES and ("dtype" in names or not self.writer.dtype_statement):
            arguments[self._keyword("dtype", request.dtype)] = Expression(self.writer.dtype.format(request.dtype))
        return arguments, statements

    def _dtype_statement(self, layer: str) -> str:
        """Return the statement that sets the dtype of the layer; empty if an argument sets it or it is the default."""
        dtype = self.request.dtype
        if dtype in DEFAULT_DTYPES or "dtype" in self.target.names:
            return ""
        return self.writer.dtype_statement.format(layer=layer, dtype=self.writer.dtype.format(dtype))

    def _keyword(self, common: str, value: Value) -> str:
        """Return the name that an argument has in the target.

        Raises:
            InvalidValueError: the target has no such argument; the message contains the value.
        """
        if common not in self.target.names:
            raise InvalidValueError(
                f"{common} must be left out for {self.dialect.name}, whose {self.target.code} has no such argument, got "
                f"{code_of(value)}; translate to another framework."
            )
        return self.target.names[common]

    def _layers(self, arguments: dict[str, Value]) -> tuple[str, str]:
        """Return the expression that builds the layer, and the one for its convolution once the layer has its name."""
        activation, target, after = self.request.activation, self.target, []
        if activation is not None and "activation" in target.names:
            arguments = {**arguments, target.names["activation"]: activation}
        elif activation is not None:
            if activation not in self.writer.activations:
                raise InvalidValueError(
                    f"activation must be one of {', '.join(self.writer.activations)} for {self.dialect.name}, got {activation!r}, "
                    f"which it does not have; leave it out and apply it yourself."
                )
            after = [self.writer.activations[activation]]
        sizes = target.sizes.format(**{common: code_of(value) for common, value in self.request.values.items()})
        codes = [sizes, *(f"{key}={code_of(value)}" for key, value in arguments.items()), *filter(None, [target.extra])]
        after = [*self.padding.after, *after]
        alone = not self.padding.before and not after
        conv = _call(target.code, codes, len(self.name) + 3 if alone else 8, 0 if alone else 4)
        if alone:
            return conv, self.name
        layers = [*self.padding.before, conv, *after]
        line = self.writer.sequence.format(", ".join(layers))
        if len(f"{self.name} = {line}") > WIDEST:
            inner = "".join(f"\n    {layer}," for layer in layers)
            line = self.writer.sequence.format(inner + "\n")
        return line, self.writer.item.format(name=self.name, number=len(self.padding.before))

    def _initial(self, role: str) -> str | None:
        """Return the code of an initializer, or None to use the target's default; add a note if that default differs."""
        distribution = distribution_of(self.request.policy, role)
        default = distribution_of(self.own, role)
        layout = self.own.part("layout")[0]
        if distribution is not None:
            distribution = in_fans(distribution, self.request, layout.fan_in)
        if not self.writer.spell_defaults and distribution is not None and distribution == default:
            return None
        code = None if distribution is None else self.writer.initial(distribution, role, self._in_own_fans())
        if code is None:
            name = self.request.policy.part(f"{role}_init")[0].name
            self.notes.append(f"initial {role}: {name} has no counterpart here, so the default is used")
        return code

    def _in_own_fans(self) -> Request:
        """Return the layer with the target's weight layout, which decides what its fans are."""
        return attrs.evolve(self.request, policy=self.request.policy.evolve(layout=self.own.layout))

    def _differences(self) -> list[str]:
        """Return comments about differences that do not depend on the arguments, such as axes and random generators."""
        request, own = self.request, self.own
        source, framework = request.policy, request.framework
        notes = []
        if source.data_layout != own.data_layout:
            notes.append(_data_note(request, own))
        here, there = (_axes(policy.part("layout")[0]) for policy in (own, source))
        if here != there:
            notes.append(f"weight: axes {here} here, {there} in {framework} ({LETTERS[request.layer]})")
        notes.append(f"initial values: same distributions as in {framework}, other random numbers")
        keys = filter(None, (request.dtype, request.activation))
        notes += [self.writer.remarks[key] for key in keys if key in self.writer.remarks]
        repeats = (
            request.mode == CIRCULAR if request.transposed else dict(source.padding_mode.params).get("overflow") == "periodic"
        )
        if repeats and not self.padding.periodic:
            notes.append(f"padding wider than the input: {framework} repeats the input as often as needed, this code does not")
        return notes


def _data_note(request: Request, own: LayerPolicy) -> str:
    return f"input: {AXES[own.data_layout.name]} here, {AXES[request.policy.data_layout.name]} in {request.framework}"


def imports_of(writer: Writer, *code: str) -> tuple[str, ...]:
    """Return the import statements that pieces of code of a target framework need."""
    used = "\n".join(code)
    return tuple(line for name, line in writer.imports.items() if re.search(rf"(?<![\w.]){name}\.", used))


def _axes(layout: Layout) -> str:
    return f"{layout.axes} with the kernel reversed" if layout.flip else layout.axes


def _call(function: str, arguments: Sequence[str], used: int, indent: int) -> str:
    """Return a call on one line if it fits, otherwise with one argument per line."""
    line = f"{function}({', '.join(arguments)})"
    if used + len(line) <= WIDEST:
        return line
    space = " " * indent
    return f"{function}(\n" + "".join(f"{space}    {argument},\n" for argument in arguments) + f"{space})"


def _refuse_strided_dilation(request: Request, own: LayerPolicy) -> None:
    strided = [request.values[name] != 1 for name in ("stride", "dilation")]
    if all(strided) and not own.strided_dilation:
        values = (code_of(request.values[name]) for name in ("stride", "dilation"))
        raise InvalidValueError(
            f"stride and dilation must not both be above 1, as {own.framework} refuses them, got {' and '.join(values)}; "
            f"translate to another framework."
        )
