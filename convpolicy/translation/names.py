"""Resolve the names of a file to the dotted paths that they were imported from, or to the reason why that is uncertain."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Mapping

import attrs

from convpolicy.translation.bindings import Page
from convpolicy.translation.scopes import Binding, Scope
from convpolicy.translation.values import dotted, shown, text_of

PARTIALS = ("functools.partial", "partial")
MOST = 8  # the largest number of meanings recorded for a name
DEEPEST = 50  # the longest chain of names that are assigned to each other


@attrs.frozen
class Resolution:
    """The meaning of a name at the place where it is read.

    Args:
        paths: every dotted path that the name may refer to.
        doubts: reasons why it may refer to something else.
        bound: whether the file binds the name. A name that it does not bind refers to the customary path, or for itself.
        partial: calls of ``functools.partial`` around the class, outermost last.
    """

    paths: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    bound: bool = True
    partial: tuple[ast.Call, ...] = ()

    @property
    def path(self) -> str | None:
        """The only path that the name can refer to, or None when that is uncertain."""
        return self.paths[0] if len(self.paths) == 1 and not self.doubts else None


class Names:
    """The names of a file.

    Args:
        page: the file.
        customary: path of each name that code uses without its import.
        packages: top-level packages of the framework, and those of every other dialect.
        recognized: function that returns whether a path is relevant, for names that a star import may bind.
    """

    def __init__(
        self,
        page: Page,
        customary: Mapping[str, str],
        packages: tuple[frozenset[str], frozenset[str]],
        recognized: Callable[[str], bool],
    ) -> None:
        self._page, self._customary, self._recognized = page, customary, recognized
        own, others = packages
        self._stars = [(module, line) for module, line in page.stars if _top(module) not in sys.stdlib_module_names]
        self._foreign = [(module, line) for module, line in self._stars if _top(module) not in own]
        imports = {_top(binding.path) for binding in _bindings(page.module) if binding.path}
        self._elsewhere = sorted(imports & others) if not imports & own else []
        self._known: dict[tuple[int, str], Resolution] = {}
        self._under_way: set[int] = set()
        self._replaced: dict[str, int] = {}
        self._replaced = self._replacements()

    def _replacements(self) -> dict[str, int]:
        """Return the line of each assignment to an imported path, such as ``mylib.nn.Conv1d = Other``."""
        lines: dict[str, int] = {}
        for store in self._page.stores:
            for path in self.resolve(store.text, store.scope).paths:
                if self._recognized(path) or self._customary_path(path):
                    lines[path] = store.node.lineno
        for use in self._page.uses:
            call = use.call
            if use.text == "setattr" and call is not None and len(call.args) == 3 and isinstance(call.args[1], ast.Constant):
                owner = dotted(call.args[0])
                for path in self.resolve(owner, use.scope).paths if owner else ():
                    lines[f"{path}.{call.args[1].value!s}"] = call.lineno
        if lines:
            self._known.clear()
        return lines

    def _customary_path(self, path: str) -> bool:
        return path in self._customary.values()

    def overriding(self, name: str, scope: Scope) -> str | None:
        """Return the star import of another package that may redefine a module's name after its import, or None."""
        head = name.partition(".")[0]
        owner = scope.owner(head)
        if owner is not self._page.module or not self._foreign:
            return None
        last = max((binding.line for binding in owner.bindings[head]), default=0)
        later = next(((module, line) for module, line in self._foreign if line > last), None)
        return None if later is None else f"`from {later[0]} import *` at line {later[1]}"

    def path(self, name: str, scope: Scope) -> str | None:
        """Return the only path that a dotted name can refer to, or None when that is uncertain."""
        return self.resolve(name, scope).path

    def resolve(self, name: str, scope: Scope) -> Resolution:
        """Return the meaning of a dotted name in the code of a scope."""
        head, dot, rest = name.partition(".")
        owner = scope.owner(head)
        key = (id(owner), name)
        if key not in self._known:
            answer = self._unbound(name) if owner is None else self._bound(head, owner)
            if owner is not None and dot:
                answer = attrs.evolve(answer, paths=tuple(f"{path}.{rest}" for path in answer.paths))
                if answer.partial:
                    answer = Resolution(doubts=(f"{name} is an attribute of a partial",))
            for path in answer.paths:
                line = next((self._replaced[p] for p in _prefixes(path) if p in self._replaced), None) if self._replaced else None
                if line is not None:
                    answer = attrs.evolve(answer, doubts=(*answer.doubts, f"{path} is reassigned (line {line})"))
            self._known[key] = answer
        return self._known[key]

    def _unbound(self, name: str) -> Resolution:
        head, dot, rest = name.partition(".")
        if self._foreign and (head in self._customary or self._recognized(name)):
            module, line = self._foreign[0]
            return Resolution(doubts=(f"{head} may come from `from {module} import *` (line {line})",), bound=False)
        for module, _line in self._stars:
            if self._recognized(f"{module}.{name}"):
                return self._only_star(head, f"{module}.{name}")
        if head not in self._customary:
            return Resolution((name,), bound=False)
        if self._elsewhere:
            return Resolution(doubts=(f"this file does not define {head}, and it imports {self._elsewhere[0]}",), bound=False)
        return Resolution((f"{self._customary[head]}{dot}{rest}",), bound=False)

    def _only_star(self, head: str, path: str) -> Resolution:
        if self._foreign:
            module, line = self._foreign[0]
            return Resolution((path,), (f"{head} may come from `from {module} import *` (line {line})",), bound=False)
        return Resolution((path,), bound=False)

    def _bound(self, name: str, owner: Scope) -> Resolution:
        answers = [self._one(name, binding) for binding in owner.bindings[name]]
        return self._all(name, answers)

    def _all(self, name: str, answers: list[Resolution]) -> Resolution:
        """Join several meanings of a name; of more than `MOST`, keep the first ones and add a doubt."""
        paths = tuple(dict.fromkeys(path for answer in answers for path in answer.paths))
        doubts = tuple(dict.fromkeys(doubt for answer in answers for doubt in answer.doubts))
        if len(paths) > MOST:
            paths, doubts = paths[:MOST], (*doubts, f"{name} is bound more than {MOST} times")
        doubts = doubts[:MOST]
        partial = [answer for answer in answers if answer.partial]
        if partial and len(answers) > 1:
            return Resolution(paths, (*doubts, f"{name} is bound more than once"))
        return Resolution(paths, doubts, partial=partial[0].partial if partial else ())

    def _one(self, name: str, binding: Binding) -> Resolution:
        if binding.path is not None:
            return Resolution((binding.path,))
        if binding.own:
            return Resolution((f".{name}",))
        if binding.value is None:
            return Resolution(doubts=(f"{name} is {binding.how} (line {binding.line})",))
        if id(binding) in self._under_way or len(self._under_way) > DEEPEST:
            return self._outside(name, binding)
        self._under_way.add(id(binding))
        try:
            return self._value(name, binding, binding.value)
        finally:
            self._under_way.discard(id(binding))

    def _outside(self, name: str, binding: Binding) -> Resolution:
        """Resolve a name that is assigned to itself: in a class body, ``nn = nn`` reads the name outside the class."""
        scope = binding.scope
        if scope.kind == "class" and scope.parent is not None and scope.parent.owner(name) is not None:
            return self.resolve(name, scope.parent)
        return Resolution(doubts=(f"{name} is defined by itself (line {binding.line})",))

    def _value(self, name: str, binding: Binding, value: ast.expr) -> Resolution:
        if isinstance(value, ast.Constant) and value.value is None:
            return Resolution()  # None cannot be called
        if (text := dotted(value)) is not None:
            return self.resolve(text, binding.scope)
        if isinstance(value, (ast.IfExp, ast.BoolOp)):
            parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else value.values
            return self._all(name, [self._value(name, binding, part) for part in parts])
        if isinstance(value, ast.Call) and value.args and (function := dotted(value.func)) is not None:
            inner = dotted(value.args[0])
            if inner is not None and self.resolve(function, binding.scope).path in PARTIALS:
                answer = self.resolve(inner, binding.scope)
                return attrs.evolve(answer, partial=(*answer.partial, value))
        return Resolution(doubts=(f"{name} is {shown(text_of(value))} (line {binding.line})",))


def _top(path: str) -> str:
    return path.partition(".")[0]


def _prefixes(path: str) -> Iterable[str]:
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _bindings(module: Scope) -> Iterable[Binding]:
    for bindings in module.bindings.values():
        yield from bindings
