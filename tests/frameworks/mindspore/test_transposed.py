"""The transposed layers of the MindSpore backend against the real mindspore.nn.Conv1dTranspose and the float64 reference."""

from __future__ import annotations

import itertools

import mindspore
import numpy as np
import pytest
from helpers.transposed import IN, KERNELS, OUT, Sizes, grid, ideal, is_within, judge, random
from helpers.transposed_layers import LENGTHS, gradients, judge_gradients, same_bits, same_cut, valid_cut, weights
from mindspore import Tensor, nn, ops

import convpolicy as cp

pytestmark = pytest.mark.usefixtures("scratch")
Choice = cp.Choice
BACKEND = cp.backends()["mindspore"]
MODES = pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE], ids=["pynative", "graph"])
SIZES = (Sizes(4, 2, 1, 1), Sizes(5, 3, 2, 2), Sizes(2, 5, 1, 4), Sizes(3, 3, 1, 1), Sizes(7, 4, 3, 2))
# label -> padding, padding mode, and what is cut; no layer of MindSpore does the last six
CUTS = {
    "same": ("same", "zeros", same_cut),
    "valid": ("valid", "zeros", valid_cut),
    "number": (2, "zeros", lambda sizes: (2, 2)),
    "pair": ((1, 3), "zeros", lambda sizes: (1, 3)),
    "output padding": (Choice("explicit", left=1, right=1, output_padding=1), "zeros", lambda sizes: (1, 0)),
    "appended left": ((-3, 1), "zeros", lambda sizes: (-3, 1)),
    "appended far": ((1, -9), "zeros", lambda sizes: (1, -9)),
    "circular": ((2, 3), "circular", lambda sizes: (2, 3)),
    "circular, wide": ((7, 9), "circular", lambda sizes: (7, 9)),
}
CASES = [(label, sizes) for label, sizes in itertools.product(CUTS, SIZES) if label != "output padding" or sizes.stride > 1]
each_case = pytest.mark.parametrize(("label", "sizes"), CASES, ids=str)


@pytest.fixture(autouse=True, scope="module")
def run_at_once():
    """PyNative calls as small as these run fifteen times as fast without MindSpore's pipeline of threads."""
    mindspore.runtime.launch_blocking()


def native(sizes: Sizes, pad_mode: str, padding: int = 0, **keywords):
    """MindSpore's own layer."""
    kernel, stride, dilation, groups, _bias = sizes
    return nn.Conv1dTranspose(IN, OUT, kernel, stride, pad_mode, padding, dilation, groups, **keywords)


def ours(sizes: Sizes, padding=None, mode=None, **keywords):
    """The same layer through a policy, MindSpore's own unless said otherwise."""
    kernel, stride, dilation, groups, _bias = sizes
    keywords = {"policy": "mindspore", "backend": "mindspore"} | keywords
    return cp.ConvTranspose1d(IN, OUT, kernel, stride, padding, groups=groups, dilation=dilation, padding_mode=mode, **keywords)


def assigned(layer, weight, bias):
    """Write weight (in, out/groups, kernel) and bias into a layer of either kind."""
    BACKEND.assign(layer, {"weight": weight, "bias": bias})
    return layer


@pytest.mark.grid(every=5)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_policy_mindspore_is_mindspores_own_layer_to_the_bit(kernel):
    """Strides 1-5, dilations 1-3, groups 1, 2 and depthwise, with and without bias, every pad_mode, in float32 and float16."""
    compared = 0
    for number, sizes in enumerate(grid(kernel)):
        for turn, (pad_mode, padding) in enumerate((("same", 0), ("valid", 0), ("pad", (0, 1, 3)[number % 3]))):
            dtype = "float16" if (number + turn) % 4 == 0 else "float32"
            weight, bias = weights(number, sizes, dtype)
            words = {"has_bias": bool(number % 2), "dtype": getattr(mindspore, dtype)}
            own = assigned(native(sizes, pad_mode, padding, **words), weight, bias)
            layer = assigned(
                ours(sizes, padding if pad_mode == "pad" else pad_mode, bias=bool(number % 2), dtype=dtype), weight, bias
            )
            for length in LENGTHS:
                if pad_mode == "pad" and sizes.full(length) <= 2 * padding:
                    continue
                data = random(length, 2, IN, length, dtype=dtype)
                same_bits(BACKEND.run(own, data), BACKEND.run(layer, data), (sizes, pad_mode, padding, length))
                compared += 1
    assert compared > 350


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", KERNELS)
def test_mindspores_own_layer_is_the_reference(kernel):
    """What 'same', 'valid' and numbers cut, by their published definitions; the other side and the other kernel order are seen."""
    odd = 0
    for number, sizes in enumerate(grid(kernel)):
        pad_mode, cut = (("same", same_cut(sizes)), ("valid", valid_cut(sizes)), ("pad", (0, 0)))[number % 3]
        weight, bias = weights(number, sizes)
        layer = assigned(native(sizes, pad_mode, has_bias=True), weight, bias)
        data = random(number, 1, IN, 5)
        output = BACKEND.run(layer, data)
        judge(output, data, weight, bias, cut, sizes, says=pad_mode)
        plan = cp.policy("mindspore").half().evolve(padding=0 if pad_mode == "pad" else pad_mode).plan(*sizes[:3], length=5)
        assert (plan.left, plan.right) == cut
        if cut[0] != cut[1] and sum(cut) > 0:
            odd += 1
            assert not is_within(output, ideal(data, weight, bias, cut[::-1], sizes))
        if kernel > 1:
            assert not is_within(output, ideal(data, weight[..., ::-1], bias, cut, sizes))
    assert odd or kernel == 1


@pytest.mark.grid(every=37)  # each graph is compiled anew
@MODES
@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_modes_are_the_reference(label, sizes, mode, dtype):
    """PyNative and graph mode cut by the plan, batched and unbatched, for two lengths."""
    mindspore.set_context(mode=mode)
    padding, padding_mode, cut = CUTS[label]
    layer = ours(sizes, padding, padding_mode, bias=True, dtype=dtype, seed=3)
    weight, bias = (BACKEND.parameters(layer)[name] for name in ("weight", "bias"))
    for length in (9, 14):
        data = random(length, 2, IN, length, dtype=dtype)
        output = layer(Tensor(data)).asnumpy()
        assert output.dtype == dtype
        judge(output, data, weight, bias, cut(sizes), sizes, padding_mode)
        judge(layer(Tensor(data[0])).asnumpy()[None], data[:1], weight, bias, cut(sizes), sizes, padding_mode)


@each_case
def test_float16_is_the_reference(label, sizes):
    """float16 in, float16 out, within its bound."""
    padding, padding_mode, cut = CUTS[label]
    layer = ours(sizes, padding, padding_mode, bias=True, dtype="float16", seed=3)
    data = random(0, 2, IN, 9, dtype="float16")
    output = BACKEND.run(layer, data)
    assert output.dtype == np.float16
    judge(output, data, layer.weight.asnumpy()[:, :, 0], layer.bias.asnumpy(), cut(sizes), sizes, padding_mode)


@MODES
def test_a_rule_that_depends_on_the_length(mode):
    """Paddle's 'SAME' on MindSpore: a plan for each length, in both modes."""
    mindspore.set_context(mode=mode)
    layer = cp.ConvTranspose1d(IN, OUT, 7, 4, "SAME", policy="paddle", backend="mindspore", seed=0)
    for length in (5, 6, 7, 8):
        plan = layer.plan(length)
        data = random(length, 1, IN, length)
        judge(
            layer(Tensor(data)).asnumpy(), data, *BACKEND.parameters(layer).values(), (plan.left, plan.right), Sizes(7, 4, 1, 1)
        )
    assert {(layer.plan(length).left, layer.plan(length).right) for length in (5, 6, 7, 8)} == {(3, 3), (2, 3), (2, 2), (1, 2)}


class Weighted(nn.Cell):
    """Sums a layer's output with given weights."""

    def __init__(self, layer, along):
        super().__init__()
        self.layer, self.along = layer, along

    def construct(self, x):
        return ops.sum(self.layer(x) * self.along)


@pytest.mark.grid(every=17)
@MODES
@each_case
def test_gradients(label, sizes, mode):
    """d(sum of output · random) by input, weight and bias are the exact ones within the rounding bound of float32."""
    mindspore.set_context(mode=mode)
    padding, padding_mode, cut = CUTS[label]
    layer = ours(sizes, padding, padding_mode, bias=True, seed=3)
    data = random(0, 2, IN, 9)
    upstream = random(1, 2, OUT, layer.plan(9).length_out)
    expected = gradients(data, layer.weight.asnumpy()[:, :, 0], upstream, cut(sizes), sizes, padding_mode)
    if mode == mindspore.PYNATIVE_MODE:  # before a cell around the layer renames its parameters
        judge_gradients(BACKEND.gradients(layer, data, upstream), expected)
    backward = mindspore.grad(Weighted(layer, Tensor(upstream)), 0, mindspore.ParameterTuple([layer.weight, layer.bias]))
    by_data, (by_weight, by_bias) = backward(Tensor(data))
    found = {"input": by_data.asnumpy(), "weight": by_weight.asnumpy()[:, :, 0], "bias": by_bias.asnumpy()}
    judge_gradients(found, expected)
    with pytest.raises(AssertionError, match="input"):
        judge_gradients({**found, "input": found["input"][..., ::-1]}, expected)


REFUSED = {
    "everything cut": (lambda: ours(SIZES[0], 5)(Tensor(random(0, 1, IN, 1))), "input of length 1 is too short: 5 and 5 samples are cut from a full result of 4"),
    "channels": (lambda: ours(SIZES[0])(Tensor(random(0, 1, 3, 9))), r"input must have shape \(batch, 4, length\) or \(4, length\), got \(1, 3, 9\); put"),
    "axes": (lambda: ours(SIZES[0])(Tensor(random(0, 4))), "input must have shape"),
    "device": (lambda: ours(SIZES[0], device="CPU"), "device must be None for backend 'mindspore'"),
    "dtype": (lambda: ours(SIZES[0], dtype="bfloat16"), "dtype must be one of float32, float64, float16 for backend 'mindspore'"),
    "mode": (lambda: ours(SIZES[0], mode="reflect"), "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'"),
    "groups": (lambda: ours(Sizes(3, 1, 1, 3)), "in_channels must be divisible by groups"),
    "name": (lambda: ours(SIZES[0], "full"), "unknown crop rule 'full'"),
}  # fmt: skip


@MODES
@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault, mode):
    """Each is a ConvPolicyError in one sentence, before any work, in both modes."""
    mindspore.set_context(mode=mode)
    call, says = REFUSED[fault]
    with pytest.raises((ValueError, LookupError), match=says) as raised:
        call()
    assert (
        isinstance(raised.value, cp.ConvPolicyError) or mode == mindspore.GRAPH_MODE
    )  # a graph wraps what its compilation raises


def test_mindspore_refuses_what_the_policy_refuses():
    """Its own layer fails late where everything is cut, and has no float64 on the CPU, which this backend computes."""
    with pytest.raises((ValueError, RuntimeError)):
        native(SIZES[0], "pad", 5)(Tensor(random(0, 1, IN, 1))).asnumpy()
    with pytest.raises(TypeError, match="Float64"):
        native(SIZES[0], "same", dtype=mindspore.float64)(Tensor(random(0, 1, IN, 3, dtype="float64")))


def test_an_empty_batch():
    """Batch 0 gives an empty output of the right shape."""
    for padding, mode, _cut in CUTS.values():
        for dtype in ("float32", "float64"):
            layer = ours(SIZES[0], padding, mode, dtype=dtype)
            assert layer(Tensor(random(0, 0, IN, 9, dtype=dtype))).shape == (0, OUT, layer.plan(9).length_out)


def test_parameters_are_a_native_layers():
    """Names, 4-D weight and order are those of mindspore.nn.Conv1dTranspose; a native checkpoint loads, and training moves them."""
    for (label, (padding, mode, _cut)), sizes in itertools.product(CUTS.items(), (SIZES[0], SIZES[1])):
        layer, own = ours(sizes, padding, mode, bias=True), native(sizes, "same", has_bias=True)
        assert isinstance(layer, nn.Conv1dTranspose)
        shapes = {name: value.shape for name, value in own.parameters_dict().items()}
        assert {name: value.shape for name, value in layer.parameters_dict().items()} == shapes, label
        assert shapes["weight"] == (IN, OUT // sizes.groups, 1, sizes.kernel)
        mindspore.save_checkpoint(own, "native.ckpt")
        assert mindspore.load_param_into_net(layer, mindspore.load_checkpoint("native.ckpt"), strict_load=True) == ([], [])
        same_bits(layer.weight.asnumpy(), own.weight.asnumpy(), label)
        assert repr(layer).endswith(f"policy='mindspore', padding={layer.policy.padding}, padding_mode={mode})")
