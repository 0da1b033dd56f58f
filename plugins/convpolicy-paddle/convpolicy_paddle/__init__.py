"""PaddlePaddle for convpolicy: a backend whose layers are ``paddle.nn.Conv1D``. Importing it does not import paddle."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from convpolicy import Backend, hookimpl


def _of(function: str, module: str = "layer") -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy_paddle.{module}"), function)(*arguments)

    return call


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``paddle``."""
    return [
        Backend(
            "paddle",
            _of("build"),
            run=_of("run"),
            parameters=_of("parameters"),
            assign=_of("assign"),
            capture=_of("capture", "capturing"),
            gradients=_of("gradients"),
            dtypes=("float32", "float64"),  # Paddle 3.3 has no narrower convolution on the CPU
            framework="paddle",
            description="paddle.nn.Conv1D itself, or a subclass that pads by the plan where it cannot express the policy.",
        )
    ]
