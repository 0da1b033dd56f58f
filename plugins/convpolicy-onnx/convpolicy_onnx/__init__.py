"""The ONNX plugin of convpolicy: a backend that builds ONNX models, the policies of ``auto_pad``, and a reader of Conv nodes.

Importing it imports neither onnx nor onnxruntime.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convpolicy import Backend, FileFormat, Native, PaddingRule, Policy, hookimpl
from convpolicy_onnx.rules import onnx_same_lower, onnx_same_upper, same_needs_length

if TYPE_CHECKING:
    from convpolicy_onnx.reading import ReadConv

__all__ = ["read"]

AUTO_PADS = (("SAME_UPPER", "onnx_same_upper"), ("SAME_LOWER", "onnx_same_lower"), ("VALID", "valid"))
GRAPH = (
    "a graph whose weights have the layout of the framework that it was exported from; save the weights there, or "
    "{tensor.name: onnx.numpy_helper.to_array(tensor)} of its graph.initializer with numpy.savez as .npz"
)
# policy -> padding rule, native module, and description of the node
POLICIES = {
    "onnx": ("valid", "not_set", "auto_pad NOTSET and no pads, ONNX's defaults"),
    "onnx-same-upper": ("onnx_same_upper", "same_upper", "auto_pad SAME_UPPER, the extra sample on the right"),
    "onnx-same-lower": ("onnx_same_lower", "same_lower", "auto_pad SAME_LOWER, the extra sample on the left"),
}


def _policy(name: str, rule: str, node: str) -> Policy:
    return Policy(
        name,
        padding=rule,
        bias=False,
        weight_init="uniform",  # ONNX draws no weights, so this is convpolicy's own choice
        bias_init="uniform",
        random_stream="numpy",
        padding_names=AUTO_PADS,
        framework="onnxruntime",
        versions=">=1.32,<1.33",
        measured="1.32.0",
        source="ONNX operator Conv, https://onnx.ai/onnx/operators/onnx__Conv.html; run by ONNX Runtime's CPU provider",
        description=f"ONNX Conv with {node}; no bias. ONNX draws no weights, so convpolicy's are used: uniform ±√(1/fan_in) from stream numpy.",
    )


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the rules of ONNX Runtime's ``auto_pad``."""
    return [PaddingRule(rule.__name__, rule, needs_length=same_needs_length) for rule in (onnx_same_upper, onnx_same_lower)]


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return a policy for each ``auto_pad``."""
    return [_policy(name, rule, node) for name, (rule, _module, node) in POLICIES.items()]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return a format that refuses ``.onnx`` files and names the alternative."""
    return [FileFormat(".onnx", instead=GRAPH, description="An ONNX graph, which is not a checkpoint.")]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return a real Conv node for each ``auto_pad``, for ``verify``."""
    return [
        Native(name, f"convpolicy_onnx.natives.{module}", description=f"An ONNX Conv node with {node}.")
        for name, (_rule, module, node) in POLICIES.items()
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``onnx``."""
    return [
        Backend(
            "onnx",
            _imported("layer", "build"),
            assign=_imported("layer", "assign"),
            capture=_imported("capturing", "capture"),
            dtypes=("float32",),  # on the CPU ONNX Runtime 1.32 has no float64 Conv
            framework="onnxruntime",
            description="An ONNX model with one Conv and explicit pads, run by ONNX Runtime on the CPU; not differentiable.",
        )
    ]


def _imported(module: str, function: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy_onnx.{module}"), function)(*arguments)

    return call


def read(model: Any, node: str = "") -> ReadConv:
    """Read sizes, policy and weights of a 1-D Conv in an ONNX model.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.
        node: name of the Conv node or of its output; optional when the model contains nothing else.

    Returns:
        ``(spec, policy, weight, bias)``; see `convpolicy_onnx.reading.read`.
    """
    from convpolicy_onnx import reading

    return reading.read(model, node)
