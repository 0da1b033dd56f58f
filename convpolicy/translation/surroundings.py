"""Code around a call (wrappers, casts, containers), and the other layers of a framework."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from convpolicy.translation.initializer_words import Named
from convpolicy.translation.scopes import Scope, Use
from convpolicy.translation.values import dotted, text_of

Resolve: TypeAlias = Callable[[str, Scope], "str | None"]  # dotted name -> the path that it refers to, None if uncertain
IN_A_ROW = (
    "append", "add", "insert", "extend", "add_module", "add_sublayer", "register_module", "setattr", "insert_child_to_cell",
    "OrderedDict", "dict", "list", "tuple", "zip", "enumerate",
)  # fmt: skip
READING = (
    "print",
    "len",
    "isinstance",
    "issubclass",
    "id",
    "type",
    "repr",
    "str",
    "hasattr",
    "getattr",
    "super",
    "iter",
    "next",
    "list",
)
ALONE = "only 1-D convolutions are translated"


# reasons that several frameworks share
LOCAL = "its weights differ at every position, so no Conv1d computes the same"
FOLD = "its weight is computed from other tensors; fold them into one weight before you port it"


def functional(layer: str) -> str:
    """Return the reason why a functional convolution is not translated.

    Args:
        layer: name of the layer class to write instead.
    """
    return f"it is a function without weights; write {layer} and assign these weights"


@attrs.frozen(kw_only=True)
class Surroundings:
    """Describe what code of a framework does with layers, and which other layers it has.

    Every class and function is named by its dotted path. Values of mappings are parts of comments and messages, unless stated otherwise.

    Args:
        layers: other layers of the framework. ``"mylib.nn.*"`` means every capitalised name of a module.
        values: names in such a module that are not layers, such as a parameter or an input.
        alike: layers and functions that are similar to a 1-D convolution and cannot be read, with what to write instead.
        containers: classes that contain layers and do not change them.
        wrappers: functions and classes that change the outputs of the layer in them, with what they change.
        remarks: functions and classes that keep the outputs of the layer in them, with what is left out.
        casts: methods of a layer that set its dtype, with the dtype, or None if the dtype is an argument.
        refused: methods of a layer that change its outputs, with what they change.
        methods: methods of a layer that keep its outputs, with a comment, which may be empty.
        fillers: functions that fill their first argument, a weight or bias, with the `Named` initializer that they apply.
        appliers: methods that call a function on every layer of a model.
    """

    layers: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    alike: Mapping[str, str] = attrs.field(factory=dict)
    containers: tuple[str, ...] = ()
    wrappers: Mapping[str, str] = attrs.field(factory=dict)
    remarks: Mapping[str, str] = attrs.field(factory=dict)
    casts: Mapping[str, str | None] = attrs.field(factory=dict)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    methods: Mapping[str, str] = attrs.field(factory=dict)
    fillers: Mapping[str, Named] = attrs.field(factory=dict)
    appliers: tuple[str, ...] = ()

    @property
    def customary(self) -> Mapping[str, str]:
        """Dotted path by the last part of the name, for code without its imports."""
        paths = (*self.remarks, *self.wrappers, *self.alike)
        return {path.rpartition(".")[2]: path for path in reversed(paths)}

    def is_layer(self, path: str) -> bool:
        """Return whether a path is a layer of the framework."""
        module, _dot, name = path.rpartition(".")
        if path in self.values or path in self.containers or not name[:1].isupper():
            return False
        return path in self.layers or f"{module}.*" in self.layers

    def is_named(self, path: str) -> bool:
        """Return whether a path is described here."""
        tables = (self.alike, self.containers, self.wrappers, self.remarks, self.fillers)
        return any(path in table for table in tables) or self.is_layer(path)


@attrs.define
class Changes:
    """The changes to a layer by the code around its call.

    Args:
        notes: comments for the reader of the translation.
        refusal: reason why the layer cannot be translated, or None.
        dtype: dtype that the layer is cast to, or None.
        initial: ``"weight"`` or ``"bias"``, with the call that fills it.
        casts: the statements that cast it, such as ``c.half() at line 6``.
        top: the outermost expression whose value is this layer.
    """

    notes: list[str] = attrs.field(factory=list)
    refusal: str | None = None
    dtype: str | None = None
    initial: dict[str, ast.Call] = attrs.field(factory=dict)
    casts: list[str] = attrs.field(factory=list)
    top: ast.AST | None = None

    def refuse(self, reason: str) -> None:
        """Record a reason why the layer cannot be translated, unless there is one already."""
        self.refusal = self.refusal or reason

    def cast(self, method: str, call: ast.Call, dtype: str | None, surroundings: Surroundings, place: str = "") -> None:
        """Record a call of a method that may change the dtype; ``dtype`` is the one in its arguments."""
        text = f".{method}({_arguments(call)}){place}"
        dtype = surroundings.casts[method] or dtype
        if dtype is None:
            self.notes.append(f"{text} is left out: move the layer yourself")
        else:
            self.dtype = dtype
            self.casts += [text] if place else []

    def wrap(self, path: str | None, name: str, surroundings: Surroundings, place: str = "") -> bool:
        """Record a call with the layer as an argument; return False if the function is not known."""
        if path is not None and path in surroundings.wrappers:
            self.refuse(
                f"{name}(…) around it{place} {surroundings.wrappers[path]}; translate the layer without it and wrap it yourself."
            )
        elif path is not None and path in surroundings.remarks:
            self.notes.append(f"{name}(…){place} is left out: {surroundings.remarks[path]}")
        else:
            return path in surroundings.containers or name.rpartition(".")[2] in IN_A_ROW
        return True


def around(use: Use, resolve: Resolve, surroundings: Surroundings, dtype_of: Callable[[ast.Call, Scope], str | None]) -> Changes:
    """Return the changes to a layer by the expressions around its call.

    Args:
        use: use of the class, which is called.
        resolve: function that resolves the names of the file.
        surroundings: functions, methods and other layers of the framework.
        dtype_of: function that returns the dtype that the arguments of a call name, or None.
    """
    assert use.trail is not None
    changes = Changes(top=use.trail.node)
    node, trail = use.trail.node, use.trail.outer
    alone = True
    while trail is not None and not isinstance(trail.node, (ast.stmt, ast.Lambda)):
        parent = trail.node
        if isinstance(parent, ast.Call) and parent.func is node:
            return changes  # the layer runs here, so the rest of the expression applies to its output
        if isinstance(parent, ast.Attribute):
            outer = trail.outer.node if trail.outer is not None else None
            if not (isinstance(outer, ast.Call) and outer.func is parent) or not _method(
                changes, parent.attr, outer, surroundings, dtype_of(outer, use.scope)
            ):
                return changes
            node, trail = outer, trail.outer
            assert trail is not None
        elif isinstance(parent, ast.Call):
            alone = _wrapped(changes, parent, use.scope, resolve, surroundings) and alone
            node = parent
        else:
            alone = alone and isinstance(parent, ast.keyword)
            node = parent
        if alone and not isinstance(node, ast.keyword):
            changes.top = node
        trail = trail.outer
    return changes


def _method(changes: Changes, name: str, call: ast.Call, surroundings: Surroundings, dtype: str | None) -> bool:
    """Record a method called on the new layer, and return whether its result is the layer."""
    if name in surroundings.refused:
        changes.refuse(f".{name}({_arguments(call)}) after it {surroundings.refused[name]}; translate the layer alone.")
    elif name in surroundings.casts:
        changes.cast(name, call, dtype, surroundings)
    elif name in surroundings.methods:
        changes.notes += [f".{name}({_arguments(call)}) is left out: {surroundings.methods[name]}"] * bool(
            surroundings.methods[name]
        )
    else:
        changes.notes.append(f".{name}({_arguments(call)}) after it is ignored here")
        return False
    return True


def _wrapped(changes: Changes, call: ast.Call, scope: Scope, resolve: Resolve, surroundings: Surroundings) -> bool:
    """Record a call with the layer as an argument, and return whether its result is this layer only."""
    name = dotted(call.func)
    path = None if name is None else resolve(name, scope)
    title = name or (call.func.attr if isinstance(call.func, ast.Attribute) else "a call")
    if not changes.wrap(path, title, surroundings) and title not in READING:
        changes.notes.append(f"it is an argument of {title}(…), which is ignored here")
    return path in surroundings.wrappers or path in surroundings.remarks


def _arguments(call: ast.Call) -> str:
    text = ", ".join([*map(text_of, call.args), *map(text_of, call.keywords)])
    return text if len(text) < 40 else "…"
