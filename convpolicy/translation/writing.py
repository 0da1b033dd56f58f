"""Code of a target framework, put together from what was read; the frameworks differ in tables, see `targets`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from convpolicy.arithmetic import static_total
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.laws import Law, law
from convpolicy.translation.reading import Wanted
from convpolicy.translation.values import Expression, Value, code_of

WIDEST = 100  # columns of a call on one line
PROBED = {"kernel_size": range(1, 8), "stride": range(1, 4), "dilation": range(1, 4)}  # what a name may stand for
REMARKS = {  # (target, dtype or activation) -> what was measured
    ("mindspore", "float64"): "MindSpore 2.10 has no float64 convolution on the CPU",
    ("mindspore", "tanh"): "MindSpore 2.10 computes tanh on the CPU with errors up to 1.1e-4",
    ("flax", "float64"): "JAX has float64 after jax.config.update('jax_enable_x64', True)",
}
PERIOD = 32  # lengths tried one by one
AXES = {"NCW": "(batch, channels, length)", "NWC": "(batch, length, channels)"}


@attrs.frozen
class Padding:
    """How a target pads: arguments of its convolution, layers before it, classes that these need; ``word``: for any length."""

    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    before: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    word: bool = False


@attrs.frozen
class Target:
    """One framework's Conv1d, to be written.

    Args:
        policy: its name.
        imports: the name used in code -> the import that brings it.
        conv: the class as written.
        names: common name -> own, in the order written; ``weight_init`` and ``bias_init`` only where they are arguments.
        positional: common names given by position.
        sequence: how layers in a row are written, ``{}`` standing for them.
        padding: how it pads.
        initial: ``(law, role, wanted) -> code`` or None where it has no such initializer: an argument's value, or where
            initializers are no arguments a statement with ``{}`` for the tensor.
        activations: common name -> layer; Keras takes the name itself.
        dtype: argument and its value, ``{}`` standing for the name.
        spelled: whether defaults are always spelled out, as they differ between versions.
        extra: arguments that every call needs.
    """

    policy: str
    imports: Mapping[str, str]
    conv: str
    names: Mapping[str, str]
    positional: tuple[str, ...]
    sequence: str
    padding: Callable[[Wanted], Padding]
    initial: Callable[[Law, str, Wanted], str | None]
    activations: Mapping[str, str] = attrs.field(factory=dict)
    dtype: tuple[str, str] = ("dtype", "{}")
    spelled: bool = False
    extra: str = ""


@attrs.frozen
class Snippet:
    """Code of one layer: imports, classes, comments, and statements that bind the layer to ``name``."""

    name: str
    imports: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    body: str

    @property
    def code(self) -> str:
        """The whole, to be pasted or executed."""
        return join([self])


def join(snippets: Sequence[Snippet], titles: Sequence[str] = ("",)) -> str:
    """Return several snippets as one text: imports, classes and the comments of all once, then each layer under its title."""
    imports = sorted({line for snippet in snippets for line in snippet.imports}, key=lambda line: (line.startswith("from"), line))
    classes = dict.fromkeys(text for snippet in snippets for text in snippet.classes)
    several = [snippet.notes for snippet in snippets if snippet.notes]
    common = [note for note in several[0] if all(note in notes for notes in several)] if len(several) > 1 else []
    layers = []
    for title, snippet in zip(titles, snippets):
        comments = [f"# {note}" for note in snippet.notes if note not in common]
        layers.append("\n".join(filter(None, [title, *comments, snippet.body])))
    above = "\n".join(f"# {note}" for note in common)
    return "\n\n".join(filter(None, ["\n".join(imports), *(f"\n{text.rstrip()}\n" for text in classes), above, *layers])) + "\n"


def write(wanted: Wanted, target: Target, name: str = "layer") -> Snippet:
    """Write a layer in a target framework.

    Args:
        wanted: what was read.
        target: the framework to write.
        name: what the layer is bound to.

    Raises:
        ConvPolicyError: the target cannot express what changes the outputs, or a name's value is needed; holds which and why.
    """
    own = named_policy(target.policy)
    _refuse_strided_dilation(wanted, own)
    padding = target.padding(wanted)
    notes = [*_notes(wanted, own), *wanted.notes]
    if wanted.is_frozen and not padding.word:
        notes.append(f"pads: for inputs of length {wanted.length} only")
    sizes = {name: wanted.values[name] for name in ("stride", "dilation", "groups") if wanted.values[name] != 1}
    arguments: dict[str, Value] = {target.names["stride"]: sizes.pop("stride")} if "stride" in sizes else {}
    arguments |= padding.arguments
    arguments |= {target.names[name]: value for name, value in sizes.items()}
    if target.spelled or wanted.bias != own.bias:
        arguments[target.names["bias"]] = wanted.bias
    after = []
    for role in ("weight", "bias") if wanted.bias is not False else ("weight",):
        code = _initial(wanted, target, own, role, notes)
        if code is None:
            continue
        if f"{role}_init" in target.names:
            argument = target.names[f"{role}_init"]
            optional = argument == target.names["bias"] and isinstance(wanted.bias, Expression)  # Paddle's bias_attr is both
            arguments[argument] = Expression(f"{code} if {wanted.bias} else False" if optional else code)
        else:
            after.append((role, code))
    if arguments.get("bias_attr") == wanted.bias and isinstance(wanted.bias, Expression):
        arguments["bias_attr"] = Expression(f"None if {wanted.bias} else False")
    if wanted.dtype not in (None, "float32"):
        arguments[target.dtype[0]] = Expression(target.dtype[1].format(wanted.dtype))
    body, place = _layers(wanted, target, padding, arguments, name)
    for role, code in after:
        statement = code.replace("{}", f"{place}.{role}", 1)
        if role == "bias" and isinstance(wanted.bias, Expression):
            statement = f"if {place}.bias is not None:\n    {statement}"
        body += f"\n{statement}"
    used = "\n".join([body, *padding.classes])
    imports = tuple(line for word, line in target.imports.items() if re.search(rf"(?<![\w.]){word}\.", used))
    return Snippet(name, imports, padding.classes, tuple(notes), body)


def _layers(wanted: Wanted, target: Target, padding: Padding, arguments: Mapping[str, Value], name: str) -> tuple[str, str]:
    """Return the statement that builds the layer, and the code that leads to its convolution."""
    after = []
    if wanted.activation is not None and target.policy == "keras":
        arguments = {**arguments, "activation": wanted.activation}
    elif wanted.activation is not None:
        if wanted.activation not in target.activations:
            raise InvalidValueError(
                f"activation must be one of {', '.join(target.activations)} for {target.policy}, got {wanted.activation!r}, which "
                f"it cannot express; leave it out and apply it yourself."
            )
        after = [target.activations[wanted.activation]]
    sizes = ", ".join(_size(target, common, wanted.values[common]) for common in target.positional)
    words = [sizes, *(f"{key}={code_of(value)}" for key, value in arguments.items()), *filter(None, [target.extra])]
    alone = not padding.before and not after
    conv = _call(target.conv, words, len(name) + 3 if alone else 8, 0 if alone else 4)
    if alone:
        return f"{name} = {conv}", name
    layers = [*padding.before, conv, *after]
    line = f"{name} = {target.sequence.format(', '.join(layers))}"
    if len(line) > WIDEST:
        inner = "".join(f"\n    {layer}," for layer in layers)
        line = f"{name} = {target.sequence.format(inner + chr(10))}"
    return line, f"{name}[{len(padding.before)}]"


def _size(target: Target, common: str, value: Value) -> str:
    return f"({code_of(value)},)" if target.policy == "flax" and common == "kernel_size" else code_of(value)


def _call(function: str, words: Sequence[str], used: int, indent: int) -> str:
    """Return a call on one line where it fits, else with an argument on each."""
    line = f"{function}({', '.join(words)})"
    if used + len(line) <= WIDEST:
        return line
    space = " " * indent
    return f"{function}(\n" + "".join(f"{space}    {word},\n" for word in words) + f"{space})"


def _initial(wanted: Wanted, target: Target, own: Policy, role: str, notes: list[str]) -> str | None:
    """Return the code of an initializer, or None where the target's default is the law; notes what cannot be expressed."""
    found = law(wanted.policy, role)
    if not target.spelled and found == law(own, role):
        return None
    code = target.initial(found, role, wanted)
    if code is None:
        notes.append(
            f"initial {role}: {wanted.policy.part(f'{role}_init')[0].name} has no counterpart here, the default stands in"
        )
    return code


def _notes(wanted: Wanted, own: Policy) -> list[str]:
    """Return what differs whatever the arguments are: axes, generators, and how far pads and modes reach."""
    source, theirs = wanted.policy, wanted.framework
    notes = []
    if source.data_layout != own.data_layout:
        notes.append(f"input: {AXES[own.data_layout.name]} here, {AXES[source.data_layout.name]} in {theirs}")
    here, there = (policy.part("layout")[0].axes for policy in (own, source))
    if here != there:
        notes.append(f"weight: axes {here} here, {there} in {theirs} (O out, I in/groups, W kernel)")
    notes.append(f"initial values: drawn from the laws of {theirs} by another generator, so not the same numbers")
    notes += [remark for word in filter(None, (wanted.dtype, wanted.activation)) if (remark := REMARKS.get((own.name, word)))]
    rounds = dict(source.padding_mode.params).get("overflow") == "periodic"
    if rounds and own.name != "flax" and (own.name, wanted.mode) != ("mindspore", "circular"):
        notes.append(f"pads wider than the input: {theirs} goes round it again and again, this does not")
    return notes


def _refuse_strided_dilation(wanted: Wanted, own: Policy) -> None:
    strided = [wanted.values[name] != 1 for name in ("stride", "dilation")]
    if all(strided) and not own.strided_dilation:
        values = (code_of(wanted.values[name]) for name in ("stride", "dilation"))
        raise InvalidValueError(
            f"stride and dilation must not both be above 1, as {own.framework} refuses them, got {' and '.join(values)}; "
            f"translate to another framework."
        )


def native_word(wanted: Wanted, target: str, words: Sequence[Any], *, modes: bool) -> Any:
    """Return the target's own word that pads the same at every size that a name may stand for and every length, or None.

    Args:
        wanted: what was read.
        target: the policy's name.
        words: to try, in order.
        modes: whether the word goes with a padding mode of its own argument; else the word decides the mode.
    """
    if wanted.padding is not None:
        return None
    own = named_policy(target)
    for candidate in words:
        meant = own.evolve(padding=candidate, **({"padding_mode": wanted.policy.padding_mode} if modes else {}))
        if meant.padding_mode.name == wanted.mode and _pads_alike(wanted, meant):
            return candidate
    return None


def _pads_alike(wanted: Wanted, meant: Policy) -> bool:
    ranges = [(wanted.values[name],) if wanted.is_known(name) else values for name, values in PROBED.items()]
    rules = [policy.part("padding") for policy in (wanted.policy, meant)]
    for kernel, stride, dilation in itertools.product(*ranges):
        span = static_total(kernel, dilation)
        ends = {stride, stride + 1, 2 * stride, span, span + 1, span + 2} - {0}  # rules repeat with the stride
        for length in sorted({*range(1, PERIOD + 1), *ends}):
            try:
                pads = [rule.resolve(kernel, stride, dilation, length, arguments) for rule, arguments in rules]
            except ConvPolicyError:
                return False
            if pads[0] != pads[1]:
                return False
    return True
