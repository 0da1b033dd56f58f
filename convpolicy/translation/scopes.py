"""What binds the names of a file, scope by scope, as Python itself decides it; nothing of the file is run.

One pass with a stack of its own, so that its time grows with the file and no nesting is too deep. libcst resolves names as well;
it needs 90 seconds and 1 GB for a file of 1 MB, this 1 second. The tests hold it against the standard library's `symtable`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs

from convpolicy.translation.values import dotted

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TARGETS = {
    ast.For: "a loop variable", ast.AsyncFor: "a loop variable", ast.comprehension: "a loop variable",
    ast.withitem: "bound by `with`", ast.Delete: "deleted", ast.AugAssign: "changed in place",
}  # fmt: skip


class Trail(NamedTuple):
    """A node and the nodes around it, from the inside out."""

    node: ast.AST
    outer: Trail | None

    def __iter__(self) -> Iterator[ast.AST]:  # type: ignore[override]
        """Yield the node, what it is part of, and so on up to the module."""
        trail: Trail | None = self
        while trail is not None:
            yield trail.node
            trail = trail.outer


@attrs.define(eq=False)
class Scope:
    """The names of a module, a function, a class or a comprehension.

    Args:
        kind: ``"module"``, ``"function"``, ``"class"`` or ``"comprehension"``.
        name: of the function or class, for messages.
        parent: the scope around it.
        bindings: name -> everything that binds it here.
        declared: name -> ``"global"`` or ``"nonlocal"``.
        first: the first parameter of a function, which is the instance in a method.
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
        """Return the scope whose bindings a name means when code of this scope reads it, or None where nothing in the file binds it."""
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
        """Record what binds a name in code of this scope: where ``global`` and ``nonlocal`` say, else here."""
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
    """One place that binds a name: by an absolute import to ``path``, or to ``value`` as read in ``scope``, or by what ``how`` says."""

    line: int
    scope: Scope
    path: str | None = None
    value: ast.expr | None = None
    how: str = ""
    own: bool = False  # a class or function of the file


class Use(NamedTuple):
    """A name or dotted name in the file: its text, its node, the scope that reads it, and what is around it."""

    text: str
    node: ast.expr
    scope: Scope
    trail: Trail | None

    @property
    def parent(self) -> ast.AST | None:
        """The node that it is directly part of."""
        return None if self.trail is None else self.trail.node

    @property
    def call(self) -> ast.Call | None:
        """The call of it, or None where it is not called."""
        parent = self.parent
        return parent if isinstance(parent, ast.Call) and parent.func is self.node else None


@attrs.define(eq=False)
class Page:
    """A file with every scope, binding and use of a name.

    Args:
        tree: of the file.
        module: its outermost scope.
        uses: every name or longest dotted name that is read.
        stores: every dotted name that is assigned to or deleted.
        stars: module and line of every ``from module import *``; a relative module begins with a dot.
    """

    tree: ast.Module
    module: Scope = attrs.field(factory=lambda: Scope("module", "", None))
    uses: list[Use] = attrs.field(factory=list)
    stores: list[Use] = attrs.field(factory=list)
    stars: list[tuple[str, int]] = attrs.field(factory=list)

    @classmethod
    def of(cls, tree: ast.Module) -> Page:
        """Read a tree."""
        page = cls(tree)
        stack: list[tuple[Any, Scope, Trail | None]] = [(tree, page.module, None)]
        while stack:
            node, scope, trail = stack.pop()
            handler = HANDLERS.get(type(node))
            if handler is None:
                inside = Trail(node, trail)
                stack += [(child, scope, inside) for child in reversed(list(ast.iter_child_nodes(node)))]
            else:
                children = handler(page, node, scope, trail)
                inside = Trail(node, trail)
                stack += [(child, inner, inside) for child, inner in reversed(children)]
        return page


Children = list[tuple[ast.AST, Scope]]


def _function(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    named = not isinstance(node, ast.Lambda)
    name = node.name if named else "a lambda"
    inner = Scope("function", name, scope, first=parameters[0].arg if parameters[0] is not None else None)
    for parameter in filter(None, parameters):
        inner.bind(parameter.arg, Binding(parameter.lineno, inner, how=f"a parameter of {name}"))
    defaults = zip([*arguments.posonlyargs, *arguments.args][::-1], arguments.defaults[::-1])
    for parameter, default in (*defaults, *zip(arguments.kwonlyargs, arguments.kw_defaults)):
        if default is not None:
            inner.bind(parameter.arg, Binding(parameter.lineno, scope, value=default))
    outside = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
    outside += [parameter.annotation for parameter in parameters if parameter is not None and parameter.annotation is not None]
    if not named:
        return [*((part, scope) for part in outside), (node.body, inner)]
    scope.bind(name, Binding(node.lineno, scope, how="a function of this file", own=True))
    outside += [*node.decorator_list, *filter(None, [node.returns])]
    return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]


def _class(page: Page, node: ast.ClassDef, scope: Scope, trail: Trail | None) -> Children:
    scope.bind(node.name, Binding(node.lineno, scope, how="a class of this file", own=True))
    inner = Scope("class", node.name, scope)
    outside = [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
    return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]


def _comprehension(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    inner = Scope("comprehension", "", scope)
    first, *rest = node.generators
    parts: list[ast.AST] = [first.target, *first.ifs, *rest]
    parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    for generator in node.generators:
        _unknown(generator.target, inner, "a loop variable")
    return [(first.iter, scope), *((part, inner) for part in parts)]


def _import(page: Page, node: ast.Import, scope: Scope, trail: Trail | None) -> Children:
    for alias in node.names:
        first = alias.name.partition(".")[0]
        scope.bind(alias.asname or first, Binding(node.lineno, scope, path=alias.name if alias.asname else first))
    return []


def _import_from(page: Page, node: ast.ImportFrom, scope: Scope, trail: Trail | None) -> Children:
    module = "." * node.level + (node.module or "")
    for alias in node.names:
        if alias.name == "*":
            page.stars.append((module, node.lineno))
        elif node.level:
            scope.bind(alias.asname or alias.name, Binding(node.lineno, scope, how=f"imported from {module}"))
        else:
            scope.bind(alias.asname or alias.name, Binding(node.lineno, scope, path=f"{module}.{alias.name}"))
    return []


def _declare(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    kind = "global" if isinstance(node, ast.Global) else "nonlocal"
    scope.declared |= dict.fromkeys(node.names, kind)
    return []


def _assign(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if isinstance(node, ast.NamedExpr):
        inside = scope
        while inside.kind == "comprehension" and inside.parent is not None:
            inside = inside.parent
        _values(node.target, node.value, inside, scope)
    elif node.value is None and isinstance(node.target, ast.Name):
        scope.bindings.setdefault(node.target.id, [])  # an annotation alone makes it a name of this scope
    else:
        for target in targets:
            _values(target, node.value, scope, scope)
    parts = [*targets, *([node.annotation] if isinstance(node, ast.AnnAssign) else []), *([node.value] if node.value else [])]
    return [(part, scope) for part in parts]


def _values(target: ast.expr, value: ast.expr, scope: Scope, read: Scope) -> None:
    """Bind a target to a value, and names in a row to values in a row."""
    rows = (ast.Tuple, ast.List)
    if isinstance(target, ast.Name):
        scope.bind(target.id, Binding(target.lineno, read, value=value))
    elif isinstance(target, rows) and isinstance(value, rows) and len(target.elts) == len(value.elts):
        if any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts)):
            _unknown(target, scope, "unpacked")
        else:
            for one, its in zip(target.elts, value.elts):
                _values(one, its, scope, read)
    else:
        _unknown(target, scope, "unpacked")


def _unknown(target: ast.AST, scope: Scope, how: str) -> None:
    for part in ast.walk(target):
        if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del)):
            scope.bind(part.id, Binding(part.lineno, scope, how=how))


def _target(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    how = TARGETS[type(node)]
    for target in node.targets if isinstance(node, ast.Delete) else [getattr(node, "target", None) or node.optional_vars]:
        if target is not None and not isinstance(node, ast.comprehension):
            _unknown(target, scope, how)
    return [(part, scope) for part in ast.iter_child_nodes(node)]


def _named(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    name = node.rest if isinstance(node, ast.MatchMapping) else node.name
    if name is not None:
        how = "an exception" if isinstance(node, ast.ExceptHandler) else "matched by a pattern"
        scope.bind(name, Binding(node.lineno, scope, how=how))
    return [(part, scope) for part in ast.iter_child_nodes(node)]


def _read(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    text = dotted(node)
    if text is None:
        return [(node.value, scope)]
    if isinstance(node.ctx, ast.Load):
        page.uses.append(Use(text, node, scope, trail))
    elif isinstance(node, ast.Attribute):
        page.stores.append(Use(text, node, scope, trail))
    return []


HANDLERS: dict[type, Any] = {
    **dict.fromkeys((*FUNCTIONS, ast.Lambda), _function),
    ast.ClassDef: _class,
    **dict.fromkeys(COMPREHENSIONS, _comprehension),
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    **dict.fromkeys((ast.Global, ast.Nonlocal), _declare),
    **dict.fromkeys((ast.Assign, ast.AnnAssign, ast.NamedExpr), _assign),
    **dict.fromkeys(TARGETS, _target),
    **dict.fromkeys((ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping), _named),
    **dict.fromkeys((ast.Name, ast.Attribute), _read),
}
