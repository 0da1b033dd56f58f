"""Capture of a layer of the backend ``onnx``, or of a model with one 1-D Conv or ConvTranspose."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from convpolicy import Capture, InvalidValueError
from convpolicy_onnx.reading import read

DTYPES = ("float32", "float64", "float16", "bfloat16")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of an `OnnxLayer` or an ``onnx.ModelProto``, or None for another object.

    Raises:
        InvalidValueError: the model has other nodes, or `read` refuses it; the message contains the node.
    """
    if isinstance(layer, ModelProto):
        spec, policy, weight, bias = read(layer)
    else:
        from convpolicy_onnx.layer import OnnxLayer  # imports ONNX Runtime, which a model does not need

        if not isinstance(layer, OnnxLayer):
            return None
        spec, policy, weight, bias = layer._request.spec, layer.policy, layer.weight, layer.bias
    dtype = str(weight.dtype)
    if dtype not in DTYPES:
        raise InvalidValueError(
            f"the node cannot be captured: its weights are {dtype}; convert them to one of {', '.join(DTYPES)}."
        )
    return Capture(spec, policy, _copied(weight), None if bias is None else _copied(bias), dtype)


def _copied(values: Any) -> Any:
    """Return a copy; bfloat16 becomes float32."""
    return np.array(values, np.float32 if str(values.dtype) == "bfloat16" else values.dtype)
