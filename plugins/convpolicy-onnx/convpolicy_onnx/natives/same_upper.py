"""A Conv node with ``auto_pad="SAME_UPPER"``."""

from functools import partial

from convpolicy_onnx import natives
from convpolicy_onnx.natives import PADDINGS, give, parameters, run, version

__all__ = ["PADDINGS", "build", "give", "parameters", "run", "version"]

build = partial(natives.build, auto_pad="SAME_UPPER")
