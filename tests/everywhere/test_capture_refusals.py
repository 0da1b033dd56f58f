"""Layers that cannot be taken apart exactly: each refused with the reason, and what a changed attribute does not change."""

from __future__ import annotations

import mindspore
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore")


class Doubled(nn.Conv1d):
    """Another function under the same name."""

    def forward(self, data):
        return 2 * super().forward(data)


class Gated(nn.Conv1d):
    """Another function below forward."""

    def _conv_forward(self, data, weight, bias):
        return super()._conv_forward(data, weight, bias).tanh()


def replaced():
    """A layer whose forward is another function."""
    layer = nn.Conv1d(4, 6, 3)
    layer.forward = lambda data: data
    return layer


def hooked(kind):
    """A layer with a hook."""
    layer = nn.Conv1d(4, 6, 3)
    getattr(layer, kind)(lambda *_: None)
    return layer


def resized():
    """A layer whose stride was written over."""
    layer = cp.Conv1d(4, 6, 3, padding=(1, 2), backend="torch")
    layer.stride = (2,)
    return layer


def written(layer, **values):
    """A layer whose attributes were written over."""
    for name, value in values.items():
        setattr(layer, name, value)
    return layer


def hooked_cell():
    """A MindSpore layer with a hook."""
    layer = mindspore.nn.Conv1d(4, 6, 3)
    layer.register_forward_hook(lambda *_: None)
    return layer


class Called(nn.Conv1d):
    """Another function above forward."""

    def __call__(self, data):
        return -super().__call__(data)


class OwnNumpy(type(cp.Conv1d(4, 6, 3, backend="numpy"))):
    """A subclass of the NumPy layer."""


def numpy_subclass():
    """A layer of that class."""
    layer = cp.Conv1d(4, 6, 3, backend="numpy")
    layer.__class__ = OwnNumpy
    return layer


class Cell(mindspore.nn.Conv1d):
    """Another function in MindSpore."""

    def construct(self, data):
        return -super().construct(data)


CHANGED = "its sizes or its padding were changed after it was built"
REFUSED = {
    "lazy": (lambda: nn.LazyConv1d(6, 3), ValueError, "in_channels are not known before the first call; call it once"),
    "subclass": (lambda: Doubled(4, 6, 3), ValueError, "Doubled cannot be captured exactly: its class overrides forward"),
    "subclass below": (lambda: Gated(4, 6, 3), ValueError, "its class overrides forward"),
    "replaced": (replaced, ValueError, "its forward was replaced"),
    "hook": (lambda: hooked("register_forward_hook"), ValueError, "a forward hook may change its output; remove the hook"),
    "pre-hook": (lambda: hooked("register_forward_pre_hook"), ValueError, "a forward pre-hook may change its input"),
    "training": (lambda: parametrizations.spectral_norm(nn.Conv1d(4, 6, 3)), ValueError, "call eval() first"),
    "meta": (lambda: nn.Conv1d(4, 6, 3, device="meta"), ValueError, "meta device"),
    "complex": (lambda: nn.Conv1d(4, 6, 3, dtype=torch.complex64), ValueError, "torch.complex64"),
    "resized": (resized, ValueError, CHANGED),
    "a Cell's own construct": (
        lambda: Cell(4, 6, 3),
        ValueError,
        "Cell cannot be captured exactly: its class overrides construct",
    ),
    "policy's padding": (
        lambda: written(cp.Conv1d(4, 6, 3, backend="torch", weight_init="ones", padding=1), padding=(2,)),
        ValueError,
        CHANGED,
    ),
    "pads": (lambda: written(cp.Conv1d(4, 6, 3, padding=(1, 2), backend="torch"), padding=(2, 2)), ValueError, CHANGED),
    "policy's mode": (
        lambda: written(cp.Conv1d(4, 6, 3, padding=(1, 2), backend="torch"), padding_mode="reflect"),
        ValueError,
        CHANGED,
    ),
    "stale padding": (
        lambda: written(nn.Conv1d(4, 6, 3, padding=1, padding_mode="reflect"), padding=(2,)),
        ValueError,
        "its padding was changed after it was built, and its forward ignores the change",
    ),
    "two pads": (lambda: written(nn.Conv1d(4, 6, 3), padding=(1, 2)), ValueError, "its forward cannot use its padding (1, 2)"),
    "two dtypes": (
        lambda: written(nn.Conv1d(4, 6, 3), bias=nn.Parameter(torch.zeros(6, dtype=torch.float64))),
        ValueError,
        "weight and bias are torch.float32, torch.float64",
    ),
    "another shape": (
        lambda: written(nn.Conv1d(4, 6, 3), weight=nn.Parameter(torch.zeros(6, 4, 5))),
        ValueError,
        "its weight has shape (6, 4, 5), but its sizes need (6, 4, 3)",
    ),
    "called": (lambda: Called(4, 6, 3), ValueError, "its class overrides forward"),
    "numpy subclass": (numpy_subclass, ValueError, "its class may compute something else"),
    "a Cell's stride": (lambda: written(mindspore.nn.Conv1d(4, 6, 3), stride=(1, 2)), ValueError, CHANGED),
    "a Cell's pads": (
        lambda: written(mindspore.nn.Conv1d(4, 6, 3, pad_mode="pad", padding=1), padding=(0, 0, 2, 2)),
        ValueError,
        CHANGED,
    ),
    "a policy Cell's conv2d": (
        lambda: written(
            cp.Conv1d(4, 6, 3, padding=(1, 2), backend="mindspore", seed=0), conv2d=mindspore.nn.Conv1d(4, 6, 3).conv2d
        ),
        ValueError,
        CHANGED,
    ),
    "a Cell's cast": (lambda: mindspore.nn.Conv1d(4, 6, 3).to_float(mindspore.float16), ValueError, "compute in another dtype"),
    "a Cell's hook": (hooked_cell, ValueError, "a forward hook or pre-hook may change what it computes"),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3), TypeError, "got an object of class torch.nn.modules.conv.Conv2d"),
    "transposed in 2-D": (
        lambda: nn.ConvTranspose2d(4, 6, 3),
        TypeError,
        "got an object of class torch.nn.modules.conv.ConvTranspose2d",
    ),
    "Dense": (lambda: mindspore.nn.Dense(4, 6), TypeError, "mindspore.nn.layer.basic.Dense"),
    "no layer": (lambda: 3, TypeError, "got an object of class builtins.int"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix; never approximated."""
    build, kind, says = REFUSED[name]
    with pytest.raises(cp.ConvPolicyError) as caught:
        cp.capture(build())
    assert isinstance(caught.value, kind)
    assert says in str(caught.value)


def test_a_hook_of_all_modules_and_a_replaced_method_are_refused(monkeypatch):
    """What changes every torch layer at once is seen too, and what took it away makes it capturable again."""
    layer, own = nn.Conv1d(4, 6, 3), nn.Conv1d._conv_forward
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with pytest.raises(ValueError, match="a global forward hook"):
            cp.capture(layer)
    finally:
        handle.remove()
    with monkeypatch.context() as patched:
        patched.setattr(nn.Conv1d, "_conv_forward", lambda self, *given: -own(self, *given))
        with pytest.raises(ValueError, match="overrides forward"):
            cp.capture(layer)
    assert cp.capture(layer).weight.tobytes() == layer.weight.detach().numpy().tobytes()
