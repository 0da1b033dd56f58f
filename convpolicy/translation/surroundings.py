"""What stands around a call: wrappers, casts, containers; and what of a framework is a layer but no Conv1d."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from convpolicy.translation.initializer_words import Named
from convpolicy.translation.scopes import Scope, Use
from convpolicy.translation.values import dotted, text_of

Resolve: TypeAlias = Callable[[str, Scope], "str | None"]  # a dotted name -> the path that it certainly is
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
ALONE = "only Conv1d is translated"


# sentences that several frameworks say of a layer, or of what stands around it
TRANSPOSED = "transposed convolutions are not translated yet"
LOCAL = "its weights differ at every position; no Conv1d computes the same"
FOLD = "its weight is computed from others; fold them into one weight before you move it"


def functional(layer: str) -> str:
    """Return the sentence on a function that convolves, for which ``layer`` may be written."""
    return f"it has no weights of its own; write {layer} and give it these weights"


@attrs.frozen(kw_only=True)
class Surroundings:
    """What a framework has besides its Conv1d; every name is the dotted path that it is imported by.

    Args:
        layers: its other layers; ``"mylib.nn.*"`` means every capitalised name of a module.
        values: names among these that are no layers, such as a parameter or an input.
        alike: what is like a Conv1d and is not read -> what to write instead.
        containers: what holds layers and leaves each as it is.
        wrappers: what changes the outputs of the layer in it -> how.
        remarks: what leaves the outputs of the layer in it as they are -> what is left out.
        casts: method of a layer -> the dtype that it gives it, or None where its arguments say.
        refused: method of a layer that changes its outputs -> how.
        methods: method of a layer that leaves its outputs as they are -> a comment, or an empty string for none.
        fillers: function that fills its first argument, a weight or bias -> the distribution.
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
        """The last part of every name that is spelled out here -> its path, for code without its imports."""
        paths = (*self.remarks, *self.wrappers, *self.alike)
        return {path.rpartition(".")[2]: path for path in reversed(paths)}

    def is_layer(self, path: str) -> bool:
        """Return True for a layer of the framework, a Conv1d included."""
        module, _dot, name = path.rpartition(".")
        if path in self.values or path in self.containers or not name[:1].isupper():
            return False
        return path in self.layers or f"{module}.*" in self.layers

    def is_named(self, path: str) -> bool:
        """Return True for every name that means something here."""
        tables = (self.alike, self.containers, self.wrappers, self.remarks, self.fillers)
        return any(path in table for table in tables) or self.is_layer(path)


@attrs.define
class Changes:
    """What the code around a call does to its layer.

    Args:
        notes: a comment each.
        refusal: why it cannot be translated, or None.
        dtype: the dtype that it is cast to, or None.
        initial: role -> the call that fills that parameter, without the parameter, and the distributions by name.
        top: the outermost expression that is still this layer.
    """

    notes: list[str] = attrs.field(factory=list)
    refusal: str | None = None
    dtype: str | None = None
    initial: dict[str, ast.Call] = attrs.field(factory=dict)
    top: ast.AST | None = None

    def refuse(self, reason: str) -> None:
        """Keep the first reason."""
        self.refusal = self.refusal or reason

    def cast(self, method: str, call: ast.Call, dtype: str | None, surroundings: Surroundings, place: str = "") -> None:
        """Take a method that may change the dtype, with the dtype that its arguments name."""
        text = f".{method}({_arguments(call)}){place}"
        dtype = surroundings.casts[method] or dtype
        if dtype is None:
            self.notes.append(f"{text} is left out: move the layer yourself")
        else:
            self.dtype = dtype

    def wrap(self, path: str | None, name: str, surroundings: Surroundings, place: str = "") -> bool:
        """Take a function that the layer is an argument of; return False for one that is not known."""
        if path is not None and path in surroundings.wrappers:
            self.refuse(
                f"{name}(…) around it{place} {surroundings.wrappers[path]}; translate the layer alone and wrap it yourself."
            )
        elif path is not None and path in surroundings.remarks:
            self.notes.append(f"{name}(…){place} is left out: {surroundings.remarks[path]}")
        else:
            return path in surroundings.containers or name.rpartition(".")[2] in IN_A_ROW
        return True


def around(use: Use, resolve: Resolve, surroundings: Surroundings, dtype_of: Callable[[ast.Call, Scope], str | None]) -> Changes:
    """Return what the expressions around the call of a class do to its layer.

    Args:
        use: the class, called.
        resolve: of the file's names.
        surroundings: of the framework.
        dtype_of: the dtype that the arguments of a call name, or None.
    """
    assert use.trail is not None
    changes = Changes(top=use.trail.node)
    node, trail = use.trail.node, use.trail.outer
    alone = True
    while trail is not None and not isinstance(trail.node, (ast.stmt, ast.Lambda)):
        parent = trail.node
        if isinstance(parent, ast.Call) and parent.func is node:
            return changes  # the layer runs here; what follows is done to its output
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
    """Take a method that is called on the layer at once; return whether its result is still the layer."""
    if name in surroundings.refused:
        changes.refuse(f".{name}({_arguments(call)}) after it {surroundings.refused[name]}; translate the layer alone.")
    elif name in surroundings.casts:
        changes.cast(name, call, dtype, surroundings)
    elif name in surroundings.methods:
        changes.notes += [f".{name}({_arguments(call)}) is left out: {surroundings.methods[name]}"] * bool(
            surroundings.methods[name]
        )
    else:
        changes.notes.append(f".{name}({_arguments(call)}) after it is not read")
        return False
    return True


def _wrapped(changes: Changes, call: ast.Call, scope: Scope, resolve: Resolve, surroundings: Surroundings) -> bool:
    """Take a call that the layer is an argument of; return whether its result is still the layer alone."""
    name = dotted(call.func)
    path = None if name is None else resolve(name, scope)
    title = name or (call.func.attr if isinstance(call.func, ast.Attribute) else "a call")
    if not changes.wrap(path, title, surroundings) and title not in READING:
        changes.notes.append(f"it is an argument of {title}(…), which is not read")
    return path in surroundings.wrappers or path in surroundings.remarks


def _arguments(call: ast.Call) -> str:
    text = ", ".join([*map(text_of, call.args), *map(text_of, call.keywords)])
    return text if len(text) < 40 else "…"
