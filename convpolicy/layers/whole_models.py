"""`port_model` and the list of 1-D convolutions of a model of any framework.

To support models, a backend defines ``Backend.convolutions``, a function ``(model, every_path)``. The function returns an iterator of
`Convolution`. For an object that is not a model of its framework, it returns None. Write the function with `walk`::

    def convolutions(model, every_path):
        if not isinstance(model, nn.Module):
            return None
        modules = walk(model, lambda module: module.named_children(), lambda module: isinstance(module, nn.Conv1d), every_path)
        return (Convolution(path, module, roles(module.parameters()), parents=parents) for path, module, parents in modules)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from convpolicy import registry
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, MissingFrameworkError, PluginError, raised
from convpolicy.layers.backend import LEARNED, Backend
from convpolicy.layers.capture import Capture, backends_of, capture_alone
from convpolicy.layers.forward_code import Parent
from convpolicy.layers.portable import portable
from convpolicy.layers.ported import Ported, PortedModel, Renamed
from convpolicy.layers.renaming import renamed

CALLED = ("Conv1d", "Conv1D", "ConvTranspose1d")  # classes with one of these in their name are reported, ported or not
Children: TypeAlias = Callable[[Any], Iterable[tuple[str, Any]]]


@attrs.frozen(eq=False)
class Convolution:
    """A module of a model that is a 1-D convolution, transposed or not, or has such a class name.

    Args:
        path: name of the module in the model, e.g. ``"encoder.conv1"``. Empty for the model itself.
        module: the module.
        parameters: mapping from parameter name to role: ``"weight"``, ``"bias"`` or ``"padding_value"``. If a weight is computed
            from other parameters, these have the role ``"weight"``. See `roles`.
        separator: ``"."`` or ``"/"``, the separator of paths.
        layout: name of the layout of the weight. Empty means the layout of the backend.
        aliases: other names of the module, e.g. in checkpoint files of its framework.
        spec: sizes of a module, or None. Set the sizes if `capture` refuses the module but its weights can be converted, for example
            for a layer with an activation.
        parents: the modules that contain the module, the model first. With them, `port_model` recognizes wrappers, and says which
            parents pad.
        class_name: class of the module in the report. Empty means the class of the object.
        changes: changes of the policy that modules after the layer make, such as ``{"padding": "chomp"}``. They are described by ``note``.
        note: what the model pads or cuts around the layer, as in ``"ZeroPadding1D before it"``, if ``parents`` cannot show it.
    """

    path: str
    module: Any
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    separator: str = "."
    layout: str = ""
    aliases: tuple[str, ...] = ()
    spec: ConvSpec | None = None
    parents: tuple[Parent, ...] = ()
    changes: Mapping[str, Any] = attrs.field(factory=dict)
    note: str = ""
    class_name: str = ""


def port_model(model: Any, to: str, *, dtype: Any = None, progress: Callable[[str], None] | None = None) -> PortedModel:
    """Convert every Conv1d and ConvTranspose1d of a model to a layer of another framework with the same weights.

    Only convolutions are converted. You port every other layer, and the forward pass, yourself.

    Args:
        model: a model of a supported framework. The model is not changed. A module that occurs several times is converted once.
        to: name of the target backend.
        dtype: dtype of the new layers. None keeps the dtype of each layer.
        progress: function that is called with the path of each layer before it is converted.

    Returns:
        A `PortedModel`. Its report lists each layer that cannot be converted, with the reason.

    Raises:
        InvalidTypeError: the object is not a model of a supported framework.
        InvalidValueError: two modules have the same path, or the backend does not support the dtype.
        PluginError: a backend fails to list the convolutions. The message names the backend and its plugin.
        UnknownNameError, MissingFrameworkError: see `Capture.build`.
    """
    backend: Backend = registry.current().get("backend", to)
    if dtype is not None:
        backend.check_dtype(dtype)
    layers: dict[str, Any] = {}
    report: list[Ported] = []
    parameters: dict[str, Renamed] = {}
    origins: dict[str, Convolution] = {}
    for layer in portable(_known(model), progress):
        convolution, path, name = layer.convolution, layer.path, layer.class_name
        built = _built(layer.captured, to, dtype)
        if isinstance(built, ConvPolicyError) or isinstance(layer.captured, ConvPolicyError):
            report.append(Ported(path, name, str(built), layer.wrapper))
            continue
        layers[path] = built
        report.append(Ported(path, name, wrapper=layer.wrapper, note=layer.note))
        target = next((row.layout for row in listed_in(built) or ()), "")
        parameters |= renamed(convolution, layer.captured, to, path, target)
        aliases = convolution.aliases if path == convolution.path else (convolution.path, *convolution.aliases)
        origins[path] = attrs.evolve(convolution, path=path, module=None, parents=(), aliases=aliases)
    return PortedModel(layers, tuple(report), parameters, origins)


def _built(captured: Capture | ConvPolicyError, to: str, dtype: Any) -> Any:
    """Return the new layer, or the error that explains why it cannot be built."""
    if isinstance(captured, ConvPolicyError):
        return captured
    try:
        return captured.build(to, dtype=dtype)
    except MissingFrameworkError:  # the same for every layer
        raise
    except ConvPolicyError as error:
        return error
    except Exception as error:
        return InvalidValueError(f"backend {to!r} failed to build it: {raised(error)}.")


def convolutions(
    model: Any, *, every_path: bool = False, progress: Callable[[str], None] | None = None
) -> Iterator[tuple[Convolution, Capture | ConvPolicyError]]:
    """Iterate over the convolutions of a model, each with its capture or the error that explains why there is none.

    Args:
        model: a model of a supported framework.
        every_path: True lists a module that occurs several times once for each path.
        progress: function that is called with the path of each layer before it is captured.

    Raises:
        InvalidTypeError, InvalidValueError, PluginError: see `port_model`.
    """
    return _captured(_known(model, every_path=every_path), progress)


def _known(model: Any, *, every_path: bool = False) -> Iterator[Convolution]:
    """Return the convolutions of a model, each path once.

    Raises:
        InvalidTypeError: no backend recognizes the model.
    """
    listed = listed_in(model, every_path=every_path)
    if listed is None:
        kind = type(model)
        raise InvalidTypeError(
            f"model must be a model of one of the backends {', '.join(walking())}, got an object of class {kind.__module__}."
            f"{kind.__qualname__}; pass the model object."
        )
    return _distinct(listed)


def _distinct(listed: Iterable[Convolution]) -> Iterator[Convolution]:
    modules: dict[str, Any] = {}
    for convolution in listed:
        path, module = convolution.path, convolution.module
        if path in modules and modules[path] is not module:
            raise InvalidValueError(f"the model has two layers with the path {path!r}; give them different names.")
        if path not in modules:
            modules[path] = module
            yield convolution


def _captured(
    listed: Iterable[Convolution], progress: Callable[[str], None] | None
) -> Iterator[tuple[Convolution, Capture | ConvPolicyError]]:
    for convolution in listed:
        if progress is not None:
            progress(convolution.path)
        try:
            yield convolution, capture_alone(convolution.module)
        except ConvPolicyError as error:
            yield convolution, error


def walking() -> list[str]:
    """Return the sorted names of the backends that support whole models."""
    return sorted(backend.name for backend in registry.current().parts("backend").values() if backend.convolutions is not None)


def listed_in(model: Any, *, every_path: bool = False) -> Iterator[Convolution] | None:
    """Return the convolutions that the backend of a model lists, or None if no backend recognizes the model.

    Raises:
        PluginError: a backend fails. The message names the backend, its plugin and the error.
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
    """Return True if the class of a module, or one of its base classes, has Conv1d in its name."""
    return any(name in kind.__name__ for kind in type(module).__mro__ for name in CALLED)


def roles(names: Iterable[str]) -> dict[str, str]:
    """Map each parameter name to ``"padding_value"`` or ``"bias"`` if it contains that text, else to ``"weight"``."""
    return {name: next((role for role in (LEARNED, "bias") if role in name), "weight") for name in names}


def walk(
    model: Any,
    children: Children,
    is_convolution: Callable[[Any], bool],
    every_path: bool = False,
    separator: str = ".",
    is_named: Callable[[Any], bool] = is_called_convolution,
) -> Iterator[tuple[str, Any, tuple[Parent, ...]]]:
    """Iterate over path, module and parents of every convolution in a model, outer modules first.

    A module counts as a convolution if ``is_convolution`` says so or if it has Conv1d in its class name.

    Args:
        model: a module.
        children: ``module -> pairs of name and module``, the direct submodules in order.
        is_convolution: ``module -> bool``. The submodules of a convolution are not visited.
        every_path: True lists a module that occurs several times once for each path, False only once.
        separator: separator of paths.
        is_named: ``module -> bool``, for modules that are listed and visited. The default looks for Conv1d in the class name.
    """
    seen: set[int] = set()

    def inside(path: str, module: Any, above: tuple[Parent, ...]) -> Iterator[tuple[str, Any, tuple[Parent, ...]]]:
        if any(parent.module is module for parent in above) or (not every_path and id(module) in seen):
            return
        seen.add(id(module))
        is_leaf = is_convolution(module)
        if is_leaf or is_named(module):
            yield path, module, above
        if not is_leaf:
            pairs = tuple((str(name), child) for name, child in children(module))
            for name, child in pairs:
                parent = Parent(path, module, name, pairs)
                yield from inside(f"{path}{separator}{name}" if path else name, child, (*above, parent))

    return inside("", model, ())
