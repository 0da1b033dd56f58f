"""The built-in backends; each framework is imported when its first layer is built, not before."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from convpolicy.backends import Backend
from convpolicy.hookspecs import hookimpl


def _of(module: str, function: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy.builtin.{module}"), function)(*arguments)

    return call


def _framework(name: str, layout: str, dtypes: tuple[str, ...], description: str, **more: Any) -> Backend:
    layer = f"{name}_layer"
    return Backend(
        name,
        _of(layer, "build"),
        run=_of(layer, "run"),
        parameters=_of(layer, "parameters"),
        assign=_of(layer, "assign"),
        gradients=_of(layer, "gradients"),
        capture=_of(f"{name}_capture", "capture"),
        framework=name,
        layout=layout,
        dtypes=dtypes,
        description=description,
        **more,
    )


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the built-in backends."""
    return [
        Backend(
            "numpy",
            _of("numpy_layer", "build"),
            capture=_of("numpy_layer", "capture"),
            description="NumPy arrays, BLAS underneath; no framework needed.",
        ),
        _framework(
            "torch",
            "OIW",
            ("float32", "float64", "float16", "bfloat16"),
            "torch.nn.Conv1d itself, or a subclass where it cannot express the policy.",
            tune=_of("torch_tuning", "tune"),
            untune=_of("torch_tuning", "untune"),
        ),
        _framework(
            "mindspore",
            "OI1W",
            ("float32", "float64", "float16"),
            "A subclass of mindspore.nn.Conv1d; PyNative and graph mode.",
        ),
    ]
