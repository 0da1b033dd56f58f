"""Every layer of a file, found by what its names mean; nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from convpolicy.translation.bindings import Page
from convpolicy.translation.dialect import Dialect, SourceClass
from convpolicy.translation.names import Names, Resolution
from convpolicy.translation.scopes import Use
from convpolicy.translation.surroundings import ALONE, Surroundings

NAMED = "it is named here, not called; translate the place where it is called."


class Known(NamedTuple):
    """A class that can be read, and the dialect it is of."""

    dialect: Dialect
    source: SourceClass


class Mention(NamedTuple):
    """One place of a file that names a layer.

    Args:
        use: the name.
        resolution: what it means.
        known: the class, where it certainly is one that can be read.
        reason: why it is not translated, or None.
        beside: whether it is another layer, not like a Conv1d.
    """

    use: Use
    resolution: Resolution
    known: Known | None = None
    reason: str | None = None
    beside: bool = False

    @property
    def node(self) -> ast.expr:
        """The call, or the name where it is not called."""
        return self.use.call or self.use.node


def known_paths(dialects: Iterable[Dialect], first: Dialect) -> dict[str, Known]:
    """Return dotted name -> class of every dialect; of two dialects that read one class, ``first`` is meant."""
    paths: dict[str, Known] = {}
    for dialect in (first, *(dialect for dialect in dialects if dialect.name != first.name)):
        for source in dialect.source_classes:
            for path in (source.title, *source.paths):
                paths.setdefault(path, Known(dialect, source))
    return paths


def names_of(page: Page, dialect: Dialect, known: Mapping[str, Known]) -> Names:
    """Return what the names of a file mean, for code of a dialect.

    Args:
        page: the file.
        dialect: whose customs hold for code without its imports.
        known: dotted name -> class, see `known_paths`.
    """
    surroundings = _surroundings(dialect)
    customary: dict[str, str] = dict(surroundings.customary)
    for source in reversed(dialect.source_classes):  # the first class wins
        customary |= {path.rpartition(".")[2]: path for path in reversed((source.title, *source.paths))}
    customary |= dialect.reader.modules if dialect.reader is not None else {}
    others = {entry.dialect.name: entry.dialect for entry in known.values() if entry.dialect.name != dialect.name}
    elsewhere = frozenset(package for other in others.values() for package in other.packages)
    return Names(
        page, customary, (dialect.packages, elsewhere - dialect.packages),
        lambda path: path in known or surroundings.is_named(path),
    )  # fmt: skip


def mentions(page: Page, names: Names, known: Mapping[str, Known], dialect: Dialect) -> list[Mention]:
    """Return every layer that is named in a file, in the order of the text: those of a dialect, and what can be read of others."""
    shorts = _shorts(dialect)
    surroundings = _surroundings(dialect)
    rows = [row for use in page.uses if (row := _mention(use, names, known, dialect, surroundings, shorts)) is not None]
    return sorted(rows, key=lambda mention: (mention.node.lineno, mention.node.col_offset))


def _surroundings(dialect: Dialect) -> Surroundings:
    return Surroundings() if dialect.reader is None else dialect.reader.surroundings


def _shorts(dialect: Dialect) -> frozenset[str]:
    """Return the last parts of the names of classes that are a Conv1d, or like one; ``self.conv`` is usually a layer, no function."""
    paths = [path for source in dialect.source_classes for path in (source.title, *source.paths)]
    names = (path.rpartition(".")[2] for path in (*paths, *_surroundings(dialect).alike))
    return frozenset(name for name in names if name[:1].isupper())


def _mention(
    use: Use, names: Names, known: Mapping[str, Known], dialect: Dialect, surroundings: Surroundings, shorts: frozenset[str]
) -> Mention | None:
    answer = names.resolve(use.text, use.scope)
    called = use.call is not None
    own = [path for path in answer.paths if path in known and known[path].dialect is dialect]
    if not answer.doubts and (certain := _certain(answer, known)) is not None:
        return Mention(use, answer, certain, None if called else _named(use))
    path = answer.path
    if path is not None and called:
        if path in surroundings.alike:
            return Mention(use, answer, reason=f"{path} is not read: {surroundings.alike[path]}.")
        return Mention(use, answer, reason=ALONE, beside=True) if surroundings.is_layer(path) else None
    like = bool(answer.doubts) and use.text.rpartition(".")[2] in shorts
    if not called or not (own or like):
        return None
    title = own[0] if own else dialect.source_classes[0].title
    several = f"{use.text} is bound to {' and '.join(path.lstrip('.') for path in answer.paths)}" if len(answer.paths) > 1 else ""
    doubts = "; ".join([*answer.doubts, *filter(None, [several])])
    return Mention(use, answer, reason=f"{use.text} is not certainly {title}: {doubts}; import it once, under a name of its own.")


def _named(use: Use) -> str:
    """Return why a class that is not called is not translated."""
    parent = use.parent
    if isinstance(parent, ast.ClassDef):
        return f"class {parent.name} is made of it, with code of its own; translate a call of {use.text} and move that code yourself."
    return NAMED


def _certain(answer: Resolution, known: Mapping[str, Known]) -> Known | None:
    """Return the class that every path of a name is of, or None."""
    entries = {id(entry.source): entry for path in answer.paths if (entry := known.get(path)) is not None}
    if len(entries) != 1 or any(path not in known for path in answer.paths):
        return None
    return next(iter(entries.values()))
