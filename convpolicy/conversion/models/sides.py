"""The two sides of a conversion for a model: the tensors of the target model, and the names of the source's framework."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from convpolicy import registry
from convpolicy.conversion.formats import FileFormat
from convpolicy.conversion.maps import by_map
from convpolicy.conversion.models.axes import Axes
from convpolicy.conversion.models.kinds import ModelTensors, Scheme
from convpolicy.conversion.selection import Side
from convpolicy.conversion.tensors import Reader
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, PluginError, raised
from convpolicy.layers.backend import Backend
from convpolicy.layers.capture import backends_of
from convpolicy.parts.layout import Layout

TRANSPOSED = "transposed convolution"
FRAMEWORKS = {"tensorflow": "keras"}  # framework of a policy -> that of the backend


def tensors_of(model: Any, target: Side, writes: FileFormat) -> ModelTensors:
    """Return the tensors of the target model, as the target's framework names them in such a file.

    Raises:
        InvalidTypeError, InvalidValueError: the object is not a model, or not one of the target's framework.
        PluginError: a backend fails.
    """
    for backend in backends_of(model):
        if backend.tensors is None:
            continue
        try:
            tensors: ModelTensors | None = backend.tensors(model, writes.suffix)
        except ConvPolicyError:
            raise
        except Exception as error:
            raise PluginError(
                f"backend {backend.name!r} ({backend.provider}) failed to list the model's tensors: {raised(error)}."
            ) from error
        if tensors is None:
            continue
        if backend.framework not in (target.framework, FRAMEWORKS.get(target.framework)):
            raise InvalidValueError(
                f"target must be the framework of model, which is a {backend.framework} model, got {target.name!r}; pass "
                f"target={backend.framework!r}."
            )
        return tensors
    able = ", ".join(sorted({row.framework for row in _backends() if row.tensors is not None}))
    raise InvalidTypeError(f"model must be a model of one of {able}, got an object of type {type(model).__name__}; pass one.")


def _backends() -> Iterable[Backend]:
    return registry.current().working("backend").values()


def schemes_of(source: Side) -> tuple[Scheme, ...]:
    """Return how the source's framework names the tensors of each kind of module.

    Raises:
        InvalidValueError: no framework, or one whose names are not known.
    """
    framework = FRAMEWORKS.get(source.framework, source.framework)
    for backend in _backends():
        if backend.framework == framework and backend.schemes is not None:
            return tuple(_unambiguous(tuple(backend.schemes()), source))
    able = ", ".join(sorted({row.framework for row in _backends() if row.schemes is not None}))
    raise InvalidValueError(
        f"source must be a policy of a framework whose names of parameters are known ({able}), got {source.name!r}; pass one."
    )


def _unambiguous(schemes: Sequence[Scheme], source: Side) -> Iterator[Scheme]:
    """Yield the schemes, of several with the same names only the one that has the layout of the source."""
    for scheme in schemes:
        first = scheme.tensors[0]
        rivals = [row for row in schemes if row.kind == scheme.kind == TRANSPOSED and row.tensors[0].name == first.name]
        words = {len(row.tensors[0].axes.text.split()) for row in rivals}
        layout = source.transposed
        if len(rivals) < 2 or len(words) == len(rivals) or layout is None or _is_layout(first.axes, layout):
            yield scheme


def _is_layout(axes: Axes, layout: Layout) -> bool:
    letters = axes.text.translate(str.maketrans("K", "W", " -G"))
    return (letters, axes.flip) == (layout.axes, layout.flip)


def new_names(mapping: Any, reader: Reader, sides: tuple[Side, Side]) -> Mapping[str, str]:
    """Return the new names that a map gives."""
    mapped = by_map(mapping, (), (row.name for row in reader.entries), *sides)
    if mapped.moves:
        raise InvalidValueError(
            f"mapping must only rename tensors when model is passed, got a layout for {next(iter(mapped.moves))!r}; leave the layout out."
        )
    return mapped.names
