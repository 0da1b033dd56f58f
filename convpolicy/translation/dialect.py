"""`Dialect` describes how ``translate`` reads and writes the source code of one framework."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.part import Part
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.initializer_words import Named
from convpolicy.translation.meaning import Meaning, both_sides, cut_both_sides
from convpolicy.translation.paddings import Padding
from convpolicy.translation.reading import CONV, CONV_TRANSPOSE, Request
from convpolicy.translation.surroundings import Surroundings
from convpolicy.translation.values import Value


@attrs.frozen(kw_only=True)
class SourceClass:
    """A layer class of a framework whose calls can be read.

    *Common names* are the parameters of `cp.Conv1d` and `cp.ConvTranspose1d`, and ``weight_init``, ``bias_init``, ``dtype``, ``device``,
    ``activation`` and ``data_format``.

    Args:
        title: dotted name of the class as users write it, such as ``"mylib.nn.Conv1d"``.
        paths: other dotted names under which the class can be imported.
        parameters: mapping from parameter name in the framework to default value or `REQUIRED`, in positional order.
        positional: number of parameters that may be passed by position.
        names: mapping from parameter name in the framework to common name. Equal names are left out.
        layer: kind of layer, `CONV` or `CONV_TRANSPOSE`.
        meaning: function ``(arguments) -> Meaning`` that interprets a call. ``arguments`` is a mapping from common name to value. The
            default function reads ``padding`` as a number of zeros on each side. For a transposed convolution, it reads ``padding``
            and ``output_padding`` as torch defines them.
        left_out: mapping from a parameter to the reason why the translation drops it. A comment contains the reason.
        refused: mapping from a parameter to the reason why it cannot be translated. Such a parameter changes the outputs. Its default
            value is allowed.
        policy: arguments of `Policy.evolve` that change the dialect's policy for this class; for a transposed convolution they change
            the transposed half.
        data: for a function that receives its weights, its parameters for the input, the weight and the bias. Empty for a class.
    """

    title: str
    paths: tuple[str, ...] = ()
    parameters: Mapping[str, Value]
    positional: int
    names: Mapping[str, str] = attrs.field(factory=dict)
    layer: str = CONV
    meaning: Callable[[Mapping[str, Value]], Meaning] = attrs.field(
        default=attrs.Factory(lambda self: cut_both_sides if self.transposed else both_sides, takes_self=True)
    )
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    policy: Mapping[str, Any] = attrs.field(factory=dict)
    data: tuple[str, ...] = ()

    @property
    def transposed(self) -> bool:
        """True for a transposed convolution."""
        return self.layer == CONV_TRANSPOSE

    @property
    def says_channels(self) -> bool:
        """True if a call contains the number of input channels, or a weight that has it."""
        return bool(self.data) or any(self.names.get(name, name) == "in_channels" for name in self.parameters)


@attrs.frozen(kw_only=True)
class Reader:
    """Describe how a framework's code is read.

    Args:
        classes: the layer classes. Error messages name the first class.
        others: functional convolutions, which take their weight as an argument, and classes whose calls contain no output channels.
        modules: mapping from the usual name of a module, such as ``"nn"``, to its dotted path. Used for code without imports.
        initializers: mapping from name to initializer of the framework. The name is in lower case and has no underscores.
        dtypes: mapping from a Python type that the framework accepts as a dtype to the common name: ``{"float": "float64"}``.
        surroundings: code that may be around a call, and the other layers of the framework.
        channels: function ``(tree, path) -> {id(call): channels}``, or None. It is for classes whose calls do not contain the number
            of input channels, and finds this number in the rest of the file. ``tree`` is the syntax tree of the file. ``path`` is a
            function that returns the dotted path to which a node refers. If the path is uncertain, it returns None.
    """

    classes: tuple[SourceClass, ...]
    others: tuple[SourceClass, ...] = ()
    modules: Mapping[str, str] = attrs.field(factory=dict)
    initializers: Mapping[str, Named] = attrs.field(factory=dict)
    dtypes: Mapping[str, str] = attrs.field(factory=dict)
    surroundings: Surroundings = attrs.field(factory=Surroundings)
    channels: Callable[[ast.Module, Callable[[ast.AST], str | None]], Mapping[int, Value]] | None = None

    @property
    def packages(self) -> frozenset[str]:
        """Top-level packages of the classes and modules."""
        paths = [path for source in self.classes for path in (source.title, *source.paths)]
        return frozenset(path.partition(".")[0] for path in (*paths, *self.modules.values()))


@attrs.frozen(kw_only=True)
class TargetClass:
    """A layer class of a framework whose calls can be written.

    Args:
        code: the class as code, such as ``"nn.Conv1d"``.
        sizes: template of the positional arguments, with common names in braces.
        names: mapping from the common name of a keyword argument to its name in the framework. A missing argument keeps its default.
            List ``weight_init``, ``bias_init`` and ``activation`` only if the class has such an argument.
        padding: function ``(request) -> Padding`` that describes how the layer pads; for a transposed convolution, what it cuts.
        extra: code of arguments that every call needs.
        layer: kind of layer, `CONV` or `CONV_TRANSPOSE`.
    """

    code: str
    sizes: str = "{in_channels}, {out_channels}, {kernel_size}"
    names: Mapping[str, str]
    padding: Callable[[Request], Padding]
    extra: str = ""
    layer: str = CONV


def no_initializer(distribution: Distribution, role: str, request: Request) -> None:
    """Write no initializer, so that the target's default is used, with a comment."""


@attrs.frozen(kw_only=True)
class Writer:
    """Describe how a framework's code is written.

    Args:
        classes: the layer classes, one per kind of layer.
        function: the functional convolution, or None.
        imports: mapping from a name in the code to the import statement that defines the name.
        initial: function ``(distribution, role, request) -> code`` that writes an initializer. ``role`` is ``"weight"`` or ``"bias"``.
            It returns the value of the argument ``weight_init`` or ``bias_init``. If the class has no such argument, it returns a
            statement, with ``{tensor}`` for the weight or bias. If the framework has no such initializer, it returns None.
        sequence: code of a sequence of layers, with ``{}`` for the layers.
        item: code of one layer of the sequence, a template with ``{name}`` and ``{number}``.
        has_bias: code that tests whether a layer has a bias, with ``{}`` for the layer.
        activations: mapping from the common name of an activation to the code of its layer.
        dtype: code of a dtype, with ``{}`` for its common name.
        dtype_statement: statement that sets the dtype of a layer, with ``{layer}`` and ``{dtype}``. It is for classes without an
            argument ``dtype``. Empty if a dtype cannot be written.
        remarks: mapping from a dtype or an activation to a comment about how the framework treats it. Base the comment on a test.
        spell_defaults: True writes the bias and the initial values even if they are the framework's defaults.
    """

    classes: tuple[TargetClass, ...]
    function: TargetFunction | None = None
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
    """Describe how ``translate`` reads and writes the source code of one framework.

    Args:
        name: name of the framework, for ``source=`` and ``target=``.
        description: one sentence for lists and tables.
        reader: describes how code is read. None if the framework can be a target but not a source.
        writer: describes how code is written. None if the framework can be a source but not a target.
        aliases: other names for ``source=`` and ``target=``.
        policy: name of the policy that describes the framework's layers. The default is the name of the dialect.
    """

    kind: ClassVar[str] = "dialect"
    reader: Reader | None = attrs.field(default=None, kw_only=True)
    writer: Writer | None = attrs.field(default=None, kw_only=True)
    aliases: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    policy: str = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True)

    @property
    def source_classes(self) -> tuple[SourceClass, ...]:
        """Classes whose calls can be read."""
        return () if self.reader is None else self.reader.classes

    @property
    def other_sources(self) -> tuple[SourceClass, ...]:
        """Functional convolutions and other classes whose calls can be read."""
        return () if self.reader is None else self.reader.others

    @property
    def packages(self) -> frozenset[str]:
        """Top-level packages that code of the framework imports."""
        return frozenset() if self.reader is None else self.reader.packages

    def target_class(self, layer: str) -> TargetClass:
        """Return the class that the translation writes for a kind of layer.

        Args:
            layer: kind of layer.

        Raises:
            InvalidValueError: the framework has no layer of this kind. The message lists the layers that the framework has.
        """
        classes = {} if self.writer is None else {target.layer: target for target in self.writer.classes}
        if layer not in classes:
            raise InvalidValueError(f"{layer} cannot be written in {self.name}, which has {', '.join(classes) or 'no layer'}.")
        return classes[layer]

    @contextmanager
    def blamed(self, step: str) -> Iterator[None]:
        """Convert unexpected exceptions of the dialect's functions to an error that names the dialect and its plugin.

        Args:
            step: what the function does, such as ``"writing nn.Conv1d"``. The message contains this text.

        Raises:
            PluginError: a function raised an exception that is not a `ConvPolicyError`. The message contains the exception.
        """
        try:
            yield
        except ConvPolicyError:
            raise
        except Exception as error:
            plugin = f" of plugin {self.provider!r}" if self.provider else ""
            raise PluginError(f"dialect {self.name!r}{plugin} failed while {step}: {type(error).__name__}: {error}") from error
