"""Read and translate every layer of a file, for a pair of frameworks."""

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
from convpolicy.translation.reading import CONV, CONV_TRANSPOSE, Request
from convpolicy.translation.scopes import Scope
from convpolicy.translation.surroundings import Changes
from convpolicy.translation.values import Source, Value, as_call, parse
from convpolicy.translation.writing import Snippet, write


@attrs.frozen
class TranslatedCall:
    """One layer of a file, with its translation or the reason why there is none.

    Args:
        line: line number in the file, from 1.
        original: source code of the call.
        snippet: the translation, or None.
        reason: why the layer cannot be translated, or None.
    """

    line: int
    original: str
    snippet: Snippet | None = attrs.field(default=None, repr=False)
    reason: str | None = None

    @property
    def code(self) -> str | None:
        """The translated code with its imports, or None."""
        return None if self.snippet is None else self.snippet.code

    def to_dict(self) -> dict[str, Any]:
        """Return line, original, code and reason as plain data, ready for JSON."""
        return {"line": self.line, "original": self.original, "code": self.code, "reason": self.reason}


def _call_in(tree: ast.Module) -> ast.Call | None:
    """Return the layer's call in code of one statement, such as ``nn.Conv1d(…)``, ``x = nn.Conv1d(…),`` or ``nn.Conv1d(…)(x)``."""
    is_single = len(tree.body) == 1 and isinstance(tree.body[0], (ast.Expr, ast.Assign, ast.AnnAssign))
    value = getattr(tree.body[0], "value", None) if is_single else None
    if isinstance(value, ast.Tuple) and len(value.elts) == 1:
        value = value.elts[0]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Call):
        value = value.func
    return value if isinstance(value, ast.Call) else None


@attrs.frozen
class Pair:
    """Source and target framework, and every class that can be read by its dotted name."""

    source: Context
    target: Dialect
    known: dict[str, Known]

    @property
    def title(self) -> str:
        """Name of the classes whose calls are translated, one of each kind of layer, used in messages."""
        titles = {source.layer: source.title for source in reversed(self.source.dialect.source_classes)}  # the first class wins
        return " or ".join(titles[layer] for layer in (CONV, CONV_TRANSPOSE) if layer in titles)

    def known_class(self, path: str) -> Known:
        """Return the layer class that a dotted name refers to.

        Raises:
            InvalidValueError: the name refers to something else, or to a class of another framework; the message names both.
        """
        layer_class = self.known.get(path)
        if layer_class is None or layer_class.dialect is not self.source.dialect:
            other = f", which belongs to {layer_class.dialect.name}" if layer_class else ""
            raise InvalidValueError(
                f"code must call {self.title}, got {path}{other}; pass such a call, or the framework as source=... (--from)."
            )
        return layer_class


@attrs.frozen(eq=False)
class SourceFile:
    """A file of source code, parsed for a pair of frameworks."""

    pair: Pair
    source: Source
    page: Page
    names: Names
    mentions: list[Mention]
    call: ast.Call | None

    @classmethod
    def of(cls, code: str, pair: Pair) -> SourceFile:
        """Parse a file and find its layers."""
        text, tree = parse(code)
        page, dialect = Page.of(tree), pair.source.dialect
        names = names_of(page, dialect, pair.known)
        return cls(pair, Source(text), page, names, mentions(page, names, pair.known, dialect), _call_in(tree))

    def path(self, name: str, scope: Scope | None = None) -> str | None:
        """Return the path that the name of an argument refers to, or None if it is uncertain or of another package."""
        resolution = self.names.resolve(name, scope or self.page.module)
        path = resolution.path
        packages = self.pair.source.dialect.packages | {"numpy"}
        foreign = path is not None and resolution.bound and path.partition(".")[0] not in packages
        return None if foreign else path

    def rows(self, in_channels: Value) -> list[TranslatedCall]:
        """Return every layer of the source framework, with its translation or the reason why there is none.

        Raises:
            InvalidValueError: the file has no layer of the framework; the message names the frameworks that it has layers of.
        """
        return [self._row(*row) for row in self._own(in_channels)]

    def requests(self, in_channels: Value) -> list[Request]:
        """Return one request per call that can be read.

        Raises:
            ConvPolicyError: a call has an argument that is refused.
        """
        return [
            self._request(mention, changes, before)
            for mention, _name, changes, before in self._own(in_channels)
            if mention.reason is None and mention.known is not None
        ]

    def _own(self, in_channels: Value) -> list[tuple[Mention, str, Changes, Value]]:
        """Return every layer of the framework with its name, the changes by the code around it, and its input channels."""
        dialect = self.pair.source.dialect
        own = [row for row in self.mentions if row.known is None or row.known.dialect is dialect]
        if all(row.beside for row in own):
            others = sorted({row.known.dialect.name for row in self.mentions if row.known is not None})
            hint = f" it has layers of {', '.join(others)}: pass source=... (--from)." if others else " pass code that has one."
            raise InvalidValueError(f"code must call {self.pair.title}, got {self.source.count} lines without such a call;{hint}")
        follower = Follower(self.page, self.names, dialect, self.pair.source.policy, self.path)
        changes_of_rows, channels = follower.changes(own), self._channels()
        rows = []
        number = 0
        for row, (name, changes) in zip(own, changes_of_rows):
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
        """Return ``id(call) -> channels`` for calls whose number of input channels follows from the rest of the file."""
        dialect = self.pair.source.dialect
        if dialect.reader is None or dialect.reader.channels is None:
            return {}
        uses = {id(use.node): use for use in self.page.uses if use.call is not None}

        def path(node: ast.AST) -> str | None:
            use = uses.get(id(node))
            return None if use is None else self.names.path(use.text, use.scope)

        with dialect.blamed("following the channels of a file"):
            return dict(dialect.reader.channels(self.page.tree, path))
