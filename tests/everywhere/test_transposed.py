"""Transposed convolutions between frameworks: ported and back, compared, explained, and converted into each framework's own layer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.frameworks import PACKAGES

TOGETHER = (["keras"], ["flax", "flax-linen"], ["paddle"], ["mindspore"], ["onnx"])
NAMES = [
    pytest.param(names, marks=pytest.mark.needs("torch", *PACKAGES[names[0]]), id=names[0]) for names in TOGETHER
]  # fmt: skip
NATIVE = [param for param in reversed(NAMES) if param.id != "onnx"]  # every second is another one than in NAMES

START = """
import sys
import numpy as np
import torch
import convpolicy as cp
from convpolicy import reference
torch.manual_seed(0)
X = np.random.default_rng(0).standard_normal((2, 4, 11)).astype("float32")

def judged(layer):
    taken = cp.capture(layer)
    plan = taken.policy.plan(taken.spec.kernel_size, taken.spec.stride, taken.spec.dilation, length=X.shape[2])
    words = {"left": plan.left, "right": plan.right, "stride": plan.stride, "dilation": plan.dilation, "groups": taken.spec.groups}
    ideal = reference.conv_transpose1d(X, taken.weight, taken.bias, **words)
    return ideal.output, reference.tolerance("float32", ideal.terms, ideal.magnitude)
"""

PORTED = (
    START
    + """
AXES = {
    "keras": "IOW -> WOI", "flax": "IOW -> WIO, reversed", "flax-linen": "IOW -> WIO, reversed", "paddle": "IOW -> IOW",
    "mindspore": "IOW -> IO1W", "onnx": "IOW -> IOW",
}
CASES = [
    (5, {"stride": 3}), (4, {"stride": 2, "padding": 1}), (4, {"stride": 2, "padding": 1, "bias": False}),
    (3, {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}), (3, {"dilation": 2, "padding": 2}), (2, {"stride": 3, "groups": 4}),
]
for kernel, options in CASES:
    layer = torch.nn.ConvTranspose1d(4, 8, kernel, **options)
    ideal, bound = judged(layer)
    for name in sys.argv[1:]:
        there = cp.port(layer, to=name)
        taken = cp.capture(there)
        assert (taken.backend, taken.spec) == (name, cp.capture(layer).spec), (name, options)
        assert taken.weight.tobytes() == layer.weight.detach().numpy().tobytes(), (name, options)
        assert (taken.bias is None) == (layer.bias is None), (name, options)
        output = cp.backends()[name].run(there, X)
        assert output.shape == ideal.shape and (np.abs(output - ideal) <= bound).all(), (name, options)
        assert np.abs(cp.port(there, to="torch")(torch.from_numpy(X)).detach().numpy() - layer(torch.from_numpy(X)).detach().numpy()).max() == 0
        assert cp.why(layer, there, X).equal, (name, options)
        rows = cp.compare(layer, there, length=11).differences
        assert not {"layer", "cut left", "cut right", "length_out", "weight values", "bias values", "stride"} & {row.aspect for row in rows}, rows
        other = torch.nn.ConvTranspose1d(4, 8, kernel, **{**options, "stride": options.get("stride", 1) + 1})
        other.load_state_dict(layer.state_dict())
        found = cp.why(other, there, X)
        assert "stride" in [cause.aspect for cause in found.causes] and cp.why(found.changed, there, X).equal, (name, options, str(found))
model = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 3), torch.nn.ConvTranspose1d(6, 4, 4, 2))
for name in sys.argv[1:]:
    ported = cp.port_model(model, to=name)
    assert not ported.refused, ported
    assert ported.parameters["1.weight"].axes == AXES[name], (name, ported.parameters)
    assert " -> ".join(ported.parameters["0.weight"].axes.split(" -> ")[:1]) == "OIW"
    y = X
    for layer in ported.layers.values():
        y = cp.backends()[name].run(layer, y)
    assert np.abs(y - model(torch.from_numpy(X)).detach().numpy()).max() < 1e-5
print("kept")
"""
)

CONVERTED = (
    START
    + """
from pathlib import Path
from safetensors.numpy import load_file, save_file
folder = Path(sys.argv[1])

def keras_layer(kernel, bias):
    import keras
    layer = keras.layers.Conv1DTranspose(6, 5, strides=3)
    layer.build((None, None, 4))
    layer.set_weights([kernel, bias])
    return layer

def flax_layer(kernel, bias):
    from flax import nnx
    layer = nnx.ConvTranspose(4, 6, (5,), strides=3, padding="VALID", rngs=nnx.Rngs(0))
    layer.kernel.value, layer.bias.value = kernel, bias
    return layer

def mindspore_layer(weight, bias):
    import mindspore
    layer = mindspore.nn.Conv1dTranspose(4, 6, 5, stride=3, pad_mode="valid", has_bias=True)
    layer.weight.set_data(mindspore.Tensor(weight))
    layer.bias.set_data(mindspore.Tensor(bias))
    return layer

def paddle_layer(weight, bias):
    import paddle
    layer = paddle.nn.Conv1DTranspose(4, 6, 5, stride=3)
    layer.weight.set_value(weight)
    layer.bias.set_value(bias)
    return layer

NATIVE = {"keras": keras_layer, "flax": flax_layer, "mindspore": mindspore_layer, "paddle": paddle_layer}
name = sys.argv[2]
theirs = torch.nn.ConvTranspose1d(4, 6, 5, stride=3)
model = torch.nn.Sequential(torch.nn.Conv1d(4, 4, 3, padding=1), theirs)
torch.save(model.state_dict(), folder / "a.pt")
ideal, bound = judged(theirs)
for way, words in {"model": {"layers": model}, "pattern": {"transposed": "1.*", "mapping": {"0.weight": "torch"}}}.items():
    done = cp.convert(folder / "a.pt", folder / f"{way}.safetensors", source="torch", target=name, **words)
    found = load_file(folder / f"{way}.safetensors")
    weight = next(row.name for row in done.tensors if row.old == "1.weight")
    output = cp.backends()[name].run(NATIVE[name](found[weight], found["1.bias"]), X)
    assert (np.abs(output - ideal) <= bound).all(), way
    back = cp.convert(folder / f"{way}.safetensors", folder / f"{way}-back.safetensors", source=name, target="torch")
    assert all(np.array_equal(load_file(back.output)[key], value.numpy()) for key, value in model.state_dict().items())
wrong = found[weight][::-1].copy() if name in ("keras", "flax") else found[weight][..., ::-1].copy()
output = cp.backends()[name].run(NATIVE[name](wrong, found["1.bias"]), X)
assert not (np.abs(output - ideal) <= bound).all()  # a kernel in reverse is noticed

if name == "keras":  # the path of a file names the class, so that a guess knows the layout
    import keras
    net = keras.Sequential([keras.Input((11, 4)), keras.layers.Conv1D(4, 3), keras.layers.Conv1DTranspose(6, 5, strides=3)])
    net.save_weights(folder / "k.weights.h5")
    done = cp.convert(folder / "k.weights.h5", folder / "k.safetensors", source="keras", target="torch", guess=True)
    assert {row.old: row.axes for row in done.weights} == {
        "layers/conv1d/vars/0": "WIO -> OIW", "layers/conv1d_transpose/vars/0": "WOI -> IOW",
    }, done
    found = load_file(folder / "k.safetensors")
    own = torch.nn.ConvTranspose1d(4, 6, 5, stride=3)
    own.load_state_dict({n: torch.from_numpy(found[f"layers.conv1d_transpose.{n}"]) for n in ("weight", "bias")})
    assert cp.why(own, net.layers[1], X).equal
print("equal")
"""
)


def run(code, *words):
    """Run code in a process of its own, with the plugins of this installation."""
    environment = {name: value for name, value in os.environ.items() if name != "CONVPOLICY_LOAD_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip().rpartition("\n")[2], done.stderr[-3000:]


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("names", NAMES)
def test_there_and_back(names):
    """Weights to the bit, outputs within the reference's bound, equal for `why` and `compare`, and a planted stride is found."""
    last, errors = run(PORTED, *names)
    assert last == "kept", errors


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("names", NATIVE)
def test_a_checkpoint_in_the_frameworks_own_layer(names, tmp_path):
    """The framework's own layer with the converted tensors computes what torch's does; a kernel in reverse does not."""
    last, errors = run(CONVERTED, tmp_path, names[0])
    assert last == "equal", errors
