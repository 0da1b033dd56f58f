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

    def delegates(self) -> bool:
        """Return True if a call of the parent only calls the child with the same argument: ``return self.conv(x)``."""
        forward = self.forward()
        tree = None if forward is None else parsed(forward)
        if forward is None or not isinstance(tree, ast.Module) or not isinstance(tree.body[0], ast.FunctionDef):
            return False
        body = [node for node in tree.body[0].body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
        code, given = forward.__code__, call.args if isinstance(call, ast.Call) and not call.keywords else []
        is_same = (
            code.co_argcount == len(given) + 1 == 2
            and name_of(given[0]) == code.co_varnames[1]
            and isinstance(given[0], ast.Name)
        )
        return call is not None and is_same and self.parent.child == _own_call(call, forward)

    def _forward_of(self, module: Any) -> FunctionType | None:
        for name in FORWARD:
            own = getattr(module, "__dict__", {}).get(name)  # a forward that replaces that of the class
            function = inspect.unwrap(getattr(own, "__func__", own) or getattr(type(module), name, None) or type)
            if isinstance(function, FunctionType) and not self._is_foreign(function.__module__):
                return function
        return None

    def _is_foreign(self, module: Any) -> bool:
        return str(module).partition(".")[0] in self.frameworks

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
            return f"[{_code(node.slice).strip('()')}]"
        if not isinstance(node, ast.Call):
            return ""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_named = name == "narrow" or (cuts(name) if only_cuts else pads(name))
        joins = name in JOINS and not only_cuts and _has_filler(node, function)
        if is_named or joins or self._target_pads(node.func, function, only_cuts, depth):
            return _code(node.func)
        return ""

    def _target_pads(self, func: ast.expr, function: FunctionType, only_cuts: bool, depth: int) -> bool:
        """Return True if a called module or function, which is not a framework's, pads and calls no convolution of the model."""
        if depth == 0:
            return False
        target: Any = None
        if isinstance(func, ast.Name):
            target = function.__globals__.get(func.id)
        elif isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == own_name(function):
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


def own_name(function: FunctionType) -> str:
    """Return the name of the first argument, such as ``self``; empty without one."""
    return function.__code__.co_varnames[0] if function.__code__.co_argcount else ""


def _own_call(node: ast.AST, function: FunctionType) -> str:
    """Return the name of the attribute in a call such as ``self.conv(x)``; empty for another expression."""
    func = node.func if isinstance(node, ast.Call) else None
    is_own = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == own_name(function)
    return func.attr if is_own and isinstance(func, ast.Attribute) else ""


def _has_filler(call: ast.Call, function: FunctionType) -> bool:
    """Return True if an argument of a call is made of zeros or of stored samples, directly or through a variable."""
    words = {word for argument in (*call.args, *(keyword.value for keyword in call.keywords)) for word in words_of(argument)}
    for node in ast.walk(parsed(function) or ast.Pass()):
        if isinstance(node, ast.Assign) and words & {word for target in node.targets for word in words_of(target)}:
            words |= set() if _own_call(node.value, function) else set(words_of(node.value))
    return any(FILLERS.search(word) for word in words)


def words_of(node: ast.AST) -> list[str]:
    """Return the names of variables, attributes and functions in an expression."""
    return [name for part in ast.walk(node) if (name := name_of(part))]


def name_of(node: ast.AST) -> str:
    """Return the name of a variable or an attribute; empty for another expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


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
