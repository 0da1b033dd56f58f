"""Targets that do not fit a model: `port_model` and `convert` refuse them in one sentence and leave the model as it was."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

import convpolicy as cp

TENSORS = {"conv.weight": np.ones((4, 3, 5), np.float32), "conv.bias": np.ones(4, np.float32)}  # of torch's Conv1d(3, 4, 5)


class Interrupts:
    """A progress function that is interrupted at its n-th call."""

    def __init__(self, number):
        self.left = number

    def __call__(self, *_words):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def check_port_model(model, state):
    """Check `port_model` of a model with two convolutions.

    Args:
        model: the model.
        state: function that returns all that must not change, as a nest of arrays and plain values.
    """
    before = state(model)
    for words, says in (
        ({"to": "numpi"}, r"unknown backend 'numpi'\. Did you mean 'numpy'"),
        ({"to": "numpy", "dtype": "int8"}, "dtype must be one of float32, float64"),
    ):
        with pytest.raises(cp.ConvPolicyError, match=says) as caught:
            cp.port_model(model, **words)
        assert "\n" not in str(caught.value)
    with pytest.raises(cp.InvalidTypeError, match="model must be a model of one of the backends"):
        cp.port_model([model], to="numpy")
    with pytest.raises(KeyboardInterrupt):
        cp.port_model(model, to="numpy", progress=Interrupts(2))
    np.testing.assert_equal(state(model), before)


def check_convert(model, state, framework, folder):
    """Check `convert` for a model that contains the tensors of `Conv1d(3, 4, 5)` and no others.

    Args:
        model, state: see `check_port_model`.
        framework: the framework of the model.
        folder: an empty folder.
    """
    before = state(model)
    source, output = folder / "a.safetensors", folder / "b.npz"
    save_file(TENSORS, source)
    other = "paddle" if framework == "mindspore" else "mindspore"
    with pytest.raises(cp.InvalidValueError, match=f"target must be the framework of model, which is a .* model, got '{other}'"):
        cp.convert(source, output, source="torch", target=other, model=model)
    with pytest.raises(KeyboardInterrupt):
        cp.convert(source, output, source="torch", target=framework, model=model, progress=Interrupts(1))
    save_file({"embed.weight": np.ones((7, 7), np.float32)}, source)
    with pytest.raises(cp.InvalidValueError, match="has no tensor of the model; its first ones are"):
        cp.convert(source, output, source="torch", target=framework, model=model)
    assert [path.name for path in folder.iterdir()] == ["a.safetensors"]
    save_file({**TENSORS, "conv.weight": np.ones((4, 3, 7), np.float32)}, source)
    report = cp.convert(source, output, source="torch", target=framework, model=model)
    assert [row[1:3] for row in report.shape] == [("conv.weight", (4, 3, 7))]
    assert not report.loading.complete
    np.testing.assert_equal(state(model), before)
