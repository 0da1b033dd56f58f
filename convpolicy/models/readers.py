"""`reader_of`: the reader of a model of any framework."""

from __future__ import annotations

from typing import Any

from convpolicy import registry
from convpolicy.errors import ConvPolicyError, PluginError, raised
from convpolicy.layers.backend import Backend
from convpolicy.layers.capture import Capture, backends_of, capture
from convpolicy.models.reader import Reader


def reader_of(model: Any) -> Reader | None:
    """Return the reader of a model, or None if no backend reads it.

    Raises:
        PluginError: a backend fails. The message names the backend, its plugin and the error.
    """
    for backend in sorted(backends_of(model), key=lambda backend: _distance(model, backend)):
        if backend.reader is None:
            continue
        try:
            reader: Reader | None = backend.reader(model)
        except ConvPolicyError:
            raise
        except Exception as error:
            raise PluginError(
                f"backend {backend.name!r} ({backend.provider}) failed to read a model: {raised(error)}."
            ) from error
        if reader is not None:
            return reader
    return None


def _distance(model: Any, backend: Backend) -> int:
    """Return how far up the framework of a backend is among the base classes: a Keras model on torch is a torch module as well."""
    roots = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    return min((roots.index(name) for name in (backend.name, backend.framework) if name in roots), default=len(roots))


def reading() -> list[str]:
    """Return the sorted names of the backends that read whole models."""
    return sorted(name for name, backend in registry.current().parts("backend").items() if backend.reader is not None)


def are_models(a: Any, b: Any) -> bool:
    """Return True if two objects are models, or a model and a function, and neither is one convolution."""
    return any(reader_of(one) is not None for one in (a, b)) and not any(map(_is_layer, (a, b)))


def _is_layer(layer: Any) -> bool:
    if isinstance(layer, Capture):
        return True
    try:
        return callable(layer) and capture(layer) is not None
    except ConvPolicyError:
        return False
