"""Runs real ONNX Conv and ConvTranspose nodes in ONNX Runtime, for ``convpolicy verify``; see `convpolicy.verification.native`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convpolicy import ConvSpec

onnxruntime.set_default_logger_severity(4)  # do not print refusals; verify counts them
PADDINGS = (0, 2, (2, 1))
OUTPUT_PADDINGS = (1, 2)  # of a ConvTranspose
OPSET, IR_VERSION = 19, 9


def version() -> str:
    return str(onnxruntime.__version__)


def padding_attributes(padding: Any) -> dict[str, Any]:
    """Return ``auto_pad`` for a name, ``pads`` for a number or a pair, and nothing for None."""
    if padding is None or isinstance(padding, str):
        return {} if padding is None else {"auto_pad": padding}
    return {"pads": list(padding) if isinstance(padding, tuple) else [padding, padding]}


def build(spec: ConvSpec, arguments: Mapping[str, Any], auto_pad: str | None = None) -> dict[str, Any]:
    """Return the operator, the attributes and the weights of a Conv or ConvTranspose node."""
    attributes = {
        "kernel_shape": [spec.kernel_size],
        "strides": [spec.stride],
        "dilations": [spec.dilation],
        "group": spec.groups,
        **padding_attributes(arguments.get("padding", auto_pad)),
    }
    if "output_padding" in arguments:
        attributes["output_padding"] = [arguments["output_padding"]]
    parameters = {"weight": np.zeros(spec.weight_shape, np.float32)}
    if arguments.get("bias", False):
        parameters["bias"] = np.zeros(spec.out_channels, np.float32)
    return {"operator": "ConvTranspose" if spec.transposed else "Conv", "attributes": attributes, "parameters": parameters}


def parameters(layer: Any) -> dict[str, Any]:
    return dict(layer["parameters"])


def give(layer: Any, values: Mapping[str, Any]) -> None:
    layer["parameters"] = {name: np.array(values[name], np.float32) for name in layer["parameters"]}
    layer.pop("session", None)  # its model contains the old weights


def model(layer: Any) -> ModelProto:
    """Return a model that contains only the node."""
    weights = layer["parameters"]
    node = helper.make_node(layer["operator"], ["input", *weights], ["output"], **layer["attributes"])
    channels = [weights["weight"].shape[1] * layer["attributes"]["group"], weights["weight"].shape[0]]
    if layer["operator"] == "ConvTranspose":
        channels.reverse()
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count, f"{name} length"])
        for name, count in zip(("input", "output"), channels)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([node], "native", values[:1], values[1:], tensors)
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])


def run(layer: Any, data: Any) -> Any:
    if "session" not in layer:
        layer["session"] = onnxruntime.InferenceSession(model(layer).SerializeToString(), providers=["CPUExecutionProvider"])
    return layer["session"].run(None, {"input": np.ascontiguousarray(data)})[0]
