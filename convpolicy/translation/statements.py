"""Find what the statements after a layer do to it: initialization, casts, wrappers, assigned attributes."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from convpolicy.translation.bindings import FUNCTIONS, Page
from convpolicy.translation.scopes import Scope, Use
from convpolicy.translation.surroundings import IN_A_ROW, READING, Changes, Resolve, Surroundings
from convpolicy.translation.values import dotted

SETTING = ("set_", "load_", "register_", "assign", "copy_from")  # prefixes of methods that change their object
SHARED = 16  # with more layers of one name, only the last one before a use counts
SHOWN = 10  # the largest number of lines listed in a comment
DtypeOf = Callable[[ast.Call, Scope], "str | None"]


@attrs.define(eq=False)
class Bound:
    """A layer that is assigned to a name.

    Args:
        name: the dotted name.
        use: use of the layer's class.
        statement: the assignment.
        changes: record of the changes to the layer; None for a layer that is not translated.
        outputs: names of the attributes that the outputs depend on.
    """

    name: str
    use: Use
    statement: ast.stmt
    changes: Changes | None
    outputs: frozenset[str] = frozenset()


@attrs.define(eq=False)
class Statements:
    """The statements of a file, read in one pass for all its layers.

    Args:
        page: the file.
        resolve: function that resolves the names of the file.
        surroundings: functions, methods and other layers of the framework.
        dtype_of: function that returns the dtype that the arguments of a call name.
        roles: ``"weight"`` or ``"bias"`` by the name of the tensor in the framework.
    """

    page: Page
    resolve: Resolve
    surroundings: Surroundings
    dtype_of: DtypeOf
    roles: Mapping[str, str]
    _attributed: set[int] = attrs.field(factory=set, init=False)

    def follow(self, layers: Iterable[Bound]) -> list[str]:
        """Record the changes to each layer, and return comments about statements that may change any layer."""
        bound: dict[tuple[int, str], list[Bound]] = {}
        for layer in layers:
            bound.setdefault((_identity(layer.name, layer.use.scope), layer.name), []).append(layer)
        stored = Counter((_identity(store.text, store.scope), store.text) for store in self.page.stores)
        heads = {name.partition(".")[0] for _identity, name in bound}
        deepest = max((name.count(".") + 1 for _identity, name in bound), default=0)
        for use in (*self.page.uses, *self.page.stores):
            parts = use.text.split(".")
            if parts[0] not in heads:
                continue
            identity = _identity(use.text, use.scope)
            for count in range(1, min(deepest, len(parts)) + 1):
                key = identity, ".".join(parts[:count])
                for layer in _possible(bound.get(key, []), use):
                    self._event(layer, use, parts[count:], once=_times(layer, stored[key]) == 1)
        return [*self._fillers(), *self._items(), *self._casts()]

    def _event(self, layer: Bound, use: Use, rest: list[str], *, once: bool) -> None:
        changes, call, parent = layer.changes or Changes(), use.call, use.parent
        line = f"line {use.node.lineno}"
        if not isinstance(use.node.ctx, ast.Load):  # type: ignore[attr-defined]
            if rest and rest[0] in layer.outputs and rest[0] not in self.roles:
                changes.refuse(f"{use.text} is assigned at {line}, which changes the outputs; pass the value in the call.")
            elif rest:
                changes.notes.append(f"{line} assigns to {use.text}, which is left out")
        elif call is not None and rest:
            self._method(changes, use, call, rest, certain=once and _straight(layer, use), line=line)
        elif isinstance(parent, (ast.Call, ast.keyword)) and call is None:
            self._argument(layer, changes, use, rest, once=once)

    def _method(self, changes: Changes, use: Use, call: ast.Call, rest: list[str], *, certain: bool, line: str) -> None:
        name, table = rest[-1], self.surroundings
        if len(rest) == 1 and name in table.refused:
            changes.refuse(f"{use.text}(…) at {line} {table.refused[name]}; translate the layer alone.")
        elif len(rest) == 1 and name in table.casts:
            dtype = self.dtype_of(call, use.scope)
            if certain or not (dtype or table.casts[name]):
                changes.cast(name, call, dtype, table, f" at {line}")
            else:
                changes.notes.append(f"{use.text}(…) at {line} may change its dtype")
        elif len(rest) == 1 and name in table.methods:
            changes.notes += [f".{name}(…) at {line} is left out: {table.methods[name]}"] * bool(table.methods[name])
        elif name.endswith("_") or name.startswith(SETTING) or name in table.appliers:
            changes.notes.append(f"{use.text}(…) at {line} may change this layer, and is left out")

    def _argument(self, layer: Bound, changes: Changes, use: Use, rest: list[str], *, once: bool) -> None:
        trail = use.trail
        while trail is not None and not isinstance(trail.node, ast.Call):
            trail = trail.outer
        assert trail is not None
        call = trail.node
        assert isinstance(call, ast.Call)
        name = dotted(call.func) or ""
        path = self.resolve(name, use.scope) if name else None
        line = f"line {use.node.lineno}"
        role = self.roles.get(".".join(rest).removesuffix(".data"))
        if rest and path in self.surroundings.fillers:
            self._attributed.add(id(call))
            if role and once and call.args and call.args[0] is use.node and _straight(layer, use):
                changes.initial[role] = call
            else:
                changes.notes.append(f"{use.text} is filled by {name}(…) at {line}, which is left out")
            return
        if not rest and changes.wrap(path, name, self.surroundings, f" at {line}"):
            return
        is_statement = isinstance(trail.outer and trail.outer.node, ast.Expr)  # called for its effect
        if (not rest or is_statement) and name.rpartition(".")[2] not in (*READING, *IN_A_ROW):
            changes.notes.append(f"{use.text} is an argument of {name or 'a call'}(…) at {line}, which is ignored here")

    def _fillers(self) -> Iterator[str]:
        """Yield comments about initialization that does not name its layer."""
        lines, appliers = [], []
        for use in self.page.uses:
            call = use.call
            if call is None or id(call) in self._attributed:
                continue
            if "." in use.text and use.text.rpartition(".")[2] in self.surroundings.appliers and len(call.args) == 1:
                appliers.append(f"{use.text}({dotted(call.args[0]) or '…'}) at line {call.lineno}")
            elif self.resolve(use.text, use.scope) in self.surroundings.fillers:
                lines.append(call.lineno)
        if lines:
            yield f"initial values: line {_listed(lines)} may set those of this layer, and is left out"
        yield from (f"initial values: {text} may replace them, and is left out" for text in appliers[:SHOWN])

    def _items(self) -> Iterator[str]:
        """Yield comments about changes to items of containers, such as ``model.layers[0].bias = …`` and ``layers[0].double()``."""
        lines = []
        for node in ast.walk(self.page.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                lines += [node.lineno] if node.attr in self.roles and dotted(node) is None else []
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
                method = node.value.func
                if _is_item(method.value) and self._dtype(method.attr, node.value, self.page.module):
                    yield f"dtype: .{method.attr}(…) at line {node.lineno} may change that of this layer, and is left out"
        if lines:
            yield f"initial values: line {_listed(lines)} may assign those of this layer, and is left out"

    def _casts(self) -> Iterator[str]:
        """Yield comments about casts of whole models."""
        for use in self.page.uses:
            call, trail = use.call, use.trail
            if call is None or trail is None:
                continue
            if self._is_model(use.text, use.scope) and trail.outer is not None and isinstance(trail.outer.node, ast.Attribute):
                outer = trail.outer.outer.node if trail.outer.outer is not None else None
                method, receiver = trail.outer.node.attr, f"{use.text}(…)"
                if not isinstance(outer, ast.Call):
                    continue
                call = outer
            else:
                receiver, _dot, method = use.text.rpartition(".")
                if not self._is_model_instance(receiver, use.scope):
                    continue
            if method in self.surroundings.refused or self._dtype(method, call, use.scope):
                yield f"dtype: {receiver}.{method}(…) at line {call.lineno} may change that of this layer, and is left out"

    def _dtype(self, method: str, call: ast.Call, scope: Scope) -> str | None:
        if method not in self.surroundings.casts:
            return None
        return self.surroundings.casts[method] or self.dtype_of(call, scope)

    def _is_model(self, name: str, scope: Scope) -> bool:
        path = self.resolve(name, scope) if name else None
        return path is not None and (path.startswith(".") or path in self.surroundings.containers)

    def _is_model_instance(self, name: str, scope: Scope) -> bool:
        """Return True for ``self`` in a method, and for a name that is assigned an instance of a class of this file."""
        if not name or "." in name:
            return False
        if _is_instance(name, scope):
            return True
        owner = scope.owner(name)
        for binding in owner.bindings[name] if owner is not None else ():
            function = dotted(binding.value.func) if isinstance(binding.value, ast.Call) else None
            if function is not None and self._is_model(function, binding.scope):
                return True
        return False


def _listed(lines: list[int]) -> str:
    """Return line numbers as text, each once."""
    return ", ".join(map(str, sorted(set(lines))[:SHOWN])) + (", …" if len(set(lines)) > SHOWN else "")


def _is_item(node: ast.AST) -> bool:
    """Return True for an item such as ``layers[0]``, and for its attributes."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Subscript)


def _identity(name: str, scope: Scope) -> int:
    """Return an identity for the first part of a name: that of the class for ``self`` in a method, else that of the scope."""
    head = name.partition(".")[0]
    owner = scope.owner(head)
    if owner is not None and owner.first == head and owner.parent is not None and owner.parent.kind == "class":
        return id(owner.parent)
    return id(owner)


def _possible(layers: list[Bound], use: Use) -> list[Bound]:
    """Return the layers that a use of a name may refer to: all of them or, of more than `SHARED`, the last one before it."""
    if len(layers) <= SHARED:
        return layers
    before = bisect_right(layers, use.node.lineno, key=lambda layer: layer.statement.lineno)
    return layers[max(before - 1, 0) : max(before, 1)]


def _times(layer: Bound, stored: int) -> int:
    """Return how often the name of a layer is assigned."""
    owner = layer.use.scope.owner(layer.name)
    return stored if "." in layer.name else 0 if owner is None else len(owner.bindings[layer.name])


def _is_instance(name: str, scope: Scope) -> bool:
    owner = scope.owner(name)
    return owner is not None and owner.first == name and owner.parent is not None and owner.parent.kind == "class"


def _straight(layer: Bound, use: Use) -> bool:
    """Return True if a statement always runs after the layer is built: both are in the same block, apart from ``with``."""
    blocks, node = [], None
    for trail in (layer.use.trail, use.trail):
        inside = iter(trail or ())
        node = next((part for part in inside if isinstance(part, ast.stmt)), None)
        outer = next((part for part in inside if not isinstance(part, ast.With)), None)
        blocks.append((outer, node))
    (first, assignment), (second, statement) = blocks
    if first is not second or not isinstance(statement, (ast.Expr, ast.Assign)) or assignment is None or first is None:
        return False
    body = getattr(first, "body", None)
    is_block = isinstance(first, (ast.Module, ast.ClassDef, *FUNCTIONS))
    return is_block and isinstance(body, list) and assignment.lineno < statement.lineno
