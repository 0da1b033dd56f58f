"""`convert` rewrites a checkpoint file in another framework's layout, tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import attrs

from convpolicy.conversion.files.safetensors import in_library_order, in_order
from convpolicy.conversion.formats import format_of, named_faults
from convpolicy.conversion.models.assembly import Assembled
from convpolicy.conversion.models.kept import Restored
from convpolicy.conversion.notes import notes
from convpolicy.conversion.results import Conversion, Converted, Loading
from convpolicy.conversion.rows import Row, plan, stamped
from convpolicy.conversion.selecting import select
from convpolicy.conversion.selection import Selection, Side, side
from convpolicy.conversion.stamps import STAMP, Stamp
from convpolicy.conversion.stamps import read as read_stamp
from convpolicy.conversion.tensors import FLOATS, Job, Reader
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.files.whole import Staged, refuse_existing

Progress = Callable[[str, int, int], None]
SAFETENSORS = ".safetensors"
Writable: TypeAlias = Row | Assembled | Restored


class Prepared:
    """Prepare a conversion. The output file is written later, by `run`.

    The constructor opens and checks the source file. Inspect ``tensors`` and ``notes``, then call `run` to write the output. Use the
    object in a ``with`` block, which closes the source file. The arguments have the same meaning as in `convert`.

    Attributes:
        notes: warnings about the output, one sentence each.
    """

    def __init__(
        self, src: str | os.PathLike[str], dst: str | os.PathLike[str], *, source: str | Policy, target: str | Policy,
        layers: Any = None, mapping: Any = None, transposed: Any = (), guess: bool = False, dtype: str | None = None,
        fold_weight_norm: bool = False, force: bool = False, model: Any = None,
    ) -> None:  # fmt: skip
        if dtype is not None and dtype not in FLOATS:
            raise InvalidValueError(f"dtype must be one of {', '.join(FLOATS)} or None, got {dtype!r}; pick one.")
        if model is not None and (layers is not None or guess or transposed):
            raise InvalidValueError("model must be passed without layers, guess and transposed; leave those out, and keep model.")
        self._src, self._dst, self._force = _path("src", src), _path("dst", dst), force
        old, new = side("source", source), side("target", target)
        reads, writes = format_of("src", self._src, old.framework), format_of("dst", self._dst, new.framework)
        self._source, self._target = attrs.evolve(old, names=reads.names), attrs.evolve(new, names=writes.names)
        self._check_output((self._src,), self._dst)
        writes.require(self._dst, writing=True)
        reads.require(self._src)
        self._reads, self._writes = reads, writes
        self.loading: Loading | None = None
        self._more: dict[str, str] = {}  # metadata in place of those of the input
        self._rows: Sequence[Writable] = ()
        self._reader: Reader = reads.open(self._src)
        try:
            self._check_output(self._reader.files, self._dst)
            self._check_texts()
            stamp = read_stamp(self._reader.metadata, self._src)
            if model is not None:
                self._plan_for(model, stamp, (old, new), mapping, dtype, fold_weight_norm)
                return
            home = stamp is not None and (stamp.suffix, stamp.source) == (writes.suffix, self._target.name)
            sides = (self._source, self._target)
            selection = select(self._reader, *sides, stamp, layers=layers, mapping=mapping, transposed=transposed, guess=guess)
            rows = plan(self._reader.entries, selection, *sides, stamp, home, dtype, fold_weight_norm)
            self._rows = _ordered(rows)
            self._stamp = stamped(rows, reads.suffix, self._source, self._target, stamp)
            self.notes = tuple(notes(rows, self._reader, (reads, writes), sides, selection, self._stamp is not None))
        except BaseException:
            self._reader.close()
            raise

    def _plan_for(
        self, model: Any, stamp: Stamp | None, sides: tuple[Side, Side], mapping: Any, dtype: str | None, fold: bool
    ) -> None:
        """Plan the output for a model."""
        from convpolicy.conversion.models.planning import plan_for  # here: only needed for models

        if stamp is not None:
            raise InvalidValueError(
                f"{self._src} was converted without model, so only its convolutions are in the form of {stamp.target}; convert the original file."
            )
        plan = plan_for(model, self._reader, (self._source, self._target), self._writes, mapping=mapping, dtype=dtype, fold=fold)
        self._more = dict(plan.metadata)
        rows: Sequence[Writable] = plan.rows
        if self._writes.suffix == SAFETENSORS:  # as its library would, so that the way back gives the same file
            by_name = {row.new.name: row for row in rows}
            rows = [by_name[entry.name] for entry in in_library_order(row.new for row in rows)]
        self._rows, self._stamp, self.loading = _ordered(rows), None, plan.loading
        others = [*notes([], self._reader, (self._reads, self._writes), sides, Selection({}), stamped=False)]
        self.notes = (*plan.notes, *others)

    @property
    def tensors(self) -> tuple[Converted, ...]:
        """One `Converted` per tensor of the output, in the order of the file."""
        return tuple(
            Converted(row.new.name, row.old_name, row.new.shape, row.new.dtype, row.axes, row.why, row.folded)
            for row in self._rows
        )

    def run(self, progress: Progress | None = None) -> Conversion:
        """Write the output file and return a `Conversion`. See `convert` for ``progress``."""
        total, written = sum(row.new.size for row in self._rows), 0
        metadata = {key: value for key, value in self._reader.metadata.items() if key not in (STAMP, *self._more)}
        metadata |= {key: value for key, value in self._more.items() if value}
        if self._stamp is not None:
            metadata[STAMP] = self._stamp.text()
        siblings: dict[str, Path] = {}
        with Staged(force=self._force) as staged:

            def sibling(name: str) -> Path:
                if not self._force:
                    self._check_output(self._reader.files, self._dst.with_name(name))
                siblings[name] = staged.sibling(self._dst.with_name(name))
                return siblings[name]

            def remove_afterwards(name: str) -> None:
                path = self._dst.with_name(name)
                if not any(path.exists() and file.exists() and path.samefile(file) for file in self._reader.files):
                    staged.remove_afterwards(path)

            hidden = staged.beside(self._dst)
            texts = metadata if self._writes.keeps_metadata else {}
            entries = tuple(row.new for row in self._rows)
            job = Job(hidden, sibling, entries, texts, self._reader, name_of=staged.name_of, remove_afterwards=remove_afterwards)
            writer = self._writes.create(job)
            try:
                for row in self._rows:
                    if progress is not None:
                        progress(row.new.name, written, total)
                    with named_faults(f"copying {row.old_name!r}", self._reads, self._writes):
                        if row.keeps_bytes:
                            writer.copy(row.new, self._reader, row.old)
                        else:
                            writer.write(row.new, row.pieces(self._reader))
                    written += row.new.size
                with named_faults(f"completing {self._dst.name!r}", self._writes):
                    writer.finish()
            finally:
                writer.close()
            if progress is not None:
                progress("", total, total)
            names = {name: staged.name_of(path) for name, path in siblings.items()}
        renamed = {name: new for name, new in names.items() if name != new}
        renamed_notes = [
            f"{name!r} exists already, so its tensors are in {new!r}, and the new index refers to that file."
            for name, new in renamed.items()
        ]
        return Conversion(
            self._dst, self._source.name, self._target.name, self.tensors, (*self.notes, *renamed_notes), self.loading
        )

    def _check_texts(self) -> None:
        """Refuse names and metadata that cannot be encoded as UTF-8, such as lone surrogates."""
        metadata = self._reader.metadata
        for text in (*(entry.name for entry in self._reader.entries), *metadata, *metadata.values()):
            try:
                text.encode().decode()
            except UnicodeError as error:
                raise InvalidValueError(
                    f"{self._src} contains a name or metadata that is not valid Unicode; download or save it again."
                ) from error

    def _check_output(self, files: Iterable[Path], output: Path) -> None:
        for file in files:
            if output.exists() and file.exists() and output.samefile(file):
                raise InvalidValueError(f"output {str(output)!r} is the input {str(file)!r}; choose another name.")
        if os.path.lexists(output) and not self._force:
            raise refuse_existing(output)
        if output.is_dir():
            raise InvalidValueError(f"output {str(output)!r} is a folder; name a file.")

    def __enter__(self) -> Prepared:  # noqa: PYI034 - typing.Self is newer than the oldest Python
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.close()


def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    source: str | Policy,
    target: str | Policy,
    layers: Any = None,
    mapping: Any = None,
    transposed: Any = (),
    guess: bool = False,
    dtype: str | None = None,
    fold_weight_norm: bool = False,
    force: bool = False,
    model: Any = None,
    progress: Progress | None = None,
) -> Conversion:
    """Rewrite a checkpoint file so that its weights of Conv1d and ConvTranspose1d have another framework's axes and names.

    `convert` copies the other tensors unchanged, unless ``dtype`` or ``fold_weight_norm`` changes them. Use ``layers``, ``mapping``,
    ``transposed`` or ``guess`` to select the weights. You can combine ``mapping`` and ``transposed`` with ``layers`` or with
    ``guess``. They then have priority. A file that `convert` wrote contains a list of its converted tensors. Such a file needs none
    of the four arguments.
    The output is written to a temporary file and renamed only when complete.

    Args:
        src, dst: paths of the input and the output. The suffix selects the format: ``.safetensors``, ``.safetensors.index.json``,
            ``.npz``, or the suffix of a `FileFormat` that a plugin registers.
        source, target: weight layout of the input and of the output. Pass a policy, a layout, or a name such as ``"torch"``,
            ``"mindspore"``, ``"keras"`` or ``"WIO"``. A policy has one layout for Conv1d and one for ConvTranspose1d.
        layers: the layers whose weights the file contains: a `PortedModel`, a model of any backend, or a mapping from path to
            `Capture` or native layer.
        mapping: a table from a pattern of tensor names to the layout of these tensors, or the path of a TOML or JSON file with
            this table.
        transposed: patterns of tensor names. The weights that they match are those of transposed convolutions, in the layout that
            ``source`` has for them.
        guess: True selects tensors by name and number of axes. The path or the bias must confirm that a tensor is a Conv1d weight.
        dtype: dtype of the floating-point tensors of the output. None keeps each tensor's dtype.
        fold_weight_norm: True replaces the two tensors of a normalized weight by the weight that they describe.
        force: True replaces an existing output file.
        model: the model that loads the output. Every tensor of the input gets the name, the shape and the axes that the model has for it;
            tensors are matched by the paths of modules, otherwise by kind, shape and order. ``mapping`` can then only rename tensors.
            The model is not changed. Pass it without ``layers``, ``transposed`` and ``guess``.
        progress: function ``(name, bytes written, total bytes)``. It is called before each tensor with the name of the tensor. At
            the end it is called once more, with an empty name.

    Returns:
        A `Conversion`, which lists the tensors of the output and, with ``model``, what the model loads, misses and does not expect.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: one of the following. The message describes the problem:

            - an invalid argument;
            - a tensor that fits several modules of ``model``;
            - an input that is damaged, contains code, or refers to files outside its folder;
            - an output that already exists, or that is the input file;
            - a tensor that the output format cannot store.
        MissingFrameworkError: the format needs a package that is not installed. The message contains the install command.
        PluginError: the plugin of the format fails, or two plugins register the same format. The message names the plugins.
        OSError: a file cannot be read or written. The message names the file.
    """
    with Prepared(
        src, dst, source=source, target=target, layers=layers, mapping=mapping, transposed=transposed, guess=guess, dtype=dtype,
        fold_weight_norm=fold_weight_norm, force=force, model=model,
    ) as prepared:  # fmt: skip
        return prepared.run(progress)


def _path(argument: str, value: Any) -> Path:
    try:
        path = Path(value)
    except TypeError:
        raise InvalidTypeError(f"{argument} must be a path, got {value!r} of type {type(value).__name__}; pass one.") from None
    if "\0" in str(path):
        raise InvalidValueError(
            f"{argument} must be a path, got {str(path)!r}, which contains a null character; pass another path."
        )
    return path


def _ordered(rows: Sequence[Writable]) -> list[Writable]:
    """Return the rows of each shard in an order that keeps every tensor aligned to the width of its elements."""
    parts: dict[str, list[Writable]] = {}
    for row in rows:
        parts.setdefault(row.new.part, []).append(row)
    ordered: list[Writable] = []
    for part in parts.values():
        by_name = {row.new.name: row for row in part}
        ordered += [by_name[entry.name] for entry in in_order(row.new for row in part)]
    return ordered
