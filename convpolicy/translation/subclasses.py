"""Classes of a file that inherit from a layer and only fix some of its arguments; a function that returns the layer replaces them."""

from __future__ import annotations

import ast
import copy

import attrs

from convpolicy.translation.bindings import Page
from convpolicy.translation.scopes import Use
from convpolicy.translation.values import dotted, text_of


@attrs.frozen(eq=False)
class Subclass:
    """A class that only fixes arguments of its base class.

    Args:
        node: the class.
        call: call of the base class with the arguments of ``super().__init__``.
        parameters: parameters of ``__init__`` without the instance, as code.
        docstring: the statement that is the docstring, or None.
    """

    node: ast.ClassDef
    call: ast.Call
    parameters: str
    docstring: ast.Expr | None

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.node.name


def fixed_arguments(use: Use, page: Page) -> Subclass | str | None:
    """Return the class that has a layer as its base class and only fixes arguments.

    Args:
        use: use of the name of the layer.
        page: the file.

    Returns:
        The class, the reason why it cannot become a function, or None if there is no such class.
    """
    node = use.parent
    if not isinstance(node, ast.ClassDef) or len(node.bases) != 1 or node.keywords or node.decorator_list:
        return None
    docstring, body = _docstring(node.body)
    method = body[0] if len(body) == 1 else None
    if not isinstance(method, ast.FunctionDef) or method.name != "__init__" or method.decorator_list:
        return None
    statements = _docstring(method.body)[1]
    names = [*method.args.posonlyargs, *method.args.args]
    value = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Expr) else None
    if not isinstance(value, ast.Call) or not names:
        return None
    arguments = _arguments(value, use.text, node.name, names[0].arg)
    if arguments is None:
        return None
    call = ast.copy_location(ast.Call(use.node, arguments, value.keywords), value)
    if any(
        isinstance(part, ast.Name) and part.id == names[0].arg
        for part in ast.walk(ast.Tuple(arguments + [word.value for word in value.keywords], ast.Load()))
    ):
        return None
    own = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    named = (other for other in page.uses if other.text.partition(".")[0] == node.name and other.node.lineno not in own)
    others = [other for other in named if other.call is None or other.text != node.name]
    if others:
        return (
            f"class {node.name} only fixes arguments, but line {others[0].node.lineno} uses it without calling it; "
            f"write a function that returns the layer."
        )
    return Subclass(node, call, _parameters(method.args), docstring)


def _docstring(body: list[ast.stmt]) -> tuple[ast.Expr | None, list[ast.stmt]]:
    """Return the docstring of a body, and its other statements."""
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return (first, body[1:]) if is_text else (None, body)  # type: ignore[return-value]


def _arguments(call: ast.Call, base: str, name: str, instance: str) -> list[ast.expr] | None:
    """Return the positional arguments of ``super().__init__(…)`` or ``Base.__init__(self, …)``, or None for another call."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr != "__init__":
        return None
    if dotted(function.value) == base and call.args and dotted(call.args[0]) == instance:
        return call.args[1:]
    owner = function.value
    if not isinstance(owner, ast.Call) or dotted(owner.func) != "super" or owner.keywords:
        return None
    if not owner.args or [dotted(argument) for argument in owner.args] == [name, instance]:
        return call.args
    return None


def _parameters(arguments: ast.arguments) -> str:
    """Return parameters as code, without the first one."""
    rest = copy.copy(arguments)
    if rest.posonlyargs:
        rest.posonlyargs = rest.posonlyargs[1:]
    else:
        rest.args = rest.args[1:]
    return text_of(rest)
