"""Scopes of Python code, the names that they bind, and the uses of names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

import attrs


class Trail(NamedTuple):
    """A node of the syntax tree and the nodes around it, from the inside out."""

    node: ast.AST
    outer: Trail | None

    def __iter__(self) -> Iterator[ast.AST]:
        """Yield the node, its parent, and so on up to the module."""
        trail: Trail | None = self
        while trail is not None:
            yield trail.node
            trail = trail.outer


@attrs.define(eq=False)
class Scope:
    """The names of a module, a function, a class or a comprehension.

    Args:
        kind: ``"module"``, ``"function"``, ``"class"`` or ``"comprehension"``.
        name: name of the function or class, used in messages.
        parent: the enclosing scope.
        bindings: every `Binding` of each name in this scope.
        declared: ``"global"`` or ``"nonlocal"`` for each name that is declared so.
        first: first parameter of a function; in a method, the instance.
    """

    kind: str
    name: str
    parent: Scope | None
    bindings: dict[str, list[Binding]] = attrs.field(factory=dict)
    declared: dict[str, str] = attrs.field(factory=dict)
    first: str | None = None

    @property
    def module(self) -> Scope:
        """The scope of the file."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def owner(self, name: str) -> Scope | None:
        """Return the scope that binds a name for code in this scope, or None if nothing in the file binds it."""
        scope: Scope | None = self
        while scope is not None:
            if scope.declared.get(name) == "global":
                return scope.module if name in scope.module.bindings else None
            visible = scope is self or scope.kind != "class"
            if visible and name in scope.bindings and name not in scope.declared:
                return scope
            scope = scope.parent
        return None

    def bind(self, name: str, binding: Binding) -> None:
        """Record a binding by code in this scope, in the scope that ``global`` or ``nonlocal`` selects."""
        scope = self
        if self.declared.get(name) == "global":
            scope = self.module
        elif self.declared.get(name) == "nonlocal":
            outer = self.parent
            while outer is not None and not (outer.kind == "function" and name in outer.bindings):
                outer = outer.parent
            scope = outer or self
        scope.bindings.setdefault(name, []).append(binding)


class Binding(NamedTuple):
    """One place that binds a name: to the imported ``path``, to ``value`` read in ``scope``, or in the way that ``how`` describes."""

    line: int
    scope: Scope
    path: str | None = None
    value: ast.expr | None = None
    how: str = ""
    own: bool = False  # a class or function of the file


class Use(NamedTuple):
    """One use of a name or dotted name: its text, its node, the scope of the code, and the nodes around it."""

    text: str
    node: ast.expr
    scope: Scope
    trail: Trail | None

    @property
    def parent(self) -> ast.AST | None:
        """The parent node."""
        return None if self.trail is None else self.trail.node

    @property
    def call(self) -> ast.Call | None:
        """The call of the name, or None if it is not called."""
        parent = self.parent
        return parent if isinstance(parent, ast.Call) and parent.func is self.node else None
