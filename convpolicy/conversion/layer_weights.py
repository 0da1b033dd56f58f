"""Find the weights of the layers that the caller passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, has_layout, kept_in, parts_of
from convpolicy.conversion.tensors import Entry
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest
from convpolicy.layers.capture import Capture, capture
from convpolicy.layers.ported import PortedModel
from convpolicy.layers.whole_models import Convolution, convolutions, listed_in, walking
from convpolicy.parts.layout import Layout


@attrs.frozen(eq=False)
class _Layer:
    """A layer whose weight is looked up in a file.

    Attributes:
        paths: paths that the layer may have in the file.
        spec: sizes of the layer; None when it cannot be captured.
        layer: the module, which may occur at several paths of a model.
        layout: layout of its weight in its framework; None when unknown.
        reason: why the layer cannot be captured.
    """

    paths: tuple[str, ...]
    spec: ConvSpec | None
    layer: Any
    layout: Layout | None = None
    reason: str = ""


def by_layers(
    layers: Any, entries: Mapping[str, Entry], source: Side, target: Side, layout_in_file: Callable[[str, Layout], Layout]
) -> tuple[dict[str, Move], dict[str, str]]:
    """Return the tensors that are weights of layers.

    Args:
        layers: a `PortedModel`, a model of any backend, or a mapping of paths to `Capture` objects or native layers.
        entries: tensors of the file by name.
        source, target: the two sides of the conversion.
        layout_in_file: ``(name of a tensor, layout of its layer) -> layout`` of that tensor in the file.

    Returns:
        Two mappings by the name of a tensor: the `Move` of each weight, and the reason why the weight of a module that cannot be
        captured is copied unchanged.

    Raises:
        InvalidTypeError: ``layers`` is something else; the message names its class.
        InvalidValueError: the file has no weight of a layer, or one of another shape; the message contains the layer's path.
    """
    stems: dict[str, list[tuple[str, str]]] = {}
    for name in entries:
        parts = parts_of(name, source.weight)
        if parts is not None:
            stems.setdefault(parts[0], []).append((name, parts[1]))
    around = wrappers()
    places = _places(stems, around)
    rows = [(layer, _stem_of(layer.paths, places, around)) for layer in _layers_of(layers)]
    present = {id(layer.layer) for layer, stem in rows if stem is not None}
    moves: dict[str, Move] = {}
    refused: dict[str, str] = {}
    for layer, stem in rows:
        if stem is None:
            if layer.spec is not None and id(layer.layer) not in present:
                near = nearest(layer.paths[0], [path.rstrip("./") for path in stems])
                raise InvalidValueError(
                    f"layers has {layer.paths[0]!r}, for which the file has no {source.weight!r}.{near} Pass the layers of this file."
                )
        elif layer.spec is None:
            refused |= {name: layer.reason for name, _part in stems[stem]}
        else:
            for name, part in stems[stem]:
                layout = layout_in_file(name, _own_layout(layer, layer.spec, source))
                if part != "g":
                    _check_shape(layer, layer.spec, layout, entries[name])
                moves[name] = Move(layout, kept_in(target, layout, source), stem, "layer", layer.spec.groups, part)
    return moves, refused


def _own_layout(layer: _Layer, spec: ConvSpec, source: Side) -> Layout:
    """Return the layout in which the source stores the weight of a layer."""
    if layer.layout is not None and has_layout(source, layer.layout):
        return layer.layout
    try:
        return source.layout_of(spec.transposed)
    except InvalidValueError as error:
        raise InvalidValueError(f"layers has {layer.paths[0]!r}: {error}") from error


def _check_shape(layer: _Layer, spec: ConvSpec, layout: Layout, entry: Entry) -> None:
    oiw = np.broadcast_to(np.uint8(0), spec.weight_shape)
    fits = "M" not in layout.axes or spec.groups == spec.in_channels
    shape = layout.stored(oiw, spec.groups).shape if fits else None
    if entry.shape != shape:
        raise InvalidValueError(
            f"layers has {layer.paths[0]!r} with a weight of shape {shape or spec.weight_shape} as {layout.name}, but {entry.name!r} has shape "
            f"{entry.shape}; pass the layers of this file, and the source that wrote it."
        )


def wrappers() -> set[str]:
    """Return the parts that wrappers of a model add to the names of its parameters, such as ``"module"``."""
    return {name for backend in registry.current().working("backend").values() for name in backend.wrappers}


def _places(stems: Iterable[str], around: Collection[str]) -> list[Mapping[str, str]]:
    """Return three mappings of paths to stems: as written, with dots, and without wrappers where that is unambiguous."""
    written = {stem.rstrip("./"): stem for stem in stems}
    dotted = {path.replace("/", "."): stem for path, stem in written.items()}
    bare = Counter(_bare(path, around) for path in dotted)
    return [written, dotted, {_bare(path, around): stem for path, stem in dotted.items() if bare[_bare(path, around)] == 1}]


def _stem_of(paths: tuple[str, ...], places: list[Mapping[str, str]], around: Collection[str]) -> str | None:
    """Return the stem of the names of a layer's parameters in the file, or None."""
    written, dotted, bare = places
    candidates = [written.get(path) for path in paths] + [dotted.get(path.replace("/", ".")) for path in paths]
    candidates += [bare.get(_bare(path.replace("/", "."), around)) for path in paths]
    return next((stem for stem in candidates if stem is not None), None)


def _bare(path: str, around: Collection[str]) -> str:
    return ".".join(part for part in path.split(".") if part not in around)


def _layers_of(layers: Any) -> Iterator[_Layer]:
    """Yield the layers in the argument ``layers``."""
    if isinstance(layers, PortedModel):
        yield from (_of_layer(layers.origins.get(path, Convolution(path, None)), layer) for path, layer in layers.layers.items())
    elif listed_in(layers) is not None:  # first, as a model may be a mapping
        for row, captured in convolutions(layers, every_path=True):
            spec, reason = (captured.spec, "") if isinstance(captured, Capture) else (row.spec, str(captured))
            yield _Layer((row.path, *row.aliases), spec, row.module, _layout_of(row, captured), reason)
    elif isinstance(layers, Mapping):
        yield from (_of_layer(Convolution(path, None), layer) for path, layer in layers.items())
    else:
        raise InvalidTypeError(
            f"layers must be a PortedModel, a model of one of the backends {', '.join(walking())}, or a mapping of paths to layers, got "
            f"{type(layers).__qualname__}; pass one."
        )


def _of_layer(origin: Convolution, layer: Any) -> _Layer:
    captured = layer if isinstance(layer, Capture) else capture(layer)
    return _Layer((origin.path, *origin.aliases), captured.spec, object(), _layout_of(origin, captured))


def _layout_of(convolution: Convolution, captured: Any) -> Layout | None:
    """Return the layout of a layer's weight in its framework, or None when unknown."""
    if convolution.layout:
        own: Layout = registry.current().get("layout", convolution.layout)
        return own
    return captured.policy.part("layout")[0] if isinstance(captured, Capture) else None
