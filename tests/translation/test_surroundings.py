"""What stands around a call counts: wrappers, casts, initial values set afterwards, containers, and the layers beside it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from helpers.translated import line

import convpolicy as cp
from convpolicy.cli import group as cli

TORCH = "import torch\nfrom torch import nn\nfrom torch.nn.utils import parametrize, parametrizations\n"
REFUSED = [
    ("torch", TORCH + "c = torch.nn.utils.spectral_norm(nn.Conv1d(4, 8, 3))", "divides its weight by the largest singular value"),
    ("torch", TORCH + "c = parametrizations.spectral_norm(nn.Sequential(nn.Conv1d(4, 8, 3)))", "divides its weight"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nparametrizations.orthogonal(c)", "at line 5 makes its weight orthogonal"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nparametrize.register_parametrization(c, 'weight', P())", "computes its weight"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nc.stride = (2,)", "c.stride is assigned at line 5"),
    ("torch", "class N:\n    def __init__(self):\n        self.c = nn.Conv1d(4, 8, 3)\n    def more(self):\n        self.c.padding = 1",
     "self.c.padding is assigned at line 5"),
    ("mindspore", "nn.Conv1d(4, 8, 3).to_float(mindspore.float16)", "casts its input and weight"),
    ("mindspore", "c = nn.Conv1d(4, 8, 3)\nc.to_float(mindspore.float16)", "at line 2 casts its input"),
    ("mindspore", "nn.TimeDistributed(nn.Conv1d(4, 8, 3), 1)", "another axis"),
    ("keras", "keras.layers.TimeDistributed(keras.layers.Conv1D(64, 3))", "runs it on each step of another axis"),
    ("keras", "tf.keras.layers.SpectralNormalization(layer=tf.keras.layers.Conv1D(64, 3))", "singular value"),
    ("keras", "from keras.layers import *\nTimeDistributed(Conv1D(64, 3))", "another axis"),
    ("paddle", "paddle.nn.utils.spectral_norm(nn.Conv1D(4, 8, 3))", "singular value"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "code", "reason"), REFUSED)
def test_what_changes_the_outputs_is_refused(source, code, reason):
    """Around the call at once, around what it is in, or in a later statement: the layer is not translated as if it stood alone."""
    rows = [row for row in cp.translate_page(code, source, "flax", in_channels=4) if "only 1-D" not in row.reason]
    assert [row.code for row in rows] == [None]
    assert reason in rows[0].reason
    with pytest.raises(cp.ConvPolicyError, match=reason.partition("(")[0]):
        cp.translate(code, source, "flax", in_channels=4)


NAMED = [
    ("torch", "weight_norm(nn.Conv1d(4, 8, 3), dim=2)", "weight_norm(…) is left out: its weight is computed from other tensors"),
    ("torch", TORCH + "c = torch.compile(nn.Conv1d(4, 8, 3))", "torch.compile(…) is left out: it compiles the layer"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nc = parametrizations.weight_norm(c)", "parametrizations.weight_norm(…) at line 5 is left out"),
    ("torch", "from torch import nn\nfrom .blocks import *\nx = nn.Conv1d(4, 8, 3)", "`from .blocks import *` at line 2 may redefine it"),
    ("torch", "nn.Conv1d(4, 8, 3).cuda().eval()", ".cuda() is left out: move the layer yourself"),
    ("torch", "nn.Conv1d(4, 8, 3).to(device, non_blocking=True)", ".to(device, non_blocking=True) is left out"),
    ("torch", "nn.Conv1d(4, 8, 3).share_memory()", ".share_memory() after it is ignored here"),
    ("torch", "Block(nn.Conv1d(4, 8, 3))", "it is an argument of Block(…), which is ignored here"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\ninit_weights(c)", "c is an argument of init_weights(…) at line 5"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nc.weight.data.normal_(0, 0.02)", "c.weight.data.normal_(…) at line 5 may change"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nc.weight = w", "line 5 assigns to c.weight"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nif a:\n    nn.init.zeros_(c.weight)", "c.weight is filled by nn.init.zeros_(…) at line 6"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nc = Other()\nnn.init.zeros_(c.weight)", "c.weight is filled by nn.init.zeros_(…) at line 6"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nnn.init.sparse_(c.weight, 0.1)", "nn.init.sparse_(c.weight, 0.1) at line 5 has no counterpart"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nnn.init.xavier_normal_(c.bias)", "initial bias: nn.init.xavier_normal_(c.bias) at line 5 has no"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nif a:\n    c.half()", "c.half(…) at line 6 may change its dtype"),
    ("torch", TORCH + "class N(nn.Module):\n    def __init__(self):\n        c = nn.Conv1d(4, 8, 3)\n        self.apply(init)", "self.apply(init) at line 7"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3)\nfor m in model.modules():\n    nn.init.ones_(m.weight)", "line 6 may set those of this"),
    ("torch", TORCH + "class N(nn.Module):\n    c = nn.Conv1d(4, 8, 3)\nnet = N()\nnet.to(torch.float64)", "net.to(…) at line 7 may change that of this layer"),
    ("torch", TORCH + "class N(nn.Module):\n    c = nn.Conv1d(4, 8, 3)\nN().double()", "N(…).double(…) at line 6 may change that of this layer"),
    ("paddle", "paddle.nn.utils.weight_norm(nn.Conv1D(4, 8, 3))", "weight_norm(…) is left out"),
    ("paddle", "c = nn.Conv1D(4, 8, 3)\nnn.initializer.Normal()(c.weight)", "c.weight is an argument of a call(…) at line 2"),
    ("mindspore", "c = nn.Conv1d(4, 8, 3)\nc.weight.set_data(w)", "c.weight.set_data(…) at line 2 may change this layer"),
    ("keras", "c = layers.Conv1D(8, 3)\nc.set_weights(w)", "c.set_weights(…) at line 2 may change this layer"),
    ("flax", "nnx.jit(nnx.Conv(4, 8, 3, rngs=r))", "nnx.jit(…) is left out: it compiles the layer"),
    ("torch", TORCH + "c = nn.Sequential(nn.Conv1d(4, 8, 3))\nc[0].weight = w", "initial values: line 5 may assign those of this layer"),
    ("torch", TORCH + "c = nn.Sequential(nn.Conv1d(4, 8, 3))\nc[0].double()", "dtype: .double(…) at line 5 may change that of this layer"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "code", "note"), NAMED)
def test_what_leaves_the_outputs_is_a_comment(source, code, note):
    """Named at its line, in a comment of the layer."""
    target = "paddle" if source == "flax" else "flax"
    (row,) = [row for row in cp.translate_page(code, source, target, in_channels=4) if row.code]
    assert any(note in text for text in row.code.splitlines() if text.startswith("# ")), row.code


QUIET = [
    "c = nn.Conv1d(4, 8, 3)\ny = c(x)\nprint(c, c.weight.shape)\nn = sum(p.numel() for p in c.parameters())",
    "m = nn.Sequential(nn.Conv1d(4, 8, 3))\nlayers.append(nn.Conv1d(4, 8, 3))",
    "a = nn.Conv1d(4, 8, 3)\nfc = nn.Linear(3, 4)\nnn.init.zeros_(fc.weight)\nfc.half()",
    "class A:\n    def __init__(self):\n        self.c = nn.Conv1d(4, 8, 3)\nclass B:\n    def __init__(self):\n        self.c = mine()\n        self.c.stride = 2",
    "def f():\n    c = nn.Conv1d(4, 8, 3)\ndef g():\n    c = mine()\n    c.half()\n    spectral_norm(c)",
    "c = nn.Conv1d(4, 8, 3)\ny = x[0].double()\nbatch[0].mask = m",
    "c = nn.Conv1d(4, 8, 3)\ny = F.relu(c(x).half())\nz = nn.Conv1d(4, 8, 3)(x).double()",
]  # fmt: skip


@pytest.mark.parametrize("code", QUIET)
def test_what_does_nothing_to_the_layer_is_no_comment(code):
    """Reading it, running it, what is done to its output, to another layer, or to a name of another scope or class."""
    alone = {text for text in cp.translate("nn.Conv1d(4, 8, 3)").splitlines() if text.startswith("# ")}
    for row in cp.translate_page("from torch import nn\n" + code):
        if row.code:
            assert {text for text in row.code.splitlines() if text.startswith("# ")} == alone


def test_running_a_layer_of_an_instance_is_no_row():
    """``self.conv(x)`` and ``self.conv1d(x)`` run a layer; they are not calls of a function that convolves."""
    body = "class N:\n    def __init__(self):\n        self.conv = {0}\n    def call(self, x):\n        return self.conv(self.conv1d(x))\n"
    for source, call in (("keras", "layers.Conv1D(4, 3)"), ("torch", "nn.Conv1d(4, 8, 3)"), ("paddle", "nn.Conv1D(4, 8, 3)")):
        assert [row.original for row in cp.translate_page(body.format(call), source, "flax", in_channels=4)] == [call]


@pytest.mark.parametrize(("source", "code", "expected"), [
    ("torch", "nn.Conv1d(4, 8, 3).half()", "dtype='float16'"),
    ("torch", "nn.Sequential(nn.Conv1d(4, 8, 3)).double()", "dtype='float64'"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3).to('cuda', torch.float64)", "dtype='float64'"),
    ("torch", TORCH + "c = nn.Conv1d(4, 8, 3, dtype=torch.float16)\nc.to(dtype=torch.bfloat16)", "dtype='bfloat16'"),
    ("paddle", "nn.Conv1D(4, 8, 3).astype('float64')", "dtype='float64'"),
    ("mindspore", "nn.Conv1d(4, 8, 3).to(mindspore.float16)", "dtype='float16'"),
])  # fmt: skip
def test_casts_are_expressed(source, code, expected):
    """The dtype that a method gives the layer is the dtype of the translation."""
    assert expected in line(cp.translate(code, source, "keras", in_channels=4))


INIT = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(5, 32, 15, padding="same")
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        with torch.no_grad():
            nn.init.zeros_(self.conv.bias)
"""


def test_initial_values_set_afterwards_are_the_layer_s():
    """`nn.init` of a layer's own weight and bias, whenever it is built, becomes the initializer; the last one wins."""
    code = line(cp.translate(INIT))
    assert code.endswith("weight_init=initializer.HeNormal(), bias_init='zeros')")
    again = INIT + "        nn.init.constant_(self.conv.weight.data, 0.5)\n"
    assert "weight_init=initializer.Constant(0.5)" in line(cp.translate(again))
    assert "no bias" in cp.translate(INIT.replace('"same"', '"same", bias=False'))


LAYERS = {
    "torch": "from torch import nn\nimport torch.nn.functional as F\na = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.BatchNorm1d(8))\n"
             "b = nn.ConvTranspose1d(8, 4, 2)\nc = nn.LazyConv1d(8, 3)\nd = F.conv1d(x, w)\nf = F.conv_transpose1d(x, w)\ne = nn.Linear(3, 4)\np = nn.Parameter(w)\n",
    "keras": "import tensorflow as tf\nfrom keras import layers\na = layers.Conv1D(4, 3)\nb = layers.SeparableConv1D(4, 3)\n"
             "c = layers.DepthwiseConv1D(3)\nd = layers.Conv1DTranspose(4, 3)\ne = tf.nn.conv1d(x, w, 1, 'VALID')\nf = layers.Dense(4)\n"
             "g = tf.layers.conv1d(x, 8, 5)\n",
    "mindspore": "from mindspore import nn, ops\na = nn.Conv1d(4, 8, 3)\nb = nn.Conv1dTranspose(4, 8, 3)\nc = ops.conv1d(x, w)\nd = nn.Dense(3, 4)\n",
    "flax": "import flax.linen as fl\nfrom flax import nnx\nimport jax\na = nnx.Conv(4, 8, 3, rngs=r)\nb = fl.Conv(8, (3,))\n"
            "c = nnx.ConvTranspose(4, 8, 3, rngs=r)\nd = jax.lax.conv_general_dilated(x, w, (1,), 'SAME')\ne = nnx.Linear(3, 4, rngs=r)\n",
    "paddle": "from paddle import nn\nimport paddle.nn.functional as F\na = nn.Conv1D(4, 8, 3)\nb = nn.Conv1DTranspose(4, 8, 3)\n"
              "c = F.conv1d(x, w)\nd = nn.BatchNorm1D(8)\n",
}  # fmt: skip


TRANSLATED = {
    "torch": 4,
    "keras": 4,
    "mindspore": 3,
    "flax": 3,
    "paddle": 3,
}  # a function, a lazy and a depthwise layer among them


@pytest.mark.parametrize("source", LAYERS)
def test_every_layer_of_a_page_is_listed(source, tmp_path):
    """What is like a Conv1d with what to write instead, other layers as left out, each at its line; in the text and in the JSON."""
    page, target = LAYERS[source], "torch" if source == "paddle" else "paddle"
    calls = [text.split(" = ", 1)[1] for text in page.splitlines() if " = " in text and "Parameter" not in text]
    rows = cp.translate_page(page, source, target, in_channels=4)
    assert sum(row.code is not None for row in rows) == TRANSLATED[source]
    originals = [row.original for row in rows]
    assert all(any(original in call for original in originals) for call in calls)
    assert len(rows) == len(calls) + 2 * (source == "torch")  # those within Sequential
    file = tmp_path / "page.py"
    file.write_text(page)
    words = ["translate", str(file), "--layers", "--from", source, "--to", target, "--in-channels", "4"]
    result = CliRunner().invoke(cli.build(), words)
    assert result.exit_code == 0
    assert all(f"# not translated: {row.reason}" in result.stdout for row in rows if row.reason)
    compile(result.stdout, "translated", "exec")


def test_a_class_made_of_conv1d_is_listed():
    """At the line of the class, with what to do; a row of layers in a dictionary is no comment."""
    (row,) = cp.translate_page("from torch import nn\nclass Causal(nn.Conv1d):\n    pass\nc = Causal(4, 8, 3)\n")
    assert (row.line, row.code) == (2, None)
    assert row.reason.startswith("class Causal inherits from it")
    rows = cp.translate_page("from torch import nn\nm = nn.Sequential(OrderedDict([('a', nn.Conv1d(4, 8, 3))]))\n")
    assert "not read" not in rows[0].code


def test_a_page_without_a_translation_is_refused(tmp_path):
    """The command lists the reasons and ends with status 2; `translate` raises the reason."""
    file = tmp_path / "page.py"
    file.write_text("import torch.nn.functional as F\ny = F.conv_transpose1d(x, w)\nz = F.conv_transpose1d(y, w)\n")
    for form, mark in (["--layers"], "# not translated: "), ([], "# convpolicy: "), (["--diff"], "+# convpolicy: "):
        result = CliRunner().invoke(cli.build(), ["translate", str(file), *form])
        assert result.exit_code == 2
        assert result.stdout.count(f"{mark}torch.nn.functional.conv_transpose1d cannot be translated") == 2
        assert result.stderr.startswith("convpolicy: ")
        assert result.stderr.count("\n") == 1
    with pytest.raises(
        cp.ConvPolicyError,
        match=r"line 2: torch.nn.functional.conv_transpose1d cannot be translated.* 1 more cannot be translated",
    ):
        cp.translate(file.read_text())
