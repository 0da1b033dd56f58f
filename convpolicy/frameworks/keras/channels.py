"""The input channels of each Keras convolution in a source file, which Keras's calls do not contain.

They are followed through ``Sequential``, ``add`` and the functional style. Channels are unknown when they are not a literal number,
after a loop, a branch or an unknown layer, and where other code may change a model.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

Channels: TypeAlias = "int | None"
Shape: TypeAlias = "tuple[Channels, Channels]"  # the two axes after the batch axis
UNKNOWN: Shape = (None, None)
CONVS = ("Conv1D", "Convolution1D")
TRANSPOSED = ("Conv1DTranspose", "Convolution1DTranspose")
DEPTHWISE = "DepthwiseConv1D"
INPUTS = ("Input", "InputLayer")
ELEMENTWISE = (
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization", "GroupNormalization",
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Masking",
)  # fmt: skip
ALONG_LENGTH = (
    "MaxPooling1D", "MaxPool1D", "AveragePooling1D", "AvgPool1D", "ZeroPadding1D", "Cropping1D", "UpSampling1D",
)  # fmt: skip
DATA_FORMAT = {
    **dict.fromkeys(CONVS, 4),
    **dict.fromkeys(TRANSPOSED, 5),
    **dict.fromkeys(ALONG_LENGTH, 3),
    DEPTHWISE: 4,
    "ZeroPadding1D": 1,
}  # class -> position of its data_format argument
READING = ("compile", "fit", "evaluate", "predict", "summary", "save", "save_weights", "load_weights", "get_layer", "build")
PACKAGES = ("keras", "tensorflow")


def follow(tree: ast.Module, path: Callable[[ast.AST], str | None]) -> Mapping[int, Channels]:
    """Return ``id(call) -> channels`` for the calls of Keras convolutions of a file; None where the channels are unknown.

    Args:
        tree: syntax tree of the file.
        path: ``node -> dotted path`` of the object that a node names, or None where that is uncertain.
    """
    follower = _Follower(tree, path)
    follower.block(tree.body)
    return follower.channels


class _Follower:
    """Reads statements in order and keeps the shapes of variables."""

    def __init__(self, tree: ast.Module, path: Callable[[ast.AST], str | None]) -> None:
        self.channels: dict[int, Channels] = {}
        self._path = path
        self._shapes: dict[str, Shape] = {}
        self._models: set[str] = set()
        self._shared: set[str] = set()  # names that other functions may assign
        self._format: str | None = "channels_last"
        for node in ast.walk(tree):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                self._shared |= {*node.names}
            elif isinstance(node, ast.Attribute) and node.attr == "set_image_data_format":
                self._format = None

    def _kind(self, call: ast.Call) -> str:
        """Return the name of a layer's class, or an empty string where it may not be Keras's."""
        path = self._path(call.func) or ""
        package, dot, _rest = path.partition(".")
        return path.rpartition(".")[2] if package in PACKAGES or not dot else ""

    def layer(self, call: ast.Call, before: Shape) -> Shape:
        """Store the channels of a convolution for an input of shape ``before``; return the output shape of any layer."""
        kind = self._kind(call)
        if kind in INPUTS:
            return _shape(_argument(call, 0, "shape", "input_shape"))
        input_shape = _shape(_argument(call, None, "input_shape"))
        before = before if input_shape == UNKNOWN else input_shape
        if kind in ELEMENTWISE:
            return before
        if kind == "Sequential":
            return self.sequence(call, before)
        if kind not in DATA_FORMAT:
            return UNKNOWN
        data_format = self._data_format(call, DATA_FORMAT[kind])
        axis = {"channels_last": 1, "channels_first": 0}.get(data_format or "")
        channels = None if axis is None else before[axis]
        if kind in (*CONVS, *TRANSPOSED):
            self.channels[id(call)] = channels
            channels = _number(_argument(call, 0, "filters"))
        elif kind == DEPTHWISE:
            self.channels[id(call)] = channels
            multiplier = _argument(call, 3, "depth_multiplier")
            factor = 1 if multiplier is None else _number(multiplier)
            channels = None if channels is None or factor is None else channels * factor
        return UNKNOWN if axis is None else (None, channels) if axis else (channels, None)

    def _data_format(self, call: ast.Call, position: int) -> str | None:
        if any(keyword.arg is None for keyword in call.keywords) or any(isinstance(part, ast.Starred) for part in call.args):
            return None
        node = _argument(call, position, "data_format")
        value = node.value if isinstance(node, ast.Constant) else None if node is None else ...
        return self._format if value is None else value if isinstance(value, str) else None

    def sequence(self, call: ast.Call, before: Shape) -> Shape:
        """Follow the layers of a Sequential; return its output shape."""
        layers = _argument(call, 0, "layers")
        if layers is None and not call.args:
            return before
        if not isinstance(layers, (ast.List, ast.Tuple)):
            return UNKNOWN
        for item in layers.elts:
            before = self.value(item, before, alone=True)
        return before

    def value(self, node: ast.expr, before: Shape = UNKNOWN, *, alone: bool = False) -> Shape:
        """Return the output shape of an expression: a layer in a Sequential (``alone``), a layer call, or a variable."""
        if isinstance(node, ast.Name):
            return self._shapes.get(node.id, UNKNOWN) if not alone else UNKNOWN
        if not isinstance(node, ast.Call):
            return UNKNOWN
        calls = [node]  # in Conv1D(8, 3)(ReLU()(x)) the innermost call runs first
        while isinstance(calls[-1].func, ast.Call) and len(calls[-1].args) == 1 and isinstance(calls[-1].args[0], ast.Call):
            calls.append(calls[-1].args[0])
        inner = calls.pop()
        if isinstance(inner.func, ast.Call) and len(inner.args) == 1:
            shape = self.layer(inner.func, self.value(inner.args[0]) if not isinstance(inner.args[0], ast.Call) else UNKNOWN)
        else:
            shape = self.layer(inner, before)
        for outer in reversed(calls):
            assert isinstance(outer.func, ast.Call)
            shape = self.layer(outer.func, shape)
        return shape

    def block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            outer = self._shapes, self._models
            self._shapes, self._models = {}, set()
            self.block(node.body)
            self._shapes, self._models = outer
            return
        is_simple = not hasattr(node, "body")
        add = _added(node)
        changed = _changed(node, self._models, None if add is None else add[0])
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, alias = node.targets[0].id, isinstance(node.value, ast.Name) and node.value.id in self._models
            shape = self.value(node.value)
            self._forget(changed)
            if name not in self._shared and not alias:
                self._shapes[name] = shape
                if isinstance(node.value, ast.Call) and self._kind(node.value) == "Sequential":
                    self._models.add(name)
        elif add is not None:
            model, layer = add
            shape = self.value(layer, self._shapes.get(model, UNKNOWN), alone=True)
            self._forget(changed - {model})
            if model in self._shapes:
                self._shapes[model] = shape
        elif is_simple:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call):
                self.value(value)
            self._forget(changed)
        else:
            changed |= {call.func.value.id for call in ast.walk(node) if _is_add(call)}  # type: ignore[attr-defined]
            self._forget(changed)
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                for part in getattr(node, field, []):
                    self.block([part] if isinstance(part, ast.stmt) else part.body)
                self._forget(changed)

    def _forget(self, names: set[str]) -> None:
        for name in names:
            self._shapes.pop(name, None)
            self._models.discard(name)


def _argument(call: ast.Call, position: int | None, *names: str) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg in names]
    if named or position is None or any(isinstance(argument, ast.Starred) for argument in call.args):
        return named[0] if named else None
    return call.args[position] if len(call.args) > position else None


def _shape(node: ast.expr | None) -> Shape:
    if isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) == 2:
        return _number(node.elts[0]), _number(node.elts[1])
    return UNKNOWN


def _number(node: ast.expr | None) -> Channels:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _changed(node: ast.stmt, models: set[str], added: str | None) -> set[str]:
    """Return the names that a statement assigns, and the models that it may change because it does more than read or call them."""
    names, readers, loads = set(), set(), []
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            if isinstance(part.ctx, ast.Load):
                loads.append(part)
            else:
                names.add(part.id)
        elif isinstance(part, ast.Call):
            is_read = isinstance(part.func, ast.Attribute) and (part.func.attr in READING or (part.func.attr == "add" and added))
            readers.add(id(part.func.value if is_read else part.func))  # type: ignore[attr-defined]
    return names | {part.id for part in loads if part.id in models and id(part) not in readers}


def _added(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """Return the model and the layer of ``model.add(layer)``, or None for another statement."""
    call = node.value if isinstance(node, ast.Expr) else None
    if call is None or not _is_add(call) or len(call.args) != 1:  # type: ignore[attr-defined]
        return None
    return call.func.value.id, call.args[0]  # type: ignore[attr-defined]


def _is_add(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr == "add" and isinstance(node.func.value, ast.Name)
