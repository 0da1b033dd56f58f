"""Whole files: every Conv1d found however it was imported, names kept, Keras's channels followed; no framework is needed."""

from __future__ import annotations

import gc
import json
import time

import pytest
from click.testing import CliRunner
from helpers.translated import line

import convpolicy as cp
from convpolicy.cli import group as cli

FILE = """
import torch
import torch.nn as tnn
from torch import nn
from torch.nn import Conv1d, Linear as L
import mindspore.nn as mnn

Again = tnn.Conv1d

class Net(nn.Module):
    def __init__(self, dim, k, layers):
        self.a = torch.nn.Conv1d(dim, 2 * dim, 3, padding=1)
        self.b = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), tnn.Conv1d(8, dims[0], k, bias=False))
        self.c = nn.ModuleList(Conv1d(dim, dim, 3, dilation=2 ** i, padding="same") for i in range(4))
        self.d = nn.Conv1d(*layers)
        self.e = nn.Conv1d(dim, dim, k, padding=k // 2)
        self.f = mnn.Conv1d(2, 3, 4)
        self.g = Again(2, 3, 4)
        self.h = functools.partial(nn.Conv1d, 2)
        self.i: nn.Module = nn.Conv1d(
            next(sizes),
            2, 4)
"""


def test_a_file(tmp_path):
    """Every torch Conv1d however it was imported, in order; names and arithmetic kept, reasons for the rest, the file untouched."""
    found = cp.translate_page(FILE)
    lines = [None if call.code is None else line(call.code) for call in found]
    assert [call.line for call in found] == [8, 12, 13, 13, 13, 14, 15, 16, 18, 19, 20]
    assert [text and text.split(", pad_mode")[0] for text in lines] == [
        None, "self.a = nn.Conv1d(dim, 2 * dim, 3", "layer3 = nn.Conv1d(4, 8, 3", None, "layer4 = nn.Conv1d(8, dims[0], k",
        "layer5 = nn.Conv1d(dim, dim, 3", None, "self.e = nn.Conv1d(dim, dim, k", "self.g = nn.Conv1d(2, 3, 4", None, None,
    ]  # fmt: skip
    assert "pad_mode='pad', padding=k // 2" in lines[7]
    assert "pad_mode='same', dilation=2 ** i" in lines[5]
    reasons = [call.reason for call in found if call.reason]
    assert [next(w for w in ("named", "starred", "computed", "only 1-D") if w in reason) for reason in reasons] == [
        "named",
        "only 1-D",
        "starred",
        "named",
        "computed",
    ]
    assert found[-1].original == "nn.Conv1d(\n            next(sizes),\n            2, 4)"
    path = tmp_path / "model.py"
    path.write_text(FILE)
    written = CliRunner().invoke(cli.build(), ["translate", str(path), "--json"]).stdout
    assert json.loads(written) == [call.to_dict() for call in found]
    text = CliRunner().invoke(cli.build(), ["translate", str(path), "--layers"]).stdout
    assert text == CliRunner().invoke(cli.build(), ["translate", "-", "--layers"], input=FILE).stdout.replace(
        "<stdin>", str(path)
    )
    assert text == cp.translate(FILE).replace("# line ", f"# {path}:")
    compile(text, "translated", "exec")
    assert path.read_text() == FILE


KERAS = """
from tensorflow import keras
from tensorflow.keras import layers
model = keras.Sequential([
    keras.Input(shape=(1000, 8)),
    layers.Conv1D(16, 5, padding="same"),
    layers.BatchNormalization(),
    layers.Conv1D(32, 3),
    layers.Dense(5),
    layers.Conv1D(64, 1),
])
seq = keras.Sequential()
seq.add(layers.Conv1D(4, 3, input_shape=(10, 3)))
seq.add(layers.Conv1D(6, 3))
x = inputs = keras.Input((100, 2))
y = keras.Input((100, 2))
y = layers.Conv1D(7, 3)(y)
y = layers.ReLU()(layers.Conv1D(9, 3)(y))
for i in range(3):
    y = layers.Conv1D(11, 3)(y)
y = layers.Conv1D(12, 3)(y)
"""


def test_channels_of_a_keras_page():
    """Sequential, add and the functional style are followed; loops and unknown layers are not, and the code says so."""
    page = cp.translate_page(KERAS, "keras", "torch")
    found = [call for call in page if call.reason is None]
    assert [call.original for call in page if call.reason] == ["layers.BatchNormalization()", "layers.Dense(5)", "layers.ReLU()"]
    sizes = [line(call.code).split("nn.Conv1d(")[1].split(", ")[:2] for call in found]
    assert [(a if a == "in_channels" else int(a), int(b)) for a, b in sizes] == [
        (8, 16), (16, 32), ("in_channels", 64), (3, 4), (4, 6), (2, 7), (7, 9), ("in_channels", 11), ("in_channels", 12),
    ]  # fmt: skip
    assert all(("write the number" in call.code) == (size[0] == "in_channels") for call, size in zip(found, sizes))
    assert len(cp.translate_page(KERAS, "tensorflow", "flax", in_channels=5)) == len(page)


def test_names_of_a_file_are_followed():
    """A class of the file's own, another package's nn and star imports; a page without any says which framework it has."""
    own = "import x\nclass Conv1d: pass\na = Conv1d(1, 2, 3)\nimport my.nn as nn\nb = nn.Conv1d(1, 2, 3)\nimport torch\nc = torch.nn.Conv1d(1, 2, 3)"
    assert [call.line for call in cp.translate_page(own)] == [7]
    assert len(cp.translate_page("from torch.nn import *\nConv1d(1, 2, 3)")) == 1
    assert len(cp.translate_page("import tensorflow as tf\nL = tf.keras.layers\nL.Conv1D(1, 2)", "keras", in_channels=3)) == 1
    assert len(cp.translate_page('"\\d" is 1\nnn.Conv1d(1, 2, 3)')) == 1  # the user's text may deserve warnings
    with pytest.raises(cp.ConvPolicyError, match="it has layers of keras"):
        cp.translate_page(KERAS)
    with pytest.raises(cp.ConvPolicyError, match="0 lines without"):
        cp.translate_page("")


FOLLOWED = {  # page -> the channels of each Conv1D's input, None where they are not known
    "x = Input(shape=(8, 128))\nx = Conv1D(16, 5, data_format='channels_first')(x)\nx = Conv1D(4, 3, data_format='channels_first')(x)\n": [8, 16],
    "x = Input((8, 128))\nx = Conv1D(16, 5, 1, 'same', 'channels_first')(x)\nx = ReLU()(x)\nx = Conv1D(4, 3)(x)\n": [8, None],
    "x = Input((9, 2))\nx = MaxPooling1D(2, data_format='channels_first')(x)\nx = Conv1D(4, 3, data_format='channels_first')(x)\n": [9],
    "x = Input((9, 2))\nx = Conv1D(4, 3, data_format=f)(x)\nx = Conv1D(5, 3)(x)\n": [None],
    "set_image_data_format(f)\nkeras.config.set_image_data_format(f)\nx = Input((9, 2))\nx = Conv1D(4, 3)(x)\n": [None],
    "m = Sequential()\nm.add(Conv1D(4, 3, input_shape=(9, 2)))\nm.summary()\nm.add(Conv1D(5, 3))\ny = m(x)\nm.add(Conv1D(6, 3))\n": [2, 4, 5],
    "m = Sequential()\nm.add(Conv1D(4, 3, input_shape=(9, 2)))\nadd_block(m)\nm.add(Conv1D(5, 3))\n": [2, None],
    "m = Sequential()\nm.add(Conv1D(4, 3, input_shape=(9, 2)))\nm.pop()\nm.add(Conv1D(5, 3))\n": [2, None],
    "m = Sequential()\nm.add(Conv1D(4, 3, input_shape=(9, 2)))\nn = m\nn.add(Conv1D(5, 3))\nm.add(Conv1D(6, 3))\n": [2, None, None],
    "x = Input((9, 2))\nprint(x := Conv1D(16, 3)(x))\nx = Conv1D(3, 3)(x)\n": [None, None],
    "x = Input((9, 2))\ndef f():\n    global x\n    x = g(x)\nf()\nx = Conv1D(3, 3)(x)\n": [None],
    "x = Input((9, 2))\ntry:\n    x = Conv1D(3, 3)(x)\nexcept E:\n    x = Conv1D(4, 3)(x)\nx = Conv1D(5, 3)(x)\n": [None, None, None],
    "from .layers import ReLU\nx = Input((9, 2))\nx = ReLU()(x)\nx = Conv1D(3, 3)(x)\n": [None],
    "x = Input((9, 2))\nx = Conv1D(3, 3)(Conv1D(5, 1)(ReLU()(x)))\n": [5, 2],
}  # fmt: skip


@pytest.mark.parametrize("page", FOLLOWED)
def test_channels_are_followed_or_not_known(page):
    """channels_first from layer to layer; a model or name that other code may change is not known, never stale."""
    page = "import keras\nfrom keras import Input, Sequential\nfrom keras.layers import *\n" + page
    rows = [row for row in cp.translate_page(page, "keras", "torch") if row.code]
    channels = [line(row.code).split("nn.Conv1d(")[1].split(", ")[0] for row in rows]
    assert channels == [
        "in_channels" if number is None else str(number) for number in FOLLOWED[page.split("layers import *\n")[1]]
    ]


def seconds(text):
    """How long a page takes, without the collector, which goes through everything that the tests before have left."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        cp.translate_page(text)
        return time.process_time() - start
    finally:
        gc.enable()


LONG = {
    "calls": lambda size: "".join(f"x{n} = nn.Conv1d(4, 8, 3, padding=1)\n" for n in range(size // 36)),
    "calls on one line": lambda size: "; ".join(f"x{n} = nn.Conv1d(4, 8, 3)" for n in range(size // 28)),
    "a long literal": lambda size: f"s = '{'a' * 20 * size}'\nx = nn.Conv1d(4, 8, 3)\n",
    "a long call": lambda size: f"x = nn.Conv1d(4, 8, 3, extra=[{'1, ' * (size // 3)}])\n",
    "other lines": lambda size: "a = b + 1\n" * (size // 10) + "x = nn.Conv1d(4, 8, 3)\n",
    "names for names": lambda size: (
        "A0 = nn.Conv1d\n" + "".join(f"A{n} = A{n - 1} or A{n - 1}\n" for n in range(1, size // 20)) + "x = A9(4, 8, 3)\n"
    ),
    "one name": lambda size: "".join(f"f = g{n}.h\n" for n in range(size // 10)) + "f(f(f))\nx = nn.Conv1d(4, 8, 3)\n",
    "one name for all": lambda size: "x = nn.Conv1d(4, 8, 3)\nf(x)\n" * (size // 28),
    "statements about a layer": lambda size: "x = nn.Conv1d(4, 8, 3)\n" + "f(x)\n" * (size // 5),
}


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kind", LONG)
def test_time_grows_with_the_page(kind):
    """Four times the text takes less than ten times the processor's time; a square would take sixteen, each of three times."""
    cp.translate("nn.Conv1d(4, 8, 3)")
    size = 2500
    while (first := seconds(LONG[kind](size))) < 0.015 and size < 100_000:
        size *= 2
    assert any(seconds(LONG[kind](4 * size)) < 10 * max(first, seconds(LONG[kind](size))) + 0.05 for _ in range(3))


def test_a_page_of_10_megabytes():
    """A string literal of 10 MB beside a call takes a second or two, and memory for a few copies."""
    assert seconds(f"s = '{'a' * 10_000_000}'\nx = nn.Conv1d(4, 8, 3)\n") < 10
    assert (
        cp.translate_page("é = 'ü'; x = nn.Conv1d(4,\r\n 8, 3); y = nn.Conv1d(1, 2, 3)\r\n")[0].original == "nn.Conv1d(4,\n 8, 3)"
    )
