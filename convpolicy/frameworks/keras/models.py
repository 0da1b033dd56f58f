"""The 1-D convolutions of a Keras model, by the names of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.utils import naming

from convpolicy.layers.whole_models import Convolution, roles, walk

KINDS = (keras.layers.Conv1D, keras.layers.DepthwiseConv1D, keras.layers.SeparableConv1D, keras.layers.Conv1DTranspose)
CONTAINERS = (list, dict, tuple)


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """Return an iterator of what is or is called a Conv1D in a model, with paths such as ``encoder/conv1``; None for another object."""
    if not isinstance(model, keras.layers.Layer):
        return None
    return _listed(model, every_path)


def _listed(model: Any, every_path: bool) -> Iterator[Convolution]:
    files = _names_in_files(model)
    for path, layer in walk(model, _children, lambda layer: isinstance(layer, KINDS), every_path, "/"):
        yield Convolution(
            path,
            layer,
            roles(weight.name for weight in layer.weights),
            separator="/",
            layout="WIM" if isinstance(layer, keras.layers.DepthwiseConv1D) else "",
            aliases=(files[id(layer)],) if files.get(id(layer)) else (),
        )


def _children(layer: Any) -> Iterator[tuple[str, Any]]:
    return ((child.name, child) for child in layer._flatten_layers(include_self=False, recursive=False))


def _names_in_files(model: Any) -> dict[int, str]:
    """Return id -> name of every part of a model in ``.weights.h5``, where layers are called by class and number."""
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
