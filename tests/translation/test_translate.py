"""Calls read without running them, refusals as sentences, golden snippets, and whole files; no framework is needed."""

from __future__ import annotations

import ast
import contextlib
import json
import random

import pytest
from click.testing import CliRunner
from helpers.translated import line

import convpolicy as cp
from convpolicy.cli import group as cli

REFLECT = """\
from mindspore import nn
from mindspore.common import initializer

# weight: axes OI1W here, OIW in torch (O out, I in/groups, W kernel)
# initial values: same distributions as in torch, other random numbers
layer = nn.SequentialCell([
    nn.ReflectionPad1d((1, 1)),
    nn.Conv1d(
        120, 240, 4,
        pad_mode="valid",
        has_bias=True,
        weight_init=initializer.HeUniform(negative_slope=2.23606797749979),
        bias_init=initializer.Uniform(scale=0.04564354645876384),
    ),
])
"""
PAGE_OF_MINDSPORE = """\
from torch import nn

# weight: axes OIW here, OI1W in mindspore (O out, I in/groups, W kernel)
# initial values: same distributions as in mindspore, other random numbers
layer = nn.Conv1d(120, 240, 4, padding="same", bias=False)
"""


def test_golden_snippets():
    """The example of the contract and MindSpore's own example, letter by letter."""
    assert cp.translate('nn.Conv1d(120, 240, 4, padding=1, padding_mode="reflect")') == REFLECT
    assert cp.translate("nn.Conv1d(120, 240, 4)", "mindspore", "torch") == PAGE_OF_MINDSPORE


@pytest.mark.parametrize(("source", "target", "call", "expected"), [
    ("mindspore@2.0", "torch", "nn.Conv1d(2, 4, 1)", "layer = nn.Conv1d(2, 4, 1, bias=False)"),
    ("torch", "keras", "c = nn.Conv1d(2, 4, 3, padding=1, bias=False)",
     ("c = keras.layers.Conv1D(4, 3, padding='same', use_bias=False, "
      "kernel_initializer=keras.initializers.VarianceScaling(scale=0.3333333333333333, mode='fan_in', distribution='uniform'))")),
    ("keras", "torch", "self.c = layers.Conv1D(4, 3, 2, input_shape=(9, 2))", "self.c = nn.Conv1d(2, 4, 3, stride=2)"),
    ("tensorflow", "torch", "tf.keras.layers.Conv1D(4, 3, padding='causal', input_shape=(None, 2))",
     "layer = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(2, 4, 3))"),
    ("flax", "paddle", "nnx.Conv(2, 4, (3,), padding=[(2, 1)], kernel_init=nnx.initializers.zeros, rngs=rngs)",
     "layer = nn.Conv1D(2, 4, 3, padding=[2, 1], weight_attr=nn.initializer.Constant(0.0))"),
    ("paddle", "flax", "nn.Conv1D(2, 4, 3, padding='SAME', dilation=5, bias_attr=False)",
     ("layer = nnx.Conv(2, 4, (3,), padding='SAME', use_bias=False, kernel_init=nnx.initializers.normal(0.5773502691896257), "
      "rngs=nnx.Rngs(0))")),
    ("keras", "torch", "keras.Sequential([layers.Input((9, 2)), layers.Conv1D(4, 3)])", "layer1 = nn.Conv1d(2, 4, 3)"),
    ("flax", "torch", "nnx.Conv(2, 4, 3, None, padding=1, kernel_dilation=None, rngs=r)", "layer = nn.Conv1d(2, 4, 3, padding=1)"),
    ("mindspore", "torch", "nn.Conv1d(2, 4, 3, stride=1000000000)",
     "layer = nn.Sequential(SamePad1d(3, 1000000000, 1), nn.Conv1d(2, 4, 3, stride=1000000000, bias=False))"),
    ("keras", "torch", "y = layers.Conv1D(4, 3, input_shape=(9, 2))(x)", "layer = nn.Conv1d(2, 4, 3)"),
    ("mindspore", "torch", "    nn.Conv1d(2, 4, 3, pad_mode='valid'),", "layer = nn.Conv1d(2, 4, 3, bias=False)"),
    ("mindspore", "torch", "mint.nn.Conv1d(2, 4, 3, 1, 1, bias=False)", "layer = nn.Conv1d(2, 4, 3, padding=1, bias=False)"),
    ("torch", "paddle", "nn.Conv1d(dim, self.out, k, padding=p, bias=False, dtype=torch.float64)",
     ("layer = nn.Conv1D(dim, self.out, k, padding=p, bias_attr=False, weight_attr=nn.initializer.Uniform("
      "-(1.0 / (dim * k)) ** 0.5, (1.0 / (dim * k)) ** 0.5), dtype='float64')")),
])  # fmt: skip
def test_calls(source, target, call, expected):
    """Defaults, renamed arguments, names kept, versions, and the layer's own name."""
    assert line(cp.translate(call, source, target)) == ast.unparse(ast.parse(expected))


@pytest.mark.parametrize(("source", "target", "call", "notes"), [
    ("paddle", "torch", "nn.Conv1D(2, 4, 3, padding='same', dilation=5)", ["dilation=5 becomes 1: Paddle's 'SAME' silently sets the dilation to 1"]),
    ("keras", "torch", "Conv1D(4, 3, kernel_regularizer='l2', name='c', input_shape=(9, 2))",
     ["kernel_regularizer='l2' is left out".replace("'", '"'), "input: (batch, channels, length) here, (batch, length, channels) in keras"]),
    ("torch", "flax", "nn.Conv1d(2, 4, 3, device='cuda', dtype=torch.double)", ['device="cuda" is left out', "jax_enable_x64"]),
    ("torch", "mindspore", "nn.Conv1d(2, 4, 3, dtype=torch.float64)", ["no float64 convolution on the CPU"]),
    ("torch", "mindspore", "nn.Conv1d(2, 4, 3, dtype=kind)", ["dtype=kind is left out"]),
    ("mindspore", "torch", "nn.Conv1d(2, 4, 3, weight_init=w)", ["initial weight: w has no counterpart"]),
    ("mindspore", "torch", "nn.Conv1d(2, 4, 3, weight_init=initializer.Normal(sigma))", ["initial weight: initializer.Normal(sigma)"]),
    ("keras", "torch", "Conv1D(4, 3, bias_initializer='he_normal', input_shape=(9, 2))", ['initial bias: "he_normal" has no counterpart']),
    ("keras", "mindspore", "Conv1D(4, 3, kernel_initializer=keras.initializers.RandomUniform(0.0, 1.0), input_shape=(9, 2))",
     ["initial weight: uniform has no counterpart"]),
    ("flax", "torch", "nnx.Conv(2, 4, 3, padding='CIRCULAR', precision='high', rngs=r)",
     ["repeats the input as often as needed", 'precision="high" is left out']),
    ("paddle", "torch", "nn.Conv1D(2, 4, 3, weight_attr=paddle.ParamAttr(learning_rate=0.5))", ["weight: learning_rate=0.5 is left out"]),
    ("torch", "mindspore", "nn.Conv1d(2, 4, 3, padding=p)", ["padding is assumed to be a number of samples"]),
])  # fmt: skip
def test_what_cannot_be_expressed_is_a_comment(source, target, call, notes):
    """Every difference that the target cannot express stands above the layer, as a comment."""
    comments = [text for text in cp.translate(call, source, target).splitlines() if text.startswith("# ")]
    for note in notes:
        assert any(note in comment for comment in comments), (note, comments)


REFUSED = {
    "nn.Conv1d": "code must be a call of torch.nn.Conv1d or torch.nn.ConvTranspose1d",
    "": "code must be a call",
    "nn.Conv1d(2, 3": "code must be Python",
    "nn.Linear(2, 3)": "code must call torch.nn.Conv1d or torch.nn.ConvTranspose1d, got torch.nn.Linear",
    "mindspore.nn.Conv1d(2, 3, 4)": "which belongs to mindspore",
    "layers[0](2)": "by its name",
    "nn.Conv1d(" + "+".join(["1"] * 20000) + ", 2, 3)": "code must be Python|argument 1 must be a literal",  # by the recursion limit
    "nn.Conv1d(2, 3, \0)": "code must be Python",
    "nn.Conv1d(*sizes)": r"starred arguments .* got \*sizes",
    "nn.Conv1d(2, 3, **more)": r"starred arguments .* got \*\*more",
    "nn.Conv1d(2 * dim, 3, 4)": "argument 1 must be a literal or a name, got '2 \\* dim', which is computed",
    "nn.Conv1d(2, 3, int('4'))": "kernel_size must be a literal or a name",
    "nn.Conv1d(2, 3, 4, bias=flag())": "bias must be a literal or a name",
    "nn.Conv1d(2, 3, 4, padding=lambda: 1)": "padding must be a literal or a name",
    "nn.Conv1d(2, 3, 4, foo=1)": "has no argument 'foo'",
    "nn.Conv1d(2, 3)": "needs 'kernel_size'",
    "nn.Conv1d(2, 3, 4, kernel_size=4)": "got 'kernel_size' twice",
    "nn.Conv1d(2, 3, 4, padding=(1, 2))": "padding must be one number",
    "nn.Conv1d(2, 3, 4, padding='SAME')": "padding must be one of same, valid",
    "nn.Conv1d(2, 3, 4, padding=-1)": "at least 0",
    "nn.Conv1d(2, 3, 4, padding=True)": "padding must be an integer",
    "nn.Conv1d(2, 3, 4, 2, 'same')": "stride must be 1",
    "nn.Conv1d(2, 3, 4, groups=2)": "divisible by groups",
    "nn.Conv1d(2, 3, 4, padding_mode='symmetric')": "padding_mode must be one of zeros",
    "nn.Conv1d(2, 3, 4, padding_mode=mode)": "padding_mode must be a literal here, got mode",
    "nn.Conv1d(2, 3, 4, padding=p, padding_mode='reflect')": "padding must be a literal here",
    "nn.Conv1d(2, 3, k, padding='same', padding_mode='reflect')": "kernel_size must be a number here, got k",
    "nn.Conv1d(2, 3, 0)": "kernel_size must be at least 1",
    "nn.Conv1d(2, 3, 4.5)": "kernel_size must be an integer",
    "nn.Conv1d(2, 3, 4, bias=1)": "bias must be True or False",
    "nn.Conv1d(0x" + "f" * 5000 + ", 3, 4)": r"argument 1 must be at most 2\*\*63 - 1, got an integer of 20000 bits",
    "nn.Conv1d(" + "9" * 400 + ", 3, 4)": r"argument 1 must be at most 2\*\*63 - 1, got an integer of 1329 bits",
    "nn.Conv1d(2, 3, 4, padding=1e999)": "padding must be finite, got inf",
    "nn.Conv1d(2, 3, 4, padding={'name': 'causal'})": "padding must be a number or a name, got {'name': 'causal'}",
    "nn.Conv1d(2, 3, 4, padding_mode=[1])": "padding_mode must be one of zeros",
    "nn.Conv1d(2, 3, " + "not " * 900 + "a)": "code must be Python|argument 3 must be a literal",
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSED)
def test_refusals(code):
    """One sentence each: what is no call, starred, computed, or refused by torch itself."""
    with pytest.raises(cp.ConvPolicyError, match=REFUSED[code]) as caught:
        cp.translate(code)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, (ValueError, TypeError, LookupError))


@pytest.mark.parametrize(("call", "source", "target", "sentence"), [
    ("nn.Conv1d(2, 3, 4)", "pytorch", "mindspore", "Did you mean 'torch'"),
    ("nn.Conv1d(2, 3, 4)", "torch", "mindspore@2.0", "unknown target framework"),
    ("nn.Conv1d(2, 3, 4)", "torch", "torch", "must differ"),
    ("nn.Conv1d(2, 3, 4)", "mindspore@1.0", "torch", "no policy for mindspore 1.0"),
    ("nn.Conv1d(2, 3, 4, padding=1)", "mindspore", "torch", "padding must be 0 unless pad_mode is 'pad'"),
    ("nn.Conv1d(2, 3, 4, weight_init='hi_normal')", "mindspore", "torch", "weight_init must be one of"),
    ("nn.Conv1d(2, 3, (4,))", "mindspore", "torch", "which MindSpore refuses"),
    ("Conv1D(3, 4)", "keras", "torch", "in_channels is needed"),
    ("nn.Conv1D(2, 3, 4, bias_attr=flag)", "paddle", "torch", "bias_attr must be a literal"),
    ("Conv1D(3, 4, activation=f, input_shape=(9, 2))", "keras", "torch", "activation must be a literal"),
    ("Conv1D(3, 4, activation='mish', input_shape=(9, 2))", "keras", "torch", "it does not have"),
    ("Conv1D(3, 4, 2, dilation_rate=2, input_shape=(9, 2))", "keras", "torch", "must not both be above 1"),
    ("nn.Conv1d(2, 3, 4, stride=2, dilation=2)", "torch", "keras", "must not both be above 1"),
    ("nn.Conv1d(2, 3, 4, stride=s, dilation=2)", "torch", "keras", "must not both be above 1"),
    ("nnx.Conv(2, 3, 4, mask=m, rngs=r)", "flax", "torch", "mask must be left out"),
    ("nnx.Conv(2, 3, 4, input_dilation=2, rngs=r)", "flax", "torch", "transposed"),
    ("nnx.Conv(2, 3, 4, padding=(1, 2), rngs=r)", "flax", "torch", "one item for one spatial axis"),
    ("nn.Conv1D(2, 3, 4, padding='SAME', padding_mode='reflect')", "paddle", "torch", "padding must be an integer when"),
    ("nn.Conv1d(2, 3, 4)", "torch", 3, "unknown target framework"),
    ("nn.Conv1d(2, 3, 4)", ["torch"], "keras", "unknown source framework"),
    ("Conv1D(3, 4, data_format=[1], input_shape=(9, 2))", "keras", "torch", r"data_format must be one of .* got \[1\]"),
    ("nn.Conv1d(2, 3, 4, weight_init=initializer.HeUniform(negative_slope=" + "9" * 400 + "))", "mindspore", "torch",
     "negative_slope must be at most"),
])  # fmt: skip
def test_refusals_of_each_framework(call, source, target, sentence):
    """Unknown frameworks, and what only one framework refuses or cannot express."""
    with pytest.raises(cp.ConvPolicyError, match=sentence):
        cp.translate(call, source, target)
    with pytest.raises(TypeError):
        cp.translate(3)


def test_the_command():
    """One call as an argument, with options and JSON; a refusal is a sentence on stderr with status 2."""
    call = "Conv1D(4, 3, 2, padding='same')"
    words = ["translate", call, "--from", "keras", "--to", "torch", "--in-channels", "2", "--length", "9"]
    result = CliRunner().invoke(cli.build(), words)
    assert result.stdout == cp.translate(call, "keras", "torch", in_channels=2, length=9)
    assert json.loads(CliRunner().invoke(cli.build(), [*words, "--json"]).stdout) == {"original": call, "code": result.stdout}
    assert "nn.Conv1d(2, 4, 3, stride=2, padding=1)" in result.stdout
    assert "pads: for inputs of length 9 only" in result.stdout
    assert "pads:" not in cp.translate(call, "keras", "mindspore", in_channels=2, length=9)  # a word for any length
    refused = CliRunner().invoke(cli.build(), ["translate", "nn.Conv1d(*a)"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("convpolicy: starred arguments")
    assert (
        CliRunner().invoke(cli.build(), ["translate", "missing.py"]).stderr
        == "convpolicy: missing.py: No such file or directory.\n"
    )


def test_numbers_at_the_ends_of_the_range_stay_numbers():
    """A scale too small for a slope is written as bounds, and no translation holds a name such as ``inf``."""
    for scale in ("1e-320", "5e-324", "1e-300", "1e300", "1.7e308"):
        for shape in ("uniform", "untruncated_normal"):
            call = f"nn.Conv1d(2, 3, 4, weight_init=initializer.VarianceScaling({scale}, 'fan_in', {shape!r}))"
            for target in ("torch", "keras", "flax", "paddle"):
                with contextlib.suppress(cp.InvalidValueError):
                    names = {
                        node.id
                        for node in ast.walk(ast.parse(cp.translate(call, "mindspore", target)))
                        if isinstance(node, ast.Name)
                    }
                    assert names <= {"layer", "nn", "nnx", "keras", "jax", "jnp", "x", "paddle"}


SPELLS = ["2", "dim", "{}", "[{}]", "{}.x", "(lambda: {})()"]


def test_nothing_is_run(tmp_path):
    """Random calls around a call with a side effect: whatever is read, nothing is executed."""
    mark = tmp_path / "ran"
    spell = f"open({str(mark)!r}, 'w')"
    draw = random.Random(0)
    for _ in range(100):
        call = f"nn.Conv1d({', '.join(draw.choice(SPELLS).format(spell) for _ in range(4))})"
        for function, code in ((cp.translate, call), (cp.translate_page, f"x = 1\n{call}")):
            with contextlib.suppress(cp.ConvPolicyError):
                function(code)
    assert not mark.exists()
