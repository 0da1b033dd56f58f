"""Parse constructor calls without running them: literals, names and calls of initializers."""

from __future__ import annotations

import ast
import math
import re
import textwrap
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from convpolicy.arithmetic import LARGEST
from convpolicy.errors import InvalidTypeError, InvalidValueError

LINE_ENDS = re.compile("\r\n|\r|\n")  # as Python reads source code; str.splitlines has more
Path: TypeAlias = Callable[[str], "str | None"]
Value: TypeAlias = Any  # a literal, an `Expression`, a `Call`, or a tuple of these
ARITHMETIC = (  # expressions without side effects
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.BoolOp, ast.operator,
    ast.unaryop, ast.cmpop, ast.boolop, ast.Load,
)  # fmt: skip


@attrs.frozen
class Expression:
    """Code that is copied unchanged because its value is not needed, such as ``dim`` or ``self.channels``.

    Args:
        text: the code.
        path: the dotted path that a name refers to, or None if it is uncertain.
    """

    text: str
    path: str | None = attrs.field(default=attrs.Factory(lambda self: self.text, takes_self=True), eq=False, repr=False)

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Call:
    """A constructor call.

    Args:
        name: dotted name of the class or function.
        positional: values of the positional arguments.
        keywords: name and value of each keyword argument.
        text: source code of the call.
        path: the dotted path that the name refers to, or None if it is uncertain.
    """

    name: str
    positional: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    text: str
    path: str | None = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True), eq=False, repr=False)

    @property
    def short(self) -> str:
        """Last part of the path; empty if the path is uncertain."""
        return (self.path or "").rpartition(".")[2]


def parse(code: str) -> tuple[str, ast.Module]:
    """Parse Python code, which may be indented.

    Returns:
        The text, without its byte order mark and common indentation, and its syntax tree.

    Raises:
        InvalidTypeError: ``code`` is not a string.
        InvalidValueError: it is not valid Python; the message contains the line and the fault.
    """
    if not isinstance(code, str):
        raise InvalidTypeError(f"code must be a string, got {code!r} of type {type(code).__name__}; pass the call as a string.")
    code = code.removeprefix("\ufeff")
    try:
        return code, _tree(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = textwrap.dedent(code)
        text = text.strip() if text.startswith((" ", "\t")) else text
    try:
        return text, _tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" at line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        fault = error.msg if isinstance(error, SyntaxError) else error
        raise InvalidValueError(
            f"code must be Python, got {shown(code)}, with an error{line}: {fault}; pass a complete call."
        ) from error


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's warnings about the user's code
        return ast.parse(text)


def shown(code: str) -> str:
    """Return code for a message, quoted and shortened to 80 characters."""
    return repr(code if len(code) < 80 else code[:77] + "...")


def dotted(node: ast.AST) -> str | None:
    """Return a name or a dotted name such as ``a.b.c`` as text, or None for other nodes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


@attrs.frozen
class Source:
    """The text of a file, from which the code of any node is cut in time that does not depend on the length of the file.

    Args:
        text: text of the file.
    """

    text: str
    _lines: list[str] = attrs.field(init=False, repr=False)
    _bytes: dict[int, bytes] = attrs.field(factory=dict, init=False, repr=False)

    @_lines.default
    def _split(self) -> list[str]:
        return LINE_ENDS.split(self.text)

    @property
    def count(self) -> int:
        """Number of lines."""
        return len(self._lines) - (not self._lines[-1])

    def of(self, node: ast.expr) -> str:
        """Return the code of a node."""
        assert node.end_lineno is not None
        last = self._line(node.end_lineno)[: node.end_col_offset]
        if node.lineno == node.end_lineno:
            return last[node.col_offset :].decode()
        first = self._line(node.lineno)[node.col_offset :]
        return "\n".join([first.decode(), *self._lines[node.lineno : node.end_lineno - 1], last.decode()])

    def _line(self, number: int) -> bytes:
        if number not in self._bytes:
            self._bytes[number] = self._lines[number - 1].encode()
        return self._bytes[number]


ATOMS = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, *(
    ast.ListComp, ast.SetComp, ast.DictComp
))  # fmt: skip


def in_parentheses(text: str, node: ast.expr) -> str:
    """Return the code of a node for use in any expression, in parentheses if needed."""
    is_atom = isinstance(node, ATOMS) and not (isinstance(node, ast.Tuple) and not text.startswith("("))
    return text if is_atom else f"({text})"


def as_call(node: ast.Call, *, arithmetic: bool, path: Path = str) -> Call:
    """Read the name and the arguments of a call.

    Args:
        node: the call.
        arithmetic: True to keep arithmetic on names and subscripts, such as ``2 * dim``, as an expression; False to refuse it.
        path: function ``(name) -> path`` that returns the dotted path that a name refers to, or None if it is uncertain.

    Raises:
        InvalidValueError: an argument is starred or computed, or the call has no name; the message contains the code.
    """
    try:
        return _as_call(node, arithmetic, path)
    except RecursionError:
        raise InvalidValueError(
            "code must be Python, got a call that is nested too deeply; write it with literals and names."
        ) from None


def text_of(node: ast.AST) -> str:
    """Return the code of a node on one line, or ``…`` if it is nested too deeply or contains too long an integer."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        return "…"


def _as_call(node: ast.Call, arithmetic: bool, path: Path) -> Call:
    name = dotted(node.func)
    text = text_of(node)
    if name is None:
        raise InvalidValueError(f"code must call a class by its name, got {shown(text)}; write the name of the layer's class.")
    for argument in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)):
        if isinstance(argument, ast.Starred) or argument not in node.args:
            stars = "" if isinstance(argument, ast.Starred) else "**"
            raise InvalidValueError(
                f"starred arguments cannot be read without running the code, got {stars}{text_of(argument)} in {shown(text)}; "
                f"write each argument out."
            )
    positional = tuple(_value(f"argument {number}", value, arithmetic, path) for number, value in enumerate(node.args, 1))
    keywords = tuple((keyword.arg or "", _value(keyword.arg or "", keyword.value, arithmetic, path)) for keyword in node.keywords)
    return Call(name, positional, keywords, text, path(name))


def _literal(argument: str, node: ast.expr) -> Value:
    """Return the value of a literal.

    Raises:
        ValueError: the node is not a literal.
        InvalidValueError: the number is too large, infinite or NaN; the message names the argument.
    """
    value = ast.literal_eval(node)
    parts = value if isinstance(value, (tuple, list)) else (value,)
    for part in parts:
        if isinstance(part, int) and abs(part) > LARGEST:
            raise InvalidValueError(
                f"{argument} must be at most 2**63 - 1, got an integer of {part.bit_length()} bits; write a smaller number."
            )
        if isinstance(part, float) and not math.isfinite(part):
            raise InvalidValueError(f"{argument} must be finite, got {part!r}; write a finite number.")
    return value


def _value(argument: str, node: ast.expr, arithmetic: bool, path: Path) -> Value:
    try:
        return _literal(argument, node)
    except InvalidValueError:
        raise
    except (ValueError, TypeError, SyntaxError, MemoryError):
        pass
    name = dotted(node)
    if name is not None:
        return Expression(name, path(name))
    if isinstance(node, (ast.Tuple, ast.List)) and not any(isinstance(item, ast.Starred) for item in node.elts):
        return tuple(_value(argument, item, arithmetic, path) for item in node.elts)
    if isinstance(node, ast.Call) and dotted(node.func) is not None:
        return _as_call(node, arithmetic, path)
    text = text_of(node)
    if arithmetic and text != "…" and all(isinstance(part, ARITHMETIC) for part in ast.walk(node)):
        return Expression(text, None)
    raise InvalidValueError(
        f"{argument} must be a literal or a name, got {shown(text)}, which is computed; write its value or a name."
    )


def code_of(value: Value) -> str:
    """Return a value as Python code, with strings in double quotes and floats in full precision."""
    if isinstance(value, (Expression, Call)):
        return value.text
    if isinstance(value, tuple):
        return f"({', '.join(map(code_of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(code_of, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(
            f"a number of the translation is {value!r}, which has no literal in Python; write a finite number."
        )
    if isinstance(value, str):
        return '"' + repr("'" + value)[2:-1].replace('"', '\\"') + '"' if '"' not in value else repr(value)
    return repr(value)


def atom(value: Value) -> str:
    """Return a value as code for use in arithmetic, in parentheses if needed."""
    text = code_of(value)
    return text if not isinstance(value, Expression) or text.replace(".", "_").isidentifier() else f"({text})"


def plus(value: Value, more: Value) -> Value:
    """Return value + more, as an expression if one of them is one."""
    if not isinstance(value, Expression) and not isinstance(more, Expression):
        return value + more
    return value if more == 0 else more if value == 0 else Expression(f"{atom(value)} + {atom(more)}")


def product(value: Value, factor: Value) -> Value:
    """Return value * factor, as an expression if one of them is one."""
    if not isinstance(value, Expression) and not isinstance(factor, Expression):
        return value * factor
    return Expression(f"{atom(value)} * {atom(factor)}")


def minus(value: Value, less: Value) -> Value:
    """Return value - less, as an expression if one of them is one."""
    if not isinstance(value, Expression) and not isinstance(less, Expression):
        return value - less
    return value if less == 0 else Expression(f"{atom(value)} - {atom(less)}")
