"""Reads the source code of a module that contains a convolution: what pads its argument, and what cuts its output."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from types import FunctionType
from typing import Any

import attrs

PADS = re.compile(r"(?:^|_)(?:un)?(?:pad|chomp|crop|trim)")  # in names of classes and functions, as snake_case
CUTS = re.compile(r"(?:^|_)(?:unpad|chomp|crop|trim|same_pad)")
COUNTS = re.compile(
    r"sequence|mask|token|length|size|packed|cache|(?:^|_)(?:get|compute|calculate|num)(?:_|$)"
)  # those only count or pack
JOINS = {"cat", "concat", "concatenate"}
FILLERS = re.compile(r"zeros|cache|buffer|state|history|past|prev")  # what a streaming layer joins to its input
FORWARD = ("forward", "construct", "call", "__call__")
DEPTH = 3  # calls of functions are followed so far
LONGEST = 40  # characters of code in a text


@attrs.frozen(eq=False)
class Parent:
    """A module that contains a convolution.

    Args:
        path: name of the module in the model.
        module: the module, or a list or dict of modules.
        child: name of the direct child that is the convolution or contains it.
        children: names and modules of all direct children, in order.
    """

    path: str
    module: Any
    child: str
    children: tuple[tuple[str, Any], ...] = ()


def pads(name: str) -> bool:
    """Return True if a class or a function with this name pads or cuts data."""
    return bool(PADS.search(_snake(name))) and not COUNTS.search(_snake(name))


def cuts(name: str) -> bool:
    """Return True if a class with this name drops samples; ``SamePad`` drops what the padding of a convolution adds too much."""
    return pads(name) and bool(CUTS.search(_snake(name)))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@attrs.frozen(eq=False)
class Reading:
    """The source code of one parent, read for one child."""

    parent: Parent
    holding: Collection[int]
    frameworks: Collection[str]
    last_axis: bool

    def forward(self) -> FunctionType | None:
        """Return the function that a call of the parent runs, or None if its framework defines it."""
        return self._forward_of(self.parent.module)

    def _forward_of(self, module: Any) -> FunctionType | None:
        for name in FORWARD:
            function = inspect.unwrap(getattr(type(module), name, None) or type)
            if isinstance(function, FunctionType):
                if not self._is_foreign(function.__module__):
                    return function
                if name != "__call__":
                    return None
        return None

    def _is_foreign(self, module: Any) -> bool:
        return str(module).partition(".")[0] in self.frameworks

    # -- a method that calls the child ------------------------------------------------------------------------------

    def flow(self, functions: Iterable[FunctionType], ends: tuple[bool, bool]) -> tuple[bool, list[str]]:
        """Return if one of the functions calls the child, and what pads an argument of that call or cuts its result.

        What pads the argument of a child with several convolutions counts for the first, what cuts its result for the last.
        """
        seen, texts = False, []
        for function in functions:
            tree = parsed(function)
            if tree is not None:
                flow = _Flow(self, function, tree)
                for statement in sorted(_statements(tree), key=lambda node: (node.lineno, node.col_offset)):
                    flow.read(statement)
                seen |= flow.seen
                both = [*(flow.before if ends[0] else ()), *(flow.after if ends[1] else ())]
                texts += [f"{text} in {function.__name__}" for text in both]
        return seen, texts

    def refers(self, node: ast.AST, loops: Collection[str], own: str) -> bool:
        """Return True for an expression such as ``self.conv``, ``self.layers[0]``, or the variable of a loop over ``self.layers``."""
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == own:
                return self._is_child(node.attr)
            node = node.value
        return isinstance(node, ast.Name) and node.id in loops

    def _is_child(self, attribute: str) -> bool:
        child = dict(self.parent.children).get(self.parent.child)
        value = self._value(attribute)
        items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        return attribute == self.parent.child or (child is not None and (value is child or any(item is child for item in items)))

    def _value(self, attribute: str) -> Any:
        try:
            return getattr(self.parent.module, attribute, None) if attribute else None
        except Exception:  # a property that fails
            return None

    def is_opaque(self, node: ast.AST, own: str) -> bool:
        """Return True for a call of another attribute that contains a convolution, which mixes the samples."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        value = self._value(node.func.attr)
        is_own = isinstance(node.func.value, ast.Name) and node.func.value.id == own
        return is_own and id(value) in self.holding and not self._is_child(node.func.attr)

    # -- what pads --------------------------------------------------------------------------------------------------

    def padding(self, node: ast.AST, function: FunctionType, only_cuts: bool = False, depth: int = DEPTH) -> str:
        """Return the code of an expression that pads or cuts, without its arguments; empty for another expression."""
        if isinstance(node, ast.Subscript) and self._cuts(node.slice):
            return _code(node)
        if not isinstance(node, ast.Call):
            return ""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_named = name == "narrow" or (cuts(name) if only_cuts else pads(name))
        joins = name in JOINS and any(FILLERS.search(word) for argument in node.args for word in _words(argument))
        if is_named or (joins and not only_cuts) or self._target_pads(node.func, function, only_cuts, depth):
            return _code(node.func)
        return ""

    def _target_pads(self, func: ast.expr, function: FunctionType, only_cuts: bool, depth: int) -> bool:
        """Return True if a called module or function, which is not a framework's, pads and calls no convolution of the model."""
        if depth == 0:
            return False
        target: Any = None
        if isinstance(func, ast.Name):
            target = function.__globals__.get(func.id)
        elif isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == _own(function):
            target = self.method(func.attr)
            if target is None:
                module = self._value(func.attr)
                if module is None or id(module) in self.holding or self._is_child(func.attr):
                    return False
                if (cuts if only_cuts else pads)(type(module).__name__):
                    return True
                target = self._forward_of(module)
                if target is not None and any(_own_call(node, target) for node in ast.walk(parsed(target) or ast.Pass())):
                    return False  # a module of several parts
        if not isinstance(target, FunctionType) or target is function or self._is_foreign(target.__module__):
            return False
        nodes = list(ast.walk(parsed(target) or ast.Pass()))
        if any(id(self._value(_own_call(node, target))) in self.holding for node in nodes):
            return False
        return any(self.padding(node, target, only_cuts, depth - 1) for node in nodes)

    def method(self, name: str) -> FunctionType | None:
        """Return a method of the parent's class, or None if there is none or the framework defines it."""
        method = inspect.unwrap(getattr(type(self.parent.module), name, None) or type)
        return method if isinstance(method, FunctionType) and not self._is_foreign(method.__module__) else None

    def _cuts(self, index: ast.expr) -> bool:
        """Return True for an index that is a slice of the length, with a start or a stop."""
        if not isinstance(index, ast.Tuple):
            return False
        parts = list(index.elts)
        has_dots = isinstance(parts[0], ast.Constant) and parts[0].value is ...
        place = (len(parts) - 1 if has_dots else 2) if self.last_axis else (len(parts) - 2 if has_dots else 1)
        part = parts[place] if 0 < place < len(parts) else None
        return isinstance(part, ast.Slice) and (part.lower is not None or part.upper is not None)

    def reachable(self, forward: FunctionType) -> list[FunctionType]:
        """Return a function and the methods that it calls, and those that they call."""
        functions = [forward]
        for function in functions:  # grows
            for node in ast.walk(parsed(function) or ast.Pass()):
                method = self.method(_own_call(node, function))
                if method is not None and method not in functions:
                    functions.append(method)
        return functions

    def everywhere(self, functions: Iterable[FunctionType]) -> Iterator[str]:
        """Yield everything that pads or cuts in functions."""
        for function in functions:
            tree = parsed(function)
            names = function.__code__.co_names if tree is None else ()
            texts = (self.padding(node, function) for node in ast.walk(tree or ast.Pass()))
            yield from (f"{text} in {function.__name__}" for text in (*filter(pads, names), *filter(None, texts)))


@attrs.define(eq=False)
class _Flow:
    """Which variables of a function hold padded data, and which hold outputs of the child."""

    reading: Reading
    function: Any  # a FunctionType, which mypy would bind as a method
    tree: ast.AST
    padded: dict[str, str] = attrs.field(factory=dict)
    outputs: set[str] = attrs.field(factory=set)
    before: list[str] = attrs.field(factory=list)
    after: list[str] = attrs.field(factory=list)
    seen: bool = False
    own: str = attrs.field(init=False)
    loops: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.own = _own(self.function)
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.For, ast.comprehension)) and any(
                self.reading.refers(part, (), self.own) for part in ast.walk(node.iter)
            ):
                self.loops |= set(_words(node.target))

    def read(self, statement: ast.stmt) -> None:
        """Read one statement, in the order of the source."""
        value = getattr(statement, "value", None)
        if value is None:
            return
        nodes = list(ast.walk(value))
        calls = [node for node in nodes if isinstance(node, ast.Call) and self._calls_child(node)]
        for call in calls:
            self.seen = True
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                self.before += self._padded_in(argument)
        for node in nodes:
            inner = node.value if isinstance(node, ast.Subscript) else node
            text = "" if node in calls else self.reading.padding(node, self.function, only_cuts=True)
            if text and (set(_words(inner)) & self.outputs or any(part in calls for part in ast.walk(inner))):
                self.after.append(text)
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        names = {name for target in targets if target is not None for name in _words(target)} - {self.own}
        opaque = any(self.reading.is_opaque(node, self.own) for node in nodes)
        padded = [] if opaque or calls else self._padded_in(value)
        follows = bool(calls) or (not opaque and bool(set(_words(value)) & self.outputs))
        for name in names:
            self.padded.pop(name, None)
            if padded:
                self.padded[name] = padded[0]
        self.outputs = self.outputs | names if follows else self.outputs - names

    def _calls_child(self, call: ast.Call) -> bool:
        return self.reading.refers(call.func, self.loops, self.own)

    def _padded_in(self, value: ast.AST) -> list[str]:
        texts = [text for node in ast.walk(value) if (text := self.reading.padding(node, self.function))]
        return texts + [self.padded[name] for name in _words(value) if name in self.padded]


def _own(function: FunctionType) -> str:
    return function.__code__.co_varnames[0] if function.__code__.co_argcount else ""


def _own_call(node: ast.AST, function: FunctionType) -> str:
    """Return the name of the attribute in a call such as ``self.conv(x)``; empty for another expression."""
    func = node.func if isinstance(node, ast.Call) else None
    is_own = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == _own(function)
    return func.attr if is_own and isinstance(func, ast.Attribute) else ""


def _words(node: ast.AST) -> list[str]:
    """Return the names of variables, attributes and functions in an expression."""
    parts = (part for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute)))
    return [part.attr if isinstance(part, ast.Attribute) else part.id for part in parts]


def _statements(tree: ast.AST) -> Iterable[ast.stmt]:
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def _code(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


@lru_cache(maxsize=512)
def parsed(function: FunctionType) -> ast.AST | None:
    """Return the syntax tree of a function, or None if its source code cannot be read."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
