"""The comments that a translated file gets: at layers that are left, at translated layers, and for all of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from convpolicy.translation.source_file import Row, SourceFile
from convpolicy.translation.surroundings import ALONE
from convpolicy.translation.values import dotted, text_of

MARK = "# convpolicy: "
GENERAL = ("input: (", "weight: axes", "initial values: same")  # starts of comments that belong to a pair of frameworks


def comment(text: str) -> str:
    """Return a comment of one line."""
    return MARK + " ".join(text.split())


def reason_of(row: Row, target: str) -> str:
    """Return why a layer is left, and what to do."""
    if row.reason == ALONE:
        return f"{row.mention.resolution.path} is not translated; replace it with a layer of {target}."
    refused = "" if "cannot be translated" in str(row.reason) else "not translated: "
    return f"{refused}{row.reason}"


def common_notes(notes: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the notes about the frameworks, and those that all layers have, of at least two."""
    several = [part for part in notes if part]
    every = [note for note in several[0] if all(note in part for part in several)] if len(several) > 1 else []
    general = [note for part in several for note in part if note.startswith(GENERAL)]
    return [*dict.fromkeys([*general, *every])]


def notes_of(row: Row, notes: Sequence[str]) -> Iterator[str]:
    """Yield the comments of a layer; code that stays in the file is not left out."""
    for note in notes:
        if note.endswith("which is ignored here"):  # code that uses the layer, and still does
            continue
        text = note.replace("after it is ignored here", "after it is not changed")
        yield text.replace("is left out", "is not changed") if " line " in text else text
    changes = row.changes
    for role, call in changes.initial.items():
        yield f"initial {role}: that of {text_of(call)} at line {call.lineno}; remove that line"
    for cast in changes.casts:
        yield f"dtype: that of {cast}; remove that line"


def containers(source: SourceFile, row: Row) -> Iterator[tuple[ast.Call, str]]:
    """Yield a comment for every container of the source framework that has a translated layer."""
    dialect = source.pair.source.dialect
    assert dialect.reader is not None
    for node in row.mention.use.trail or ():
        name = dotted(node.func) if isinstance(node, ast.Call) else None
        path = None if name is None else source.names.path(name, row.mention.use.scope)
        if isinstance(node, ast.Call) and path in dialect.reader.surroundings.containers:
            yield node, f"{path} is not translated; replace it with a container of {source.pair.target.name}."
