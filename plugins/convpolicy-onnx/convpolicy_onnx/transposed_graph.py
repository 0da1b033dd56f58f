"""ONNX models of one transposed convolution: a ConvTranspose with explicit pads, and nodes that append, cut or wrap what it cannot."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from convpolicy import LayerRequest
from convpolicy_onnx.padding import Array, Nodes, Value, axis_pads

CIRCULAR = "circular"


def nodes_of(
    request: LayerRequest, cuts: tuple[int, int], weight: Array, bias: Array | None
) -> tuple[list[NodeProto], dict[str, Array]]:
    """Return the nodes that compute ``output`` from ``input``, and their tensors. They accept every length.

    Args:
        request: the layer's request.
        cuts: ``(left, right)`` in samples of the output; negative numbers append zeros.
        weight: float32 (in, out/groups, kernel).
        bias: float32 (out,) or None.
    """
    nodes = Nodes()
    if request.policy.padding_mode.name == CIRCULAR:
        added = _wrapped(nodes, _scattered(nodes, request, weight, None, (0, 0), 0), *cuts)
    else:
        (left, right), reach = cuts, request.spec.effective_kernel - 1
        if left >= 0 and -right < request.spec.stride:
            _scattered(nodes, request, weight, bias, (left, max(right, 0)), max(-right, 0))
            return nodes.finished("output")
        inner = [max(min(cut, reach), 0) for cut in cuts]  # the nodes that follow cut the rest
        added = _scattered(nodes, request, weight, None, (inner[0], inner[1]), 0)
        added = nodes.call("Pad", added, nodes.stored("pads", axis_pads(*(max(-cut, 0) for cut in cuts))), mode="constant")
        first, last = (max(cut, 0) - part for cut, part in zip(cuts, inner))
        if first or last:
            bounds = np.array([first]), np.array([-last if last else np.iinfo(np.int64).max]), np.array([2])
            added = nodes.call("Slice", added, *(nodes.stored(name, at) for name, at in zip(("first", "last", "axis"), bounds)))
    if bias is not None:
        added + nodes.stored("bias", bias[:, None])
    return nodes.finished("output")


def _scattered(
    nodes: Nodes, request: LayerRequest, weight: Array, bias: Array | None, pads: tuple[int, int], output_padding: int
) -> Value:
    spec = request.spec
    inputs = [nodes.input, nodes.stored("weight", weight)] + ([] if bias is None else [nodes.stored("bias", bias)])
    return nodes.call(
        "ConvTranspose",
        *inputs,
        kernel_shape=[spec.kernel_size],
        strides=[spec.stride],
        dilations=[spec.dilation],
        group=spec.groups,
        pads=list(pads),
        output_padding=[output_padding],
    )


def _wrapped(nodes: Nodes, full: Value, left: int, right: int) -> Value:
    """Zeros make the full result a whole number of turns of the output length, which are added."""
    length = nodes.call("Shape", full, start=2)
    turn = nodes.call("Sub", length, nodes.stored("cut", np.array([left + right])))
    before = nodes.call("Mod", nodes.stored("minus_left", np.array([-left])), turn)
    after = nodes.call("Mod", nodes.call("Neg", before + length), turn)
    outer = nodes.stored("outer", np.zeros(2, np.int64))  # no pads of the other axes; their lengths are kept
    padded = nodes.call("Pad", full, nodes.call("Concat", outer, before, outer, after, axis=0), mode="constant")
    turns = nodes.call("Concat", outer, nodes.stored("turns", np.array([-1])), turn, axis=0)
    return nodes.call("ReduceSum", nodes.call("Reshape", padded, turns), nodes.stored("axis", np.array([2])), keepdims=0)
