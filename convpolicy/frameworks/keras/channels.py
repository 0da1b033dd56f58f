"""The channels and length that reach each Keras Conv1D of a file, followed through Sequential, ``add`` and the functional style.

Only numbers are followed; what a loop or a branch changes, and what an unknown layer makes of it, is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from convpolicy.translation.values import dotted

Channels: TypeAlias = "int | None"
CONVS = ("Conv1D", "Convolution1D")
INPUTS = ("Input", "InputLayer")
KEEPING = (
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization", "GroupNormalization",
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "MaxPooling1D", "MaxPool1D",
    "AveragePooling1D", "AvgPool1D", "ZeroPadding1D", "Cropping1D", "UpSampling1D", "Masking",
)  # fmt: skip


def _short(call: ast.Call) -> str:
    return (dotted(call.func) or "").rpartition(".")[2]


def _argument(call: ast.Call, position: int | None, *names: str) -> ast.expr | None:
    found = [keyword.value for keyword in call.keywords if keyword.arg in names]
    if found or position is None or any(isinstance(argument, ast.Starred) for argument in call.args):
        return found[0] if found else None
    return call.args[position] if len(call.args) > position else None


def _last(shape: ast.expr | None, axes: int) -> Channels:
    if isinstance(shape, (ast.Tuple, ast.List)) and len(shape.elts) == axes:
        return _number(shape.elts[-1])
    return None


def _number(node: ast.expr | None) -> Channels:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


class _Followed:
    def __init__(self) -> None:
        self.found: dict[int, Channels] = {}
        self._known: dict[str, Channels] = {}

    def layer(self, call: ast.Call, before: Channels) -> Channels:
        """Record a layer that gets ``before`` channels; return what it gives."""
        name = _short(call)
        if name in INPUTS:
            return _last(_argument(call, 0, "shape", "input_shape"), 2)
        before = _last(_argument(call, None, "input_shape"), 2) or before
        if name in CONVS:
            last = not any(keyword.arg in ("data_format", None) for keyword in call.keywords)
            self.found[id(call)] = before if last else None
            return _number(_argument(call, 0, "filters")) if last else None
        if name == "Sequential":
            return self.row(call, before)
        return before if name in KEEPING else None

    def row(self, call: ast.Call, before: Channels) -> Channels:
        """Follow the layers of a Sequential."""
        layers = _argument(call, 0, "layers")
        if not isinstance(layers, (ast.List, ast.Tuple)):
            return None
        for item in layers.elts:
            before = self.value(item, before, alone=True)
        return before

    def value(self, node: ast.expr, before: Channels = None, *, alone: bool = False) -> Channels:
        """Return the channels of an expression: a layer in a row, a layer called on something, or a name."""
        if isinstance(node, ast.Name):
            return self._known.get(node.id) if not alone else None
        if not isinstance(node, ast.Call):
            return None
        if isinstance(node.func, ast.Call) and len(node.args) == 1:  # Conv1D(8, 3)(x)
            return self.layer(node.func, self.value(node.args[0]))
        return self.layer(node, before)

    def block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            outside, self._known = self._known, {}
            self.block(node.body)
            self._known = outside
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self._known[node.targets[0].id] = self.value(node.value)
        elif isinstance(node, (ast.Expr, ast.Return)) and isinstance(node.value, ast.Call):
            self._expression(node.value)
        else:
            changed = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
            changed |= {call.func.value.id for call in ast.walk(node) if _is_add(call)}  # type: ignore[attr-defined]
            self._forget(changed)
            for field in ("body", "orelse", "finalbody"):
                self.block(part for part in getattr(node, field, []) if isinstance(part, ast.stmt))
                self._forget(changed)

    def _expression(self, call: ast.Call) -> None:
        if _is_add(call) and len(call.args) == 1:
            model = call.func.value.id  # type: ignore[attr-defined]
            self._known[model] = self.value(call.args[0], self._known.get(model), alone=True)
        else:
            self.value(call)

    def _forget(self, names: set[str]) -> None:
        for name in names:
            self._known[name] = None


def _is_add(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr == "add" and isinstance(node.func.value, ast.Name)


def follow(tree: ast.Module) -> Mapping[int, Channels]:
    """Return ``id(call) -> channels`` for the Keras Conv1D calls of a file; None where they are not known."""
    followed = _Followed()
    followed.block(tree.body)
    return followed.found
