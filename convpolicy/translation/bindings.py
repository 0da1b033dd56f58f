"""`Page`: the scopes of a file, and what binds each name in them, by Python's rules. The file is never run.

One pass with an explicit stack reads the tree. Its time grows linearly with the file, and no nesting is too deep. It needs 1 second for
a file of 1 MB, for which libcst needs 90 seconds and 1 GB. The tests compare it with the standard library's `symtable`.
"""

from __future__ import annotations

import ast
from typing import Any

import attrs

from convpolicy.translation.scopes import Binding, Scope, Trail, Use
from convpolicy.translation.values import dotted

LEAVES = {
    type(None), str, int, bool, ast.Constant, ast.Load, ast.Store, ast.Del, ast.Pass, ast.Break, ast.Continue,
    *ast.operator.__subclasses__(), *ast.unaryop.__subclasses__(), *ast.cmpop.__subclasses__(), *ast.boolop.__subclasses__(),
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TARGETS = {
    ast.For: "a loop variable", ast.AsyncFor: "a loop variable", ast.comprehension: "a loop variable",
    ast.withitem: "bound by `with`", ast.Delete: "deleted", ast.AugAssign: "changed in place",
}  # fmt: skip


@attrs.define(eq=False)
class Page:
    """A file, with every scope, binding and use of a name.

    Args:
        tree: syntax tree of the file.
        module: outermost scope.
        uses: every name that is read; of a dotted name, the longest form.
        stores: every dotted name that is assigned to or deleted.
        stars: module and line of every ``from module import *``; a relative module begins with a dot.
        assigned: ``id(value) -> (name, statement)`` for every call that is the whole right side of an assignment to one name.
    """

    tree: ast.Module
    module: Scope = attrs.field(factory=lambda: Scope("module", "", None))
    uses: list[Use] = attrs.field(factory=list)
    stores: list[Use] = attrs.field(factory=list)
    stars: list[tuple[str, int]] = attrs.field(factory=list)
    assigned: dict[int, tuple[str, ast.stmt]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, tree: ast.Module) -> Page:
        """Collect the scopes, bindings and uses of a tree."""
        page = cls(tree)
        stack: list[tuple[Any, Scope, Trail | None]] = [(tree, page.module, None)]
        while stack:
            node, scope, trail = stack.pop()
            handler = HANDLERS.get(type(node))
            if handler is not None:
                children = handler(page, node, scope, trail)
                if children:
                    inside = Trail(node, trail)
                    stack += [(child, inner, inside) for child, inner in reversed(children) if type(child) not in LEAVES]
                continue
            inside = Trail(node, trail)
            for field in reversed(node._fields):
                value = getattr(node, field)
                if isinstance(value, list):
                    stack += [(part, scope, inside) for part in reversed(value) if type(part) not in LEAVES]
                elif type(value) not in LEAVES:
                    stack.append((value, scope, inside))
        return page


Children = list[tuple[ast.AST, Scope]]


def _function(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    is_named = not isinstance(node, ast.Lambda)
    name = node.name if is_named else "a lambda"
    inner = Scope("function", name, scope, first=parameters[0].arg if parameters[0] is not None else None)
    for parameter in filter(None, parameters):
        inner.bind(parameter.arg, Binding(parameter.lineno, inner, how=f"a parameter of {name}"))
    defaults = zip([*arguments.posonlyargs, *arguments.args][::-1], arguments.defaults[::-1])
    for parameter, default in (*defaults, *zip(arguments.kwonlyargs, arguments.kw_defaults)):
        if default is not None:
            inner.bind(parameter.arg, Binding(parameter.lineno, scope, value=default))
    outside = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
    outside += [parameter.annotation for parameter in parameters if parameter is not None and parameter.annotation is not None]
    if not is_named:
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
        _bind_unknown(generator.target, inner, "a loop variable")
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
        scope.bindings.setdefault(node.target.id, [])  # an annotation without a value also declares a local name
    else:
        for target in targets:
            _values(target, node.value, scope, scope)
        name = dotted(targets[0]) if len(targets) == 1 and isinstance(node.value, ast.Call) else None
        if name is not None:
            page.assigned[id(node.value)] = name, node
    parts = [*targets, *([node.annotation] if isinstance(node, ast.AnnAssign) else []), *([node.value] if node.value else [])]
    return [(part, scope) for part in parts]


def _values(target: ast.expr, value: ast.expr, scope: Scope, read: Scope) -> None:
    """Bind a target to a value; bind a tuple of names to a tuple of values one by one."""
    rows = (ast.Tuple, ast.List)
    if isinstance(target, ast.Name):
        scope.bind(target.id, Binding(target.lineno, read, value=value))
    elif isinstance(target, rows) and isinstance(value, rows) and len(target.elts) == len(value.elts):
        if any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts)):
            _bind_unknown(target, scope, "unpacked")
        else:
            for name, element in zip(target.elts, value.elts):
                _values(name, element, scope, read)
    else:
        _bind_unknown(target, scope, "unpacked")


def _bind_unknown(target: ast.AST, scope: Scope, how: str) -> None:
    for part in ast.walk(target):
        if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del)):
            scope.bind(part.id, Binding(part.lineno, scope, how=how))


def _target(page: Page, node: Any, scope: Scope, trail: Trail | None) -> Children:
    how = TARGETS[type(node)]
    for target in node.targets if isinstance(node, ast.Delete) else [getattr(node, "target", None) or node.optional_vars]:
        if target is not None and not isinstance(node, ast.comprehension):
            _bind_unknown(target, scope, how)
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
