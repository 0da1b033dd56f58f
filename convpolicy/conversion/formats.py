"""`FileFormat` describes one kind of checkpoint file; the suffix of a file's name selects it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs

from convpolicy import registry
from convpolicy.conversion.limits import check_claims
from convpolicy.conversion.tensors import Entry, Job, Reader, Writer
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, MissingFrameworkError, PluginError
from convpolicy.parts.part import Part, declared

KIND = "file format"


@attrs.frozen
class ParameterNames:
    """Describe how a kind of file names the parameters of a layer.

    Args:
        separator: character between the parts of a name: ``"."`` as in ``"encoder.conv1.weight"``, or ``"/"``.
        weight, bias: last part of the name of a weight and of a bias, such as ``"vars/0"``. Empty: the name in the layout.
        groups: True when the parts of a name are nested groups, as in HDF5. A tensor cannot have the name of a group.
        classes: for files whose paths contain the names of layer classes: class name, such as ``"depthwise_conv1d"``, to the name of
            the layout of its weight. An empty layout marks a class that is not a Conv1d. A number at the end of the name in the
            path, as in ``"depthwise_conv1d_1"``, is ignored.
    """

    separator: str = attrs.field(default=".", validator=attrs.validators.in_((".", "/")))
    weight: str = ""
    bias: str = ""
    groups: bool = False
    classes: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)


def _ends_a_name(file_format: Any, _field: Any, name: Any) -> None:
    if not isinstance(name, str) or not split_name(name)[1].strip("."):
        raise InvalidValueError(
            f"the name of a file format must be a suffix such as '.npz', or a framework and a suffix such as 'tide.npz', got {name!r}; "
            "pass one."
        )


def _can_be_called(file_format: Any, field: Any, function: Any) -> None:
    if not callable(function) and not (function is None and (field.name == "writer" or file_format.instead)):
        raise InvalidTypeError(
            f"{field.name} of file format {file_format.name!r} must be a class or a function, got {function!r}; pass one."
        )


def _declarations(names: Iterable[str]) -> frozenset[str]:
    return declared(names, ("own-source",))


@attrs.frozen(eq=False)
class FileFormat(Part):
    """Describe one kind of checkpoint file for `convert`.

    Args:
        name: suffix of the files, such as ``".safetensors"``. The longest suffix that matches a file's name selects the format. With
            a framework before it, as in ``"tide.npz"``, the format applies only when a policy of that framework is the source (of an
            input) or the target (of an output). There it replaces the general format of that suffix.
        reader: subclass of `Reader`, or ``lazy(module, class)``, which imports the class when a file is opened. None with
            ``instead``.
        writer: subclass of `Writer`, or a lazy one. None when such files can only be read. Between two formats that have the same
            writer, entries that are not tensors are copied too.
        description: one sentence for lists and tables.
        instead: for a kind of file that can be neither read nor written: what it is and what to do in its framework, such as
            ``"a saved graph; load it with tide.load and save its weights with tide.save as .npz"``.
        package: import name of the package that reader and writer need; empty when they need none.
        install: argument of ``pip install`` for that package, such as ``"convpolicy-tide[files]"``; empty: ``package``.
        names: names of parameters in such a file.
        keeps_metadata: False when such a file cannot store text with the tensors.
        declares: limits of the writer, for the conformance kit. ``"own-source"``: it can only rewrite a file of the same format.

    Raises:
        InvalidValueError, InvalidTypeError: the name is not a suffix, or the reader or writer is not callable.
    """

    kind: ClassVar[str] = KIND
    name: str = attrs.field(validator=_ends_a_name)
    reader: Callable[[Path], Reader] | None = attrs.field(default=None, validator=_can_be_called)
    writer: Callable[[Job], Writer] | None = attrs.field(default=None, validator=_can_be_called)
    instead: str = attrs.field(default="", kw_only=True)
    package: str = attrs.field(default="", kw_only=True)
    install: str = attrs.field(default="", kw_only=True)
    names: ParameterNames = attrs.field(
        factory=ParameterNames, kw_only=True, validator=attrs.validators.instance_of(ParameterNames)
    )
    keeps_metadata: bool = attrs.field(default=True, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_declarations)

    @property
    def suffix(self) -> str:
        """Suffix of the files, such as ``".npz"``."""
        return split_name(self.name)[1]

    def require(self, path: Path, *, writing: bool = False) -> None:
        """Check that such a file can be read or written in this environment.

        Args:
            path: path of the file; it need not exist.
            writing: True to check writing, False to check reading.

        Raises:
            MissingFrameworkError: the package is not installed; the message contains the install command.
            InvalidValueError: such files can only be read, or neither read nor written; the message says what to do instead.
        """
        if self.reader is None:
            raise InvalidValueError(f"{path.name!r} is {self.instead}.")
        if writing and self.writer is None:
            raise InvalidValueError(f"{path.name!r} cannot be written: {self.suffix} files are only read; choose another suffix.")
        if self.package and importlib.util.find_spec(self.package) is None:
            raise MissingFrameworkError(
                f"{path.name!r} needs {self.package}, which is not installed; run: pip install '{self.install or self.package}'."
            )

    def open(self, path: Path) -> Reader:
        """Open a file and return its reader.

        Args:
            path: path of the file.

        Raises:
            InvalidValueError, OSError: the file is damaged or cannot be read; the message names it.
            PluginError: the reader raises something else; the message names the format and its plugin.
        """
        assert self.reader is not None
        with named_faults(f"reading {path.name!r}", self):
            reader = self.reader(path)
            _check_class(self, reader, Reader)
            if not all(isinstance(entry, Entry) for entry in reader.entries):
                raise PluginError(f"{_title(self)}: entries must be objects of class Entry, got {reader.entries!r}; use entry().")
            try:
                check_claims(path, reader.entries, reader.files)
            except BaseException:
                reader.close()
                raise
        return reader

    def create(self, job: Job) -> Writer:
        """Create a file and return its writer.

        Args:
            job: what to write, and where.

        Raises:
            InvalidValueError, OSError: such a file cannot store one of the tensors, or cannot be written.
            PluginError: the writer raises something else; the message names the format and its plugin.
        """
        assert self.writer is not None
        with named_faults(f"writing {job.path.name!r}", self):
            writer = self.writer(job)
            _check_class(self, writer, Writer)
        return writer


def _check_class(file_format: FileFormat, instance: Any, kind: type) -> None:
    if not isinstance(instance, kind):
        raise PluginError(
            f"{_title(file_format)} must return a {kind.__name__} of convpolicy.conversion, got {type(instance).__name__}; subclass it."
        )


def _title(*formats: FileFormat) -> str:
    titles = dict.fromkeys(f"{row.name!r} ({row.provider})" for row in formats)
    return f"file format{'s' if len(titles) > 1 else ''} {' and '.join(titles)}"


@contextmanager
def named_faults(work: str, *formats: FileFormat) -> Iterator[None]:
    """Turn the unexpected exceptions of a reader or writer into a `PluginError`.

    Args:
        work: what the reader or writer does, such as ``"reading 'model.npz'"``, used in the message.
        formats: formats that take part; the message names them and their plugins.
    """
    try:
        yield
    except (ConvPolicyError, OSError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(f"{_title(*formats)} failed while {work}: {type(error).__name__}: {error}.") from error


def split_name(name: str) -> tuple[str, str]:
    """Split the name of a format into framework and suffix: ``"tide.npz"`` into ``("tide", ".npz")``."""
    framework, dot, rest = name.partition(".")
    return framework, dot + rest


def format_of(argument: str, path: Path, framework: str = "") -> FileFormat:
    """Return the format that the suffix of a file selects.

    Args:
        argument: name of the caller's argument, used in the message.
        path: path of the file.
        framework: framework of the policy on this side of the conversion; empty for a layout alone.

    Raises:
        InvalidValueError: no format has the suffix; the message lists every suffix.
        PluginError: two plugins register the format; the message names both.
    """
    candidates: dict[str, tuple[int, bool]] = {}
    suffixes: dict[str, None] = {}
    parts = registry.current().parts(KIND)
    for name in registry.current().names(KIND):
        owner, suffix = split_name(name)
        if owner in ("", framework):
            if name not in parts or parts[name].reader is not None:
                suffixes[suffix] = None
            if path.name.endswith(suffix) and path.name != suffix:
                candidates[name] = (len(suffix), bool(owner))
    if not candidates:
        raise InvalidValueError(
            f"{argument} must end in one of {', '.join(suffixes)}, got {path.name!r}; rename the file if it has one of these formats, "
            "otherwise save the weights in one of them with the framework that wrote it."
        )
    chosen: FileFormat = registry.current().get(KIND, max(candidates, key=candidates.__getitem__))
    return chosen
