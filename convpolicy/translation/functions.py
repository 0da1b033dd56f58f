"""Functional convolutions, such as ``F.conv1d(x, weight, bias)``: how a target writes them, and where their tensors are in a call."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping

import attrs

from convpolicy.errors import InvalidValueError
from convpolicy.translation.reading import SIZES, Request
from convpolicy.translation.values import Expression, code_of

ROLES = ("input", "weight", "bias")  # the tensors of a functional convolution, in order
STAND_INS = {
    role: f"__{role}__" for role in ROLES
}  # names that stand for the code of the tensors while a call is read and written
NUMBERS = (*SIZES, "padding", "output_padding")
WEIGHT_AXES_NOTE = "weight: axes {axes}, as in {framework} ({letters})"
BIAS_NOTE = "bias: must not be None here"


@attrs.frozen(kw_only=True)
class TargetFunction:
    """A functional convolution whose calls can be written.

    Args:
        code: the function as code, such as ``"nn.functional.conv1d"``.
        names: mapping from the common name of a keyword argument to its name in the framework, for ``stride``, ``dilation`` and
            ``groups``. An argument that the function reads from the weight is left out.
        required: common names of the arguments that are written even if they are 1.
        axes: axes of the weight that the function takes, such as ``"OIW"``, or None if ``extra`` names any axes.
        transpose: code that reorders the axes of a weight, with ``{weight}`` and ``{order}``.
        takes_bias: True if the bias is the third argument, False to add it to the result.
        size: code of a stride or dilation, with ``{}`` for the number.
        extra: code of arguments that every call needs, with ``{axes}`` for the axes of the weight.
    """

    code: str
    names: Mapping[str, str]
    required: tuple[str, ...] = ()
    axes: str | None = "OIW"
    transpose: str = "{weight}.permute{order}"
    takes_bias: bool = True
    size: str = "{}"
    extra: str = ""

    def call(self, request: Request, padding: Mapping[str, object], before: tuple[str, ...]) -> str:
        """Return the call, with `STAND_INS` for the tensors.

        Args:
            request: the convolution.
            padding: arguments of the padding, by their name in the target.
            before: code of layers that pad the input.
        """
        data = STAND_INS["input"]
        for layer in before:
            data = f"({layer})({data})" if layer.startswith("lambda") else f"{layer}({data})"
        axes = request.policy.part("layout")[0].axes
        weight = STAND_INS["weight"]
        if self.axes is not None and axes != self.axes:
            order = tuple(axes.index(axis) for axis in self.axes)
            weight = self.transpose.format(weight=weight, order=order)
        has_bias = request.bias is not False
        codes = [data, weight, *([STAND_INS["bias"]] if has_bias and self.takes_bias else [])]
        for name in ("stride", "dilation", "groups"):
            value, keyword = request.values[name], self.names.get(name)
            if keyword is not None and (value != 1 or name in self.required):
                number = code_of(value)
                codes.append(f"{keyword}={number if name == 'groups' else self.size.format(number)}")
        codes += [f"{name}={code_of(value)}" for name, value in padding.items()]
        codes += [self.extra.format(axes=axes)] if self.extra else []
        call = f"{self.code}({', '.join(codes)})"
        return f"({call} + {STAND_INS['bias']})" if has_bias and not self.takes_bias else call


def stand_in(call: ast.Call, parameters: Mapping[str, object], data: tuple[str, ...]) -> tuple[ast.Call, dict[str, ast.expr]]:
    """Replace the tensors of a call by `STAND_INS`.

    Args:
        call: call of the function.
        parameters: parameters of the function, in positional order.
        data: names of the parameters of the input, the weight and the bias.

    Returns:
        The new call, and the node of each tensor by its role.

    Raises:
        InvalidValueError: an argument is starred, so that the tensors are not certain.
    """
    roles, names = dict(zip(data, ROLES)), list(parameters)
    result, nodes = copy.copy(call), {}

    def replaced(name: str | None, node: ast.expr) -> ast.expr:
        role = roles.get(name or "")
        if role is None or (isinstance(node, ast.Constant) and node.value is None):
            return node
        nodes[role] = node
        return ast.copy_location(ast.Name(STAND_INS[role], ast.Load()), node)

    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(word.arg is None for word in call.keywords):
        raise InvalidValueError("starred arguments cannot be read without running the code; write each argument out.")
    result.args = [replaced(names[n] if n < len(names) else None, node) for n, node in enumerate(call.args)]
    result.keywords = [ast.keyword(word.arg, replaced(word.arg, word.value)) for word in call.keywords]
    return result, nodes


def sizes_of(axes: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the sizes of a functional convolution, which its weight has, and its bias.

    Args:
        axes: axes of the weight, such as ``"OIW"``.
        arguments: arguments of the call by common name.
    """
    shape = f"{STAND_INS['weight']}.shape"
    inside = f"{shape}[{axes.index('I')}]"
    groups = arguments.get("groups", 1)
    return {
        "in_channels": Expression(inside if groups == 1 else f"{inside} * {code_of(groups)}"),
        "out_channels": Expression(f"{shape}[{axes.index('O')}]"),
        "kernel_size": Expression(f"{shape}[{axes.index('W')}]"),
        "bias": False if arguments.get("bias") is None else arguments["bias"],
    }


def with_code(text: str, code: Mapping[str, str]) -> str:
    """Return a text with code in place of the names that stand for it.

    Args:
        text: code or a message.
        code: code by the name without its underscores, such as ``"input"``; in parentheses where needed.
    """
    return re.sub(r"__(input|weight|bias|computed\d+)__", lambda match: code[match[1]], text)


def stand_in_computed(
    call: ast.Call, parameters: Mapping[str, object], names: Mapping[str, str]
) -> tuple[ast.Call, dict[str, ast.expr]]:
    """Replace sizes that are computed by a call, such as ``padding=get_padding(kernel)``, by names.

    Args:
        call: call of a layer class.
        parameters: parameters of the class, in positional order.
        names: mapping from parameter to common name.

    Returns:
        The new call, and the node of each computed size by the name that stands for it, without its underscores.
    """
    nodes: dict[str, ast.expr] = {}
    order = list(parameters)

    def replaced(name: str | None, node: ast.expr) -> ast.expr:
        if name is None or names.get(name, name) not in NUMBERS:
            return node
        if isinstance(node, (ast.Tuple, ast.List)):
            elements = [replaced(name, element) for element in node.elts] if len(node.elts) == 1 else node.elts
            return ast.copy_location(type(node)(elements, ast.Load()), node)
        kinds = {type(part) for part in ast.walk(node)}
        if ast.Call not in kinds or kinds & {ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Lambda, ast.Starred}:
            return node
        key = f"computed{len(nodes) + 1}"
        nodes[key] = node
        return ast.copy_location(ast.Name(f"__{key}__", ast.Load()), node)

    args = [replaced(order[n] if n < len(order) else None, node) for n, node in enumerate(call.args)]
    keywords = [ast.keyword(word.arg, replaced(word.arg, word.value)) for word in call.keywords]
    return ast.copy_location(ast.Call(call.func, args, keywords), call), nodes
