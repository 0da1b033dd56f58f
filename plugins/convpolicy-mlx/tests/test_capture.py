"""MLX's own layers captured and built elsewhere: every bit of the weights, the same outputs, or a refusal with its reason."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

import convpolicy as cp
from convpolicy import reference

BACKEND = cp.backends()["mlx"]
NATIVE = {
    "default": {},
    "padding": {"padding": 2, "stride": 2, "dilation": 2, "groups": 2},
    "no bias": {"padding": 1, "bias": False},
    "negative padding": {"padding": -1},
    "float16": {"padding": 1, "dtype": mx.float16},
    "bfloat16": {"padding": 1, "dtype": mx.bfloat16, "groups": 4},
}
PADDED = {
    "pair": {"padding": (3, 1)},
    "reflect": {"padding": (2, 1), "padding_mode": "reflect"},
    "by length": {"padding": "same_lower", "stride": 2, "padding_mode": "symmetric", "policy": "mindspore"},
    "constant": {"padding": 2, "padding_mode": cp.Choice("constant", value=1.5), "bias": False},
}


def own(dtype=mx.float32, **options):
    """A Conv1d of MLX, 4 → 8 channels, kernel 4, with a bias that is not zero."""
    mx.random.seed(3)
    layer = nn.Conv1d(4, 8, 4, **options)
    if "bias" in layer:
        layer.bias = mx.random.uniform(shape=(8,))
    layer.set_dtype(dtype)
    return layer


def check(layer):
    """Capture, build on NumPy, capture that, build on MLX: every bit stays, and the outputs are the layer's."""
    capture = cp.capture(layer)
    assert capture.backend == "mlx"
    data = np.random.default_rng(2).standard_normal((2, 4, 13)).astype("float16" if capture.dtype == "float16" else "float32")
    expected = BACKEND.run(layer, data)
    again = capture.build("mlx")
    assert BACKEND.run(again, data).tobytes() == expected.tobytes()
    back = cp.capture(again)
    unseeded = capture.policy.evolve(weight_init="zeros", bias_init="zeros")  # as it was built
    assert (back.spec, back.dtype) == (capture.spec, capture.dtype)
    assert back.policy.evolve(weight_init="zeros", bias_init="zeros") == unseeded
    assert back.weight.tobytes() == capture.weight.tobytes()
    assert (back.bias is None) == (capture.bias is None)
    assert capture.bias is None or back.bias.tobytes() == capture.bias.tobytes()
    if capture.dtype == "float32":
        output = capture.build("numpy")(data)
        magnitude = np.abs(data).max() * np.abs(capture.weight).sum((1, 2)).max() + 8  # a bias, a constant
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() <= 2 * reference.tolerance("float32", capture.weight[0].size + 1, magnitude)
    return capture


@pytest.mark.parametrize("options", NATIVE.values(), ids=NATIVE)
def test_mlxs_own_layers(options):
    """Built there again the outputs have the layer's bits; a negative padding is what MLX computes, a cut."""
    layer = own(**options)
    capture = check(layer)
    assert np.array_equal(capture.weight.transpose(0, 2, 1), np.array(layer.weight.astype(mx.float32)))
    assert (str(capture.policy.data_layout), str(capture.policy.layout)) == ("NWC", "OWI")
    assert (capture.policy.plan(4, length=13).left, capture.dtype) == (
        options.get("padding", 0), str(options.get("dtype", mx.float32)).rpartition(".")[2],
    )  # fmt: skip


@pytest.mark.parametrize("options", PADDED.values(), ids=PADDED)
def test_own_subclasses(options):
    """Layers that pad by the plan keep their policy."""
    layer = cp.Conv1d(4, 8, 4, **options, backend="mlx", seed=1)
    assert check(layer).policy.name == options.get("policy", "torch")


def test_a_capture_is_a_copy():
    """Training on afterwards changes nothing in it."""
    layer = own()
    capture = cp.capture(layer)
    before = capture.weight.copy()
    layer.weight = layer.weight * 2
    mx.eval(layer.parameters())
    assert np.array_equal(capture.weight, before)


class Doubled(nn.Conv1d):
    """Another function under the same name."""

    def __call__(self, x):
        return 2 * super().__call__(x)


def changed(layer=None, **attributes):
    """A Conv1d, some of whose attributes were written over."""
    layer = own() if layer is None else layer
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def padded():
    """A layer that pads by the plan."""
    return cp.Conv1d(4, 8, 4, padding=(2, 1), backend="mlx")


REFUSED = {
    "subclass": (lambda: Doubled(4, 8, 3), "layer Doubled cannot be captured exactly: its class has another __call__; capture a plain"),
    "mixed": (lambda: changed(bias=mx.zeros(8, mx.float16)), "its weight and bias are float16, float32; convert both to one of float32"),
    "integers": (lambda: changed(weight=mx.ones((8, 4, 4), mx.int32), bias=mx.ones(8, mx.int32)), "its weight and bias are mlx.core.int32"),
    "bias": (lambda: changed(bias=mx.zeros(1)), r"its bias has shape \(1,\); replace it with one of shape \(8,\)"),
    "weight": (lambda: changed(weight=mx.zeros((8, 4))), "its weight is not an array of 3 axes; build a new layer"),
    "list": (lambda: changed(bias=[0.0] * 8), "its bias is of class list; replace it with an mx.array"),
    "pair": (lambda: changed(padding=(1, 2)), r"its padding is \(1, 2\), with which MLX does not run; set an integer"),
    "stride": (lambda: changed(stride=0), "stride must be .*got 0"),
    "groups": (lambda: changed(groups=3), "out_channels must be divisible by groups, got out_channels=8 and groups=3"),
    "resized": (lambda: changed(padded(), stride=2), "its sizes or padding were changed after it was built; build a new layer"),
    "padded twice": (lambda: changed(padded(), padding=1), "its sizes or padding were changed after it was built; build a new layer"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name):
    """Each with the reason and the fix."""
    build, says = REFUSED[name]
    layer = build()
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(layer)


def test_what_is_no_convolution():
    """Refused by its class."""
    for layer in (nn.Conv2d(4, 8, 3), nn.ConvTranspose2d(4, 8, 3), nn.Linear(4, 8)):
        with pytest.raises(cp.InvalidTypeError, match=r"of one of the backends .*mlx.*got an object of class mlx\.nn\."):
            cp.capture(layer)


def test_assign_refuses_other_shapes():
    """Nothing is broadcast."""
    layer = cp.Conv1d(4, 8, 3, bias=False, backend="mlx")
    with pytest.raises(cp.InvalidValueError, match=r"weight must have shape \(8, 3, 4\), like the layer's, got \(8, 1, 4\)"):
        BACKEND.assign(layer, {"weight": np.ones((8, 4, 1), "float32"), "bias": None})
    with pytest.raises(cp.InvalidValueError, match=r"bias must have shape None, like the layer's, got \(8,\)"):
        BACKEND.assign(layer, {"weight": None, "bias": np.ones(8, "float32")})
