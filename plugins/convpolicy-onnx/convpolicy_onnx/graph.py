"""ONNX models of one layer: a Conv or ConvTranspose with explicit pads, never ``auto_pad``, and the nodes around it."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from convpolicy import InvalidValueError, LayerRequest, Plan
from convpolicy_onnx.padding import Array, front, side_pads
from convpolicy_onnx.transposed_graph import nodes_of

OPSET, IR_VERSION = 19, 9  # ONNX 1.14, the first whose Pad has the mode wrap


def takes_any_length(request: LayerRequest) -> bool:
    """Return True when one model serves every length: its pads do not depend on the length, and ONNX has its modes."""
    pads = request.static_pads()
    return pads is not None and (request.spec.transposed or side_pads(request, pads) is not None)


def model(request: LayerRequest, weight: Array, bias: Array | None, length: int | None) -> ModelProto:
    """Build a model with the input ``input`` (batch, in, length) and the output ``output`` (batch, out, length_out).

    Args:
        request: the layer's request.
        weight: float32 (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel).
        bias: float32 (out,) or None.
        length: input length in samples. The model accepts only this length, unless `takes_any_length`.

    Returns:
        A ModelProto that onnx.checker accepts.

    Raises:
        InvalidValueError: ``length`` is None but necessary, or the policy refuses it.
    """
    spec, any_length = request.spec, takes_any_length(request)
    plan = None if any_length else request.plan(_required(request, length))
    pads = request.static_pads() if plan is None else (plan.left, plan.right)
    assert pads is not None
    if spec.transposed:
        nodes, tensors = nodes_of(request, pads, weight, bias)
    else:
        nodes, tensors = _convolution(request, pads, plan, weight, bias)
    lengths: list[int | str] = ["length", "length_out"] if plan is None else [plan.length, plan.length_out]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, length])
        for name, channels, length in zip(("input", "output"), (spec.in_channels, spec.out_channels), lengths)
    ]
    return packed(nodes, tensors, "convolution", values[:1], values[1:])


def packed(
    nodes: list[NodeProto], tensors: dict[str, Array], name: str, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]
) -> ModelProto:
    """Return a model of nodes and their tensors that onnx.checker accepts."""
    stored = [numpy_helper.from_array(value, tensor) for tensor, value in tensors.items()]
    proto = helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, stored),
        producer_name="convpolicy",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    checker.check_model(proto, full_check=True)
    return proto


def _convolution(
    request: LayerRequest, pads: tuple[int, int], plan: Plan | None, weight: Array, bias: Array | None
) -> tuple[list[NodeProto], dict[str, Array]]:
    spec = request.spec
    nodes, tensors = front(request, pads, plan)
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
    return [*nodes, conv], tensors | {"weight": weight} | ({} if bias is None else {"bias": bias})


def _required(request: LayerRequest, length: int | None) -> int:
    if length is None:
        policy = request.policy
        raise InvalidValueError(
            f"length must be a number for padding {policy.padding} with mode {policy.padding_mode}, which ONNX cannot express for "
            f"every length at once, got None; pass the input length in samples."
        )
    return length
