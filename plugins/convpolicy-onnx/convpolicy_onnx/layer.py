"""The backend ``onnx``: an ONNX model that ONNX Runtime runs on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

import convpolicy as cp
from convpolicy import InvalidTypeError, InvalidValueError, LayerRequest, Stream
from convpolicy_onnx import graph
from convpolicy_onnx.padding import Array

SESSIONS = 8  # number of lengths for which a layer caches its session


class OnnxLayer:
    """A convolution or a transposed convolution of NumPy arrays that ONNX Runtime runs.

    Call the layer with an input array. Its model serves every length when the pads do not depend on the length and ONNX has the padding
    mode. Otherwise the layer builds a model for each length.

    Attributes:
        weight: float32 (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel). It is read-only since the model
            contains it; `assign` replaces it.
        bias: float32 (out,), read-only, or None.
    """

    def __init__(self, request: LayerRequest, weight: Array, bias: Array | None) -> None:
        self._request = request
        self.weight = _read_only(weight)
        self.bias = None if bias is None else _read_only(bias)
        self._sessions: dict[int | None, Any] = {}  # in the order of their last use
        self._any_length = graph.takes_any_length(request)

    @property
    def policy(self) -> Any:
        """The policy that the layer follows."""
        return self._request.policy

    def plan(self, length: int) -> Any:
        """Return the plan for an input of ``length`` samples."""
        return self._request.plan(length)

    def model(self, length: int | None = None) -> ModelProto:
        """Return the ONNX model, which you can save with ``onnx.save``.

        Args:
            length: input length in samples. It is necessary when the pads or the mode depend on it; the model then accepts only
                this length.

        Raises:
            InvalidValueError: ``length`` is None but necessary, or the policy refuses it.
        """
        return graph.model(self._request, self.weight, self.bias, length)

    def __call__(self, data: Any) -> Array:
        """Convolve an array.

        Args:
            data: float32 (batch, channels, length) or (channels, length).

        Returns:
            (batch, out, length_out) or (out, length_out), float32.

        Raises:
            InvalidTypeError: the array has another dtype; the message contains both.
            InvalidValueError: wrong axes or channels, or an input that is shorter than one window or for which everything is cut.
        """
        data = self._checked(data)
        batched = np.ascontiguousarray(data if data.ndim == 3 else data[None])
        plan = self._request.plan(batched.shape[2])
        if not len(batched):  # ONNX Runtime's wrap refuses an empty batch
            return np.empty((0, self._request.spec.out_channels, plan.length_out), np.float32)
        output: Array = self._session(None if self._any_length else plan.length).run(None, {"input": batched})[0]
        return output if data.ndim == 3 else output[0]

    def _session(self, length: int | None) -> Any:
        session = self._sessions.pop(length, None)
        if session is None:
            session = session_of(self.model(length))
        self._sessions[length] = session
        if len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def _checked(self, values: Any) -> Array:
        channels, dtype = self._request.spec.in_channels, self._request.dtype
        try:
            data = np.asarray(values)
        except ValueError:
            raise InvalidTypeError(
                "input must be an array of numbers, got rows of different lengths; make them equally long."
            ) from None
        if data.dtype != dtype:
            raise InvalidTypeError(f"input must be {dtype} like the layer, got {data.dtype}; convert it with astype({dtype!r}).")
        if data.ndim not in (2, 3) or data.shape[-2] != channels:
            raise InvalidValueError(
                f"input must have shape (batch, {channels}, length) or ({channels}, length), got {data.shape}; put the channels "
                f"before the length."
            )
        if not data.shape[-1]:
            raise InvalidValueError("input must have at least one sample for ONNX Runtime, got length 0; pass a longer input.")
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._request, self.weight, self.bias)

    def __repr__(self) -> str:
        spec, policy = self._request.spec, self.policy
        return (
            f"{type(self).__name__}({spec.in_channels}, {spec.out_channels}, kernel_size={spec.kernel_size}, stride={spec.stride}, "
            f"dilation={spec.dilation}, groups={spec.groups}, bias={self.bias is not None}, policy={policy.name!r}, "
            f"padding={policy.padding}, padding_mode={policy.padding_mode})"
        )


def session_of(model: ModelProto) -> Any:
    """Return a session of ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # each session has its own threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class OnnxConv1d(OnnxLayer):
    """A 1-D convolution; see `OnnxLayer`."""


class OnnxConvTranspose1d(OnnxLayer):
    """A transposed 1-D convolution; see `OnnxLayer`."""


def _read_only(values: Array) -> Array:
    copy = np.array(values)
    copy.setflags(write=False)
    return copy


def assign(layer: OnnxLayer, values: Mapping[str, Array | None]) -> None:
    """Replace weight and bias of a layer and of its models.

    Raises:
        InvalidValueError: another shape, or a bias for a layer without one.
    """
    for name, value in values.items():
        if value is None:
            continue
        old = getattr(layer, name)
        shape = None if old is None else old.shape
        if value.shape != shape:
            raise InvalidValueError(f"{name} must have shape {shape}, like the layer's, got {value.shape}; build another layer.")
        setattr(layer, name, _read_only(np.asarray(value, np.float32)))
    layer._sessions.clear()


def build(request: LayerRequest, stream: Stream | None, device: Any) -> OnnxLayer:
    """Build a convolution or a transposed convolution.

    Without a stream, initial weights come from NumPy's global random state, which ``np.random.seed`` sets; ONNX has no random state.
    """
    if device not in (None, "cpu"):
        raise InvalidValueError(
            f"device must be None or 'cpu' for backend 'onnx', got {device!r}; run the saved model elsewhere."
        )
    if stream is None:
        stream = cp.random_stream("numpy", int(np.random.randint(0, 2**63, dtype=np.int64)))  # noqa: NPY002 - the global state, on purpose
    values = request.draw(stream)
    weight = values["weight"]
    assert weight is not None
    kind = OnnxConvTranspose1d if request.spec.transposed else OnnxConv1d
    return kind(request, weight, values["bias"])
