"""Transposed convolutions: how calls are read, what is written, and what is refused; no framework is needed."""

from __future__ import annotations

import pytest
from helpers.translated import line

import convpolicy as cp
from convpolicy.registry import current
from convpolicy.translation.reading import Request
from convpolicy.translation.writing import write

SIZES = {"in_channels": 4, "out_channels": 8, "kernel_size": 4, "stride": 2, "dilation": 1, "groups": 1}


def written(source, target, call, **more):
    return line(cp.translate(call, source, target, **more))


@pytest.mark.parametrize(("source", "target", "call", "layer"), [
    ("torch", "paddle", "nn.ConvTranspose1d(4, 8, 3, 2, 1, 1, 2, False, 3)",
     "nn.Conv1DTranspose(4, 8, 3, stride=2, padding=[1, 0], dilation=3, groups=2, "),
    ("mindspore", "torch", "nn.Conv1dTranspose(4, 8, 4, 2, 'pad', 1, 1, 2, True)",
     "nn.ConvTranspose1d(4, 8, 4, stride=2, padding=1, groups=2)"),
    ("keras", "torch", "layers.Conv1DTranspose(8, 2, 3, 'same', None, 'channels_last', 1, None, False)",
     "nn.ConvTranspose1d(4, 8, 2, stride=3, output_padding=1, bias=False)"),
    ("paddle", "torch", "nn.Conv1DTranspose(4, 8, 3, 2, 2, 1, 2, 3)",
     "nn.ConvTranspose1d(4, 8, 3, stride=2, padding=2, output_padding=1, dilation=3, groups=2)"),
    ("flax", "torch", "nnx.ConvTranspose(4, 8, (3,), (2,), padding=1, rngs=r)", "nn.ConvTranspose1d(4, 8, 3, stride=2, padding=1)"),
    ("flax", "torch", "linen.ConvTranspose(8, (3,), (2,), 'VALID')", "nn.ConvTranspose1d(4, 8, 3, stride=2)"),
    ("torch", "flax", "nn.ConvTranspose1d(4, 8, 3, 2, 1)", "nnx.ConvTranspose(4, 8, (3,), strides=2, padding=[(1, 1)], "),
    ("torch", "keras", "nn.ConvTranspose1d(4, 8, 4, 2, 1)", "keras.layers.Conv1DTranspose(8, 4, strides=2, padding='same', "),
    ("torch", "keras", "nn.ConvTranspose1d(4, 8, 4, 2, output_padding=1)",
     "keras.layers.Conv1DTranspose(8, 4, strides=2, output_padding=1, "),
    ("keras", "mindspore", "layers.Conv1DTranspose(8, 5, 2, 'same')", "nn.Conv1dTranspose(4, 8, 5, stride=2, pad_mode='same', "),
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 5, 2, 1)", "nn.Conv1dTranspose(4, 8, 5, stride=2, pad_mode='pad', padding=1, "),
])  # fmt: skip
def test_the_framework_s_own_arguments(source, target, call, layer):
    """Arguments by position have the framework's order, and the target's own class is written where its arguments cut the same."""
    more = {"in_channels": 4} if source == "keras" or "linen" in call else {}
    assert layer in written(source, target, call, **more)


@pytest.mark.parametrize(("target", "layers"), [
    ("torch", ["nn.ConvTranspose1d", "nn.ConstantPad1d((-1, -3), 0.0)"]),
    ("mindspore", ["nn.Conv1dTranspose", "Crop1d(1, 3)"]),
    ("keras", ["keras.layers.Conv1DTranspose", "keras.layers.Cropping1D((1, 3))"]),
    ("flax", ["padding=[(2, 0)]"]),
    ("paddle", ["padding=[1, 3]"]),
])  # fmt: skip
def test_unequal_sides(target, layers):
    """A target without an argument for it cuts in a layer after the convolution."""
    policy = cp.policy("torch").half().evolve(padding=(1, 3))
    code = write(Request("tide", SIZES, policy), current().get("dialect", target)).code
    assert [layer for layer in layers if layer not in code] == []


@pytest.mark.parametrize("target", ["torch", "mindspore", "keras", "paddle"])
def test_appended_samples_get_the_bias(target):
    """Zeros are added to the input and cut from the output, since a layer that pads the output would not add the bias."""
    policy = cp.policy("torch").half().evolve(padding=(-3, -1))
    code = write(Request("tide", SIZES, policy), current().get("dialect", target)).body.replace("-", "")
    pad, convolution, crop = code.index("2, 1"), code.index("Transpose"), code.rindex("1, 1")
    assert pad < convolution < crop


def test_names_are_kept():
    """Sizes and cuts that are names; their values are needed only where the code depends on them."""
    call = "nn.ConvTranspose1d(c, c // 2, k, u, padding=(k - u) // 2)"
    rows = {target: cp.translate_page(call, "torch", target)[0] for target in ("mindspore", "keras", "flax", "paddle")}
    assert "pad_mode='pad', padding=(k - u) // 2" in line(rows["mindspore"].code)
    assert "Cropping1D(((k - u) // 2, (k - u) // 2 + max(s" not in rows["keras"].code
    assert "Cropping1D(((k - u) // 2, ((k - u) // 2) + (max(u - k, 0))))" in rows["keras"].code
    assert "padding=[(k - 1 - (k - u) // 2, k - 1 - (k - u) // 2)]" in line(rows["flax"].code)
    assert "padding=(k - u) // 2" in line(rows["paddle"].code)
    with_output = "nn.ConvTranspose1d(4, 8, k, s, padding=p, output_padding=op)"
    assert "padding=p, output_padding=op" in written("torch", "paddle", with_output)
    for target in ("mindspore", "keras"):
        with pytest.raises(
            cp.InvalidValueError, match="output_padding must be 0 unless padding and output_padding are numbers, got op"
        ):
            cp.translate(with_output, "torch", target)
    with pytest.raises(cp.InvalidValueError, match="stride must be a number here, got s, as output_padding must be below it"):
        cp.translate("nn.ConvTranspose1d(4, 8, 3, s, output_padding=1)", "torch", "paddle")


REFUSED = {  # (source, target, call) -> the sentence
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 3, padding='same')"): "padding must be an integer, got 'same'",
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 3, padding=-1)"): "padding must be at least 0, got -1",
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 3, 2, 1, 2)"): "output_padding must be below max.stride, dilation. = 2, got 2",
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 3, padding_mode='reflect')"):
        "padding_mode must be left out, got \"reflect\", as torch.nn.ConvTranspose1d allows only 'zeros'",
    ("torch", "mindspore", "nn.ConvTranspose1d(4, 8, 3, groups=3)"): "in_channels must be divisible by groups",
    ("torch", "keras", "nn.ConvTranspose1d(4, 8, 3, groups=2)"): "groups must be left out for keras, whose keras.layers.Conv1DTranspose has no",
    ("torch", "flax", "nn.ConvTranspose1d(4, 8, 3, groups=2)"): "groups must be left out for flax, whose nnx.ConvTranspose has no",
    ("torch", "keras", "nn.ConvTranspose1d(4, 8, 3, 2, dilation=2)"): "stride and dilation must not both be above 1, as keras refuses them",
    ("mindspore", "torch", "nn.Conv1dTranspose(4, 8, 3, padding=1)"): "padding must be 0 unless pad_mode is 'pad', got 1",
    ("keras", "torch", "layers.Conv1DTranspose(8, 3, padding='causal', input_dim=4)"): "padding must be one of valid, same, got 'causal'",
    ("keras", "torch", "layers.Conv1DTranspose(8, 3, 2, output_padding=2, input_dim=4)"): "output_padding must be below the stride, 2, under policy 'keras'",
    ("keras", "torch", "layers.Conv1DTranspose(8, 3, 2, output_padding=n, input_dim=4)"): "output_padding must be a literal here, got n",
    ("keras", "torch", "layers.Conv1DTranspose(8, 3)"): "in_channels is needed, because a call of keras.layers.Conv1DTranspose does not",
    ("flax", "torch", "nnx.ConvTranspose(4, 8, 3, padding='CAUSAL', rngs=r)"): "padding must be one of SAME, VALID, .*, got 'CAUSAL'",
    ("flax", "torch", "nnx.ConvTranspose(4, 8, 3, transpose_kernel=flag, rngs=r)"): "transpose_kernel must be a literal here, got flag",
    ("flax", "torch", "nnx.ConvTranspose(4, 8, 3, mask=m, rngs=r)"): "mask must be left out, got m",
    ("paddle", "torch", "nn.Conv1DTranspose(4, 8, 3, padding=[1, 2, 3])"): "padding must be a number or a pair .left, right., got .1, 2, 3.",
}  # fmt: skip


@pytest.mark.parametrize(("source", "target", "call"), REFUSED)
def test_refusals(source, target, call):
    """One sentence each, before any code is written."""
    with pytest.raises(cp.ConvPolicyError, match=REFUSED[source, target, call]) as error:
        cp.translate(call, source, target)
    assert "\n" not in str(error.value)


def test_circular_outputs_of_another_length_are_refused():
    """Only length * stride outputs are those of a repeated input; without a cut, the mode changes nothing."""
    torch = current().get("dialect", "torch")
    for padding, refused in (((1, 2), True), ("same_upper", False), (0, False)):
        request = Request("flax", SIZES, cp.policy("torch").half().evolve(padding=padding, padding_mode="circular"))
        if refused:
            with pytest.raises(cp.InvalidValueError, match=r"padding must keep length \* stride outputs .* got cuts of 1 and 2"):
                write(request, torch)
        else:
            assert ("CircularPad1d" in write(request, torch).body) == (padding == "same_upper")


def test_fans_are_those_of_the_target():
    """torch and Keras count the output channels as fan-in, Flax the input channels unless transpose_kernel is True."""
    call = "nnx.ConvTranspose(64, 96, (5,), kernel_init=nnx.initializers.variance_scaling(2.0, {!r}, 'normal'), {}rngs=r)"
    torch = {
        (fan, flag): cp.translate(call.format(fan, flag), "flax", "torch").splitlines()[-2].replace("layer[0]", "layer")
        for fan in ("fan_in", "fan_out")
        for flag in ("", "transpose_kernel=True, ")
    }
    into = 'nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")'
    out = 'nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")'
    assert list(torch.values()) == [out, into, into, out]
    orthogonal = "nnx.ConvTranspose(64, 96, (5,), kernel_init=nnx.initializers.orthogonal(), rngs=r)"
    assert "initial weight: orthogonal has no counterpart" in cp.translate(orthogonal, "flax", "torch")
    grouped = "nn.Conv1dTranspose(4, 8, 3, group=2, weight_init=initializer.HeNormal(mode='fan_out'))"
    assert 'mode="fan_out"' in cp.translate(grouped, "mindspore", "torch")


def test_comments():
    """The axes of the weight, a reversed kernel, TensorFlow's missing dilation and Paddle's lost one."""
    code = cp.translate("nn.ConvTranspose1d(4, 8, 3, dilation=2)", "torch", "keras")
    assert "# weight: axes WOI here, IOW in torch (I in, O out/groups, W kernel)\n" in code
    assert "# dilation: TensorFlow cannot run a dilated transposed convolution on the CPU" in code
    code = cp.translate("nnx.ConvTranspose(4, 8, (3,), rngs=r)", "flax", "torch")
    assert "# weight: axes IOW here, WIO with the kernel reversed in flax (I in, O out/groups, W kernel)\n" in code
    code = cp.translate("nn.Conv1DTranspose(4, 8, 3, padding='SAME', dilation=2)", "paddle", "torch")
    assert "# dilation=2 becomes 1: Paddle's 'SAME' silently sets the dilation to 1\n" in code
    code = cp.translate("nnx.ConvTranspose(4, 8, (3,), padding='CIRCULAR', rngs=r)", "flax", "torch")
    assert "# padding wider than the input: flax repeats the input as often as needed, this code does not\n" in code


PAGE = """
import torch.nn as nn
from torch.nn import ConvTranspose1d as Up, functional as F

class Decoder(nn.Module):
    def __init__(self, dim):
        self.down = nn.Conv1d(dim, dim, 3, padding=1)
        self.up = Up(dim, dim, 4, 2, padding=1).half()
        self.lazy = nn.LazyConvTranspose1d(8, 4)
        nn.init.xavier_uniform_(self.up.weight)

    def forward(self, x):
        return F.conv_transpose1d(x, self.weight)
"""


def test_a_page_with_both_kinds():
    """Encoder and decoder layers in order, with the code around them; similar layers have reasons."""
    down, up, lazy, function = cp.translate_page(PAGE, "torch", "paddle")
    assert down.code is not None
    assert "self.up = nn.Conv1DTranspose(" in up.code
    assert "XavierUniform" in up.code or "Uniform(" in up.code
    assert "float16" in up.code
    assert "nn.Conv1DTranspose(\n    in_channels, 8, 4," in lazy.code
    assert "in_channels: the number of input channels" in lazy.code
    assert "write torch.nn.ConvTranspose1d and assign these weights" in function.reason
    doubtful = cp.translate_page("from .layers import ConvTranspose1d\nConvTranspose1d(4, 8, 3)")[0]
    assert doubtful.reason.startswith("ConvTranspose1d may not be torch.nn.ConvTranspose1d: ")
    code = cp.translate("x = 1\nlayers.Conv1DTranspose(8, 4, input_dim=3)\nlayers.Conv1D(4, 3)", "keras", "torch")
    assert "layer1 = nn.ConvTranspose1d(3, 8, 4)" in code


def test_channels_pass_through_keras_s_transposed_layers():
    """In a Sequential, the filters of a transposed layer are the input channels of the next one."""
    page = "keras.Sequential([keras.Input((None, 2)), layers.Conv1DTranspose(6, 4, 2, 'same'), layers.Conv1D(3, 1)])"
    first, second = (row.code for row in cp.translate_page(page, "keras", "torch") if row.code)
    assert "nn.ConvTranspose1d(2, 6, 4, stride=2, padding=1)" in first
    assert "nn.Conv1d(6, 3, 1)" in second
