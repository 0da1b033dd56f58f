"""Read and translate every layer of a file, for a pair of frameworks."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.bindings import Page
from convpolicy.translation.calls import Context, read, with_changes
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.following import Follower, with_partials
from convpolicy.translation.functions import stand_in, stand_in_computed, with_code
from convpolicy.translation.names import Names
from convpolicy.translation.pages import Known, Mention, mentions, names_of
from convpolicy.translation.reading import CONV, CONV_TRANSPOSE, Request
from convpolicy.translation.scopes import Scope
from convpolicy.translation.snippets import Snippet
from convpolicy.translation.subclasses import Subclass, fixed_arguments
from convpolicy.translation.surroundings import Changes
from convpolicy.translation.values import Source, Value, as_call, in_parentheses, parse, text_of
from convpolicy.translation.writing import write, write_function


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


@attrs.frozen(eq=False)
class Row:
    """One layer of a file, and what the translation knows about it.

    Args:
        mention: the place that names the layer.
        name: name that the layer is assigned to.
        changes: changes to the layer by the code around it.
        request: the layer, or None if it cannot be read.
        snippet: the translation, or None.
        reason: why the layer cannot be translated, or None.
        subclass: the class of the file that fixes arguments of the layer, if this is its base class.
        stand_ins: nodes of the file by the names that stand for them in the request and the translation, without underscores.
    """

    mention: Mention
    name: str
    changes: Changes
    request: Request | None = None
    snippet: Snippet | None = None
    reason: str | None = None
    subclass: Subclass | None = None
    stand_ins: Mapping[str, ast.expr] = attrs.field(factory=dict)

    def call(self, source: Source) -> TranslatedCall:
        """Return the row of `translate_page`."""
        node = self.mention.node
        return TranslatedCall(node.lineno, source.of(node), self.snippet, self.reason)


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

    def rows(self, in_channels: Value) -> list[Row]:
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
            self._request(mention, changes, before, mention.node)
            for mention, _name, changes, before in self._own(in_channels)
            if mention.reason is None and mention.known is not None and isinstance(mention.node, ast.Call)
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
            word = "output" if row.is_function else "layer"
            known = channels.get(id(row.node))
            if known is None and in_channels is not None and row.known is not None and not row.known.source.says_channels:
                changes.notes.append(f"in_channels: {in_channels} as passed, since the file does not contain it")
            rows.append((row, name or f"{word}{number}", changes, known or in_channels))
        return rows

    def _row(self, mention: Mention, name: str, changes: Changes, in_channels: Value) -> Row:
        row = Row(mention, name, changes)
        subclass = fixed_arguments(mention.use, self.page)
        if isinstance(subclass, str):
            return attrs.evolve(row, reason=subclass)
        if subclass is None and (mention.reason is not None or mention.known is None):
            return attrs.evolve(row, reason=mention.reason)
        try:
            return self._translated(attrs.evolve(row, subclass=subclass), in_channels)
        except ConvPolicyError as error:
            with suppress(ConvPolicyError):
                computed = self._computed(mention, subclass)
                if computed[1]:
                    return self._translated(attrs.evolve(row, subclass=subclass, stand_ins=computed[1]), in_channels, computed[0])
            return attrs.evolve(row, reason=self._shown(row, str(error)))

    def _translated(self, row: Row, in_channels: Value, call: ast.Call | None = None) -> Row:
        """Return a row with its translation; ``call`` replaces the call of the file."""
        assert row.mention.known is not None
        source = row.mention.known.source
        if call is None:
            call = row.subclass.call if row.subclass is not None else row.mention.node  # type: ignore[assignment]
        assert isinstance(call, ast.Call)
        if source.data:
            call, nodes = stand_in(call, source.parameters, source.data)
            row = attrs.evolve(row, stand_ins=nodes)
        row = attrs.evolve(row, request=self._request(row.mention, row.changes, in_channels, call))
        return attrs.evolve(row, snippet=self.snippet(row))

    def _computed(self, mention: Mention, subclass: Subclass | None) -> tuple[ast.Call, dict[str, ast.expr]]:
        """Return the call with names for its computed sizes, and the nodes of these sizes."""
        call = mention.node if subclass is None else subclass.call
        if not isinstance(call, ast.Call) or mention.known is None or mention.is_function or mention.resolution.partial:
            return ast.Call(ast.Name("", ast.Load()), [], []), {}
        source = mention.known.source
        return stand_in_computed(call, source.parameters, source.names)

    def _shown(self, row: Row, reason: str) -> str:
        """Return a reason with the code of the tensors of a functional convolution, whose sizes a call cannot contain."""
        known = row.mention.known
        if known is None or not known.source.data or not isinstance(row.mention.node, ast.Call):
            return reason
        with suppress(ConvPolicyError):
            nodes = stand_in(row.mention.node, known.source.parameters, known.source.data)[1]
            reason = with_code(reason, self.code(nodes))
        return reason.replace("write its value", "write a layer in its place")

    def code(self, nodes: Mapping[str, ast.expr]) -> dict[str, str]:
        """Return the code of nodes, in parentheses where needed."""
        return {name: in_parentheses(self.source.of(node), node) for name, node in nodes.items()}

    def snippet(self, row: Row, name: str | None = None, *, with_stand_ins: bool = False) -> Snippet:
        """Write the translation of a layer.

        Args:
            row: the layer, which has a request.
            name: name that its statements use for the layer; the default is the name in the file.
            with_stand_ins: True keeps the names that stand for code of the file.

        Raises:
            ConvPolicyError: the target cannot express the layer, or a computed size would be computed twice.
        """
        assert row.request is not None
        target = self.pair.target
        if row.mention.is_function:
            snippet = write_function(row.request, target, name or row.name)
        elif row.subclass is not None:
            snippet = write(row.request, target, name or "layer")
            snippet = attrs.evolve(snippet, name=row.subclass.name, parameters=row.subclass.parameters)
        else:
            snippet = write(row.request, target, name or row.name)
            text = "".join([snippet.layer, *snippet.statements])
            if twice := [node for key, node in row.stand_ins.items() if text.count(f"__{key}__") > 1]:
                raise InvalidValueError(f"{text_of(twice[0])} would be computed twice; assign it to a name.")
        lines = {key: text_of(node) for key, node in row.stand_ins.items()}
        snippet = attrs.evolve(snippet, notes=tuple(with_code(note, lines) for note in snippet.notes))
        if with_stand_ins:
            return snippet
        code = self.code(row.stand_ins)
        return attrs.evolve(
            snippet, layer=with_code(snippet.layer, code), statements=tuple(with_code(part, code) for part in snippet.statements)
        )

    def _request(self, row: Mention, changes: Changes, in_channels: Value, node: ast.Call) -> Request:
        context = attrs.evolve(self.pair.source, names=True)

        def path(name: str) -> str | None:
            return self.path(name, row.use.scope)

        assert row.known is not None
        call = as_call(with_partials(node, row.resolution.partial), arithmetic=True, path=path)
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
