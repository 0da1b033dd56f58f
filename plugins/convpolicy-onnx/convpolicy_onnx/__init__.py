"""ONNX for convpolicy: a backend that builds models with explicit pads, the policies of ``auto_pad``, and a reader of Conv nodes.

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
# policy -> its rule, its native module, and what it says
POLICIES = {
    "onnx": ("valid", "not_set", "auto_pad NOTSET and pads 0, as when neither is written"),
    "onnx-same-upper": ("onnx_same_upper", "same_upper", "auto_pad SAME_UPPER, the odd element right"),
    "onnx-same-lower": ("onnx_same_lower", "same_lower", "auto_pad SAME_LOWER, the odd element left"),
}


def _policy(name: str, rule: str, says: str) -> Policy:
    return Policy(
        name,
        padding=rule,
        bias=False,
        weight_init="uniform",  # ONNX initialises nothing: convpolicy's own law and stream, of which nothing is claimed
        bias_init="uniform",
        random_stream="numpy",
        padding_names=AUTO_PADS,
        framework="onnxruntime",
        versions=">=1.32,<1.33",
        measured="1.32.0",
        source="ONNX operator Conv, https://onnx.ai/onnx/operators/onnx__Conv.html; run by ONNX Runtime's CPU provider",
        description=f"ONNX Conv with {says}; no bias; ONNX draws no weights, these are uniform ±√(1/fan_in) from stream numpy.",
    )


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return what ONNX Runtime does for ``auto_pad``."""
    return [PaddingRule(rule.__name__, rule, needs_length=same_needs_length) for rule in (onnx_same_upper, onnx_same_lower)]


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return a policy for each ``auto_pad``."""
    return [_policy(name, rule, says) for name, (rule, _module, says) in POLICIES.items()]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return ``.onnx``, which is not read as a checkpoint: what to do instead."""
    return [FileFormat(".onnx", instead=GRAPH)]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return ONNX Runtime with a Conv node of each ``auto_pad``, for ``verify``."""
    return [
        Native(name, f"convpolicy_onnx.natives.{module}", description=f"An ONNX Conv node with {says}.")
        for name, (_rule, module, says) in POLICIES.items()
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``onnx``."""
    return [
        Backend(
            "onnx",
            _of("layer", "build"),
            assign=_of("layer", "assign"),
            capture=_of("capturing", "capture"),
            dtypes=("float32",),  # ONNX Runtime 1.32 has no float64 Conv on the CPU
            framework="onnxruntime",
            description="An ONNX model with one Conv and explicit pads, run by ONNX Runtime on the CPU; not differentiable.",
        )
    ]


def _of(module: str, function: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy_onnx.{module}"), function)(*arguments)

    return call


def read(model: Any, node: str = "") -> ReadConv:
    """Read a 1-D Conv of an ONNX model, with any ``auto_pad``; see `convpolicy_onnx.reading.read`."""
    from convpolicy_onnx import reading

    return reading.read(model, node)
