"""A stranger's dialect is read and written like a built-in one."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest
from click.testing import CliRunner
from helpers.tide import WRITER, Tide

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.registry import current
from convpolicy.translation.reading import Request
from convpolicy.translation.writing import write

WRITTEN = """\
import tide
from tide import layers


class SameLowerPad1d(tide.Layer):
    \"\"\"Pad with zeros to ceil(length / stride) outputs; an extra zero goes on the left.\"\"\"

    def __init__(self, kernel_size, stride, dilation):
        super().__init__()
        self.span, self.stride = (kernel_size - 1) * dilation, stride

    def run(self, x):
        total = self.span - (x.shape[-1] - 1) % self.stride
        if self.span < self.stride - 1:  # the stride skips samples
            total = max(total, 0)
        left = total - total // 2
        return tide.pad(x, left, total - left)


# input: (batch, channels, length) here, (batch, length, channels) in flax
# weight: axes OIW here, WIO in flax (O out, I in/groups, W kernel)
# initial values: same distributions as in flax, other random numbers
# initial weight: lecun_truncated_normal has no counterpart here, so the default is used
layer = layers.Row(
    SameLowerPad1d(3, 2, 1),
    layers.Conv(2, 4, [3], step=2, pad="none", bias=b, device=here()),
)
if layer.parts[1].is_biased:
    layer.parts[1].bias.fill(0.0)
"""


def test_a_strangers_dialect_is_written(register):
    """Sizes, keywords, a pad class, statements for initial values, remarks and imports are the dialect's."""
    register(Tide())
    flax = "nnx.Conv(2, 4, (3,), strides=2, padding='SAME_LOWER', use_bias=b, rngs=r)"
    assert cp.translate(flax, "flax", "tide") == WRITTEN
    code = cp.translate("nn.Conv1d(2, 4, 3, dtype=torch.float64, padding=1, padding_mode='circular')", "torch", "flood")
    assert "# slow\n" in code
    conv = 'layers.Conv(2, 4, [3], pad="none", bias=True, kind=tide.float64, device=here())'
    assert f'layer = layers.Row(\n    tide.Pad(1, 1, "circular"),\n    {conv},\n)\n' in code
    bound = (1 / 3 * 3 / 6) ** 0.5
    assert f"layer.parts[1].weight = tide.uniform({-bound}, {bound})(layer.parts[1].weight)\n" in code
    relu = cp.translate("layers.Conv1D(4, 3, activation='relu', kernel_initializer='ones')", "keras", "tide", in_channels=2)
    assert 'layer = layers.Row(layers.Conv(2, 4, [3], pad="none", bias=True, device=here()), layers.Relu())\n' in relu
    assert "layer.parts[0].weight" not in relu  # ones are its default
    command = CliRunner().invoke(cli.build(), ["translate", flax, "--from", "flax", "--to", "tide"])
    assert command.stdout == WRITTEN


def test_a_dtype_as_a_statement(register):
    """A class without an argument for it gets its dtype after its initial values; without a statement for it a dtype is refused."""
    names = {"stride": "step", "bias": "bias"}
    plain = attrs.evolve(WRITER, classes=(attrs.evolve(WRITER.classes[0], names=names),))
    register(Tide(writer=attrs.evolve(plain, dtype_statement="{layer}.become({dtype})")))
    code = cp.translate("nn.Conv1d(2, 4, 3, dtype=torch.float16)", "torch", "tide")
    assert code.endswith("(layer.bias)\nlayer.become(tide.float16)\n")
    assert "become" not in cp.translate("nn.Conv1d(2, 4, 3, dtype=torch.float32)", "torch", "tide")
    cp.unregister("stranger")
    register(Tide(writer=plain), "other")
    with pytest.raises(cp.InvalidValueError, match=r"dtype must be left out for tide, whose layers\.Conv has no such argument"):
        cp.translate("nn.Conv1d(2, 4, 3, dtype=torch.float16)", "torch", "tide")


def test_a_strangers_dialect_is_read(register):
    """Its names, words, defaults and initializers, both of its classes, and its files."""
    register(Tide())
    assert "layer = nn.Conv1d(2, 4, 3, bias=False)\nnn.init.constant_(layer.weight, 1.0)\n" in cp.translate(
        "tide.Conv(2, 4, 3)", "tide", "torch"
    )
    code = cp.translate("layers.Conv(2, 4, 3, pad=1, fill=flat(height=0.5), speed=9)", "flood", "mindspore")
    assert "# speed=9 is left out: it only says how fast\n# pads are cheap\n" in code
    assert 'nn.Conv1d(\n    2, 4, 3,\n    pad_mode="pad",\n    padding=1,\n' in code
    assert "weight_init=initializer.Constant(0.5)" in code
    assert "SameLowerPad1d(3, 2, 1)" in cp.translate("tide.Conv(2, 4, 3, step=2, pad='keep')", "tide", "torch")
    page = "from tide.plain import Conv1\nimport tide.layers as tl\na = Conv1(2, 4, n, k)\nb = tl.Conv(*x)\nc = tl.Conv(1, 2, 3, pad='nune')"
    first, second, third = cp.translate_page(page, "tide", "torch")
    assert first.code.endswith(
        "a = nn.Conv1d(2, 4, n, padding=k)\nnn.init.constant_(a.weight, 1.0)\nnn.init.constant_(a.bias, 1.0)\n"
    )
    assert "starred" in second.reason
    assert third.reason == "pad must be one of none, keep, got 'nune'; pick one. Did you mean 'none'?"
    with pytest.raises(cp.InvalidValueError, match="twist must be left out, got 3, as it twists the output"):
        cp.translate("tide.Conv(2, 4, 3, twist=3)", "tide", "torch")
    with pytest.raises(cp.InvalidValueError, match=r"padding must be an integer, got 'same'"):
        cp.translate("tide.plain.Conv1(2, 4, 3, 'same')", "tide", "torch")
    with pytest.raises(cp.InvalidValueError, match=r"it has layers of tide: pass source="):
        cp.translate_page(page)
    with pytest.raises(cp.InvalidValueError, match=r"got tide\.layers\.Linear; pass such a call"):
        cp.translate("layers.Linear(2, 4)", "tide", "torch")


def test_what_a_class_has_no_argument_for_is_refused(register):
    """Dilation and groups, which it cannot express, an unknown activation, and a kind of layer that it does not have."""
    register(Tide())
    for name in ("dilation", "groups"):
        with pytest.raises(
            cp.InvalidValueError, match=f"{name} must be left out for tide, whose layers.Conv has no such argument, got 2"
        ):
            cp.translate(f"nn.Conv1d(2, 4, 3, {name}=2)", "torch", "tide")
    with pytest.raises(cp.InvalidValueError, match="activation must be one of relu for tide, got 'elu'"):
        cp.translate("layers.Conv1D(4, 3, activation='elu')", "keras", "tide", in_channels=2)
    with pytest.raises(cp.InvalidValueError, match=r"Deconv1d cannot be written in tide, which has Conv1d\."):
        Tide().convpolicy_dialects()[0].target_class("Deconv1d")


@pytest.mark.parametrize("target", ["torch", "mindspore", "keras", "flax", "paddle"])
def test_what_a_target_cannot_add_is_refused(target):
    """A padding mode that it has not, and samples cut away; nothing is added, so nothing is refused, where the pads are 0."""
    sizes = {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "stride": 1, "dilation": 1, "groups": 1}
    dialect = current().get("dialect", target)

    def written(**words):
        return write(Request("tide", sizes, cp.policy("torch").evolve(**words)), dialect).code

    for padding in (1, (1, 2), "same_upper"):
        with pytest.raises(
            cp.InvalidValueError, match=f"padding_mode must be one of .* to be written for {target}, got 'symmetric'"
        ):
            written(padding=padding, padding_mode="symmetric")
    with pytest.raises(
        cp.InvalidValueError, match=f"padding must add 0 samples or more to be written for {target}, got -1 and -2"
    ):
        written(padding=cp.Choice("crop", left=1, right=2))
    assert "symmetric" not in written(padding=0, padding_mode="symmetric")


@pytest.mark.parametrize(("fields", "direction"), [({"writer": None}, "target"), ({"reader": None}, "source")])
def test_a_dialect_of_one_direction(register, fields, direction):
    """It is not offered for the other one."""
    register(Tide(**fields))
    calls = {"target": ("nn.Conv1d(2, 4, 3)", "torch", "tide"), "source": ("tide.Conv(2, 4, 3)", "tide", "torch")}
    with pytest.raises(
        LookupError, match=f"unknown {direction} framework 'tide'; known: flax, keras, mindspore, paddle, tensorflow, torch"
    ):
        cp.translate(*calls.pop(direction))
    assert cp.translate(*next(iter(calls.values())))


def test_the_channels_that_a_keras_call_says():
    """Also on a page, where nothing else says them."""
    for words in ("input_dim=3", "input_shape=(3, 9), data_format='channels_first'"):
        assert (
            "layer1 = nn.Conv1d(3, 8, 4)" in cp.translate_page(f"x = 1\nlayers.Conv1D(8, 4, {words})", "keras", "torch")[0].code
        )


def test_loading_plugins_imports_no_translation():
    """A dialect is made when a translation asks for it."""
    code = "import sys, convpolicy as cp; cp.policies(), cp.plugins(); print([m for m in sys.modules if 'translation' in m or 'dialect' in m])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
