"""Code that names a layer of a model by its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def expression(model: Any, path: str) -> tuple[Any, str]:
    """Return the layer at a path and the code that names it; None and an empty text if no code does.

    Args:
        model: the model, called ``model`` in the code.
        path: names of layers, with ``/`` between them.
    """
    layer, code = model, "model"
    for name in path.split("/") if path else ():
        step = next((step for step in _steps(layer) if step[0].name == name), None)
        if step is None:
            return None, ""
        layer, code = step[0], code + step[1]
    return layer, code


def _steps(parent: Any) -> Iterator[tuple[Any, str]]:
    """Yield each layer in a layer, and the code that leads to it."""
    if isinstance(parent, keras.Model):
        yield from ((layer, f".get_layer({layer.name!r})") for layer in parent.layers)
        return
    for name, value in (*vars(parent).items(), *getattr(parent, "_modules", {}).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, keras.Layer):
            yield value, f".{name}"
        elif isinstance(value, (list, tuple)):
            yield from ((item, f".{name}[{at}]") for at, item in enumerate(value) if isinstance(item, keras.Layer))
        elif isinstance(value, dict):
            yield from ((item, f".{name}[{key!r}]") for key, item in value.items() if isinstance(item, keras.Layer))
