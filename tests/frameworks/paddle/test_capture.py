"""Paddle's own layers taken apart and built elsewhere: every bit of the weights, the same outputs, or a refusal with its reason."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn.utils import remove_weight_norm, spectral_norm, weight_norm

import convpolicy as cp
from convpolicy import reference

BACKEND = cp.backends()["paddle"]
# as Paddle's own layer is told
NATIVE = {
    "default": {},
    "number": {"padding": 2, "stride": 2, "dilation": 2, "groups": 2},
    "tuple of a number": {"padding": (1,), "stride": [3]},
    "pair": {"padding": [3, 1], "bias_attr": False},
    "pairs of all axes": {"padding": [[0, 0], [0, 0], [2, 1]]},
    "SAME": {"padding": "SAME", "stride": 2},
    "same, dilated": {"padding": "same", "stride": 2, "dilation": 3},
    "Valid": {"padding": "Valid", "dilation": 2},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "replicate": {"padding": 3, "padding_mode": "replicate", "stride": 2},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "float64": {"padding": 1, "dtype": "float64"},
    "NLC": {"padding": [2, 1], "data_format": "NLC"},
    "NLC, pairs": {"padding": [[0, 0], [2, 1], [0, 0]], "data_format": "NLC"},
    "NLC, reflect": {"padding": 1, "padding_mode": "reflect", "data_format": "NLC"},
}
# as convpolicy builds them, with subclasses that pad by the plan
PADDED = {
    "reflect": {"padding": (2, 1), "padding_mode": "reflect"},
    "by length": {"padding": "same_lower", "stride": 2, "padding_mode": "symmetric", "policy": "mindspore"},
    "constant": {"padding": 2, "padding_mode": cp.Choice("constant", value=1.5), "bias": False},
    "per side": {"padding": (2, 1), "padding_mode": ("reflect", cp.Choice("constant", value=2.5))},
    "per channel": {"padding": (2, 1), "padding_mode": cp.Choice("constant", value=np.array([0.5, -1.0, 2.0, 3.0]), left=-2.0)},
    "odd": {"padding": (2, 3), "padding_mode": "odd"},
    "ramp by length": {"padding": "same_lower", "stride": 2, "padding_mode": cp.Choice("linear_ramp", value=1.5)},
    "sum, cut": {"padding": cp.Choice("crop", left=-1, right=2), "padding_mode": "extrapolate"},
}


def own(kernel=4, **words):
    """A Conv1D of Paddle, 4 → 8 channels, with a bias that is not zero."""
    paddle.seed(3)
    layer = nn.Conv1D(4, 8, kernel, **words)
    if layer.bias is not None:
        layer.bias.set_value(paddle.rand([8]).astype(layer.bias.dtype))
    return layer


def check(layer):
    """Capture, build on NumPy, capture that, build on Paddle: every bit stays, and the outputs are the layer's."""
    taken = cp.capture(layer)
    assert taken.backend == "paddle"
    on_numpy = taken.build("numpy")
    data = np.random.default_rng(2).standard_normal((2, 4, 11)).astype(taken.dtype)
    last = layer._data_format == "NLC"
    expected = layer(paddle.to_tensor(data.transpose(0, 2, 1) if last else data)).numpy()
    expected = expected.transpose(0, 2, 1) if last else expected
    found = on_numpy(data)
    largest = np.abs(data).max() if taken.policy.plan(4, length=11).copies else 5 * np.abs(data).max() + 3  # the terms of a sum
    magnitude = largest * np.abs(taken.weight).sum((1, 2)).max() + 8  # a bias, a constant
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2 * reference.tolerance(taken.dtype, taken.weight[0].size + 1, magnitude)
    again = cp.port(on_numpy, to="paddle")
    back = cp.capture(again)
    assert (back.spec, back.dtype, back.policy.padding_mode, back.policy.bias) == (
        taken.spec, taken.dtype, taken.policy.padding_mode, taken.policy.bias,
    )  # fmt: skip
    for length in range(4, 12):
        plans = [
            of.policy.plan(taken.spec.kernel_size, taken.spec.stride, taken.spec.dilation, length=length) for of in (taken, back)
        ]
        assert plans[0] == plans[1]
    assert back.weight.tobytes() == taken.weight.tobytes()
    assert (back.bias is None) == (taken.bias is None)
    assert taken.bias is None or back.bias.tobytes() == taken.bias.tobytes()
    if not last:  # a layer of the other order sums in another order
        assert np.array_equal(BACKEND.run(again, data), expected)
    return taken


@pytest.mark.parametrize("words", NATIVE.values(), ids=NATIVE)
def test_paddles_own_layers(words):
    """Every form of padding that Paddle takes; built there again the outputs have the layer's bits."""
    layer = own(**words)
    taken = check(layer)
    assert np.array_equal(taken.weight, layer.weight.numpy())
    assert str(taken.policy.data_layout) == ("NWC" if words.get("data_format") == "NLC" else "NCW")


def test_same_is_what_paddle_computes():
    """The dilation that Paddle drops is not in the sizes; the layer with it would be another function."""
    taken = cp.capture(own(padding="SAME", dilation=3))
    assert (taken.spec.dilation, taken.policy.padding) == (1, cp.Choice("paddle_same"))


@pytest.mark.parametrize("options", PADDED.values(), ids=PADDED)
def test_own_subclasses(options):
    """Layers that pad by the plan keep their policy."""
    layer = cp.Conv1d(4, 8, 4, **options, backend="paddle", seed=1)
    assert check(layer).policy.name == options.get("policy", "torch")


@pytest.mark.parametrize("dim", [0, 2, None])
def test_weight_norm(dim):
    """The weight of the layer's next call, also after a step of training; it is what Paddle's own removal leaves."""
    layer = weight_norm(own(padding=1), dim=dim)
    with paddle.no_grad():
        for parameter in layer.parameters():
            parameter.set_value(parameter + 0.1 * paddle.rand(parameter.shape))
    taken = check(layer)
    assert np.array_equal(remove_weight_norm(layer).weight.numpy(), taken.weight)


def test_spectral_norm():
    """In evaluation the weight of every call; taking it apart changes nothing."""
    layer = spectral_norm(own(padding=1))
    layer.eval()
    taken = check(layer)
    assert np.array_equal(cp.capture(layer).weight, taken.weight)


def test_a_capture_is_a_copy():
    """Training on afterwards changes nothing in it."""
    layer = own()
    taken = cp.capture(layer)
    before = taken.weight.copy()
    layer.weight.set_value(layer.weight * 2)
    assert np.array_equal(taken.weight, before)


class Doubled(nn.Conv1D):
    """Another function under the same name."""

    def forward(self, x):
        return 2 * super().forward(x)


def changed(**attributes):
    """A Conv1D, some of whose attributes were written over."""
    layer = own()
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def hooked(kind):
    """A layer with a hook."""
    layer = own()
    getattr(layer, kind)(lambda *_: None)
    return layer


def resized():
    """A padded layer whose stride was written over."""
    layer = cp.Conv1d(4, 8, 3, padding=(2, 1), padding_mode="reflect", backend="paddle")
    layer._stride = [2]
    return layer


def narrow():
    """A layer of float16 weights, which Paddle on the CPU computes with in the input's dtype."""
    layer = own()
    layer.to(dtype="float16")
    return layer


REFUSED = {
    "subclass": (lambda: Doubled(4, 8, 3), "layer Doubled cannot be captured exactly: its class overrides forward"),
    "replaced": (lambda: changed(forward=lambda x: x), "its forward was replaced; capture it before paddle.jit.to_static"),
    "post-hook": (lambda: hooked("register_forward_post_hook"), "a forward post-hook may change its output; remove the hook"),
    "pre-hook": (lambda: hooked("register_forward_pre_hook"), "a forward pre-hook may change its input; remove the hook"),
    "training": (lambda: spectral_norm(own()), r"spectral normalisation changes its weight at every call while training; call eval\(\)"),
    "float16": (narrow, "weight and bias are paddle.float16; convert both to one of float32, float64"),
    "below 0": (lambda: own(padding=-1), "Invalid padding, all value should be larger than or equal to 0.*; correct its padding"),
    "a word": (lambda: own(padding="circular"), "Unknown padding: 'CIRCULAR'"),
    "no padding": (lambda: own(padding=1.5), "padding's type must be list or tuple"),
    "data format": (lambda: own(data_format="NHWC"), "Paddle refuses its data_format 'NHWC'; pass NCL or NLC"),
    "groups": (lambda: changed(_groups=2), r"its weight has shape \(8, 4, 4\), but its sizes need \(8, 2, 4\); build a new layer"),
    "resized": (resized, "its sizes were changed after it was built; build a new layer"),
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
    for layer in (nn.Conv2D(4, 8, 3), nn.Linear(4, 8)):
        with pytest.raises(cp.InvalidTypeError, match=r"of one of the backends .*paddle.*got an object of class paddle\.nn\."):
            cp.capture(layer)


def test_assign_refuses_other_shapes():
    """Nothing is broadcast."""
    layer = cp.Conv1d(4, 8, 3, bias=False, backend="paddle")
    with pytest.raises(cp.InvalidValueError, match=r"weight must have shape \(8, 4, 3\), like the layer's, got \(8, 4, 1\)"):
        BACKEND.assign(layer, {"weight": np.ones((8, 4, 1), "float32"), "bias": None})
    with pytest.raises(cp.InvalidValueError, match=r"bias must have shape None, like the layer's, got \(8,\)"):
        BACKEND.assign(layer, {"weight": None, "bias": np.ones(8, "float32")})
