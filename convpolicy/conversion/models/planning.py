"""What ``convert(…, model=…)`` writes: one row for each tensor of the model that the file has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from numpy.typing import NDArray

from convpolicy.conversion.formats import FileFormat
from convpolicy.conversion.models.assembly import Assembled, zero
from convpolicy.conversion.models.copies import Copies
from convpolicy.conversion.models.fitting import Fit, Source
from convpolicy.conversion.models.groups import RECURRENT, Groups, path_of, settled, split
from convpolicy.conversion.models.kept import KEPT, LIMIT, Restored, read, record, restored, text
from convpolicy.conversion.models.kinds import COUNT, ModelModule, ModelTensors, Parameter, Scheme
from convpolicy.conversion.models.matching import matched
from convpolicy.conversion.models.normed import unnormed
from convpolicy.conversion.models.paths import PATHS, Paths
from convpolicy.conversion.models.paths import read as read_paths
from convpolicy.conversion.models.paths import text as text_of_paths
from convpolicy.conversion.models.sides import new_names, schemes_of, tensors_of
from convpolicy.conversion.results import Loading
from convpolicy.conversion.selection import NORMS, Side
from convpolicy.conversion.tensors import FLOATS, Entry, Reader, entry
from convpolicy.errors import InvalidValueError

SHOWN = 3


@attrs.frozen(eq=False)
class ModelPlan:
    """What is written for a model.

    Attributes:
        rows: one `Assembled` for each tensor of the output, in the order of the model.
        loading: what the model finds in the output.
        notes: warnings, one sentence each.
        metadata: texts for the metadata of the output, or empty ones; see `convpolicy.conversion.models.kept` and ``paths``.
    """

    rows: tuple[Assembled | Restored, ...]
    loading: Loading
    notes: tuple[str, ...]
    metadata: Mapping[str, str]


def plan_for(
    model: Any, reader: Reader, sides: tuple[Side, Side], writes: FileFormat, *, mapping: Any, dtype: str | None, fold: bool,
) -> ModelPlan:  # fmt: skip
    """Match the tensors of a file with those of a model.

    Args:
        model: the target model; it is not changed.
        reader: reader of the file.
        sides: source and target.
        writes: format of the output.
        mapping: map of new names, or None.
        dtype: dtype of the floating-point tensors of the output, or None.
        fold: True to replace the two tensors of weight normalisation by the weight.

    Raises:
        InvalidTypeError, InvalidValueError: the model is not one of the target, or a tensor fits several modules.
        PluginError: a backend fails.
    """
    tensors = tensors_of(model, sides[1], writes)
    schemes = schemes_of(sides[0])
    names = new_names(mapping, reader, sides)
    entries = {names.get(row.name, row.name): attrs.evolve(row, name=names.get(row.name, row.name)) for row in reader.entries}
    if len(entries) < len(reader.entries):
        raise InvalidValueError("mapping gives several tensors the same name; give each its own.")
    olds = {names.get(row.name, row.name): row for row in reader.entries}
    entries, norms = unnormed(entries, fold=fold)
    known = [_directed(module) for module in tensors.modules if module.kind]
    ordered = reader.ordered
    paths = read_paths(reader.metadata)
    grouped = {name: row for name, row in entries.items() if name not in paths.plain}
    match = matched(known, settled(Groups(grouped, schemes, paths.modules, ordered=ordered)), ordered=ordered)
    return _Planner(reader, olds, entries, norms, tensors, dtype, schemes, paths).plan(match.fits)


def _directed(module: ModelModule) -> ModelModule:
    """Return a module; a recurrent one whose path says that it reads from the end does so."""
    reverse = path_of(module.path, recurrent=module.kind in RECURRENT)[1]
    return attrs.evolve(module, reverse=True) if reverse else module


class _Planner:
    """Makes the rows from the groups that fit."""

    def __init__(
        self, reader: Reader, olds: Mapping[str, Entry], entries: Mapping[str, Entry], norms: Mapping[str, tuple[Entry, Entry]],
        tensors: ModelTensors, dtype: str | None, schemes: Sequence[Scheme], paths: Paths,
    ) -> None:  # fmt: skip
        self._reader, self._olds, self._entries, self._norms = reader, olds, entries, norms
        self._tensors, self._dtype, self._schemes, self._paths = tensors, dtype, schemes, paths
        self._rows: dict[str, Assembled] = {}
        self._shapes: dict[str, tuple[Entry, Parameter]] = {}
        self._used: set[str] = set()
        self._loose: dict[str, str] = {}
        self._last: dict[str, NDArray[Any]] = {}

    def plan(self, fits: Sequence[Fit]) -> ModelPlan:
        """Return the plan."""
        for one in fits:
            for role, source in one.zeros.items():
                if not zero(attrs.evolve(source, entry=self._olds[source.entry.name]), self._reader):
                    raise InvalidValueError(
                        f"{source.entry.name!r} has numbers other than zero for {role!r}, for which {one.module.path!r} of the model has "
                        "no parameter, so the model cannot compute the same; use another module."
                    )
            for parameter, sources in one.tensors.items():
                self._add(parameter, sources, "model")
            self._shapes |= {parameter.name: (entry, parameter) for parameter, entry in one.shapes.items()}
            self._used |= {entry.name for entry in one.shapes.values()}
            self._used |= {source.entry.name for source in one.zeros.values()}
        dropped = self._dropped(fits)
        self._others()
        self._ties()
        created = [
            self._create(row) for row in self._tensors.parameters if row.stored.pieces == (COUNT,) and row.name not in self._rows
        ]
        old = read(self._reader.metadata)
        back = restored(self._rows, old, self._reader)
        created = [name for name in created if name not in back]
        self._summed = [row for row in self._rows.values() if any(len(piece) > 1 for piece in row.sources)]
        names = {entry.name: entry for row in self._summed for entry in row.entries.values()}
        counts = {self._olds[name].name: self._olds[name] for name in dropped}
        names |= counts
        own = {row.name for row in self._tensors.parameters}
        kept = {name: row for name, row in old.items() if name not in own}
        records = {name: record(entry, self._reader) for name, entry in names.items() if entry.size < LIMIT}
        kept |= {name: row for name, row in records.items() if name not in counts or any(row.data)}  # a new count is 0 anyway
        self._kept = text(kept)
        rows: tuple[Assembled | Restored, ...] = tuple(
            back.get(row.name) or self._rows[row.name] for row in self._tensors.parameters if row.name in self._rows
        )
        rows += tuple(row for name, row in self._rows.items() if name in self._tensors.tied)
        missing = tuple(
            row.name for row in self._tensors.parameters if row.name not in self._rows and row.name not in self._shapes
        )
        unexpected = tuple(self._old(name) for name in self._copies(dropped))
        shapes = tuple((name, self._old(entry.name), entry.shape, own.shape) for name, (entry, own) in self._shapes.items())
        if not rows:
            raise InvalidValueError(
                f"{self._reader.path} has no tensor of the model; its first ones are {self._first(self._entries)}, and those of the model "
                f"{self._first([row.name for row in self._tensors.parameters])}; pass the model of this file, or a map of the names."
            )
        self._normed = [name for name in unexpected if name.endswith(tuple(end for pair in NORMS for end in pair))]
        halves = [row.name for row in self._tensors.parameters if row.stored.pieces in (("lengths",), ("directions",))]
        self._halves = [name for name in halves if name in missing]
        loading = Loading(tuple(row.new.name for row in rows), missing, unexpected, shapes)
        return ModelPlan(
            rows,
            loading,
            tuple(self._notes(created, dropped)),
            {KEPT: self._kept, PATHS: text_of_paths(self._tensors, self._loose)},
        )

    def _old(self, name: str) -> str:
        return self._olds[name].name if name in self._olds else name

    @staticmethod
    def _first(names: Iterable[str]) -> str:
        shown = list(names)
        return ", ".join(map(repr, shown[:SHOWN])) + (", …" if len(shown) > SHOWN else "")

    def _add(self, parameter: Parameter, sources: tuple[tuple[Source, ...], ...], why: str) -> None:
        own = tuple(tuple(attrs.evolve(source, entry=self._entry(source.entry)) for source in row) for row in sources)
        names = [source.entry.name for row in sources for source in row]
        dtypes = {source.entry.dtype for row in own for source in row} or {parameter.dtype}
        if len(dtypes) > 1:
            raise InvalidValueError(
                f"{names[0]!r} and {names[1]!r} become one tensor of the model and have the dtypes {' and '.join(sorted(dtypes))}; pass dtype."
            )
        (dtype,) = dtypes
        new = entry(parameter.name, parameter.shape, self._dtype if self._dtype and dtype in FLOATS else dtype)
        norm = self._norms[names[0]][1] if names and names[0] in self._norms else None
        self._rows[parameter.name] = Assembled(new, parameter, own, why, norm, dtype, self._last)
        self._used.update(names)

    def _entry(self, row: Entry) -> Entry:
        if row.name in self._norms:
            return self._norms[row.name][0]
        return self._olds[row.name]

    def _create(self, parameter: Parameter) -> str:
        new = entry(parameter.name, parameter.shape, parameter.dtype)
        self._rows[parameter.name] = Assembled(new, parameter, ((),), "created", None, parameter.dtype)
        return parameter.name

    def _dropped(self, fits: Sequence[Fit]) -> list[str]:
        """Return the counts of batches that the target does not have."""
        counts = [row.name for one in fits for form, row in one.group.tensors.items() if form.pieces == (COUNT,)]
        return [name for name in counts if name not in self._used]

    def _copies(self, dropped: Sequence[str]) -> list[str]:
        """Return the tensors of the file that the model does not have, without second names of those that it has."""
        left = [name for name in self._entries if name not in self._used and name not in dropped]
        self._again = Copies(self._olds, self._reader).among(left, self._used)
        return [name for name in left if name not in self._again]

    def _others(self) -> None:
        """Match parameters of modules of no known kind by their whole name, and those that only the model knows as a kind of module."""
        plain = self._paths.plain
        left = {name: row for name, row in self._entries.items() if name not in self._used}
        free = {_parts(name): row for name, row in left.items()}
        free |= {_parts(plain[name]): row for name, row in left.items() if name in plain}
        for module in self._tensors.modules:
            for parameter in module.parameters:
                path = _parts(parameter.name if module.kind else module.path)
                row = free.get(path)
                if not module.kind and row is None:
                    row = self._without_start(path, free)
                if row is None or row.name in self._used or parameter.name in self._rows or parameter.name in self._shapes:
                    continue
                if row.shape == parameter.shape and not (
                    module.kind and row.name not in plain and self._known(module.kind, path[-1])
                ):
                    self._add(parameter, ((Source(row, parameter.stored.axes, {}),),), "name")
                    self._loose[parameter.name] = self._old(row.name)
                elif not module.kind:
                    self._shapes[parameter.name] = (row, parameter)
                    self._used.add(row.name)

    def _known(self, kind: str, end: str) -> bool:
        """Return whether a module of a kind has a tensor of this name in the source's framework."""
        return any(
            scheme.kind == kind and re.sub(r"\d+", "#", end) in (split(tensor.name)[-1] for tensor in scheme.tensors)
            for scheme in self._schemes
        )

    @staticmethod
    def _without_start(path: tuple[str, ...], free: Mapping[tuple[str, ...], Entry]) -> Entry | None:
        """Return the only tensor whose name is a path after a first part that the path does not have."""
        ends = [row for parts, row in free.items() if parts[1:] == path]
        return ends[0] if len(ends) == 1 else None

    def _ties(self) -> None:
        """Write tensors with several names under each of them."""
        for name, first in self._tensors.tied.items():
            if first in self._rows:
                row = self._rows[first]
                self._rows[name] = attrs.evolve(row, new=attrs.evolve(row.new, name=name))
                self._used |= {known for known in self._entries if split(known) == split(name)}

    def _notes(self, created: list[str], dropped: list[str]) -> Iterator[str]:
        if self._normed:
            yield f"{self._normed[0]!r} belongs to a weight in two tensors, which the model has as one; fold_weight_norm merges them."
        if self._halves:
            yield (
                f"{self._halves[0]!r} belongs to a weight in two tensors, which the file has as one; remove the weight normalization of the model."
            )
        if self._again:
            yield f"{_counted(len(self._again), 'tensor')} left out, which the file also has under another name: {self._first(map(self._old, self._again))}."
        if created:
            yield f"{_counted(len(created), 'count')} of batches created with 0, which the file does not have: {self._first(created)}."
        if dropped:
            yield f"{_counted(len(dropped), 'count')} of batches left out, which the model does not have: {self._first(map(self._old, dropped))}."
        if self._loose:
            yield (
                f"{_counted(len(self._loose), 'tensor')} of modules of no known kind matched by name, with unchanged axes: {self._first(self._loose)}."
            )
        summed = [row.new.name for row in self._summed]
        if summed:
            yield (
                f"{_counted(len(summed), 'bias', 'es')} written as the sum of two, which the model adds up as well: {self._first(summed)}; "
                + (
                    "the metadata of the output keep the two for the way back."
                    if self._kept
                    else "the way back gives the sum and zeros."
                )
            )
        own = {row.name: row.dtype for row in self._tensors.parameters}
        others = [row for row in self._rows.values() if own.get(row.new.name, row.new.dtype) != row.new.dtype]
        if others:
            yield (
                f"{_counted(len(others), 'tensor')} with another dtype than the model's, such as {others[0].new.name!r}: {others[0].new.dtype} instead of "
                f"{own[others[0].new.name]}."
            )


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name; the two tensors of weight normalization have one name for all versions of torch."""
    for older, newer in zip(*NORMS):
        name = f"{name.removesuffix(older)}{newer}" if split(name)[-1:] == [older] else name
    return tuple(split(name))


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number > 1 else ''}"
