"""Flax for convpolicy: backends whose layers are ``flax.nnx.Conv`` and ``flax.linen.Conv``. Importing it imports neither flax nor jax."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convpolicy import Backend, hookimpl

if TYPE_CHECKING:
    from convpolicy_flax.linen_layer import LinenConv1d

__all__ = ["LinenConv1d"]


def _of(module: str, function: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy_flax.{module}"), function)(*arguments)

    return call


def _backend(name: str, api: str, description: str) -> Backend:
    layer = f"{api}_layer"
    return Backend(
        name,
        _of(layer, "build"),
        run=_of(layer, "run"),
        parameters=_of(layer, "parameters"),
        assign=_of(layer, "assign"),
        gradients=_of(layer, "gradients"),
        capture=_of("capturing", f"capture_{api}"),
        dtypes=("float32", "float64", "float16", "bfloat16"),
        framework="flax",
        layout="WIO",
        description=description,
    )


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backends ``flax`` and ``flax-linen``."""
    return [
        _backend("flax", "nnx", "flax.nnx.Conv itself, or a subclass that pads by the plan where it cannot express the policy."),
        _backend("flax-linen", "linen", "flax.linen.Conv, or a subclass that pads by the plan, together with its variables."),
    ]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'convpolicy_flax' has no attribute {name!r}")
    return getattr(importlib.import_module("convpolicy_flax.linen_layer"), name)
