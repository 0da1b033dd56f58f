"""ConvTranspose nodes, layers of the backend, and the nodes of their models."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp
from convpolicy import reference

IN, OUT = 4, 6
TWO_COMPUTATIONS = 2  # the tolerance bounds one of them
PADDED = ["ConvTranspose", "Pad", "Add"]
WRAPPED = [
    "ConvTranspose", "Shape", "Sub", "Mod", "Add", "Neg", "Mod", "Concat", "Pad", "Concat", "Reshape", "ReduceSum", "Add",
]  # fmt: skip
LAYERS = {  # what is asked for -> the operators of its model
    "default": ({}, ["ConvTranspose"]),
    "cut": ({"padding": (3, 1)}, ["ConvTranspose"]),
    "causal": ({"padding": "causal"}, ["ConvTranspose"]),
    "same": ({"padding": "same_lower"}, ["ConvTranspose"]),
    "output_padding": ({"padding": 1, "output_padding": 1, "groups": 2}, ["ConvTranspose"]),
    "kept": ({"padding": (1, -1)}, ["ConvTranspose"]),
    "appended": ({"padding": (1, -2)}, PADDED),
    "appended left": ({"padding": (-1, 2), "groups": 2}, PADDED),
    "appended, without bias": ({"padding": (-1, 2), "bias": False}, PADDED[:2]),
    "appended and cut": ({"padding": (-3, 8)}, ["ConvTranspose", "Pad", "Slice", "Add"]),
    "cut and appended": ({"padding": (8, -3)}, ["ConvTranspose", "Pad", "Slice", "Add"]),
    "circular": ({"padding": (2, 1), "padding_mode": "circular"}, WRAPPED),
    "circular, appended": ({"padding": (-1, 3), "padding_mode": "circular", "groups": 2}, WRAPPED),
    "circular, many turns": ({"padding": (9, 6), "padding_mode": "circular", "bias": False}, WRAPPED[:-1]),
}  # fmt: skip


def random(*shape, seed=0):
    """Random numbers, the same at every call."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def built(options, kernel=4, stride=2, dilation=1, **more):
    """A layer of 4 -> 6 channels with a bias."""
    words = {"bias": True, "policy": "onnx", "backend": "onnx", "seed": 3, "dilation": dilation}
    return cp.ConvTranspose1d(IN, OUT, kernel, stride, **(words | options | more))


def run_node(data, weight, bias, spec, **attributes):
    """The output of a ConvTranspose node with these attributes in ONNX Runtime."""
    sizes = {"strides": [spec.stride], "dilations": [spec.dilation], "group": spec.groups, "kernel_shape": [spec.kernel_size]}
    return run(node_model(weight, bias, **sizes, **attributes), data)


def node_model(weight, bias, **attributes):
    """A model with one ConvTranspose node."""
    tensors = {"w": weight} | ({} if bias is None else {"b": bias})
    node = helper.make_node("ConvTranspose", ["input", *tensors], ["output"], name="up", **attributes)
    return model_of([node], tensors)


def model_of(nodes, tensors):
    """A model of these nodes."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", nodes[-1].output[0])]
    graph = helper.make_graph(
        nodes, "g", values[:1], values[1:], [numpy_helper.from_array(v, name) for name, v in tensors.items()]
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])


def run(model, data):
    """What ONNX Runtime makes of a model."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": data})[0]


def ideal(plan, weight, bias, data):
    """The float64 reference of a layer, and the tolerance of two computations."""
    result = reference.conv_transpose1d(
        data, weight, bias, left=plan.left, right=plan.right, mode=plan.mode, stride=plan.stride, dilation=plan.dilation,
        groups=OUT // weight.shape[1],
    )  # fmt: skip
    return result.output, TWO_COMPUTATIONS * reference.tolerance("float32", result.terms, result.magnitude)
