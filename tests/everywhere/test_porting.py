"""Layers taken apart and built elsewhere: weights to the bit, outputs within rounding of the float64 reference, refusals with reasons."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import mindspore
import numpy as np
import pytest
import torch
from helpers.paths import TESTS
from mindspore import mint
from torch import nn
from torch.nn.utils import parametrizations, prune, remove_weight_norm, spectral_norm, weight_norm

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore")

WORKLOADS = json.loads((TESTS / "data" / "conv1d-layers.json").read_text(encoding="utf-8"))
SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")


def title(row) -> str:
    """Sizes in one word."""
    return "-".join(str(row[name]) for name in SIZES[:7])


def same(a, b) -> bool:
    """Whether two captures hold the same bits and sizes."""
    biases = (a.bias is None) == (b.bias is None) and (a.bias is None or a.bias.tobytes() == b.bias.tobytes())
    return (a.spec, a.dtype, a.weight.shape, a.weight.tobytes()) == (
        b.spec,
        b.dtype,
        b.weight.shape,
        b.weight.tobytes(),
    ) and biases


def bounded(taken, data, channels=slice(None)):
    """The float64 reference of a capture for some output channels, each from the input channels of its group, and its bound."""
    spec = taken.spec
    plan = taken.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=data.shape[2])
    outputs = np.arange(spec.out_channels)[channels]
    found = []
    for out in outputs:  # each alone, on the input channels of its group
        first = out // (spec.out_channels // spec.groups) * (spec.in_channels // spec.groups)
        found.append(
            reference.conv1d(
                data[:, first : first + spec.in_channels // spec.groups],
                taken.weight[out : out + 1],
                None if taken.bias is None else taken.bias[out : out + 1],
                left=plan.left,
                right=plan.right,
                mode=taken.policy.padding_mode.name,
                stride=spec.stride,
                dilation=spec.dilation,
            )
        )
    output, magnitude = (np.concatenate([getattr(one, name) for one in found], 1) for name in ("output", "magnitude"))
    return output, reference.tolerance(taken.dtype, found[0].terms, magnitude)


def within(output, expected, channels=slice(None)):
    """Whether every output is within the bound of the reference."""
    return bool((np.abs(np.float64(output)[:, channels] - expected[0]) <= expected[1]).all())


PRODUCTS = 12_000  # of the reference, a loop in Python, per layer: at least 3 output channels, spread over all


@pytest.mark.parametrize("row", WORKLOADS, ids=title)
def test_the_layers_of_real_models(row):
    """188 layers: torch → numpy → mindspore → torch keeps every bit; each is within the bound of the float64 reference."""
    torch.manual_seed(row["in_channels"])
    layer = nn.Conv1d(**{name: row[name] for name in SIZES})
    taken = cp.capture(layer)
    on_numpy = taken.build("numpy")
    on_mindspore = cp.port(on_numpy, to="mindspore")
    back = cp.port(on_mindspore, to="torch")
    assert same(taken, cp.capture(on_numpy))
    assert same(taken, cp.capture(on_mindspore))
    assert same(taken, cp.capture(back))
    assert torch.equal(back.weight, layer.weight)
    spec = taken.spec
    far = taken.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=4096)
    left, right = far.left, far.right
    length = max(spec.effective_kernel - left - right, 1, *((max(left, right) + 1,) if row["padding_mode"] != "zeros" else ()))
    data = np.random.default_rng(0).standard_normal((1, spec.in_channels, length)).astype("float32")
    outputs = layer(torch.from_numpy(data)).detach()
    each = outputs.shape[2] * spec.in_channels // spec.groups * spec.kernel_size
    channels = np.linspace(0, spec.out_channels - 1, min(spec.out_channels, max(3, PRODUCTS // each))).astype(int)
    expected = bounded(taken, data, channels)
    assert within(outputs.numpy(), expected, channels)
    assert within(on_numpy(data), expected, channels)
    assert within(on_mindspore(mindspore.Tensor(data)).asnumpy(), expected, channels)
    assert torch.equal(back(torch.from_numpy(data)), outputs)
    assert not within(-outputs.numpy(), expected, channels)  # a worst-case bound, yet it tells another function


def old_weight_norm(layer):
    """The hook of torch before 2.0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return weight_norm(layer, dim=2)


def pruned(layer):
    """Half of the weight masked."""
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


NORMED = {
    "old weight norm": old_weight_norm,
    "new weight norm": lambda layer: parametrizations.weight_norm(layer, dim=2),
    "old spectral norm": lambda layer: spectral_norm(layer).eval(),
    "new spectral norm": lambda layer: parametrizations.spectral_norm(layer).eval(),
    "orthogonal": parametrizations.orthogonal,
    "pruned": pruned,
}


@pytest.mark.parametrize("name", NORMED)
@pytest.mark.parametrize("padded", [False, True])
def test_reparametrized_weights(name, padded):
    """Weight and spectral normalisation, old and new, and pruning: what the layer's next call uses, also after training steps."""
    torch.manual_seed(3)
    layer = (
        cp.Conv1d(4, 6, 3, padding=(2, 1), padding_mode="reflect", backend="torch") if padded else nn.Conv1d(4, 6, 3, padding=1)
    )
    layer = NORMED[name](layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # as after training: g is no longer the norm of v
    data = torch.randn(2, 4, 17)
    taken = cp.capture(layer)
    built = taken.build("torch")
    torch.testing.assert_close(built(data), layer(data), rtol=0, atol=0)
    assert list(built.state_dict()) == ["weight", "bias"]
    assert same(cp.capture(layer), taken)  # taking it apart changes nothing


def test_weight_norm_removed_is_the_captured_weight():
    """What torch's own remove_weight_norm leaves is what was captured."""
    layer = old_weight_norm(nn.Conv1d(4, 6, 3))
    taken = cp.capture(layer)
    assert torch.equal(torch.from_numpy(taken.weight), remove_weight_norm(layer).weight)


@pytest.mark.parametrize("build", [
    lambda: nn.LazyConv1d(6, 3),
    lambda: nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular"),
    lambda: nn.Conv1d(4, 6, 4, padding="same"),
    lambda: nn.Conv1d(4, 6, 3, padding="valid", bias=False, dtype=torch.float64),
    lambda: nn.Conv1d(4, 6, 3, 2, 2, 2, 2, padding_mode="replicate"),
    lambda: cp.Conv1d(4, 6, 4, 3, policy="mindspore", backend="torch", padding_mode="symmetric", seed=0),
], ids=["lazy", "same circular", "even same", "valid float64", "grouped replicate", "by length"])  # fmt: skip
def test_captured_from_torch(build):
    """A layer after its first call: built again it gives the same bits, on NumPy within rounding."""
    layer = build()
    dtype = torch.float64 if getattr(layer, "weight", None) is not None and layer.weight.dtype == torch.float64 else torch.float32
    data = torch.randn(2, 4, 19, dtype=dtype)
    expected = layer(data)
    taken = cp.capture(layer)
    assert taken.backend == "torch"
    assert torch.equal(taken.build("torch")(data), expected)
    close = taken.build("numpy")(data.numpy())
    wanted = bounded(taken, data.numpy())
    assert within(close, wanted)
    assert within(expected.detach().numpy(), wanted)


@pytest.mark.parametrize("words", [
    {}, {"pad_mode": "valid", "has_bias": True}, {"pad_mode": "pad", "padding": 2, "stride": 2, "dilation": 2, "group": 2},
], ids=str)  # fmt: skip
def test_captured_from_mindspore(words):
    """mindspore.nn.Conv1d: the same bits when built there again, within rounding on torch."""
    mindspore.set_seed(1)
    layer = mindspore.nn.Conv1d(4, 6, 3, **words)
    data = np.random.default_rng(2).standard_normal((2, 4, 18)).astype("float32")
    expected = layer(mindspore.Tensor(data)).asnumpy()
    taken = cp.capture(layer)
    assert taken.build("mindspore")(mindspore.Tensor(data)).asnumpy().tobytes() == expected.tobytes()
    wanted = bounded(taken, data)
    assert within(taken.build("torch")(torch.from_numpy(data)).detach().numpy(), wanted)
    assert within(expected, wanted)


@pytest.mark.parametrize(
    "words", [{}, {"padding": "same", "padding_mode": "reflect"}, {"padding": 2, "stride": 2, "bias": False}], ids=str
)
def test_captured_from_mint(words):
    """mindspore.mint.nn.Conv1d pads as torch does: its layer is torch's with the same weights."""
    layer = mint.nn.Conv1d(4, 6, 4, **words)
    taken = cp.capture(layer)
    native = nn.Conv1d(4, 6, 4, **words)
    native.load_state_dict({name: torch.from_numpy(getattr(taken, name)) for name in native.state_dict()})
    data = torch.randn(2, 4, 18)
    assert torch.equal(taken.build("torch")(data), native(data))
    assert taken.weight.tobytes() == layer.weight.asnumpy().tobytes()


class Doubled(nn.Conv1d):
    """Another function under the same name."""

    def forward(self, data):
        return 2 * super().forward(data)


def test_nothing_is_imported_for_a_layer():
    """A NumPy layer is taken apart in a process that has no other framework, and has none afterwards."""
    code = "import sys, convpolicy as cp; cp.port(cp.Conv1d(1, 1, 3), to='numpy'); print({'torch', 'mindspore'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_port_model():
    """Every convolution of a model, shared ones once, with the new name of each parameter and a reason for each that stays."""
    shared = nn.Conv1d(4, 4, 3, padding=1)
    model = nn.Sequential(
        nn.Sequential(shared, nn.ReLU(), shared), parametrizations.weight_norm(nn.Conv1d(4, 6, 3, bias=False)), Doubled(6, 6, 3),
        nn.ConvTranspose1d(6, 2, 3), nn.Linear(3, 3),
    )  # fmt: skip
    seen = []
    ported = cp.port_model(model, to="mindspore", progress=seen.append)
    assert list(ported.layers) == ["0.0", "1", "3"]
    assert seen == [row.path for row in ported.report] == ["0.0", "1", "2", "3"]
    assert [row.path for row in ported.refused] == ["2"]
    assert "2 (Doubled): layer Doubled cannot be captured exactly" in str(ported)
    assert {old: (new.name, new.axes, new.computed) for old, new in ported.parameters.items()} == {
        "0.0.weight": ("0.0.weight", "OIW -> OI1W", False),
        "0.0.bias": ("0.0.bias", "O", False),
        "1.parametrizations.weight.original0": ("1.weight", "OIW -> OI1W", True),
        "1.parametrizations.weight.original1": ("1.weight", "OIW -> OI1W", True),
        "3.weight": ("3.weight", "IOW -> IO1W", False),
        "3.bias": ("3.bias", "O", False),
    }
    data = torch.randn(1, 4, 9)
    up = ported.layers["3"]
    assert up.weight.asnumpy()[:, :, 0].tobytes() == model[3].weight.detach().numpy().tobytes()
    for path, layer in list(ported.layers.items())[:2]:
        wanted = bounded(cp.capture(model.get_submodule(path)), data.numpy())
        assert within(model.get_submodule(path)(data).detach().numpy(), wanted)
        assert within(layer(mindspore.Tensor(data.numpy())).asnumpy(), wanted)
    backends = "flax, flax-linen, keras, keras-jax, keras-torch, mindspore, paddle, torch"
    with pytest.raises(
        TypeError, match=rf"model must be a model of one of the backends {backends}, got an object of class builtins\.int; pass"
    ):
        cp.port_model(3, to="numpy")
    with pytest.raises(LookupError, match="unknown backend 'nmpy'"):
        cp.port_model(shared, to="nmpy")


def test_a_capture_is_a_copy_and_prints():
    """Training on after capture changes nothing in it; its text names sizes, dtype and policy."""
    layer = nn.Conv1d(4, 6, 3, padding=1)
    taken = cp.capture(layer)
    before = taken.weight.copy()
    with torch.no_grad():
        layer.weight.zero_()
    assert np.array_equal(taken.weight, before)
    assert str(taken).splitlines()[0] == "4 -> 6 channels, kernel_size 3, stride 1, dilation 1, groups 1, float32, from torch"
    with pytest.raises(ValueError, match="dtype must be one of float32, float64 for backend 'numpy', got 'float16'"):
        taken.build("numpy", dtype="float16")
    assert cp.capture(taken.build("numpy", dtype="float64")).dtype == "float64"
