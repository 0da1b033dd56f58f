"""Initial weights, capture, models and verification of mindspore.nn.Conv1dTranspose: every bit, or a refusal with its reason."""

from __future__ import annotations

import hashlib
import itertools
import json

import mindspore
import numpy as np
import pytest
from helpers.paths import GOLDEN
from helpers.transposed import IN, OUT, Sizes, judge, random
from helpers.transposed_layers import same_bits, same_cut, swapped_fans, valid_cut
from mindspore import Tensor, nn

import convpolicy as cp
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.mindspore import native_transposed
from convpolicy.registry import current

pytestmark = pytest.mark.usefixtures("scratch")
BACKEND = cp.backends()["mindspore"]
SHAPES = (
    (3, 4, 5, 1),
    (4, 8, 3, 2),
    (6, 6, 7, 6),
    (1, 1, 1, 1),
    (16, 33, 9, 1),
    (7, 40, 4, 1),
    (5, 15, 4, 5),
)  # in, out, kernel, groups
SEEDS = (0, 1, 42, 2**31 + 11)
# as MindSpore's own layer is told -> what its policy cuts
NATIVE = {
    "default": ({}, same_cut),
    "same": ({"stride": 3, "has_bias": True, "dilation": 2}, same_cut),
    "valid": ({"pad_mode": "valid", "stride": 7, "group": 2}, valid_cut),
    "no pad": ({"pad_mode": "pad", "stride": 7}, lambda sizes: (0, 0)),
    "pad": ({"pad_mode": "pad", "padding": 2, "has_bias": True}, lambda sizes: (2, 2)),
    "float16": ({"dtype": mindspore.float16, "has_bias": True}, same_cut),
}
BUILT = {
    "pair": {"padding": (1, 3), "bias": True},
    "appended": {"padding": (1, -1), "stride": 3},
    "appended left": {"padding": (-2, 1)},
    "circular": {"padding": (2, 1), "padding_mode": "circular", "stride": 2},
    "by length": {"padding": "SAME", "policy": "paddle", "stride": 2},
    "float64": {"dtype": "float64", "bias": True},
}


def own(kernel=4, **words):
    """A Conv1dTranspose of MindSpore."""
    mindspore.set_seed(3)
    return nn.Conv1dTranspose(IN, OUT, kernel, **words)


def parameters_of(layer):
    """Weight (in, out/groups, kernel) and bias, of any dtype."""
    return [None if value is None else value.astype(mindspore.float32).asnumpy() for value in (layer.weight, layer.bias)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_seeds_give_mindspores_own_bits(dtype):
    """Two layers in a row for 4 seeds and 7 shapes, drawn without MindSpore, in float32 and both 16-bit types."""
    half, compared = cp.policy("mindspore").half().evolve(bias=True), 0
    for seed, (ins, outs, kernel, groups) in itertools.product(SEEDS, SHAPES):
        mindspore.set_seed(seed)
        stream = half.start_stream(seed)
        for _layer in range(2):
            layer = nn.Conv1dTranspose(ins, outs, kernel, group=groups, has_bias=True, dtype=getattr(mindspore, dtype))
            drawn = half.initial(ins, outs, kernel, groups, stream=stream, dtype=dtype)
            weight, bias = parameters_of(layer)
            same_bits(drawn["weight"].astype(np.float32), weight[:, :, 0], (seed, ins, outs, kernel, groups))
            same_bits(drawn["bias"].astype(np.float32), bias, (seed, ins, outs, kernel, groups))
            compared += weight.size + bias.size
    assert compared > 40_000


def test_other_fans_draw_other_bits():
    """The fan-in is the output side: that of Conv1d, in the same stream, is another weight and another bias."""
    half = cp.policy("mindspore").half().evolve(bias=True)
    mindspore.set_seed(0)
    layer = nn.Conv1dTranspose(3, 4, 5, has_bias=True)
    with swapped_fans() as layout:
        other = half.evolve(layout=layout).initial(3, 4, 5, seed=0)
    drawn = half.initial(3, 4, 5, seed=0)
    same_bits(drawn["weight"], layer.weight.asnumpy()[:, :, 0], "weight")
    assert not any(np.array_equal(other[name], drawn[name]) for name in drawn)


def test_without_a_seed_mindspores_own_state_decides():
    """After mindspore.set_seed the bits are those of MindSpore's own layer; a policy with other fans draws its own."""
    for padding, bias in itertools.product(("same", (-1, 2)), (True, False)):
        mindspore.set_seed(3)
        native = nn.Conv1dTranspose(IN, OUT, 3, has_bias=bias)
        mindspore.set_seed(3)
        layer = cp.ConvTranspose1d(IN, OUT, 3, 1, padding, policy="mindspore", backend="mindspore", bias=bias)
        for name, value in native.parameters_dict().items():
            same_bits(layer.parameters_dict()[name].asnumpy(), value.asnumpy(), name)
    with swapped_fans() as layout:
        policy = cp.policy("mindspore").half().evolve(layout=layout)
        mindspore.set_seed(3)
        other = cp.ConvTranspose1d(4, 64, 3, policy=policy, backend="mindspore")
        assert np.abs(other.weight.asnumpy()).max() > 2 / np.sqrt(64 * 3)  # the bound of MindSpore's own fan-in is half of it


def test_a_seed_gives_the_policys_bits():
    """Every policy's own initial weights, in every dtype of the backend."""
    for policy, dtype in itertools.product(("mindspore", "mindspore@2.0", "torch"), BACKEND.dtypes):
        layer = cp.ConvTranspose1d(IN, OUT, 3, policy=policy, backend="mindspore", seed=5, bias=True, padding=0, dtype=dtype)
        expected = cp.policy(policy).half().evolve(bias=True).initial(IN, OUT, 3, seed=5, dtype=dtype)
        for name, values in BACKEND.parameters(layer).items():
            same_bits(values, expected[name], (policy, dtype))


@pytest.mark.parametrize("version", ["2.0.0", "2.10.0"])
def test_stored_measurements(version):
    """What MindSpore's own layer did in each version: initial bits, and the outputs of unit kernels for every size and pad_mode."""
    stored = json.loads((GOLDEN / "transposed" / f"mindspore-{version}.json").read_text())
    half = cp.policy(f"mindspore@{version}").half()
    assert stored["version"] == version
    assert half.covers(version)
    assert stored["default"] == {"weight": [120, 240, 1, 4], "output": [1, 240, 1280]}
    assert (half.bias, half.padding.name) == (False, "same_upper")
    half = half.evolve(bias=True)
    for measured in stored["weights"]:
        stream = half.start_stream(measured["seed"])
        for shape, layer in zip(stored["shapes"], measured["layers"]):
            ins, outs, kernel, groups = shape
            drawn = half.part("layout")[0].pack(half.initial(ins, outs, kernel, groups, stream=stream), groups)
            assert {name: checksum(value) for name, value in drawn.items()} == layer, (measured["seed"], shape)
    for case in stored["cuts"]:
        kernel, stride, dilation, length = case["sizes"]
        plan = half.evolve(padding=case["padding"]).plan(kernel, stride, dilation, length=length)
        outputs = np.zeros((kernel, plan.length_out))
        for tap, sample in itertools.product(range(kernel), range(length)):
            if 0 <= (position := plan.position(sample, tap)) < plan.length_out:
                outputs[tap, position] = sample + 1
        assert outputs.tolist() == case["outputs"], case
    assert len(stored["cuts"]) > 300


def checksum(array) -> str:
    """As the script that measured made it: over float64 in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def check(layer, cut=None):
    """Capture, build on NumPy, capture that, build on MindSpore: every bit stays, and the outputs are the layer's."""
    found = cp.capture(layer)
    assert (found.backend, found.spec.transposed) == ("mindspore", True)
    sizes = Sizes(found.spec.kernel_size, found.spec.stride, found.spec.dilation, found.spec.groups)
    for length in (5, 8):
        data = random(length, 2, IN, length, dtype=found.dtype)
        output = layer(Tensor(data)).asnumpy()
        plan = found.policy.plan(*sizes[:3], length=length)
        if cut is not None:
            assert (plan.left, plan.right) == cut(sizes)
        judge(output, data, found.weight, found.bias, (plan.left, plan.right), sizes, plan.mode)
        if found.dtype != "float16":  # which the NumPy backend does not have
            judge(found.build("numpy")(data), data, found.weight, found.bias, (plan.left, plan.right), sizes, plan.mode)
        same_bits(BACKEND.run(found.build("mindspore"), data), output, length)
    same_bits(found.weight, layer.weight.asnumpy()[:, :, 0], "weight")
    assert (found.bias is None) == (layer.bias is None)


@pytest.mark.parametrize("name", NATIVE)
def test_capture_of_mindspores_own_layer(name):
    """Everything that its arguments say."""
    words, cut = NATIVE[name]
    check(own(**words), cut)


@pytest.mark.parametrize("name", BUILT)
def test_capture_of_built_layers(name):
    """Subclasses keep their policy."""
    layer = cp.ConvTranspose1d(IN, OUT, 4, **{"policy": "mindspore", "backend": "mindspore", **BUILT[name]})
    assert cp.capture(layer).policy == layer.policy
    check(layer)


def changed(layer, **attributes):
    """A layer with attributes changed after it was built."""
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def built(**words):
    """A layer that convpolicy built."""
    return cp.ConvTranspose1d(IN, OUT, 4, policy="mindspore", backend="mindspore", **words)


def replaced():
    """A layer whose class has another construct."""

    class Louder(nn.Conv1dTranspose):
        def construct(self, x):
            return super().construct(x) * 2

    return Louder(IN, OUT, 4)


CHANGED = "its sizes or its padding were changed after it was built; build a new layer"
REFUSED = {
    "stride": (lambda: changed(own(), stride=(1, 2)), CHANGED),
    "mode": (lambda: changed(own(), pad_mode="valid"), CHANGED),
    "flag": (lambda: changed(own(), is_same=False, is_valid=True), CHANGED),
    "padding": (lambda: changed(own(pad_mode="pad", padding=1), padding=(0, 0, 2, 1)), CHANGED),
    "primitive": (lambda: changed(own(), conv2d_transpose=own(stride=2).conv2d_transpose), CHANGED),
    "built, padding": (lambda: changed(built(padding=(1, 2)), padding=(0, 0, 0, 2)), CHANGED),
    "built, primitive": (lambda: changed(built(padding=(1, 2)), conv2d_transpose=built(padding=(2, 1)).conv2d_transpose), CHANGED),
    "construct": (replaced, "its class overrides construct; capture a plain Conv1dTranspose with its weights"),
    "weight": (lambda: changed(own(), weight=own(5).weight), r"its weight has shape \(4, 8, 1, 5\), but its sizes need \(4, 8, 4\)"),
    "dtype": (lambda: own(dtype=mindspore.bfloat16), "weight and bias are BFloat16; convert both to one of"),
    "cast": (lambda: own().to_float(mindspore.float16), "to_float makes it compute in another dtype than its Float32 weight; undo to_float"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """A layer that no policy describes exactly is refused with the reason and the fix."""
    make, says = REFUSED[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(make())


def test_models():
    """Both kinds of layer are listed, captured and ported in order."""
    model = nn.SequentialCell(nn.Conv1d(IN, OUT, 3), nn.ReLU(), nn.Conv1dTranspose(OUT, IN, 4, 2))
    ported = cp.port_model(model, "numpy")
    assert list(ported.layers) == ["0", "2"]
    assert not ported.refused
    for path in ("0", "2"):
        same_bits(ported.layers[path].weight, model[int(path)].weight.asnumpy()[:, :, 0], path)


@pytest.mark.parametrize("name", ["mindspore", "mindspore@2.0"])
def test_the_module_for_verify(name):
    """It builds MindSpore's layer with each argument, and the policy plans what the layer computes."""
    half = cp.policy(name).half()
    assert current().get("native framework", name).transposed == native_transposed.__name__
    assert native_transposed.version() == mindspore.__version__
    for padding in (*dict(half.padding_names), *native_transposed.PADDINGS):
        sizes = Sizes(4, 3, 2, 1)
        spec = ConvSpec.of(1, 4, 4, 3, 2, 1, transposed=True)
        layer = native_transposed.build(spec, {"padding": padding, "bias": False})
        weight = np.eye(4, dtype="float32")[None]
        native_transposed.give(layer, half.part("layout")[0].pack({"weight": weight, "bias": None}))
        output = native_transposed.run(layer, random(0, 1, 1, 6))
        plan = half.evolve(padding=padding).plan(4, 3, 2, length=6)
        judge(output, random(0, 1, 1, 6), weight, None, (plan.left, plan.right), sizes)
