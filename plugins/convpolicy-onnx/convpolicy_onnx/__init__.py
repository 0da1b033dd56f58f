"""The ONNX plugin of convpolicy: a backend that builds ONNX models, the policies of ``auto_pad``, and a reader of Conv and ConvTranspose.

Importing it imports neither onnx nor onnxruntime.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convpolicy import Backend, CropRule, FileFormat, Native, PaddingRule, Param, Policy, TransposedPolicy, hookimpl, lazy
from convpolicy_onnx.crop_rules import onnx_output_shape, onnx_same
from convpolicy_onnx.rules import onnx_same_lower, onnx_same_upper, same_needs_length

if TYPE_CHECKING:
    from convpolicy_onnx.reading import ReadConv

__all__ = ["read"]

AUTO_PADS = (("SAME_UPPER", "onnx_same_upper"), ("SAME_LOWER", "onnx_same_lower"), ("VALID", "valid"))
CROPS = (("SAME_UPPER", "onnx_same_upper"), ("SAME_LOWER", "onnx_same_lower"), ("VALID", "explicit"))
SIDES = ("left", "right")
# policy -> padding rule, crop rule, native module, and description of the node
POLICIES = {
    "onnx": ("valid", "explicit", "not_set", "auto_pad NOTSET and no pads, ONNX's defaults"),
    "onnx-same-upper": ("onnx_same_upper", "onnx_same_upper", "same_upper", "auto_pad SAME_UPPER, the extra sample on the right"),
    "onnx-same-lower": ("onnx_same_lower", "onnx_same_lower", "same_lower", "auto_pad SAME_LOWER, the extra sample on the left"),
}
SHARED: dict[str, Any] = {  # of convolutions and transposed convolutions
    "bias": False,
    "weight_init": "uniform",  # ONNX draws no weights, so this is convpolicy's own choice
    "bias_init": "uniform",
    "random_stream": "numpy",
    "framework": "onnxruntime",
    "versions": ">=1.32,<1.33",
    "measured": "1.32.0",
}


def _policy(name: str, rule: str, crop: str, node: str) -> Policy:
    return Policy(
        name,
        padding=rule,
        padding_names=AUTO_PADS,
        source="ONNX operator Conv, https://onnx.ai/onnx/operators/onnx__Conv.html; run by ONNX Runtime's CPU provider",
        description=f"ONNX Conv with {node}; no bias. ONNX draws no weights, so convpolicy's are used: uniform ±√(1/fan_in) from stream numpy.",
        transposed=TransposedPolicy(
            name,
            padding=crop,
            padding_names=CROPS,
            dilated_output_padding=False,
            source="ONNX operator ConvTranspose, https://onnx.ai/onnx/operators/onnx__ConvTranspose.html; run by ONNX Runtime's CPU provider",
            description=f"ONNX ConvTranspose with {node}; no bias. ONNX draws no weights, so convpolicy's are used: uniform ±√(1/fan_in) "
            f"with fan_in out_channels // groups * kernel_size, from stream numpy.",
            **SHARED,
        ),
        **SHARED,
    )


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the rules of ONNX Runtime's ``auto_pad``."""
    return [PaddingRule(rule.__name__, rule, needs_length=same_needs_length) for rule in (onnx_same_upper, onnx_same_lower)]


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return the rules of a ConvTranspose with ``auto_pad`` or ``output_shape``."""
    kept = {"output_padding": Param(0, kind="integer")}
    return [
        *(
            CropRule(
                name,
                onnx_same,
                params={"odd_side": Param(side, kind="name", allowed=SIDES), **kept},
                description=f"ONNX Runtime's {auto_pad}: cut e - stride + output_padding if it is positive, the extra sample {side}; then "
                f"append output_padding zeros on the right.",
            )
            for (auto_pad, name), side in zip(CROPS, ("right", "left"))
        ),
        CropRule(
            "onnx_output_shape",
            onnx_output_shape,
            needs_length=True,
            params={
                "output_shape": Param(1, kind="integer", minimum=1),
                "odd_side": Param("left", kind="name", allowed=SIDES),
                **kept,
            },
        ),
    ]


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return a policy for each ``auto_pad``."""
    return [_policy(name, rule, crop, node) for name, (rule, crop, _module, node) in POLICIES.items()]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the format of ``.onnx`` files, of which the initializers are read."""
    reader = lazy("convpolicy_onnx.files", "OnnxReader")
    return [FileFormat(".onnx", reader, package="onnx", description="The initializers of an ONNX model; only read.")]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return real Conv and ConvTranspose nodes for each ``auto_pad``, for ``verify``."""
    return [
        Native(
            name,
            f"convpolicy_onnx.natives.{module}",
            transposed=f"convpolicy_onnx.natives.transposed_{module}",
            description=f"An ONNX Conv or ConvTranspose node with {node}.",
        )
        for name, (_rule, _crop, module, node) in POLICIES.items()
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``onnx``."""
    return [
        Backend(
            "onnx",
            _imported("layer", "build"),
            build_transposed=_imported("layer", "build"),
            assign=_imported("layer", "assign"),
            capture=_imported("capturing", "capture"),
            convolutions=_imported("models", "convolutions"),
            arrays=_imported("chunks", "OnnxArrays"),
            dtypes=("float32",),  # on the CPU ONNX Runtime 1.32 has no float64 Conv
            framework="onnxruntime",
            description="An ONNX model with one Conv or ConvTranspose and explicit pads, run by ONNX Runtime on the CPU; not differentiable.",
        )
    ]


def _imported(module: str, function: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"convpolicy_onnx.{module}"), function)(*arguments)

    return call


def read(model: Any, node: str = "") -> ReadConv:
    """Read sizes, policy and weights of a 1-D Conv or ConvTranspose in an ONNX model.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.
        node: name of the node or of its output, also of one inside an If, Loop or Scan node; optional when the model contains nothing else.

    Returns:
        ``(spec, policy, weight, bias)``; see `convpolicy_onnx.reading.read`.
    """
    from convpolicy_onnx import reading

    return reading.read(model, node)
