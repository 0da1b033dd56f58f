"""Whole models: the 1-D convolutions of a model of any framework, found by its backend; `port_model` builds them elsewhere.

A backend lists them in ``Backend.convolutions``: a function ``(model, every_path)`` that returns an iterator of `Convolution`, or None
for anything but a model of its framework. `walk` does most of the work:

    def convolutions(model, every_path):
        if not isinstance(model, nn.Module):
            return None
        modules = walk(model, lambda module: module.named_children(), lambda module: isinstance(module, nn.Conv1d), every_path)
        return (Convolution(path, module, roles(module.parameters())) for path, module in modules)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from convpolicy import registry
from convpolicy.core.plan import ConvSpec
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, MissingFrameworkError, PluginError, raised
from convpolicy.layers.backend import LEARNED, Backend, LayerRequest
from convpolicy.layers.capture import Capture, backends_of, capture
from convpolicy.layers.ported import Ported, PortedModel, Renamed
from convpolicy.parts.layout import Layout

CALLED = ("Conv1d", "Conv1D", "ConvTranspose1d")  # a class with one of these in its name is reported, with the reason if it stays
Children: TypeAlias = Callable[[Any], Iterable[tuple[str, Any]]]


@attrs.frozen(eq=False)
class Convolution:
    """A module of a model that is a 1-D convolution, or whose class is called one.

    Args:
        path: its name in the model, e.g. ``"encoder.conv1"``; empty for the model itself.
        module: the module.
        parameters: name in the module -> ``"weight"``, ``"bias"`` or ``"padding_value"``, the one that it is or that is computed from
            it; see `roles`.
        separator: between the parts of a path, ``"."`` or ``"/"``.
        layout: name of the layout in which the module stores its weight; empty: the backend's.
        aliases: other names of the module, e.g. the one in its framework's own checkpoint files.
        spec: sizes of a module that does more than a convolution, as one with an activation does, so that its weights can be
            converted although it cannot be captured; else None.
    """

    path: str
    module: Any
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    separator: str = "."
    layout: str = ""
    aliases: tuple[str, ...] = ()
    spec: ConvSpec | None = None


def port_model(model: Any, to: str, *, dtype: Any = None, progress: Callable[[str], None] | None = None) -> PortedModel:
    """Build every Conv1d of a model as a layer of another framework, with the same weights.

    Args:
        model: of any backend that lists the convolutions of its models; it is not changed. A module that is in several places of the
            model is ported once.
        to: name of the backend.
        dtype: of the new layers; None keeps each layer's own.
        progress: called with every path before it is ported.

    Returns:
        A `PortedModel`. A layer that cannot be captured or built is refused in its report, and the others are ported.

    Raises:
        InvalidTypeError: not a model of such a backend; holds its class.
        InvalidValueError: two modules with the same path; holds it.
        PluginError: a backend that fails to list the convolutions; holds the backend and its plugin.
        UnknownNameError, MissingFrameworkError: see `Capture.build`.
        InvalidValueError: a dtype that the backend does not compute in.
    """
    backend: Backend = registry.current().get("backend", to)
    if dtype is not None:
        backend.check_dtype(dtype)
    layers: dict[str, Any] = {}
    report: list[Ported] = []
    wrappers: dict[str, str] = {}  # start of the paths inside a refused module -> its class
    parameters: dict[str, Renamed] = {}
    origins: dict[str, Convolution] = {}
    for convolution, captured in convolutions(model, progress=progress):
        path, name = convolution.path, type(convolution.module).__name__
        wrapper = next((kind for start, kind in reversed(wrappers.items()) if path.startswith(start)), "")
        built = _built(captured, to, dtype) if isinstance(captured, Capture) else captured
        if isinstance(built, ConvPolicyError) or not isinstance(captured, Capture):
            report.append(Ported(path, name, str(built), wrapper))
            wrappers[f"{path}{convolution.separator}" if path else ""] = name
            continue
        layers[path] = built
        report.append(Ported(path, name, wrapper=wrapper))
        parameters |= renamed(convolution, captured, to)
        origins[path] = attrs.evolve(convolution, module=None)
    return PortedModel(layers, tuple(report), parameters, origins)


def _built(captured: Capture, to: str, dtype: Any) -> Any:
    """Return the layer, or the reason why there is none."""
    try:
        return captured.build(to, dtype=dtype)
    except MissingFrameworkError:  # of every layer
        raise
    except ConvPolicyError as error:
        return error
    except Exception as error:
        return InvalidValueError(f"backend {to!r} failed to build it: {raised(error)}.")


def convolutions(
    model: Any, *, every_path: bool = False, progress: Callable[[str], None] | None = None
) -> Iterator[tuple[Convolution, Capture | ConvPolicyError]]:
    """Return an iterator of every convolution of a model and its capture, or the reason why there is none.

    Args:
        model: of any backend that lists the convolutions of its models.
        every_path: True to list a module that is in several places at each of them.
        progress: called with every path before it is captured.

    Raises:
        InvalidTypeError, InvalidValueError, PluginError: see `port_model`.
    """
    listed = listed_in(model, every_path=every_path)
    if listed is None:
        kind = type(model)
        raise InvalidTypeError(
            f"model must be a model of one of the backends {', '.join(walking())}, got an object of class {kind.__module__}."
            f"{kind.__qualname__}; pass the model itself."
        )
    return _captured(listed, progress)


def _captured(
    listed: Iterable[Convolution], progress: Callable[[str], None] | None
) -> Iterator[tuple[Convolution, Capture | ConvPolicyError]]:
    modules: dict[str, Any] = {}
    for convolution in listed:
        path, module = convolution.path, convolution.module
        if path in modules and modules[path] is not module:
            raise InvalidValueError(f"the model has two layers with the path {path!r}; give each a name of its own.")
        if path in modules:
            continue
        modules[path] = module
        if progress is not None:
            progress(path)
        try:
            yield convolution, capture(module)
        except ConvPolicyError as error:
            yield convolution, error


def walking() -> list[str]:
    """Return the sorted names of the backends that list the convolutions of their models."""
    return sorted(backend.name for backend in registry.current().parts("backend").values() if backend.convolutions is not None)


def listed_in(model: Any, *, every_path: bool = False) -> Iterator[Convolution] | None:
    """Return the convolutions of a model as its backend lists them; None for anything but a model of some backend.

    Raises:
        PluginError: a backend that fails; holds the backend, its plugin and the fault.
    """
    for backend in backends_of(model):
        if backend.convolutions is not None:
            try:
                listed = backend.convolutions(model, every_path)
            except ConvPolicyError:
                raise
            except Exception as error:
                raise _failed(backend, error) from error
            if listed is not None:
                return _checked(backend, listed)
    return None


def _checked(backend: Backend, listed: Iterable[Any]) -> Iterator[Convolution]:
    try:
        for convolution in listed:
            if not isinstance(convolution, Convolution):
                raise TypeError(f"not a Convolution but {convolution!r}")
            yield convolution
    except (ConvPolicyError, GeneratorExit):
        raise
    except Exception as error:
        raise _failed(backend, error) from error


def _failed(backend: Backend, error: Exception) -> PluginError:
    return PluginError(
        f"backend {backend.name!r} ({backend.provider}) failed to list the convolutions of a model: {type(error).__name__}: {error}."
    )


def is_called_convolution(module: Any) -> bool:
    """Whether the name of a module's class, or of a class that it inherits from, says that it is a 1-D convolution."""
    return any(word in kind.__name__ for kind in type(module).__mro__ for word in CALLED)


def roles(names: Iterable[str]) -> dict[str, str]:
    """Return ``"padding_value"`` and ``"bias"`` for every parameter name with that word in it, and ``"weight"`` for every other."""
    return {name: next((role for role in (LEARNED, "bias") if role in name), "weight") for name in names}


def walk(
    model: Any, children: Children, is_convolution: Callable[[Any], bool], every_path: bool = False, separator: str = "."
) -> Iterator[tuple[str, Any]]:
    """Yield path and module of everything in a model that is a convolution or is called one, outer modules first.

    Args:
        model: a module.
        children: ``module -> pairs of name and module``: what is directly inside a module, in order.
        is_convolution: whether a module is one; what is inside it is not listed.
        every_path: True to list a module that is in several places at each of them; else it is listed at the first.
        separator: between the names of a path.
    """
    seen: set[int] = set()

    def inside(path: str, module: Any, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
        if id(module) in above or (not every_path and id(module) in seen):
            return
        seen.add(id(module))
        found = is_convolution(module)
        if found or is_called_convolution(module):
            yield path, module
        if not found:
            for name, child in children(module):
                yield from inside(f"{path}{separator}{name}" if path else str(name), child, (*above, id(module)))

    return inside("", model, ())


def renamed(convolution: Convolution, captured: Capture, to: str) -> dict[str, Renamed]:
    """Return old name -> `Renamed` of every parameter of one module that was ported to a backend."""
    source = _layout_of(captured.backend) if not convolution.layout else registry.current().get("layout", convolution.layout)
    target = _layout_of(to)
    prefix = f"{convolution.path}{convolution.separator}" if convolution.path else ""
    names = {}
    learned = LayerRequest(captured.spec, captured.policy).learned()
    for old, role in convolution.parameters.items():
        if role == LEARNED:
            if learned is not None:
                names[prefix + old] = Renamed(prefix + LEARNED, "I" * learned.ndim, computed=old != LEARNED)
            continue
        axes = "O" if role == "bias" else f"{source.axes} -> {target.axes}"
        names[prefix + old] = Renamed(prefix + getattr(target, role), axes, computed=old != getattr(source, role))
    return names


def _layout_of(backend: str) -> Layout:
    layout: Layout = registry.current().get("layout", registry.current().get("backend", backend).layout)
    return layout
