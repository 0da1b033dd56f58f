"""The 1-D convolutions of a ``flax.nnx.Module``, transposed ones included; a ``flax.linen`` module has no weights and is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flax import linen, nnx
from flax.nnx import graph

from convpolicy.errors import InvalidTypeError
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.frameworks.flax.values import layout_in
from convpolicy.layers.whole_models import Convolution, roles, walk

KINDS = (nnx.Conv, nnx.ConvTranspose)
CONTAINERS = (list, tuple, dict)


def nnx_convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the 1-D convolutions of a model.

    Returns:
        An iterator in the order of the model's state, or None if ``model`` is not a ``flax.nnx.Module``.
    """
    if not isinstance(model, nnx.Module):
        return None
    modules = walk(model, _children, _is_convolution, every_path)
    return (
        Convolution(path, module, roles(_names(module)), layout=_layout(module), parents=parents)
        for path, module, parents in modules
    )


def _is_convolution(module: Any) -> bool:
    return isinstance(module, KINDS) and len(module.kernel.shape) == 3


def _layout(module: Any) -> str:
    """Return the layout of a transposed kernel; the others have the layout of the backend."""
    return layout_in(module).name if hasattr(module, "transpose_kernel") else ""


def _children(module: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(module, (list, tuple)):
        items: Any = enumerate(module)
    elif isinstance(module, dict):
        items = module.items()
    else:
        node = graph.get_node_impl(module)
        items = () if node is None else node.node_dict(module).items()
    return ((str(name), child) for name, child in items if isinstance(child, (nnx.Module, *CONTAINERS)))


def _names(module: nnx.Module) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, nnx.Param) and value.value is not None]


def linen_convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the one convolution of a `LinenConv1d`.

    Returns:
        An iterator, or None for another object.

    Raises:
        InvalidTypeError: ``model`` is a linen module, which has no weights; the message contains its class.
    """
    if isinstance(model, LinenConv1d):
        return iter([Convolution("", model, roles(model.variables.get("params", {})), layout=_layout(model.module))])
    if isinstance(model, linen.Module):
        raise InvalidTypeError(
            f"model {type(model).__qualname__} is a flax.linen module, whose weights are in its variables; port each convolution "
            "alone, with cp.port(conv.bind(variables), to=...)."
        )
    return None
