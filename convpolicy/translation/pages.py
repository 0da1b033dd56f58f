"""Find every layer of a file by the meaning of its names, without running the file."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from convpolicy.translation.bindings import Page
from convpolicy.translation.dialect import Dialect, SourceClass
from convpolicy.translation.names import Names, Resolution
from convpolicy.translation.scopes import Use
from convpolicy.translation.surroundings import ALONE, Surroundings

NAMED = "the class is named here but not called; translate the code that calls it."


class Known(NamedTuple):
    """A layer class that can be read, with its dialect."""

    dialect: Dialect
    source: SourceClass


class Mention(NamedTuple):
    """One place of a file that names a layer class.

    Args:
        use: the use of the name.
        resolution: meaning of the name.
        known: the class, if it is certain and can be read.
        reason: why the layer is not translated, or None.
        beside: whether the class is unrelated to a 1-D convolution.
    """

    use: Use
    resolution: Resolution
    known: Known | None = None
    reason: str | None = None
    beside: bool = False

    @property
    def node(self) -> ast.expr:
        """The call, or the name if it is not called."""
        return self.use.call or self.use.node

    @property
    def is_function(self) -> bool:
        """True for a call of a functional convolution."""
        return self.known is not None and bool(self.known.source.data)


def known_paths(dialects: Iterable[Dialect], first: Dialect) -> dict[str, Known]:
    """Return the classes of every dialect by dotted name; a class of two dialects belongs to ``first``."""
    paths: dict[str, Known] = {}
    for dialect in (first, *(dialect for dialect in dialects if dialect.name != first.name)):
        for source in (*dialect.source_classes, *dialect.other_sources):
            for path in (source.title, *source.paths):
                paths.setdefault(path, Known(dialect, source))
    return paths


def names_of(page: Page, dialect: Dialect, known: Mapping[str, Known]) -> Names:
    """Return the meaning of the names in a file.

    Args:
        page: the file.
        dialect: dialect whose customary names apply to code without its imports.
        known: result of `known_paths`.
    """
    surroundings = _surroundings(dialect)
    customary: dict[str, str] = dict(surroundings.customary)
    for source in reversed((*dialect.source_classes, *dialect.other_sources)):  # the first class wins
        customary |= {path.rpartition(".")[2]: path for path in reversed((source.title, *source.paths))}
    customary |= dialect.reader.modules if dialect.reader is not None else {}
    others = {entry.dialect.name: entry.dialect for entry in known.values() if entry.dialect.name != dialect.name}
    elsewhere = frozenset(package for other in others.values() for package in other.packages)
    return Names(
        page, customary, (dialect.packages, elsewhere - dialect.packages),
        lambda path: path in known or surroundings.is_named(path),
    )  # fmt: skip


def mentions(page: Page, names: Names, known: Mapping[str, Known], dialect: Dialect) -> list[Mention]:
    """Return every layer that a file names, in order: those of a dialect, and classes of other dialects that can be read."""
    shorts = _shorts(dialect)
    surroundings = _surroundings(dialect)
    rows = [row for use in page.uses if (row := _mention(use, names, known, dialect, surroundings, shorts)) is not None]
    return sorted(rows, key=lambda mention: (mention.node.lineno, mention.node.col_offset))


def _surroundings(dialect: Dialect) -> Surroundings:
    return Surroundings() if dialect.reader is None else dialect.reader.surroundings


def _shorts(dialect: Dialect) -> frozenset[str]:
    """Return the last part of the name of every class that is a 1-D convolution or similar; lower-case names are usually instances."""
    paths = [path for source in dialect.source_classes for path in (source.title, *source.paths)]
    names = (path.rpartition(".")[2] for path in (*paths, *_surroundings(dialect).alike))
    return frozenset(name for name in names if name[:1].isupper())


def _mention(
    use: Use, names: Names, known: Mapping[str, Known], dialect: Dialect, surroundings: Surroundings, shorts: frozenset[str]
) -> Mention | None:
    answer = names.resolve(use.text, use.scope)
    called = use.call is not None
    paths = [path for path in answer.paths if path in known and known[path].dialect is dialect]
    if not answer.doubts and (certain := _certain(answer, known)) is not None:
        return Mention(use, answer, certain, None if called else _named(use))
    path = answer.path
    if path is not None and called:
        if path in surroundings.alike:
            return Mention(use, answer, reason=f"{path} cannot be translated: {surroundings.alike[path]}.")
        return Mention(use, answer, reason=ALONE, beside=True) if surroundings.is_layer(path) else None
    similar = bool(answer.doubts) and use.text.rpartition(".")[2] in shorts
    if not called or not (paths or similar):
        return None
    title = paths[0] if paths else _title(use.text.rpartition(".")[2], dialect)
    several = f"{use.text} is bound to {' and '.join(path.lstrip('.') for path in answer.paths)}" if len(answer.paths) > 1 else ""
    doubts = "; ".join([*answer.doubts, *filter(None, [several])])
    return Mention(use, answer, reason=f"{use.text} may not be {title}: {doubts}; import it once, under a unique name.")


def _title(short: str, dialect: Dialect) -> str:
    """Return the name of the class that has a short name, or of the first class."""
    classes = dialect.source_classes
    named = (source for source in classes if short in {path.rpartition(".")[2] for path in (source.title, *source.paths)})
    return next(named, classes[0]).title


def _named(use: Use) -> str:
    """Return the reason why a class that is named without a call is not translated."""
    parent = use.parent
    if isinstance(parent, ast.ClassDef):
        return f"class {parent.name} inherits from it and adds code; translate a call of {use.text} and port that code yourself."
    return NAMED


def _certain(answer: Resolution, known: Mapping[str, Known]) -> Known | None:
    """Return the class that every path of a name refers to, or None if they differ."""
    entries = {id(entry.source): entry for path in answer.paths if (entry := known.get(path)) is not None}
    if len(entries) != 1 or any(path not in known for path in answer.paths):
        return None
    return next(iter(entries.values()))
