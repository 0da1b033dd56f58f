"""What streaming needs from a layer of the backend ``onnx``: a model without padding, which ONNX Runtime runs on every step."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

import convpolicy as cp
from convpolicy import Choice, ConvSpec
from convpolicy.frameworks.numpy.arrays import NumpyArrays
from convpolicy_onnx import graph
from convpolicy_onnx.layer import OnnxLayer, session_of
from convpolicy_onnx.padding import Array

NOTHING = {"padding": Choice("explicit", left=0, right=0), "padding_mode": "zeros"}


class OnnxArrays(NumpyArrays):
    """The arrays of an `OnnxLayer`, or of an ``onnx.ModelProto`` with one node."""

    def __init__(self, layer: Any, spec: ConvSpec) -> None:
        native: Any = layer if isinstance(layer, OnnxLayer) else cp.capture(layer).build("onnx")
        super().__init__(native, spec)
        self._onnx: OnnxLayer = native
        self._request = attrs.evolve(native._request, policy=native.policy.evolve(**NOTHING))
        self._session: Any = None
        self._weights: tuple[Any, Any] = None, None  # those of the session

    def _run(self, data: Array, bias: Array | None, length_out: int) -> Array:
        if not len(data):
            return np.zeros((0, self._request.spec.out_channels, length_out), np.float32)
        weights = self._onnx.weight, bias
        if self._session is None or any(new is not old for new, old in zip(weights, self._weights)):
            self._session, self._weights = session_of(graph.model(self._request, *weights, None)), weights
        output: Array = self._session.run(None, {"input": np.ascontiguousarray(data)})[0]
        return output

    def convolved(self, data: Array) -> Array:
        """Convolve padded data."""
        spec = self._request.spec
        return self._run(data, self._onnx.bias, (data.shape[2] - spec.effective_kernel) // spec.stride + 1)

    def scattered(self, data: Array) -> Array:
        """Return the full result of a transposed convolution."""
        spec = self._request.spec
        return self._run(data, None, (data.shape[2] - 1) * spec.stride + spec.effective_kernel)
