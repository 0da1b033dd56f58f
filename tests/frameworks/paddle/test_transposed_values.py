"""Initial weights, capture, models and verification of paddle.nn.Conv1DTranspose: every bit, or a refusal with its reason."""

from __future__ import annotations

import itertools

import numpy as np
import paddle
import pytest
from helpers.transposed import IN, OUT, Sizes, judge, random
from helpers.transposed_layers import forward_same_cut, same_bits, swapped_fans
from paddle import nn
from paddle.nn.utils import spectral_norm, weight_norm

import convpolicy as cp
from convpolicy.core.lengths import Lengths
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.paddle import native_transposed
from convpolicy.registry import current

Choice = cp.Choice
BACKEND = cp.backends()["paddle"]
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
# as Paddle's own layer is told -> what its policy cuts
NATIVE = {
    "default": ({}, lambda length: (0, 0)),
    "number": ({"padding": 2, "stride": 2, "dilation": 2, "groups": 2}, lambda length: (2, 2)),
    "list of a number": ({"padding": [1], "stride": [3], "output_padding": [2]}, lambda length: (1, -1)),
    "pair": ({"padding": (3, 1), "bias_attr": False}, lambda length: (3, 1)),
    "pairs of all axes": ({"padding": [[0, 0], [0, 0], [2, 1]]}, lambda length: (2, 1)),
    "SAME": ({"padding": "SAME", "stride": 3}, lambda length: forward_same_cut(Sizes(4, 3, 1, 1), length)),
    "same, output padding": (
        {"padding": "same", "stride": 3, "output_padding": 1},
        lambda length: (forward_same_cut(Sizes(4, 3, 1, 1), length)[0], forward_same_cut(Sizes(4, 3, 1, 1), length)[1] - 1),
    ),
    "same, dilated": (
        {"padding": "same", "stride": 2, "dilation": 3},
        lambda length: forward_same_cut(Sizes(4, 2, 1, 1), length),
    ),
    "Valid": ({"padding": "Valid", "dilation": 2, "stride": 2, "output_padding": 1}, lambda length: (0, -1)),
    "NLC": ({"padding": [2, 1], "data_format": "NLC"}, lambda length: (2, 1)),
}
BUILT = {
    "appended left": {"padding": (-2, 1)},
    "circular": {"padding": (2, 1), "padding_mode": "circular", "stride": 2},
    "by length": {"padding": "SAME", "padding_mode": "circular", "stride": 2},
}


def own(kernel=4, **words):
    """A Conv1DTranspose of Paddle with a bias that is not zero."""
    paddle.seed(3)
    layer = nn.Conv1DTranspose(IN, OUT, kernel, **words)
    if layer.bias is not None:
        layer.bias.set_value(paddle.rand([OUT]))
    return layer


def test_seeds_give_paddles_own_bits():
    """Two layers in a row for 4 seeds and 7 shapes, drawn without Paddle."""
    half = cp.policy("paddle").half()
    compared = 0
    for seed, (ins, outs, kernel, groups) in itertools.product(SEEDS, SHAPES):
        paddle.seed(seed)
        stream = half.start_stream(seed)
        for _layer in range(2):
            layer = nn.Conv1DTranspose(ins, outs, kernel, groups=groups)
            drawn = half.initial(ins, outs, kernel, groups, stream=stream)
            for name, value in drawn.items():
                same_bits(value, getattr(layer, name).numpy(), (seed, ins, outs, kernel, groups))
                compared += value.size
    assert compared > 40_000


def test_other_fans_draw_other_bits():
    """With groups, the sum of both fans depends on which axis counts as fan-in."""
    half = cp.policy("paddle").half()
    paddle.seed(0)
    own_weight = nn.Conv1DTranspose(5, 15, 4, groups=5).weight.numpy()
    with swapped_fans() as layout:
        other = half.evolve(layout=layout).initial(5, 15, 4, 5, seed=0)["weight"]
    same_bits(half.initial(5, 15, 4, 5, seed=0)["weight"], own_weight, "own fans")
    assert not np.array_equal(other, own_weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", [0, (-1, 2), "SAME"], ids=str)
def test_without_a_seed_paddles_own_state_decides(padding, dtype):
    """After paddle.seed the bits are those of Paddle's own layer of this dtype, and the random state behind is the same."""
    for seed, (groups, bias) in enumerate(itertools.product((1, 2, 4), (True, False))):
        paddle.seed(seed)
        paddle.set_default_dtype(dtype)
        try:
            native = nn.Conv1DTranspose(IN, OUT, 3, groups=groups, bias_attr=None if bias else False)
        finally:
            paddle.set_default_dtype("float32")
        after = paddle.rand([4]).numpy()
        paddle.seed(seed)
        layer = cp.ConvTranspose1d(
            IN, OUT, 3, 1, padding, groups=groups, bias=bias, policy="paddle", backend="paddle", dtype=dtype
        )
        same_bits(paddle.rand([4]).numpy(), after, seed)
        assert list(layer.state_dict()) == list(native.state_dict())
        for name, value in native.state_dict().items():
            same_bits(layer.state_dict()[name].numpy(), value.numpy(), name)


def test_a_seed_gives_the_policys_bits_and_leaves_paddles_state():
    """Every policy's own initial weights; Paddle's default dtype decides without dtype=."""
    for policy in ("paddle", "torch", "mindspore"):
        paddle.seed(1)
        layer = cp.ConvTranspose1d(IN, OUT, 3, policy=policy, backend="paddle", seed=5, bias=True, padding=0)
        after = paddle.rand([4]).numpy()
        paddle.seed(1)
        same_bits(paddle.rand([4]).numpy(), after, policy)
        expected = cp.policy(policy).half().evolve(bias=True).initial(IN, OUT, 3, seed=5)
        for name, values in BACKEND.parameters(layer).items():
            same_bits(values, expected[name], policy)
    paddle.set_default_dtype("float64")
    try:
        assert str(cp.ConvTranspose1d(2, 3, 3, backend="paddle").weight.dtype).endswith("float64")
        assert str(cp.ConvTranspose1d(2, 3, 3, backend="paddle", dtype="float32").weight.dtype).endswith("float32")
    finally:
        paddle.set_default_dtype("float32")


def check(layer, cut):
    """Capture, build on NumPy, capture that, build on Paddle: every bit stays, and the outputs are the layer's."""
    found = cp.capture(layer)
    assert (found.backend, found.spec.transposed) == ("paddle", True)
    last = layer._data_format == "NLC"
    for length in (5, 8):
        data = random(length, 2, IN, length)
        output = layer(paddle.to_tensor(data.transpose(0, 2, 1) if last else data)).numpy()
        output = output.transpose(0, 2, 1) if last else output
        plan = found.policy.plan(found.spec.kernel_size, found.spec.stride, found.spec.dilation, length=length)
        if cut is not None:
            assert (plan.left, plan.right) == cut(length)
        sizes = Sizes(found.spec.kernel_size, found.spec.stride, found.spec.dilation, found.spec.groups)
        case = data, found.weight, found.bias, (plan.left, plan.right), sizes, plan.mode
        judge(output, *case)
        judge(found.build("numpy")(data), *case)
        again = cp.capture(found.build("numpy")).build("paddle")
        same_bits(BACKEND.run(again, data), np.ascontiguousarray(output), length)
    same_bits(found.weight, layer.weight.numpy(), "weight")
    assert (found.bias is None) == (layer.bias is None)


@pytest.mark.parametrize("name", NATIVE)
def test_capture_of_paddles_own_layer(name):
    """Everything that its arguments say."""
    words, cut = NATIVE[name]
    check(own(**words), cut)


@pytest.mark.parametrize("name", BUILT)
def test_capture_of_built_layers(name):
    """Subclasses keep their policy."""
    words = BUILT[name]
    layer = cp.ConvTranspose1d(IN, OUT, 4, policy="paddle", backend="paddle", seed=0, **words)
    assert cp.capture(layer).policy == layer.policy
    check(layer, None)


def test_capture_reads_normalised_weights():
    """weight_norm's effective weight; spectral_norm's after eval()."""
    for wrap, training in ((weight_norm, True), (spectral_norm, False)):
        layer = wrap(own())
        if not training:
            layer.eval()
        data = random(0, 1, IN, 7)
        output = layer(paddle.to_tensor(data)).numpy()
        found = cp.capture(layer)
        judge(output, data, found.weight, found.bias, (0, 0), Sizes(4, 1, 1, 1))


def changed(name, value, **words):
    """A layer of Paddle with one attribute changed."""
    layer = own(**words)
    setattr(layer, name, value)
    return layer


def hooked():
    """A layer with a hook behind it."""
    layer = own()
    layer.register_forward_post_hook(lambda layer, inputs, output: output * 2)
    return layer


REFUSED = {
    "output padding": (lambda: own(stride=2, dilation=3, output_padding=2), "Paddle cannot run its output_padding 2 with stride 2; pass an integer from 0 to 1"),
    "negative": (lambda: own(output_padding=-1), "Paddle cannot run its output_padding -1 with stride 1; pass an integer from 0 to 0"),
    "a bool": (lambda: own(stride=2, output_padding=True), "Paddle cannot run its output_padding True"),
    "padding": (lambda: own(padding="causal"), "Unknown padding: 'CAUSAL'. It can only be 'SAME' or 'VALID'; correct its padding"),
    "format": (lambda: own(data_format="NCHW"), "Paddle refuses its data_format 'NCHW'; pass NCL or NLC"),
    "groups": (lambda: own(groups=3), "in_channels must be divisible by groups"),
    "hook": (hooked, "a forward post-hook may change its output; remove the hook"),
    "forward": (lambda: type("Louder", (nn.Conv1DTranspose,), {"forward": lambda self, x: x})(4, 8, 3), "its class overrides forward; capture a plain nn.Conv1DTranspose"),
    "shape": (lambda: changed("weight", paddle.create_parameter([4, 8, 5], "float32")), r"its weight has shape \(4, 8, 5\), but its sizes need \(4, 8, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """A layer that no policy describes exactly is refused with the reason and the fix."""
    make, says = REFUSED[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        cp.capture(make())


def test_models():
    """Both kinds of layer are listed, captured and ported in order."""
    model = nn.Sequential(nn.Conv1D(IN, OUT, 3), nn.ReLU(), nn.Conv1DTranspose(OUT, IN, 4, 2, 1))
    ported = cp.port_model(model, "numpy")
    assert list(ported.layers) == ["0", "2"]
    assert not ported.refused
    for path in ("0", "2"):
        same_bits(ported.layers[path].weight, model[int(path)].weight.numpy(), path)


def test_the_module_for_verify():
    """It builds Paddle's layer with each argument, and the policy plans what the layer reads."""
    native, half = current().get("native framework", "paddle"), cp.policy("paddle").half()
    assert native.transposed == native_transposed.__name__
    assert native_transposed.version() == paddle.__version__
    names = [name for name, _rule in half.padding_names]
    for padding, output_padding in itertools.product((*names, *native_transposed.PADDINGS), native_transposed.OUTPUT_PADDINGS):
        spec = ConvSpec.of(1, 3, 3, 2, 1, 1, transposed=True)
        arguments = {"padding": padding, "bias": False} | ({"output_padding": output_padding} if output_padding else {})
        layer = native_transposed.build(spec, arguments)
        weight = np.eye(3, dtype="float32")[None]
        native_transposed.give(layer, half.part("layout")[0].pack({"weight": weight, "bias": None}))
        output = native_transposed.run(layer, random(0, 1, 1, 6))
        policy = cp.ConvTranspose1d(1, 1, 3, 2, padding, output_padding or None, policy="paddle", backend="numpy")._request.policy
        assert output.shape[2] == Lengths(lambda length, policy=policy: policy.planned(spec, length), spec).of_output(6)
        plan = policy.plan(3, 2, length=6)
        judge(output, random(0, 1, 1, 6), weight, None, (plan.left, plan.right), Sizes(3, 2, 1, 1))
