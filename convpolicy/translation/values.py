"""Constructor calls as text, read without running anything: literals, names and calls of initializers."""

from __future__ import annotations

import ast
import textwrap
import warnings
from typing import Any, TypeAlias

import attrs

from convpolicy.errors import InvalidTypeError, InvalidValueError

Value: TypeAlias = Any  # a literal, an `Expression`, a `Call`, or a tuple of these
ARITHMETIC = (  # what has no effect but its value
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.BoolOp, ast.operator,
    ast.unaryop, ast.cmpop, ast.boolop, ast.Load,
)  # fmt: skip


@attrs.frozen
class Expression:
    """Code that is kept as it is, because nothing here needs its value: ``dim``, ``self.channels``."""

    text: str

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Call:
    """A constructor call: the dotted name called, positional arguments, keyword arguments, and the text it was read from."""

    name: str
    positional: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    text: str

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


def parse(code: str) -> tuple[str, ast.Module]:
    """Parse Python code, indented as it may be where it was cut out of a file.

    Returns:
        The text that was parsed, and its tree.

    Raises:
        InvalidTypeError: ``code`` is no text.
        InvalidValueError: it is no Python; holds the line and what is wrong there.
    """
    if not isinstance(code, str):
        raise InvalidTypeError(f"code must be text, got {code!r} of type {type(code).__name__}; pass the call as a string.")
    text = textwrap.dedent(code)
    text = text.strip() if text.startswith((" ", "\t")) else text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the user's own text
            tree = ast.parse(text)
        ast.unparse(tree)  # refuses what is nested too deep for any later step
        return text, tree
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" at line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        fault = error.msg if isinstance(error, SyntaxError) else error
        raise InvalidValueError(f"code must be Python, got {_shown(code)}, wrong{line}: {fault}; pass a whole call.") from error


def _shown(code: str) -> str:
    return repr(code if len(code) < 80 else code[:77] + "...")


def dotted(node: ast.AST) -> str | None:
    """Return ``a.b.c`` for a name or an attribute of a name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return None


def as_call(node: ast.Call, *, arithmetic: bool) -> Call:
    """Take a call apart.

    Args:
        node: the call; the function called is a dotted name.
        arithmetic: whether to keep arithmetic on names and subscripts, ``2 * dim``, as expressions too.

    Raises:
        InvalidValueError: starred or computed arguments, or one given twice; holds the argument.
    """
    name = dotted(node.func)
    text = ast.unparse(node)
    if name is None:
        raise InvalidValueError(f"code must call a class by its name, got {_shown(text)}; write the name of the layer's class.")
    for argument in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)):
        if isinstance(argument, ast.Starred) or argument not in node.args:
            stars = "" if isinstance(argument, ast.Starred) else "**"
            raise InvalidValueError(
                f"starred arguments cannot be read without running them, got {stars}{ast.unparse(argument)} in {_shown(text)}; "
                f"write each argument out."
            )
    positional = tuple(_value(f"argument {number}", value, arithmetic) for number, value in enumerate(node.args, 1))
    keywords = tuple((keyword.arg or "", _value(keyword.arg or "", keyword.value, arithmetic)) for keyword in node.keywords)
    return Call(name, positional, keywords, text)


def _value(argument: str, node: ast.expr, arithmetic: bool) -> Value:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    name = dotted(node)
    if name is not None:
        return Expression(name)
    if isinstance(node, (ast.Tuple, ast.List)) and not any(isinstance(item, ast.Starred) for item in node.elts):
        return tuple(_value(argument, item, arithmetic) for item in node.elts)
    if isinstance(node, ast.Call) and dotted(node.func) is not None:
        return as_call(node, arithmetic=arithmetic)
    if arithmetic and all(isinstance(part, ARITHMETIC) for part in ast.walk(node)):
        return Expression(ast.unparse(node))
    raise InvalidValueError(
        f"{argument} must be a literal or a name, got {_shown(ast.unparse(node))}, which is computed; write its value or a name."
    )


def code_of(value: Value) -> str:
    """Return a value as Python code, strings in double quotes, floats in full."""
    if isinstance(value, (Expression, Call)):
        return value.text
    if isinstance(value, tuple):
        return f"({', '.join(map(code_of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(code_of, value))}]"
    if isinstance(value, str):
        return '"' + repr("'" + value)[2:-1].replace('"', '\\"') + '"' if '"' not in value else repr(value)
    return repr(value)


def atom(value: Value) -> str:
    """Return a value as code that can stand inside arithmetic."""
    text = code_of(value)
    return text if not isinstance(value, Expression) or text.replace(".", "_").isidentifier() else f"({text})"
