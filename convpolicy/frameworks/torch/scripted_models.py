"""The convolutions in the graph of a scripted model, and what the graph pads or cuts around each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from convpolicy.frameworks.torch.scripted import OPERATORS, PAD, STORED

WEIGHT_AXES = 3
PARAMETRIZED = "parametrizations"  # child of a module whose weight is computed, as by weight normalization
LENGTH_AXES = (-1, 2)
PADS = re.compile(r"^aten::(?!_pad_packed|_pack_padded)\w*pad")
ZEROS = re.compile(r"^aten::(new_)?zeros")


class Around:
    """The convolutions in the graph of a scripted model, and what the graph pads or cuts around them.

    Attributes:
        model: the scripted model.
        has_constants: True if the weight of a convolution is no parameter but a constant of the graph.
        notes: path of the module that stores the weight -> text such as ``"Sequential (aten::pad in its graph)"``, empty for nothing.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.has_constants = False
        self.notes: dict[str, str] = {}
        graph: Any = getattr(model, "inlined_graph", None)  # None if the module has no forward
        for kind in OPERATORS if graph is not None else ():
            for node in graph.findAllNodes(kind, True):
                self._add(node)

    def owners(self) -> Iterator[Any]:
        """Yield the modules that store the weight of a convolution."""
        return (_at(self.model, path) for path in self.notes)

    def note(self, path: str) -> str:
        """Return what the model pads or cuts around the module at a path."""
        return next((note for owner, note in self.notes.items() if f"{owner}.".startswith(f"{path}." if path else "")), "")

    def _add(self, node: Any) -> None:
        data, weight, *_others = node.inputs()
        names = _place(weight)
        if names is None:
            constant = weight.toIValue()
            self.has_constants |= constant is None or constant.dim() == WEIGHT_AXES
            return
        if getattr(_at(self.model, ".".join(names[:-1])), names[-1]).dim() != WEIGHT_AXES:
            return
        inner = names.index(PARAMETRIZED) if PARAMETRIZED in names else -1
        path = ".".join(names[:inner])
        if data.node().kind() == PAD and _pads(_at(self.model, path)):
            data = next(data.node().inputs())
        texts = [*_before(data), *_after(next(node.outputs()))]
        text = f"{self.model.original_name} ({', '.join(dict.fromkeys(texts))} in its graph)" if texts else ""
        self.notes[path] = self.notes.get(path) or text


def _at(model: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        model = getattr(model, name)
    return model


def _pads(module: Any) -> bool:
    """Return True if a module pads its input."""
    graph = getattr(module, "inlined_graph", None)
    return graph is not None and graph.findNode(PAD, True) is not None


def _place(value: Any) -> list[str] | None:
    """Return the names that lead from the model to a stored value, or to the first one that it is computed from; None for a constant."""
    node = value.node()
    if node.kind() != "prim::GetAttr":
        return next((place for each in node.inputs() if (place := _place(each)) is not None), None)
    names: list[str] = []
    while node.kind() == "prim::GetAttr":
        names.insert(0, node.s("name"))
        node = next(node.inputs()).node()
    return names


def _before(value: Any) -> Iterator[str]:
    """Yield the operators that pad the input of a convolution, as far as the convolution before it."""
    values, seen = [value], set()
    for each in values:  # grows
        node = each.node()
        kind = node.kind()
        if each.debugName() in seen or kind in (*STORED, *OPERATORS, "prim::Param"):
            continue
        seen.add(each.debugName())
        if PADS.match(kind) or (kind == "aten::cat" and any(map(_is_filler, next(node.inputs()).node().inputs()))):
            yield kind
        for block in node.blocks():
            values.extend(block.outputs())
        values.extend(node.inputs())


def _is_filler(value: Any) -> bool:
    """Return True for zeros and for a stored state, which a streaming model joins to its input."""
    return bool(ZEROS.match(value.node().kind())) or value.node().kind() == "prim::GetAttr"


def _after(value: Any) -> Iterator[str]:
    """Yield the operators that cut the output of a convolution, as far as the convolution after it."""
    values, seen = [value], set()
    for each in values:  # grows
        if each.debugName() in seen:
            continue
        seen.add(each.debugName())
        for use in each.uses():
            node = use.user
            if node.kind() in OPERATORS:
                continue
            outputs = list(filter(_is_data, node.outputs()))
            if outputs and node.kind() in ("aten::slice", "aten::narrow") and _cuts(*list(node.inputs())[1:4]):
                yield node.kind()
            values.extend(outputs)


def _is_data(value: Any) -> bool:
    """Return True for a tensor, or several of them."""
    kind = value.type()
    return kind.kind() in ("TensorType", "TupleType") or (
        kind.kind() == "ListType" and kind.getElementType().kind() == "TensorType"
    )


def _cuts(axis: Any, start: Any, end: Any) -> bool:
    """Return True for a slice of the length with a start or an end."""
    if axis.toIValue() not in LENGTH_AXES:
        return False
    is_constant = all(value.node().kind() == "prim::Constant" for value in (start, end))
    return not is_constant or bool(start.toIValue()) or end.toIValue() not in (None, sys.maxsize)
