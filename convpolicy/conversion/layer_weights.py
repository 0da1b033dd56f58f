"""Which tensors are weights of the layers that a caller passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, has_layout, kept_in, parts_of
from convpolicy.conversion.tensors import Entry
from convpolicy.core.plan import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest
from convpolicy.layers.capture import Capture, capture
from convpolicy.layers.ported import PortedModel
from convpolicy.layers.whole_models import Convolution, convolutions, listed_in, walking
from convpolicy.parts.layout import Layout


@attrs.frozen(eq=False)
class _Layer:
    """A layer whose weight is looked for in a file.

    Attributes:
        paths: names that it may have there.
        spec: sizes; None for a layer that is not captured.
        layer: the module, which may be in several places of a model.
        layout: of its weight in its own framework; None where that is not known.
        reason: why it is not captured.
    """

    paths: tuple[str, ...]
    spec: ConvSpec | None
    layer: Any
    layout: Layout | None = None
    reason: str = ""


def by_layers(
    layers: Any, entries: Mapping[str, Entry], source: Side, target: Side, known: Callable[[str, Layout], Layout]
) -> tuple[dict[str, Move], dict[str, str]]:
    """Return the weights of layers, and the weights of modules that cannot be captured.

    Args:
        layers: a `PortedModel`, a model of any backend, or a mapping of paths to `Capture` or native layers.
        entries: of the file.
        source, target: of the conversion.
        known: ``(name of a tensor, layout of its layer) -> layout`` that the file says it has.

    Returns:
        Name of a tensor -> its `Move`, and name of a tensor -> why it is copied as it is.

    Raises:
        InvalidTypeError: something else; holds its class.
        InvalidValueError: a layer that the file does not contain, or contains with other sizes; holds its path.
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
                near = nearest(layer.paths[0], [known.rstrip("./") for known in stems])
                raise InvalidValueError(
                    f"layers has {layer.paths[0]!r}, but the file has no {source.weight!r} of it; pass the layers of this file.{near}"
                )
        elif layer.spec is None:
            refused |= {name: layer.reason for name, _part in stems[stem]}
        else:
            for name, part in stems[stem]:
                own = layer.layout if layer.layout is not None and has_layout(source, layer.layout) else source.layout
                layout = known(name, own)
                if part != "g":
                    _check_shape(layer, layer.spec, layout, entries[name])
                moves[name] = Move(layout, kept_in(target, layout, source), stem, "layer", layer.spec.groups, part)
    return moves, refused


def _check_shape(layer: _Layer, spec: ConvSpec, layout: Layout, entry: Entry) -> None:
    oiw = np.broadcast_to(np.uint8(0), spec.weight_shape)
    fits = "M" not in layout.axes or spec.groups == spec.in_channels
    shape = layout.from_oiw(oiw, spec.groups).shape if fits else None
    if entry.shape != shape:
        raise InvalidValueError(
            f"layers has {layer.paths[0]!r} with a weight of shape {shape or spec.weight_shape} as {layout.name}, but {entry.name!r} has "
            f"{entry.shape}; pass the layers of this file, and its own source."
        )


def wrappers() -> set[str]:
    """Return what wrappers of a model put before or into the names of its parameters, such as ``"module"``."""
    return {name for backend in registry.current().working("backend").values() for name in backend.wrappers}


def _places(stems: Iterable[str], around: Collection[str]) -> list[Mapping[str, str]]:
    """Return spelling of a path -> stem: as it is, with dots, and without wrappers, where no two are the same."""
    spelt = {stem.rstrip("./"): stem for stem in stems}
    dotted = {path.replace("/", "."): stem for path, stem in spelt.items()}
    bare = Counter(_bare(path, around) for path in dotted)
    return [spelt, dotted, {_bare(path, around): stem for path, stem in dotted.items() if bare[_bare(path, around)] == 1}]


def _stem_of(paths: tuple[str, ...], places: list[Mapping[str, str]], around: Collection[str]) -> str | None:
    """Return the stem of a layer's names in a file, or None."""
    spelt, dotted, bare = places
    candidates = [spelt.get(path) for path in paths] + [dotted.get(path.replace("/", ".")) for path in paths]
    candidates += [bare.get(_bare(path.replace("/", "."), around)) for path in paths]
    return next((stem for stem in candidates if stem is not None), None)


def _bare(path: str, around: Collection[str]) -> str:
    return ".".join(part for part in path.split(".") if part not in around)


def _layers_of(layers: Any) -> Iterator[_Layer]:
    """Yield the layers in what was passed as ``layers``."""
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
    """Return the layout of a layer's own weight; None where nothing says it."""
    if convolution.layout:
        own: Layout = registry.current().get("layout", convolution.layout)
        return own
    return captured.policy.part("layout")[0] if isinstance(captured, Capture) else None
