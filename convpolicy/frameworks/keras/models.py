"""The 1-D convolutions of a Keras model, by the names of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import keras
from keras.src.models.functional import Functional
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.utils import naming

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.keras.values import LAYOUTS
from convpolicy.layers.forward_code import Parent
from convpolicy.layers.whole_models import Convolution, roles, walk

KINDS = (keras.layers.Conv1D, keras.layers.DepthwiseConv1D, keras.layers.SeparableConv1D, keras.layers.Conv1DTranspose)
PADS = (keras.layers.ZeroPadding1D,)  # before a convolution
CUTS = (keras.layers.Cropping1D,)  # after it
CONTAINERS = (list, dict, tuple)


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a 1-D convolution or are named like one, with paths such as ``encoder/conv1``.

    Returns:
        An iterator, or None if ``model`` is not a Keras layer.
    """
    if not isinstance(model, keras.layers.Layer):
        return None
    return _convolutions(model, every_path)


def _convolutions(model: Any, every_path: bool) -> Iterator[Convolution]:
    in_files = names_in_files(model)
    for path, layer, parents in walk(model, _children, lambda layer: isinstance(layer, KINDS), every_path, "/"):
        yield Convolution(
            path,
            layer,
            roles(weight.name for weight in layer.weights),
            separator="/",
            layout=next((name for kind, name in LAYOUTS.items() if isinstance(layer, kind)), ""),
            aliases=(in_files[id(layer)],) if in_files.get(id(layer)) else (),
            spec=_spec(layer) if layer.built else None,
            parents=_in_graph(parents),
            note=_around(layer, parents),
        )


def _in_graph(parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
    """Return the parents; a functional model says by its graph what is before and after a layer, and not by the order of its layers."""
    return tuple(
        attrs.evolve(parent, children=((parent.child, dict(parent.children)[parent.child]),))
        if isinstance(parent.module, Functional) and not isinstance(parent.module, keras.Sequential)
        else parent
        for parent in parents
    )


def _around(layer: Any, parents: tuple[Parent, ...]) -> str:
    """Return the layers that pad or cut before and after a layer of a functional model, up to the next convolutions."""
    model = parents[-1].module if parents else None
    if not isinstance(model, Functional) or isinstance(model, keras.Sequential):
        return ""
    before: dict[int, list[Any]] = {}
    after: dict[int, list[Any]] = {}
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            for parent in node.parent_nodes:
                before.setdefault(id(node.operation), []).append(parent.operation)
                after.setdefault(id(parent.operation), []).append(node.operation)
    texts = [f"{type(other).__name__} before it" for other in _reached(layer, before) if isinstance(other, PADS)]
    texts += [f"{type(other).__name__} after it" for other in _reached(layer, after) if isinstance(other, CUTS)]
    return ", ".join(dict.fromkeys(texts))


def _reached(layer: Any, neighbours: dict[int, list[Any]]) -> Iterator[Any]:
    """Yield the operations on one side of a layer, up to the next convolutions and models."""
    todo, seen = list(neighbours.get(id(layer), ())), {id(layer)}
    while todo:
        operation = todo.pop(0)
        if id(operation) not in seen and not isinstance(operation, (*KINDS, keras.Model)):
            seen.add(id(operation))
            yield operation
            todo += neighbours.get(id(operation), ())


def _spec(layer: Any) -> ConvSpec | None:
    """Return the sizes of a convolution, also of a layer that computes more than that."""
    if isinstance(layer, keras.layers.SeparableConv1D) or not isinstance(layer, KINDS):
        return None
    kernel, channels, out = layer.kernel.shape
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    if isinstance(layer, keras.layers.Conv1DTranspose):
        groups = getattr(layer, "groups", 1)
        return ConvSpec.of(out, layer.filters, kernel, strides, dilation, groups, transposed=True)
    if isinstance(layer, keras.layers.DepthwiseConv1D):
        return ConvSpec.of(channels, channels * out, kernel, strides, dilation, channels)
    return ConvSpec.of(channels * layer.groups, out, kernel, strides, dilation, layer.groups)


def _children(layer: Any) -> Iterator[tuple[str, Any]]:
    return ((child.name, child) for child in layer._flatten_layers(include_self=False, recursive=False))


def names_in_files(model: Any) -> dict[int, str]:
    """Return ``id(part) -> name in .weights.h5`` for every part of a model; Keras names layers there by class and number."""
    names: dict[int, str] = {}

    def visit(part: Any, path: str, above: tuple[int, ...] = ()) -> None:
        if isinstance(part, KerasSaveable) and id(part) not in names:
            names[id(part)] = path
            for name, child in saving_lib._walk_saveable(part):
                visit(child, _joined(path, name))
        elif isinstance(part, CONTAINERS) and id(part) not in above:
            counts: dict[str, int] = {}
            for item in part.values() if isinstance(part, dict) else part:
                if isinstance(item, (KerasSaveable, *CONTAINERS)):
                    kind = naming.to_snake_case(type(item).__name__) if isinstance(item, KerasSaveable) else "container"
                    visit(item, _joined(path, saving_lib._get_unique_name(kind, counts)), (*above, id(part)))

    visit(model, "")
    return names


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
