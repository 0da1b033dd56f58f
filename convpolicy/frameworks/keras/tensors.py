"""The tensors of a Keras model, as ``load_weights`` finds them in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import keras
from keras import layers

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, count_of, other, stored
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras.models import names_in_files
from convpolicy.frameworks.keras.tensor_names import ATTENTION, LAYERS, PARTS

# Class -> key of `LAYERS`
CLASSES: dict[type, str] = {
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), "depthwise"),
    **dict.fromkeys((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), "transposed"),
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), "conv"),
    layers.Dense: "dense",
    layers.BatchNormalization: "batch norm",
    layers.GroupNormalization: "group norm",
    layers.LayerNormalization: "layer norm",
    layers.RMSNormalization: "rms norm",
    layers.Embedding: "embedding",
    layers.PReLU: "prelu",
    layers.LSTMCell: "lstm",
    layers.GRUCell: "gru",
    layers.SimpleRNNCell: "rnn",
}
ENDING = ".weights.h5"


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a Keras layer.

    Args:
        model: the model.
        suffix: suffix of the file. In ``.weights.h5`` and ``.keras`` files tensors are numbered, in others they have names.

    Raises:
        InvalidValueError: the model is not built, so it has no tensors yet.
    """
    if not isinstance(model, keras.layers.Layer):
        return None
    if not model.built:
        raise InvalidValueError(
            "model must be built, so that its weights exist; call it once with an input, or model.build(shape)."
        )
    rows = _Lister(names_in_files(model), numbered=suffix in (ENDING, ".keras")).rows(model, "")
    return ModelTensors(tuple(rows), keeps_paths=False)


class _Lister:
    """Lists the tensors of layers.

    Args:
        names: ``id(part) -> name in .weights.h5``.
        numbered: True for the names of ``.weights.h5``.
    """

    def __init__(self, names: dict[int, str], *, numbered: bool) -> None:
        self._names, self._numbered = names, numbered
        self._seen: set[int] = set()

    def rows(self, layer: Any, title: str, *, reverse: bool = False) -> Iterator[ModelModule]:
        """Yield the rows of a layer and of those inside.

        Args:
            layer: the layer.
            title: its path by names of attributes or layers.
            reverse: True if it reads its input from the end.
        """
        if id(layer) in self._seen:
            return
        self._seen.add(id(layer))
        if isinstance(layer, layers.MultiHeadAttention):
            yield self._attention(layer, title)
            return
        inner_reverse = reverse != bool(isinstance(layer, layers.RNN) and layer.go_backwards)
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        own = [value for value in own if "seed_generator" not in value.path]
        row = self._known(layer, title, own, reverse=reverse)
        if row is not None:
            yield row
        else:
            for number, value in enumerate(own):
                name = self._full(layer, self._name(number, value))
                path = f"{title}/{value.name}" if title else value.name
                yield attrs.evolve(other(name, value.shape, str(value.dtype)), path=path)
        attributes = _attributes(layer)
        for child in layer._flatten_layers(include_self=False, recursive=False):
            name = attributes.get(id(child), child.name)
            yield from self.rows(child, f"{title}/{name}" if title else name, reverse=inner_reverse)

    @property
    def _separator(self) -> str:
        return "/" if self._numbered else "."

    def _full(self, layer: Any, end: str) -> str:
        """Return the name of a variable in the file; those of the model itself have no path."""
        path = str(self._names.get(id(layer), layer.name)).replace("/", self._separator)
        return f"{path}{self._separator}{end}" if path else end

    def _name(self, number: int, value: Any) -> str:
        return f"vars/{number}" if self._numbered else str(value.name)

    def _known(self, layer: Any, title: str, own: list[Any], *, reverse: bool) -> ModelModule | None:
        key = next((CLASSES[base] for base in type(layer).__mro__ if base in CLASSES), "")
        if not key or not own:
            return None
        kind, rows = LAYERS[key]
        by_name = {name: (pieces, axes) for name, pieces, axes in rows}
        if any(value.name not in by_name for value in own) or (key == "gru" and not layer.reset_after):
            return None
        parameters = tuple(
            Parameter(
                self._full(layer, self._name(number, value)),
                tuple(value.shape),
                str(value.dtype),
                stored(value.name, *_for(key, value, *by_name[value.name])),
            )
            for number, value in enumerate(own)
        )
        return ModelModule(title, kind, parameters, {"G": count_of(layer, "groups")}, reverse)

    def _attention(self, layer: Any, title: str) -> ModelModule:
        known = {"H": int(layer._num_heads)}
        parameters = []
        for name, pieces, axes in ATTENTION:
            part, _slash, leaf = name.partition("/")
            inner = getattr(layer, f"_{PARTS[part]}")
            value = getattr(inner, leaf, None)
            if value is not None:
                end = f"{PARTS[part]}/vars/{int(leaf == 'bias')}" if self._numbered else name.replace("/", ".")
                parameters.append(
                    Parameter(self._full(layer, end), tuple(value.shape), str(value.dtype), stored(name, pieces, axes))
                )
        return ModelModule(title, "attention", tuple(parameters), known)


def _attributes(layer: Any) -> dict[int, str]:
    """Return ``id(inner layer) -> name of the attribute that contains it``, in a list with its number."""
    names: dict[int, str] = {}
    for name, value in (*vars(layer).items(), *vars(layer).get("_modules", {}).items()):  # torch keeps modules apart
        if name.startswith("_"):
            continue
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
        for part, child in (("", value), *((f"/{key}", child) for key, child in items)):
            if isinstance(child, layers.Layer):
                names.setdefault(id(child), f"{name}{part}")
    return names


def _for(key: str, value: Any, pieces: str, axes: str) -> tuple[str, str]:
    """Return pieces and axes of a variable; a PReLU may share its slopes over axes of the data."""
    if key == "prelu":
        return pieces, " ".join(["1"] * (len(value.shape) - 1) + ["O"])
    return pieces, axes
