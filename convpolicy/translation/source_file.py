"""One file of source code for a pair of frameworks: every layer in it, read and translated."""

from __future__ import annotations

import ast
from typing import Any

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.bindings import Page
from convpolicy.translation.calls import Context, read, with_changes
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.following import Follower, with_partials
from convpolicy.translation.names import Names
from convpolicy.translation.pages import Known, Mention, mentions, names_of
from convpolicy.translation.reading import Request
from convpolicy.translation.scopes import Scope
from convpolicy.translation.surroundings import Changes
from convpolicy.translation.values import Source, Value, as_call, parse
from convpolicy.translation.writing import Snippet, write


@attrs.frozen
class TranslatedCall:
    """One Conv1d of a file.

    Args:
        line: its line in the file, from 1.
        original: its text.
        snippet: the translation, or None.
        reason: why there is none, or None.
    """

    line: int
    original: str
    snippet: Snippet | None = attrs.field(default=None, repr=False)
    reason: str | None = None

    @property
    def code(self) -> str | None:
        """The translation with its own imports, or None."""
        return None if self.snippet is None else self.snippet.code

    def to_dict(self) -> dict[str, Any]:
        """Return line, original, code and reason as plain data, ready for JSON."""
        return {"line": self.line, "original": self.original, "code": self.code, "reason": self.reason}


def _call_in(tree: ast.Module) -> ast.Call | None:
    """Return the call of a single statement: alone, assigned, with a comma behind it, or called on something at once."""
    single = len(tree.body) == 1 and isinstance(tree.body[0], (ast.Expr, ast.Assign, ast.AnnAssign))
    value = getattr(tree.body[0], "value", None) if single else None
    if isinstance(value, ast.Tuple) and len(value.elts) == 1:
        value = value.elts[0]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Call):
        value = value.func
    return value if isinstance(value, ast.Call) else None


@attrs.frozen
class Pair:
    """Both frameworks, checked: what the source is read with, the target, and every class that can be read."""

    source: Context
    target: Dialect
    known: dict[str, Known]

    @property
    def title(self) -> str:
        """The class that the source's calls are expected to be of."""
        return self.source.dialect.source_classes[0].title

    def known_class(self, path: str) -> Known:
        """Return the source's class of a dotted name.

        Raises:
            InvalidValueError: another class, or another framework's; holds both.
        """
        known = self.known.get(path)
        if known is None or known.dialect is not self.source.dialect:
            other = f", which is {known.dialect.name}'s" if known else ""
            raise InvalidValueError(
                f"code must call {self.title}, got {path}{other}; pass such a call, or the framework as source=... (--from)."
            )
        return known


@attrs.frozen(eq=False)
class SourceFile:
    """A file that is read for a pair of frameworks."""

    pair: Pair
    source: Source
    page: Page
    names: Names
    mentions: list[Mention]
    call: ast.Call | None

    @classmethod
    def of(cls, code: str, pair: Pair) -> SourceFile:
        """Parse a file, and find its layers."""
        text, tree = parse(code)
        page, dialect = Page.of(tree), pair.source.dialect
        names = names_of(page, dialect, pair.known)
        return cls(pair, Source(text), page, names, mentions(page, names, pair.known, dialect), _call_in(tree))

    def path(self, name: str, scope: Scope | None = None) -> str | None:
        """Return the path of an argument's name: None where it is not certain, or another package's than the framework's."""
        resolution = self.names.resolve(name, scope or self.page.module)
        path = resolution.path
        packages = self.pair.source.dialect.packages | {"numpy"}
        foreign = path is not None and resolution.bound and path.partition(".")[0] not in packages
        return None if foreign else path

    def rows(self, in_channels: Value) -> list[TranslatedCall]:
        """Return every layer of the framework, with a translation or the reason why there is none.

        Raises:
            InvalidValueError: there is no layer of the framework; holds the others whose layers there are.
        """
        return [self._row(*row) for row in self._own(in_channels)]

    def requests(self, in_channels: Value) -> list[Request]:
        """Return what each call asks for, of those that can be read.

        Raises:
            ConvPolicyError: a call that is refused.
        """
        return [
            self._request(mention, changes, before)
            for mention, _name, changes, before in self._own(in_channels)
            if mention.reason is None and mention.known is not None
        ]

    def _own(self, in_channels: Value) -> list[tuple[Mention, str, Changes, Value]]:
        """Return every layer of the framework, its name, what the code around it changes, and the channels of its input."""
        dialect = self.pair.source.dialect
        own = [row for row in self.mentions if row.known is None or row.known.dialect is dialect]
        if all(row.beside for row in own):
            others = sorted({row.known.dialect.name for row in self.mentions if row.known is not None})
            hint = f" it has some of {', '.join(others)}: pass source=... (--from)." if others else " pass code that calls one."
            raise InvalidValueError(f"code must call {self.pair.title}, got {self.source.count} lines without;{hint}")
        follower = Follower(self.page, self.names, dialect, self.pair.source.policy, self.path)
        found, channels = follower.changes(own), self._channels()
        rows = []
        number = 0
        for row, (name, changes) in zip(own, found):
            number += not row.beside
            rows.append((row, name or f"layer{number}", changes, channels.get(id(row.node)) or in_channels))
        return rows

    def _row(self, row: Mention, name: str, changes: Changes, in_channels: Value) -> TranslatedCall:
        original, line = self.source.of(row.node), row.node.lineno
        if row.reason is not None or row.known is None:
            return TranslatedCall(line, original, reason=row.reason)
        try:
            return TranslatedCall(line, original, write(self._request(row, changes, in_channels), self.pair.target, name))
        except ConvPolicyError as error:
            return TranslatedCall(line, original, reason=str(error))

    def _request(self, row: Mention, changes: Changes, in_channels: Value) -> Request:
        context = attrs.evolve(self.pair.source, names=True)

        def path(name: str) -> str | None:
            return self.path(name, row.use.scope)

        assert isinstance(row.node, ast.Call)
        assert row.known is not None
        call = as_call(with_partials(row.node, row.resolution.partial), arithmetic=True, path=path)
        return with_changes(read(call, row.known.source, context, in_channels), changes, context.dialect, path)

    def _channels(self) -> dict[int, Value]:
        """Return ``id(call) -> channels`` where the rest of the file says how many channels the input of a call has."""
        dialect = self.pair.source.dialect
        if dialect.reader is None or dialect.reader.channels is None:
            return {}
        uses = {id(use.node): use for use in self.page.uses if use.call is not None}

        def path(node: ast.AST) -> str | None:
            use = uses.get(id(node))
            return None if use is None else self.names.path(use.text, use.scope)

        with dialect.blamed("following the channels of a page"):
            return dict(dialect.reader.channels(self.page.tree, path))
