"""`port_model`: every Conv1d of a torch model built elsewhere, with a report and the new names of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.errors import ConvPolicyError, InvalidTypeError
from convpolicy.layers.capture import Capture, capture
from convpolicy.parts.layout import Layout

LOOKS_LIKE = (
    "Conv1d",
    "Conv1D",
    "ConvTranspose1d",
)  # in the name of a class; what bears it and is not ported is in the report, with the reason
CONVOLUTIONS = "torch.nn.modules.conv"  # where torch's own are defined


@attrs.frozen
class Ported:
    """What became of one module.

    Attributes:
        path: its name in the model, e.g. ``"encoder.conv1"``.
        class_name: of the original.
        reason: why it was not ported, empty when it was.
    """

    path: str
    class_name: str
    reason: str = ""


@attrs.frozen
class Renamed:
    """Where one parameter of the original model stands in the ported layers.

    Attributes:
        name: new name, e.g. ``"encoder.conv1.weight"``.
        axes: axes before and after, e.g. ``"OIW -> OI1W"``; equal when nothing moves.
        computed: True when the new values are computed from this parameter and others, as weight normalisation does.
    """

    name: str
    axes: str
    computed: bool = False


@attrs.frozen(eq=False)
class PortedModel:
    """The Conv1d layers of a model on another framework.

    Attributes:
        layers: path -> native layer.
        report: one `Ported` for every module that is a Conv1d or is called one, in the model's order.
        parameters: old parameter name -> `Renamed`.
    """

    layers: Mapping[str, Any]
    report: tuple[Ported, ...]
    parameters: Mapping[str, Renamed]

    @property
    def refused(self) -> tuple[Ported, ...]:
        """The modules that were not ported."""
        return tuple(row for row in self.report if row.reason)

    def __str__(self) -> str:
        return "\n".join(f"{row.path} ({row.class_name}): {row.reason or 'ported'}" for row in self.report)


def port_model(model: Any, to: str, *, dtype: Any = None, progress: Callable[[str], None] | None = None) -> PortedModel:
    """Build every Conv1d of a torch model as a layer of another framework, with the same weights.

    Args:
        model: a ``torch.nn.Module``; it is not changed. A module that stands in several places is ported once.
        to: name of the backend.
        dtype: of the new layers; None keeps each layer's own.
        progress: called with every path before it is ported.

    Returns:
        A `PortedModel`.

    Raises:
        InvalidTypeError: not a torch model; holds its class.
        UnknownNameError, MissingFrameworkError: see `Capture.build`.
    """
    if not hasattr(model, "named_modules"):
        raise InvalidTypeError(f"model must be a torch.nn.Module, got an object of class {type(model).__qualname__}; pass one.")
    layers: dict[str, Any] = {}
    report: list[Ported] = []
    parameters: dict[str, Renamed] = {}
    for path, module, taken in convolutions(model, progress=progress):
        name = type(module).__name__
        if not isinstance(taken, Capture):
            report.append(Ported(path, name, str(taken)))
            continue
        layers[path] = taken.build(to, dtype=dtype)
        report.append(Ported(path, name))
        parameters |= renamed(path, module, taken, to)
    return PortedModel(layers, tuple(report), parameters)


def convolutions(
    model: Any, *, every_path: bool = False, progress: Callable[[str], None] | None = None
) -> Iterator[tuple[str, Any, Capture | ConvPolicyError]]:
    """Yield path, module and capture, or the reason why there is none, of what is called a Conv1d in a torch model.

    Args:
        model: a ``torch.nn.Module``.
        every_path: yield a module that stands in several places at each of them.
        progress: called with every path before it is captured.
    """
    inside = ""
    for path, module in model.named_modules(remove_duplicate=not every_path):
        kind = next((c.__name__ for c in type(module).__mro__ if any(word in c.__name__ for word in LOOKS_LIKE)), "")
        if not kind or (inside and path.startswith(inside)):
            continue  # no convolution, or a part of one: a parametrization
        if any(c.__module__ == CONVOLUTIONS for c in type(module).__mro__):  # a wrapper is called so too, and holds one
            inside = f"{path}."
        if progress is not None:
            progress(path)
        try:
            yield path, module, capture(module)
        except ConvPolicyError as error:
            yield path, module, error


def renamed(path: str, module: Any, taken: Capture, to: str) -> dict[str, Renamed]:
    """Return where every parameter of one module goes."""
    source, target = (_layout_of(backend) for backend in (taken.backend, to))
    dot = f"{path}." if path else ""
    found = {}
    for old, _value in module.named_parameters():
        role = "bias" if "bias" in old else "weight"
        axes = "O" if role == "bias" else f"{source.axes} -> {target.axes}"
        found[dot + old] = Renamed(dot + getattr(target, role), axes, computed=old != role)
    return found


def _layout_of(backend: str) -> Layout:
    found: Layout = registry.current().get("layout", registry.current().get("backend", backend).layout)
    return found
