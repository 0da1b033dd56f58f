"""Which packages each policy's or backend's framework needs."""

from __future__ import annotations

import pytest

KERAS_ON = {"keras": "tensorflow", "keras-torch": "torch", "keras-jax": "jax"}
PACKAGES = {
    "torch": ("torch",),
    "mindspore": ("mindspore",),
    "mindspore@2.0": ("mindspore",),
    "flax": ("flax",),
    **dict.fromkeys(("flax-linen", "flax-transpose-kernel", "flax-linen-transpose-kernel"), ("flax",)),
    "paddle": ("paddle",),
    "onnx": ("convpolicy_onnx",),
    "tensorflow": ("keras", "tensorflow"),
    **{name: ("keras", framework) for name, framework in KERAS_ON.items()},
    **{name.replace("keras", "keras-depthwise"): ("keras", framework) for name, framework in KERAS_ON.items()},
}


def params(names, *more):
    """Parameters of a test, one for each policy or backend, left out where its framework or one of ``more`` is not installed."""
    return [pytest.param(name, marks=pytest.mark.needs(*PACKAGES[name], *more), id=name) for name in names]
