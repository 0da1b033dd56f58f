"""`Dialect`: how source code of one framework is read and written, for ``translate``; a part that any plugin may offer."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.part import Part
from convpolicy.translation.initializer_words import Named
from convpolicy.translation.meaning import Meaning, both_sides
from convpolicy.translation.paddings import Padding
from convpolicy.translation.reading import Request
from convpolicy.translation.surroundings import Surroundings
from convpolicy.translation.values import Value

CONV = "Conv1d"  # the kind of layer that every dialect reads and writes


@attrs.frozen(kw_only=True)
class SourceClass:
    """One class of a framework, to be read from its calls.

    Args:
        title: its dotted name as users write it, ``"mylib.nn.Conv1d"``.
        paths: other dotted names it can be imported by.
        parameters: name -> default, or `REQUIRED`, in positional order, under the framework's own names.
        positional: how many may be passed by position.
        names: own name -> common name, where they differ. Common names are those of `cp.Conv1d`, and ``weight_init``,
            ``bias_init``, ``dtype``, ``device``, ``activation`` and ``data_format``.
        meaning: ``(arguments) -> Meaning``, from common name -> value: what is padded, and what else the names alone do not say.
            By default ``padding`` is a number of zeros on both sides.
        left_out: parameter -> why the translation leaves it out, with a comment.
        refused: parameter -> why a value other than the default cannot be translated, as the outputs depend on it.
        policy: changes of the dialect's policy for this class, as `Policy.evolve` takes them.
        layer: the kind of layer.
    """

    title: str
    paths: tuple[str, ...] = ()
    parameters: Mapping[str, Value]
    positional: int
    names: Mapping[str, str] = attrs.field(factory=dict)
    meaning: Callable[[Mapping[str, Value]], Meaning] = both_sides
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    policy: Mapping[str, Any] = attrs.field(factory=dict)
    layer: str = CONV

    @property
    def says_channels(self) -> bool:
        """True when a call says how many channels its input has."""
        return any(self.names.get(name, name) == "in_channels" for name in self.parameters)


@attrs.frozen(kw_only=True)
class Reader:
    """How a framework's code is read.

    Args:
        classes: the layer classes; messages speak of the first.
        modules: a name as files customarily use it -> the module it was imported from, for code without its imports.
        initializers: the framework's initializers, by name in lower case without underscores.
        dtypes: word of Python's own that names a dtype here -> its common name, ``{"float": "float64"}``.
        surroundings: what may stand around a call, and the other layers.
        channels: ``(tree, path) -> {id(call): channels}``, for classes whose calls do not say how many channels their input has: what
            the rest of a file says, None where it does not. ``path`` returns what a node certainly names, as a dotted path, or None.
    """

    classes: tuple[SourceClass, ...]
    modules: Mapping[str, str] = attrs.field(factory=dict)
    initializers: Mapping[str, Named] = attrs.field(factory=dict)
    dtypes: Mapping[str, str] = attrs.field(factory=dict)
    surroundings: Surroundings = attrs.field(factory=Surroundings)
    channels: Callable[[ast.Module, Callable[[ast.AST], str | None]], Mapping[int, Value]] | None = None

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages that the classes and modules are of."""
        paths = [path for source in self.classes for path in (source.title, *source.paths)]
        return frozenset(path.partition(".")[0] for path in (*paths, *self.modules.values()))


@attrs.frozen(kw_only=True)
class TargetClass:
    """One class of a framework, to be written.

    Args:
        code: the class as code, ``"nn.Conv1d"``.
        sizes: the positional arguments, as a template of common names.
        names: common name -> own name of the keyword arguments; one that is missing can only have its default. ``weight_init``,
            ``bias_init`` and ``activation`` are named where the class has such an argument.
        padding: ``(request) -> Padding``, how it pads.
        extra: code of arguments that every call needs.
        layer: the kind of layer.
    """

    code: str
    sizes: str = "{in_channels}, {out_channels}, {kernel_size}"
    names: Mapping[str, str]
    padding: Callable[[Request], Padding]
    extra: str = ""
    layer: str = CONV


def no_initializer(distribution: Distribution, role: str, request: Request) -> None:
    """Write no initializer: the target's default is left, with a comment."""


@attrs.frozen(kw_only=True)
class Writer:
    """How a framework's code is written.

    Args:
        classes: the layer classes, one for each kind of layer.
        imports: name used in code -> the import that brings it.
        initial: ``(distribution, role, request) -> code`` for ``"weight"`` or ``"bias"``, None where the framework has no such
            initializer: the value of the argument ``weight_init`` or ``bias_init``, or where the class has none a statement, with
            ``{tensor}`` for the weight or bias.
        sequence: layers in a row as code, with ``{}`` for the layers.
        item: one of them as code, a template of ``name`` (of the sequence) and ``number``.
        has_bias: whether a layer has a bias as code, with ``{}`` for the layer.
        activations: common name -> code of a layer.
        dtype: a dtype as code, with ``{}`` for its common name.
        dtype_statement: for classes without an argument ``dtype``: a statement that gives a layer its dtype, with ``{layer}`` for
            the layer and ``{dtype}`` for that code; empty where a dtype cannot be written.
        remarks: dtype or activation -> a comment on what the framework does with it, as measured.
        spell_defaults: True to write the bias and initial values also where they are the framework's defaults.
    """

    classes: tuple[TargetClass, ...]
    imports: Mapping[str, str]
    initial: Callable[[Distribution, str, Request], str | None] = no_initializer
    sequence: str
    item: str = "{name}[{number}]"
    has_bias: str = "{}.bias is not None"
    activations: Mapping[str, str] = attrs.field(factory=dict)
    dtype: str = '"{}"'
    dtype_statement: str = ""
    remarks: Mapping[str, str] = attrs.field(factory=dict)
    spell_defaults: bool = False


@attrs.frozen(eq=False)
class Dialect(Part):
    """How source code of one framework is read and written.

    Args:
        name: of the framework, as ``source=`` and ``target=`` take it.
        reader: how it is read; None for a framework that is only written.
        writer: how it is written; None for a framework that is only read.
        aliases: other names for ``source=`` and ``target=``.
        policy: name of the policy that says what its layers do; the dialect's own name by default.
    """

    kind: ClassVar[str] = "dialect"
    reader: Reader | None = attrs.field(default=None, kw_only=True)
    writer: Writer | None = attrs.field(default=None, kw_only=True)
    aliases: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    policy: str = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True)

    @property
    def source_classes(self) -> tuple[SourceClass, ...]:
        """The classes that are read."""
        return () if self.reader is None else self.reader.classes

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages that its code imports."""
        return frozenset() if self.reader is None else self.reader.packages

    def target_class(self, layer: str) -> TargetClass:
        """Return the class that is written for a kind of layer.

        Raises:
            InvalidValueError: the framework has none; holds the layers it has.
        """
        classes = {} if self.writer is None else {target.layer: target for target in self.writer.classes}
        if layer not in classes:
            raise InvalidValueError(f"{layer} cannot be written in {self.name}, which has {', '.join(classes) or 'no layer'}.")
        return classes[layer]

    @contextmanager
    def blamed(self, step: str) -> Iterator[None]:
        """Turn what a function of the dialect raises by mistake into an error that names the dialect and its plugin.

        Args:
            step: what is done, for the message.

        Raises:
            PluginError: for an exception that is not a `ConvPolicyError`; holds it.
        """
        try:
            yield
        except ConvPolicyError:
            raise
        except Exception as error:
            plugin = f" of plugin {self.provider!r}" if self.provider else ""
            raise PluginError(f"dialect {self.name!r}{plugin} failed while {step}: {type(error).__name__}: {error}") from error
