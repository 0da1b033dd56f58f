"""Which tensors are weights of the layers that a caller passed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, parts_of
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
        layout: of its weight, where it is not the source's.
        reason: why it is not captured.
    """

    paths: tuple[str, ...]
    spec: ConvSpec | None
    layer: Any
    layout: Layout | None = None
    reason: str = ""


def by_layers(layers: Any, entries: Mapping[str, Entry], source: Side, target: Side) -> tuple[dict[str, Move], dict[str, str]]:
    """Return the weights of layers, and the weights of modules that cannot be captured.

    Args:
        layers: a `PortedModel`, a model of any backend, or a mapping of paths to `Capture` or native layers.
        entries: of the file.
        source, target: of the conversion.

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
    rows = [(layer, _stem_of(layer.paths, stems)) for layer in _layers_of(layers)]
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
            moves |= _moves_of(layer, layer.spec, stem, stems[stem], entries, source, target)
    return moves, refused


def _moves_of(
    layer: _Layer, spec: ConvSpec, stem: str, tensors: Iterable[tuple[str, str]], entries: Mapping[str, Entry], source: Side,
    target: Side,
) -> dict[str, Move]:  # fmt: skip
    layout = layer.layout or source.layout
    shape = layout.from_oiw(np.broadcast_to(np.uint8(0), spec.weight_shape), spec.groups).shape
    for name, part in tensors:
        if part != "g" and entries[name].shape != shape:
            raise InvalidValueError(
                f"layers has {layer.paths[0]!r} with a weight of shape {shape} as {layout.name}, but {name!r} has "
                f"{entries[name].shape}; pass the layers of this file, and its own source."
            )
    return {name: Move(layout, target.layout, stem, "layer", spec.groups, part) for name, part in tensors}


def _stem_of(paths: tuple[str, ...], stems: Iterable[str]) -> str | None:
    """Return the stem of a layer's names in a file, the one spelt as a path of it before one with other separators, or None."""
    spelt = {stem.rstrip("./"): stem for stem in stems}
    dotted = {known.replace("/", "."): stem for known, stem in spelt.items()}
    candidates = [spelt.get(path) for path in paths] + [dotted.get(path.replace("/", ".")) for path in paths]
    return next((stem for stem in candidates if stem is not None), None)


def _layers_of(layers: Any) -> Iterator[_Layer]:
    """Yield the layers in what was passed as ``layers``."""
    if isinstance(layers, PortedModel):
        yield from (_of_layer(layers.origins.get(path, Convolution(path, None)), layer) for path, layer in layers.layers.items())
    elif listed_in(layers) is not None:  # first, as a model may be a mapping
        for row, captured in convolutions(layers, every_path=True):
            spec, reason = (captured.spec, "") if isinstance(captured, Capture) else (row.spec, str(captured))
            yield _Layer((row.path, *row.aliases), spec, row.module, _layout_of(row), reason)
    elif isinstance(layers, Mapping):
        yield from (_of_layer(Convolution(path, None), layer) for path, layer in layers.items())
    else:
        raise InvalidTypeError(
            f"layers must be a PortedModel, a model of one of the backends {', '.join(walking())}, or a mapping of paths to layers, got "
            f"{type(layers).__qualname__}; pass one."
        )


def _of_layer(origin: Convolution, layer: Any) -> _Layer:
    spec = (layer if isinstance(layer, Capture) else capture(layer)).spec
    return _Layer((origin.path, *origin.aliases), spec, object(), _layout_of(origin))


def _layout_of(convolution: Convolution) -> Layout | None:
    return registry.current().get("layout", convolution.layout) if convolution.layout else None
