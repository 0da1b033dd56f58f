"""`FileFormat`: one kind of checkpoint file, registered by a plugin and selected by the end of a file's name."""

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
    """How a kind of file names the parameters of a layer.

    Args:
        separator: between the parts of a name: ``"."`` as in ``"encoder.conv1.weight"``, or ``"/"``.
        weight, bias: last part of the name of a weight and of a bias, e.g. ``"vars/0"``; empty: as the layout names them.
        classes: of files whose paths name classes: a class, e.g. ``"depthwise_conv1d"``, and the name of the layout of its weight;
            empty: its weights are none of a Conv1d. A number behind it, as in ``"depthwise_conv1d_1"``, does not count.
        groups: True when the parts are groups that contain one another, so that no tensor may have the name of a group.
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


def _of_a_format(words: Iterable[str]) -> frozenset[str]:
    return declared(words, ("own-source",))


@attrs.frozen(eq=False)
class FileFormat(Part):
    """One kind of checkpoint file.

    Args:
        name: the suffix, e.g. ``".safetensors"``; the longest suffix that fits a file's name decides. A framework before it, as in
            ``"tide.npz"``, restricts the format to files converted from or to a policy of that framework, where it comes before
            the format of the same suffix for everybody.
        reader: a `Reader`, or ``lazy(module, class)``, which imports it when a file is opened; None with ``instead``.
        writer: a `Writer`, likewise; None when such files are only read. Formats with the same writer also exchange entries
            that are not tensors.
        instead: of a kind of file that is neither read nor written: what it is and what to do in its own framework, e.g. ``"a saved
            graph; load it with tide.load and save its weights with tide.save as .npz"``.
        package: import name of the package that both need; empty when they need none.
        install: what ``pip install`` installs for it, e.g. ``"convpolicy-tide[files]"``; empty: ``package``.
        names: how parameters are called in such a file.
        keeps_metadata: False when text cannot be written beside the tensors.
        declares: what its writer cannot do, for the conformance kit: ``"own-source"``, it only rewrites a file of this format.
        description: one sentence for lists and tables.

    Raises:
        InvalidValueError, InvalidTypeError: a name that is no suffix, or a reader that cannot be called.
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
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_of_a_format)

    @property
    def suffix(self) -> str:
        """How the names of its files end, e.g. ``".npz"``."""
        return split_name(self.name)[1]

    def require(self, path: Path, *, writing: bool = False) -> None:
        """Refuse a file that cannot be read or written here, before it is opened.

        Args:
            path: of the file.
            writing: True for a file that is to be written.

        Raises:
            MissingFrameworkError: the package is not installed; holds the command.
            InvalidValueError: such files are only read, or neither read nor written; holds what to do instead.
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
        """Return a reader of a file.

        Raises:
            InvalidValueError, OSError: a file that is damaged or cannot be read; holds its name.
            PluginError: the reader fails in another way; holds the format and its plugin.
        """
        assert self.reader is not None
        with named_faults(f"reading {path.name!r}", self):
            reader = self.reader(path)
            _checked(self, reader, Reader)
            if not all(isinstance(entry, Entry) for entry in reader.entries):
                raise PluginError(f"{_title(self)}: entries must be objects of class Entry, got {reader.entries!r}; use entry().")
            try:
                check_claims(path, reader.entries, reader.files)
            except BaseException:
                reader.close()
                raise
        return reader

    def create(self, job: Job) -> Writer:
        """Return a writer for a job.

        Raises:
            InvalidValueError, OSError: a tensor that such a file cannot hold, or a file that cannot be written.
            PluginError: the writer fails in another way; holds the format and its plugin.
        """
        assert self.writer is not None
        with named_faults(f"writing {job.path.name!r}", self):
            writer = self.writer(job)
            _checked(self, writer, Writer)
        return writer


def _checked(file_format: FileFormat, made: Any, kind: type) -> None:
    if not isinstance(made, kind):
        raise PluginError(
            f"{_title(file_format)} must return a {kind.__name__} of convpolicy.conversion, got {type(made).__name__}; subclass it."
        )


def _title(*formats: FileFormat) -> str:
    titles = dict.fromkeys(f"{known.name!r} ({known.provider})" for known in formats)
    return f"file format{'s' if len(titles) > 1 else ''} {' and '.join(titles)}"


@contextmanager
def named_faults(work: str, *formats: FileFormat) -> Iterator[None]:
    """Turn what a reader or writer raises unexpectedly into a `PluginError` that names the work, the format and its plugin."""
    try:
        yield
    except (ConvPolicyError, OSError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(f"{_title(*formats)} failed while {work}: {type(error).__name__}: {error}.") from error


def split_name(name: str) -> tuple[str, str]:
    """Return framework and suffix of a format's name: ``("", ".npz")``, or ``("tide", ".npz")`` for ``"tide.npz"``."""
    framework, dot, rest = name.partition(".")
    return framework, dot + rest


def format_of(argument: str, path: Path, framework: str = "") -> FileFormat:
    """Return the format of a file by its suffix.

    Args:
        argument: named in the message.
        path: of the file.
        framework: of the policy that the file is converted from or to; empty for a layout alone.

    Raises:
        InvalidValueError: no format has its suffix; holds the argument and every suffix.
        PluginError: two plugins offer the format; holds both.
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
            f"{argument} must end in one of {', '.join(suffixes)}, got {path.name!r}; rename it if it is such a file, else save the "
            "weights as one where they come from."
        )
    chosen: FileFormat = registry.current().get(KIND, max(candidates, key=candidates.__getitem__))
    return chosen
