"""A ConvTranspose node without ``auto_pad``."""

from convpolicy_onnx.natives import OUTPUT_PADDINGS, PADDINGS, build, give, parameters, run, version

__all__ = ["OUTPUT_PADDINGS", "PADDINGS", "build", "give", "parameters", "run", "version"]
