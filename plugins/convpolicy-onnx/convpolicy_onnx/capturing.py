"""Taking apart: a layer of the backend ``onnx``, or a model that holds one 1-D Conv."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from convpolicy import Capture, InvalidValueError
from convpolicy_onnx.reading import read

DTYPES = ("float32", "float64", "float16", "bfloat16")


def capture(layer: Any) -> Capture | None:
    """Return sizes, policy and weights of an `OnnxConv1d`, or of an ``onnx.ModelProto`` as `read` reads it; None for anything else.

    Raises:
        InvalidValueError: a model with other nodes, or one that `read` refuses; holds the node.
    """
    if isinstance(layer, ModelProto):
        spec, policy, weight, bias = read(layer)
    else:
        from convpolicy_onnx.layer import OnnxConv1d  # brings ONNX Runtime, which a model alone does not need

        if not isinstance(layer, OnnxConv1d):
            return None
        spec, policy, weight, bias = layer._request.spec, layer.policy, layer.weight, layer.bias
    dtype = str(weight.dtype)
    if dtype not in DTYPES:
        raise InvalidValueError(
            f"the Conv cannot be captured: its weights are {dtype}; convert them to one of {', '.join(DTYPES)}."
        )
    return Capture(spec, policy, _kept(weight), None if bias is None else _kept(bias), dtype)


def _kept(values: Any) -> Any:
    """Return a copy; bfloat16 as the float32 numbers it holds."""
    return np.array(values, np.float32 if str(values.dtype) == "bfloat16" else values.dtype)
