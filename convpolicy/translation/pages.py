"""Every call of a known class in a file, found by what its names were imported as; nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from convpolicy.translation.dialect import Dialect, SourceClass
from convpolicy.translation.values import dotted


class Known(NamedTuple):
    """A class that can be read, and the dialect it is of."""

    dialect: Dialect
    source: SourceClass


class Mention(NamedTuple):
    """One place where a known class is named in a file: the class, the node, and whether it is called."""

    known: Known
    node: ast.expr
    called: bool


def known_paths(dialects: Iterable[Dialect], first: Dialect) -> dict[str, Known]:
    """Return dotted name -> class of every dialect; of two dialects that read one class, ``first`` is meant."""
    paths: dict[str, Known] = {}
    for dialect in (first, *(dialect for dialect in dialects if dialect.name != first.name)):
        for source in dialect.source_classes:
            for path in (source.title, *source.paths):
                paths.setdefault(path, Known(dialect, source))
    return paths


class Names:
    """What the names of a file mean: imports, plain aliases, and for a fragment without imports what is customary.

    Args:
        tree: of the file.
        dialect: whose customs hold.
        known: dotted name -> class, see `known_paths`.
    """

    def __init__(self, tree: ast.Module, dialect: Dialect, known: Mapping[str, Known]) -> None:
        self._known = known
        self._paths: dict[str, str] = {}
        self._stars: list[str] = []
        own = {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))}
        for node in ast.walk(tree):
            self._import(node)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                target, path = node.targets[0].id, self.resolve(node.value)
                if path is not None and target not in self._paths and any(f"{name}.".startswith(f"{path}.") for name in known):
                    self._paths[target] = path
        customary = dict(dialect.reader.modules) if dialect.reader is not None else {}
        for source in reversed(dialect.source_classes):  # the first class wins
            customary |= {path.rpartition(".")[2]: path for path in (source.title, *source.paths)}
        for name, path in customary.items():
            if name not in own and not self._stars and name not in self._paths:
                self._paths[name] = path

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._paths[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                if alias.name == "*":
                    self._stars.append(node.module)
                else:
                    self._paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def resolve(self, node: ast.AST) -> str | None:
        """Return the full dotted name that a name or attribute means, or None when it is no plain name."""
        name = dotted(node)
        if name is None:
            return None
        head, dot, rest = name.partition(".")
        if head in self._paths:
            return f"{self._paths[head]}{dot}{rest}"
        return next((f"{star}.{name}" for star in self._stars if f"{star}.{name}" in self._known), name)


def mentions(tree: ast.Module, names: Names, known: Mapping[str, Known]) -> Iterator[Mention]:
    """Yield every known class that is named in a file, in the order of the text."""
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    places = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        entry = known.get(names.resolve(node) or "")
        if entry is not None:
            places.append(Mention(entry, called.get(id(node), node), id(node) in called))
    yield from sorted(places, key=lambda mention: (mention.node.lineno, mention.node.col_offset))


def targets_of(tree: ast.Module) -> Mapping[int, str]:
    """Return ``id(call) -> name`` for calls that are all of the right side of an assignment."""
    bound = {}
    for node in ast.walk(tree):
        single: Any = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        name = dotted(single[0]) if len(single) == 1 else None
        if name is not None and isinstance(node.value, ast.Call):  # type: ignore[attr-defined]
            bound[id(node.value)] = name  # type: ignore[attr-defined]
    return bound
