"""A ConvTranspose node with ``auto_pad="SAME_LOWER"``."""

from convpolicy_onnx.natives import OUTPUT_PADDINGS, PADDINGS, give, parameters, run, version
from convpolicy_onnx.natives.same_lower import build

__all__ = ["OUTPUT_PADDINGS", "PADDINGS", "build", "give", "parameters", "run", "version"]
