"""A Conv node without ``auto_pad``."""

from convpolicy_onnx.natives import PADDINGS, build, give, parameters, run, version

__all__ = ["PADDINGS", "build", "give", "parameters", "run", "version"]
