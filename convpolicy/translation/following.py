"""What the code around each layer of a file does to it, in one look through the file for all of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import attrs

from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.bindings import Page
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.names import Names
from convpolicy.translation.pages import Mention
from convpolicy.translation.reading import dtype_of
from convpolicy.translation.scopes import Scope
from convpolicy.translation.statements import Bound, Statements
from convpolicy.translation.surroundings import Changes, Resolve, around
from convpolicy.translation.values import as_call, text_of


@attrs.frozen(eq=False)
class Follower:
    """Follows the layers of a file.

    Args:
        page: the file.
        names: what its names mean.
        dialect: of the framework.
        policy: of the framework.
        path: ``(name, scope) -> path`` of an argument's name, or None.
    """

    page: Page
    names: Names
    dialect: Dialect
    policy: Policy
    path: Resolve

    def changes(self, mentions: Sequence[Mention]) -> list[tuple[str | None, Changes]]:
        """Return the name that each layer is bound to, or None, and what happens to it."""
        assert self.dialect.reader is not None
        surroundings = self.dialect.reader.surroundings
        rows: list[tuple[str | None, Changes]] = []
        bound: list[Bound] = []
        for mention in mentions:
            if mention.use.call is None:
                rows.append((None, Changes()))
                continue
            changes = around(mention.use, self.names.path, surroundings, self.dtype)
            name, statement = self.page.assigned.get(id(changes.top), (None, None))
            star = self.names.overriding(mention.use.text, mention.use.scope)
            if star is not None:
                changes.notes.append(
                    f"{mention.use.text.partition('.')[0]} is taken for what its own import says; {star} may bind it anew"
                )
            rows.append((name, changes))
            if name is not None and statement is not None:
                source = None if mention.known is None else mention.known.source
                outputs = frozenset() if source is None else frozenset({*source.parameters} - {*source.left_out})
                bound.append(Bound(name, mention.use, statement, None if source is None else changes, outputs))
        layout = self.policy.part("layout")[0]
        roles = {layout.weight: "weight", layout.bias: "bias"}
        statements = Statements(self.page, self.names.path, surroundings, self.dtype, roles)
        common = statements.follow(bound)
        for _name, changes in rows:
            changes.notes += common
        return rows

    def dtype(self, call: ast.Call, scope: Scope) -> str | None:
        """Return the dtype that an argument of a call names, or None."""
        assert self.dialect.reader is not None
        arguments = ast.Call(ast.Name("cast", ast.Load()), call.args, call.keywords)
        try:
            read = as_call(arguments, arithmetic=True, path=lambda name: self.path(name, scope))
        except ConvPolicyError:
            return None
        values = [*read.positional, *(value for _name, value in read.keywords)]
        return next((dtype for value in values if (dtype := dtype_of(value, self.dialect.reader.dtypes)) is not None), None)


def with_partials(call: ast.Call, partials: Sequence[ast.Call]) -> ast.Call:
    """Return a call with the arguments that a ``functools.partial`` holds.

    Args:
        call: of the name that the partial is bound to.
        partials: the calls of ``partial``, outermost last.

    Raises:
        InvalidValueError: a partial holds more than literals; holds what.
    """
    for partial in reversed(partials):
        for argument in (*partial.args[1:], *(keyword.value for keyword in partial.keywords)):
            try:
                ast.literal_eval(argument)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                text = text_of(argument)
                raise InvalidValueError(
                    f"a partial must hold literals, got {text} at line {partial.lineno}; write the call of the class itself."
                ) from None
        own = {keyword.arg for keyword in call.keywords}
        keywords = [keyword for keyword in partial.keywords if keyword.arg not in own]
        call = ast.Call(call.func, [*partial.args[1:], *call.args], [*keywords, *call.keywords])
    return call
