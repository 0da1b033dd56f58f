"""`Group`: the tensors of a file that may belong to one module, found by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from convpolicy.conversion.models.kinds import KINDS, Scheme, Stored
from convpolicy.conversion.tensors import Entry

FILLERS = {"layers", "_layers", "vars", "_modules"}  # parts of paths that name no module
FORWARD = re.compile(r"forward_\w+|cell_fw")  # parts of paths of recurrent modules
REVERSED = re.compile(r"backward_\w+|cell_bw|reverse")
RECURRENT = KINDS[KINDS.index("lstm") : KINDS.index("rnn") + 1]


@attrs.frozen(eq=False)
class Group:
    """Tensors that together can be those of one module.

    Attributes:
        stem: start of their names.
        kind: kind of the module.
        tensors: form -> tensor.
        path: parts of the path, without those that name no module.
        complete: True if the file has no other tensor directly beside them.
        reverse: True for a recurrent module that reads its input from the end.
        position: place of the first tensor in the file, or its name in natural order.
    """

    stem: str
    kind: str
    tensors: Mapping[Stored, Entry]
    path: tuple[str, ...]
    complete: bool
    reverse: bool
    position: tuple[tuple[int, str], ...]

    @property
    def names(self) -> frozenset[str]:
        """Names of the tensors."""
        return frozenset(entry.name for entry in self.tensors.values())


def split(name: str) -> list[str]:
    """Return the parts of a name; the separator is ``.`` or ``/``."""
    return [part for part in re.split(r"[./]", name) if part]


def path_of(name: str, *, recurrent: bool) -> tuple[tuple[str, ...], bool]:
    """Return the parts of a path that name modules, and whether one of them says that a recurrent module reads from the end."""
    parts = [part.rstrip("_") or part for part in split(name) if part not in FILLERS]
    if not recurrent:
        return tuple(parts), False
    reverse = any(REVERSED.fullmatch(part) for part in parts)
    named = [part for part in parts if not (FORWARD.fullmatch(part) or REVERSED.fullmatch(part) or part == "cell")]
    if named and named[-1].isdigit():  # a list of recurrent modules is numbered as the layers of one module are
        named[-1] = f"l{named[-1]}"
    return tuple(named), reverse


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts the numbers in names as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def family(path: Iterable[str]) -> tuple[str, ...]:
    """Return a path with ``#`` for each number."""
    return tuple(re.sub(r"\d+", "#", part) for part in path)


class Groups:
    """Finds the groups in a file.

    Args:
        entries: the tensors by name.
        schemes: schemes of the framework that wrote the file.
        paths: name of a tensor -> path of its module, for modules whose names do not contain their paths.
        ordered: True if the file has the tensors in the order of the model.
    """

    def __init__(
        self, entries: Mapping[str, Entry], schemes: Iterable[Scheme], paths: Mapping[str, str], *, ordered: bool
    ) -> None:
        self._paths = paths
        self._schemes = tuple(schemes)
        self._ends: dict[str, dict[tuple[str, str], Entry]] = {}  # end of a name -> stem and number -> tensor
        self._leaves: dict[str, set[str]] = {}
        self._positions = {name: ((at, ""),) if ordered else natural(name) for at, name in enumerate(entries)}
        self._entries = entries
        ends = {tensor.name for scheme in self._schemes for tensor in scheme.tensors}
        depth = max((len(split(end)) for end in ends), default=0)
        for name, entry in entries.items():
            parts = split(name)
            leaf = parts[:-2] if parts[-2:-1] == ["vars"] else parts[:-1]
            self._leaves.setdefault(".".join(leaf), set()).add(name)
            for count in range(1, min(depth, len(parts)) + 1):
                stem, end = ".".join(parts[:-count]), ".".join(parts[-count:])
                if end in ends:
                    self._ends.setdefault(end, {})[stem, ""] = entry
                numbered = re.sub(r"\d+", "#", end)
                if "#" in numbered and numbered in ends:
                    number = "".join(re.findall(r"\d+", end)[:1])
                    self._ends.setdefault(numbered, {})[stem, number] = entry

    def __iter__(self) -> Iterator[Group]:
        for scheme in self._schemes:
            first = scheme.tensors[0]
            for stem, number in self._ends.get(first.name, ()):
                group = self._group(scheme, stem, number)
                if group is not None:
                    yield group

    def _group(self, scheme: Scheme, stem: str, number: str) -> Group | None:
        tensors = {
            tensor: self._ends[tensor.name][stem, number]
            for tensor in scheme.tensors
            if (stem, number) in self._ends.get(tensor.name, ())
        }
        if any(tensor not in tensors for tensor in scheme.tensors[: scheme.required]):
            return None
        names = {entry.name for entry in tensors.values()}
        title = next((self._paths[name] for name in names if name in self._paths), stem)
        path, reverse = path_of(title, recurrent=scheme.kind in RECURRENT)
        if number and (number != "0" or self._has_more(scheme, stem)):
            path = (*path, f"l{number}")
        complete = bool(number) or self._leaves.get(stem, set()) <= names
        position = min(self._positions[name] for name in names)
        return Group(stem, scheme.kind, tensors, path, complete, reverse or scheme.reverse, position)

    def _has_more(self, scheme: Scheme, stem: str) -> bool:
        return (stem, "1") in self._ends.get(scheme.tensors[0].name, ())


def settled(groups: Iterable[Group]) -> list[Group]:
    """Return groups without repetitions, and without those that read a matrix in the wrong direction.

    Where a framework has linear modules of two forms, the bias tells which one a matrix that is not square has. A square one has the form of
    another module of the same last name, else the first form.
    """
    known: dict[Any, Group] = {}
    for group in groups:
        tensors = frozenset((entry.name, form.pieces, form.axes) for form, entry in group.tensors.items())
        known.setdefault((group.kind, group.reverse, tensors), group)
    rows = list(known.values())
    forms: dict[str, list[Group]] = {}
    for group in rows:
        if group.kind == "linear":
            forms.setdefault(group.stem, []).append(group)
    proof: dict[str, str] = {}
    wrong: set[int] = set()
    for several in forms.values():
        for group in several if len(several) > 1 else ():
            matrix, *bias = group.tensors.items()
            if len(matrix[1].shape) != 2 or not bias:
                continue
            out = matrix[1].shape[matrix[0].axes.text.split().index("O")]
            if bias[0][1].shape != (out,):
                wrong.add(id(group))
            elif matrix[1].shape[0] != matrix[1].shape[1]:
                proof[_last(group)] = matrix[0].axes.text
    for several in forms.values():
        left = [group for group in several if id(group) not in wrong]
        chosen = [group for group in left if next(iter(group.tensors)).axes.text == proof.get(_last(group))]
        wrong |= {id(group) for group in left if group is not (chosen or left)[0]}
    return [group for group in rows if id(group) not in wrong]


def _last(group: Group) -> str:
    return group.path[-1] if group.path else ""
