"""New names of the parameters of ported layers."""

from __future__ import annotations

from typing import Any

from convpolicy import registry
from convpolicy.layers.backend import LEARNED, Backend, LayerRequest
from convpolicy.layers.capture import Capture
from convpolicy.layers.ported import Renamed
from convpolicy.parts.layout import Layout, axes_words


def renamed(convolution: Any, captured: Capture, to: str, path: str, layout: str) -> dict[str, Renamed]:
    """Map each parameter name of a ported module to its `Renamed`.

    Args:
        convolution: the original `Convolution`.
        captured: its capture.
        to: name of the target backend.
        path: path of the new layer.
        layout: name of the layout of the new layer's weight. Empty means the layout of the backend.
    """
    transposed = captured.spec.transposed
    source = _layout_of(captured.backend, transposed, convolution.layout)
    target = _layout_of(to, transposed, layout)
    before, after = (f"{start}{convolution.separator}" if start else "" for start in (convolution.path, path))
    names = {}
    learned = LayerRequest(captured.spec, captured.policy).learned()
    for old, role in convolution.parameters.items():
        if role == LEARNED:
            if learned is not None:
                names[before + old] = Renamed(after + LEARNED, "I" * learned.ndim, computed=old != LEARNED)
            continue
        axes = "O" if role == "bias" else axes_words(source, target)
        names[before + old] = Renamed(after + getattr(target, role), axes, computed=old != getattr(source, role))
    return names


def _layout_of(backend: str, transposed: bool, listed: str) -> Layout:
    """Return the layout of a weight: the listed one, or that of the backend if ``listed`` is empty."""
    part: Backend = registry.current().get("backend", backend)
    layout: Layout = registry.current().get("layout", listed or (part.transposed_layout if transposed else part.layout))
    return layout
