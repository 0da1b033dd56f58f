"""Find what the code around each layer of a file does to it, in one pass for all layers."""

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
    """Follow the layers of a file through the code around them.

    Args:
        page: the file.
        names: meaning of the names in the file.
        dialect: dialect of the framework.
        policy: policy of the framework.
        path: ``(name, scope) -> path``: the dotted path that the name of an argument refers to, or None.
    """

    page: Page
    names: Names
    dialect: Dialect
    policy: Policy
    path: Resolve

    def changes(self, mentions: Sequence[Mention]) -> list[tuple[str | None, Changes]]:
        """Return, for each layer, the name that it is assigned to or None, and the changes to it."""
        assert self.dialect.reader is not None
        surroundings = self.dialect.reader.surroundings
        rows: list[tuple[str | None, Changes]] = []
        bound: list[Bound] = []
        for mention in mentions:
            if mention.use.call is None or mention.is_function:
                name, _statement = self.page.assigned.get(id(mention.use.call), (None, None))
                rows.append((name, Changes(top=mention.use.call)))
                continue
            changes = around(mention.use, self.names.path, surroundings, self.dtype)
            name, statement = self.page.assigned.get(id(changes.top), (None, None))
            star = self.names.overriding(mention.use.text, mention.use.scope)
            if star is not None:
                changes.notes.append(
                    f"{mention.use.text.partition('.')[0]} is assumed to be what its import says, but {star} may redefine it"
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
        """Return the dtype that one of the arguments of a call names, or None."""
        assert self.dialect.reader is not None
        arguments = ast.Call(ast.Name("cast", ast.Load()), call.args, call.keywords)
        try:
            parsed = as_call(arguments, arithmetic=True, path=lambda name: self.path(name, scope))
        except ConvPolicyError:
            return None
        values = [*parsed.positional, *(value for _name, value in parsed.keywords)]
        return next((dtype for value in values if (dtype := dtype_of(value, self.dialect.reader.dtypes)) is not None), None)


def with_partials(call: ast.Call, partials: Sequence[ast.Call]) -> ast.Call:
    """Return a call with the arguments of ``functools.partial`` added.

    Args:
        call: call of the name that the partial is assigned to.
        partials: the calls of ``partial``, outermost last.

    Raises:
        InvalidValueError: an argument of a partial is not a literal; the message contains the argument.
    """
    for partial in reversed(partials):
        for argument in (*partial.args[1:], *(keyword.value for keyword in partial.keywords)):
            try:
                ast.literal_eval(argument)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                text = text_of(argument)
                raise InvalidValueError(
                    f"the arguments of partial must be literals, got {text} at line {partial.lineno}; call the class directly."
                ) from None
        names = {keyword.arg for keyword in call.keywords}
        keywords = [keyword for keyword in partial.keywords if keyword.arg not in names]
        call = ast.Call(call.func, [*partial.args[1:], *call.args], [*keywords, *call.keywords])
    return call
