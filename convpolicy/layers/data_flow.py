"""Follows data through a forward method: from what pads it to a convolution, and from a convolution to what cuts it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import attrs

from convpolicy.layers.forward_code import Reading, name_of, own_name, parsed, words_of


def flow(reading: Reading, functions: Iterable[FunctionType], ends: tuple[bool, bool]) -> tuple[bool, list[str]]:
    """Return if one of the functions calls the child of a parent, and what pads an argument of that call or cuts its result.

    What pads the argument of a child with several convolutions counts for the first, what cuts its result for the last.

    Args:
        reading: the source code of the parent.
        functions: its forward method, and the methods that this one calls.
        ends: if the convolution is the first, and the last, of those in the child.
    """
    seen, texts = False, []
    for function in functions:
        tree = parsed(function)
        if tree is not None:
            data = _Flow(reading, function, tree)
            for statement in sorted(_statements(tree), key=lambda node: (node.lineno, node.col_offset)):
                data.read(statement)
            seen |= data.seen
            both = [*(data.before if ends[0] else ()), *(data.after if ends[1] else ())]
            texts += [f"{text} in {function.__name__}" for text in both]
    return seen, texts


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
        self.own = own_name(self.function)
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.For, ast.comprehension)) and any(
                self.reading.refers(part, (), self.own) for part in ast.walk(node.iter)
            ):
                self.loops |= set(words_of(node.target))

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
            text = "" if node in calls else self.reading.padding(node, self.function, only_cuts=True)
            inner = node.value if isinstance(node, ast.Subscript) else node
            if text and any(part in calls or name_of(part) in self.outputs for part in self._reached(inner)):
                self.after.append(text)
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        names = {name for target in targets if target is not None for name in words_of(target)} - {self.own}
        padded = self._padded_in(value)
        follows = any(part in calls or name_of(part) in self.outputs for part in self._reached(value))
        for name in names:
            self.padded.pop(name, None)
            if padded:
                self.padded[name] = padded[0]
        self.outputs = self.outputs | names if follows else self.outputs - names

    def _calls_child(self, call: ast.Call) -> bool:
        return self.reading.refers(call.func, self.loops, self.own)

    def _padded_in(self, value: ast.AST) -> list[str]:
        nodes = list(self._reached(value))
        texts = [text for node in nodes if (text := self.reading.padding(node, self.function))]
        return texts + [self.padded[name] for node in nodes if (name := name_of(node)) in self.padded]

    def _reached(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield an expression and its parts, without the arguments of calls of convolutions, which mix the samples."""
        yield node
        if isinstance(node, ast.Call) and (self._calls_child(node) or self.reading.is_opaque(node, self.own)):
            return
        for part in ast.iter_child_nodes(node):
            yield from self._reached(part)


def _statements(tree: ast.AST) -> Iterable[ast.stmt]:
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)
    return (node for node in ast.walk(tree) if isinstance(node, kinds))
