"""ONNX models of one convolution: a Pad or a Gather where one is needed, then a Conv with explicit pads, never ``auto_pad``."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from convpolicy import InvalidValueError, LayerRequest, Plan

Array: TypeAlias = "NDArray[Any]"

OPSET, IR_VERSION = 19, 9  # ONNX 1.14, the first in which Pad has the mode wrap; later runtimes read it too
# (padding mode, overflow rule) -> the mode of ONNX's Pad that does the same at any length that a plan allows
PAD_MODES = {
    ("zeros", None): "constant",
    ("constant", None): "constant",
    ("reflect", "error"): "reflect",
    ("replicate", "error"): "edge",
    ("circular", "error"): "wrap",
    ("circular", "periodic"): "wrap",
}


def pad_mode(request: LayerRequest) -> str | None:
    """Return the mode of ONNX's Pad that does what the policy's padding mode does, or None."""
    arguments = request.policy.part("padding_mode")[1]
    return PAD_MODES.get((request.policy.padding_mode.name, arguments.get("overflow")))


def takes_any_length(request: LayerRequest) -> bool:
    """Return True when one model is right for every length: pads that do not depend on it, and a mode that ONNX has."""
    pads = request.static_pads()
    return pads is not None and min(pads) >= 0 and (not any(pads) or pad_mode(request) is not None)


def model(request: LayerRequest, weight: Array, bias: Array | None, length: int | None) -> ModelProto:
    """Build the model: input ``input`` (batch, in, length), output ``output`` (batch, out, length_out).

    Args:
        request: what the layer does.
        weight: (out, in/groups, kernel).
        bias: (out,) or None.
        length: the input length in samples; the model takes only this one unless `takes_any_length`.

    Returns:
        A ModelProto that onnx.checker accepts.

    Raises:
        InvalidValueError: the length is needed and missing, or the policy refuses it.
    """
    spec, anywhere = request.spec, takes_any_length(request)
    plan = None if anywhere else request.plan(_needed(request, length))
    pads = request.static_pads() if plan is None else (plan.left, plan.right)
    assert pads is not None
    nodes, tensors = _padding(request, pads, plan)
    tensors |= {"weight": weight} | ({} if bias is None else {"bias": bias})
    conv = helper.make_node(
        "Conv",
        ["padded" if nodes else "input", "weight", *(["bias"] if bias is not None else [])],
        ["output"],
        name="conv",
        kernel_shape=[spec.kernel_size],
        strides=[spec.stride],
        dilations=[spec.dilation],
        group=spec.groups,
        pads=[0, 0] if nodes else list(pads),
    )
    lengths: list[int | str] = ["length", "length_out"] if plan is None else [plan.length, plan.length_out]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, length])
        for name, channels, length in zip(("input", "output"), (spec.in_channels, spec.out_channels), lengths)
    ]
    graph = helper.make_graph(
        [*nodes, conv],
        "convolution",
        values[:1],
        values[1:],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    built = helper.make_model(
        graph, producer_name="convpolicy", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    checker.check_model(built, full_check=True)
    return built


def _needed(request: LayerRequest, length: int | None) -> int:
    if length is None:
        policy = request.policy
        raise InvalidValueError(
            f"length must be given for padding {policy.padding} with mode {policy.padding_mode}, which ONNX cannot express for "
            f"every length at once, got None; pass the input length in samples."
        )
    return length


def _padding(request: LayerRequest, pads: tuple[int, int], plan: Plan | None) -> tuple[list[NodeProto], dict[str, Array]]:
    """Return the nodes that make ``padded`` of ``input``, and their tensors; none where the Conv itself pads."""
    left, right = pads
    value, mode = request.policy.part("padding_mode")[1].get("value", 0.0), pad_mode(request)
    cuts = min(pads) < 0
    if not any(pads) or (mode == "constant" and value == 0 and not cuts):
        return [], {}
    tensors = {"pads": _axis_pads(left, right), "value": np.array(value, np.float32)}
    if mode is not None and not cuts:
        return [_pad("padded", mode)], tensors if mode == "constant" else {"pads": tensors["pads"]}
    assert plan is not None
    sources = np.array(plan.positions, np.int64)
    gathered = np.where(sources < 0, plan.length, sources)
    if (sources >= 0).all():
        return [_gather("input")], {"sources": gathered}
    tensors |= {"pads": _axis_pads(0, 1), "sources": gathered}  # the constant stands behind the last sample
    return [_pad("extended", "constant"), _gather("extended")], tensors


def _gather(source: str) -> NodeProto:
    return helper.make_node("Gather", [source, "sources"], ["padded"], name="gather", axis=2)


def _pad(output: str, mode: str) -> NodeProto:
    inputs = ["input", "pads", "value"] if mode == "constant" else ["input", "pads"]
    return helper.make_node("Pad", inputs, [output], name="pad", mode=mode)


def _axis_pads(left: int, right: int) -> Array:
    """Return the pads of three axes, all begins, then all ends, as ONNX has them."""
    return np.array([0, 0, left, 0, 0, right], np.int64)
