"""The built-in backends; each framework is imported when its first layer is built, not before."""

from __future__ import annotations

from typing import Any

from convpolicy.backends import Backend, LayerRequest
from convpolicy.hookspecs import hookimpl
from convpolicy.random.stream import Stream


def _numpy(request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    from convpolicy.builtin import numpy_layer

    return numpy_layer.build(request, stream, device)


def _torch(request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    from convpolicy.builtin import torch_layer

    return torch_layer.build(request, stream, device)


def _mindspore(request: LayerRequest, stream: Stream | None, device: Any) -> Any:
    from convpolicy.builtin import mindspore_layer

    return mindspore_layer.build(request, stream, device)


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the built-in backends."""
    return [
        Backend("numpy", _numpy, description="NumPy arrays, BLAS underneath; no framework needed."),
        Backend(
            "torch",
            _torch,
            framework="torch",
            dtypes=("float32", "float64", "float16", "bfloat16"),
            description="torch.nn.Conv1d itself, or a subclass where it cannot express the policy.",
        ),
        Backend(
            "mindspore",
            _mindspore,
            framework="mindspore",
            dtypes=("float32", "float64", "float16"),
            description="A subclass of mindspore.nn.Conv1d; PyNative and graph mode.",
        ),
    ]
