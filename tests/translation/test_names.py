"""A name is the framework's where that is certain; otherwise the call is refused with its line and the reason."""

from __future__ import annotations

import re

import pytest
from helpers.translated import line

import convpolicy as cp

HEAD = "import functools\nimport torch\nfrom torch import nn\n"
REFUSED = {
    "from .layers import Conv1d\nx = Conv1d(4, 8, 3)": "Conv1d is imported from .layers (line 1)",
    "from . import nn\nx = nn.Conv1d(4, 8, 3)": "nn is imported from . (line 1)",
    "from .modules import *\nx = Conv1d(4, 8, 3)": "Conv1d may come from `from .modules import *` (line 1)",
    "from torch.nn import *\nfrom mine import *\nx = Conv1d(4, 8, 3)": "Conv1d may come from `from mine import *` (line 2)",
    "Conv1d = get_conv()\nx = Conv1d(4, 8, 3)": "Conv1d is 'get_conv()' (line 1)",
    "def f(nn):\n    return nn.Conv1d(4, 8, 3)": "nn is a parameter of f (line 1)",
    "f = lambda nn: nn.Conv1d(4, 8, 3)": "nn is a parameter of a lambda (line 1)",
    HEAD + "def f(conv=nn.Conv1d):\n    return conv(4, 8, 3)": "conv is a parameter of f (line 4)",
    "for nn in libraries:\n    x = nn.Conv1d(4, 8, 3)": "nn is a loop variable (line 1)",
    "x = [nn.Conv1d(4, 8, 3) for nn in libraries]": "nn is a loop variable (line 1)",
    "with library() as nn:\n    x = nn.Conv1d(4, 8, 3)": "nn is bound by `with` (line 1)",
    "if (nn := find()):\n    x = nn.Conv1d(4, 8, 3)": "nn is 'find()' (line 1)",
    HEAD + "del nn\nx = nn.Conv1d(4, 8, 3)": "nn is deleted (line 4)",
    HEAD + "nn, y = pair\nx = nn.Conv1d(4, 8, 3)": "nn is unpacked (line 4)",
    HEAD + "conv = nn.Conv1d if a else nn.Conv2d\nx = conv(4, 8, 3)": "conv is bound to torch.nn.Conv1d and torch.nn.Conv2d",
    HEAD + "if a:\n    C = nn.Conv1d\nelse:\n    C = Mine\nx = C(4, 8, 3)": "C is bound to torch.nn.Conv1d and Mine",
    HEAD + "class Conv1d(nn.Module): pass\nfrom torch.nn import Conv1d\nx = Conv1d(4, 8, 3)": "bound to Conv1d and torch.nn.Conv1d",
    HEAD + "def f():\n    global nn\n    import mindspore.nn as nn\nx = nn.Conv1d(4, 8, 3)": "bound to torch.nn.Conv1d and mindspore.nn",
    HEAD + "torch.nn.Conv1d = Mine\nx = nn.Conv1d(4, 8, 3)": "torch.nn.Conv1d is reassigned (line 4)",
    HEAD + "setattr(nn, 'Conv1d', Mine)\nx = nn.Conv1d(4, 8, 3)": "torch.nn.Conv1d is reassigned (line 4)",
    HEAD + "Conv1d = Again\nAgain = Conv1d\nx = Conv1d(4, 8, 3)": "is defined by itself",
    HEAD + "C = functools.partial(nn.Conv1d, bias=flag)\nx = C(4, 8, 3)": "the arguments of partial must be literals, got flag at line 4",
    HEAD + "C = functools.partial(nn.Conv1d, 4)\nif a:\n    C = nn.Conv1d\nx = C(4, 8, 3)": "C is bound more than once",
    "import mindspore\nx = nn.Conv1d(4, 8, 3)": "this file does not define nn, and it imports mindspore",
}  # fmt: skip


@pytest.mark.parametrize("page", REFUSED)
def test_what_is_not_certain_is_refused(page):
    """By its line and the reason, never taken for torch's; nothing of it is translated."""
    rows = [row for row in cp.translate_page(page) if "named here" not in row.reason]
    assert [row.code for row in rows] == [None]
    assert REFUSED[page] in rows[0].reason
    assert rows[0].line == 1 + page[: page.rindex("(4, 8, 3)")].count("\n")
    with pytest.raises(cp.ConvPolicyError, match=re.escape(REFUSED[page])):
        cp.translate(page)


CERTAIN = {
    HEAD + "x = nn.Conv1d(4, 8, 3)": "x",
    "try:\n    from torch import nn\nexcept ImportError:\n    nn = None\nx = nn.Conv1d(4, 8, 3)": "x",
    "if new:\n    from torch.nn import Conv1d\nelse:\n    from torch.nn.modules import Conv1d\nx = Conv1d(4, 8, 3)": "x",
    "import torch\nimport torch.nn\nx = torch.nn.Conv1d(4, 8, 3)": "x",
    HEAD + "class A:\n    nn = nn\n    x = nn.Conv1d(4, 8, 3)": "x",
    HEAD + "C, D = nn.Conv1d, nn.Conv2d\nx = C(4, 8, 3)": "x",
    HEAD + "def f(nn): return nn\nx = nn.Conv1d(4, 8, 3)": "x",
    HEAD + "y = [nn for nn in libraries]\nx = nn.Conv1d(4, 8, 3)": "x",
    HEAD + "def f():\n    import mindspore.nn as nn\nx = nn.Conv1d(4, 8, 3)": "x",
    HEAD + "C = functools.partial(nn.Conv1d, 4)\nD = functools.partial(C, 8, bias=True)\nx = D(3)": "x",
    "from math import *\nx = nn.Conv1d(4, 8, 3)": "x",
    "from torch.nn import *\nx = Conv1d(4, 8, 3)": "x",
    "def f():\n    from torch.nn import Conv1d as C\n    self.x = C(4, 8, 3)": "self.x",
}


@pytest.mark.parametrize("page", CERTAIN)
def test_what_is_certain_is_translated(page):
    """Imports anywhere in scope, alternatives that are one class, aliases, and partials of literals."""
    (row,) = [row for row in cp.translate_page(page, "torch", "paddle") if row.code]
    assert line(row.code) == f"{CERTAIN[page]} = nn.Conv1D(4, 8, 3, {line(row.code).split('4, 8, 3, ')[1]}"


def test_a_partial_s_arguments_are_those_of_its_calls():
    """Its keywords are kept, those of the call win, and its positions come first."""
    page = HEAD + "C = functools.partial(nn.Conv1d, 4, bias=False, padding=1)\nx = C(8, 3, padding=2)\n"
    assert next(line(row.code) for row in cp.translate_page(page, "torch", "flax") if row.code).startswith(
        "x = nnx.Conv(4, 8, (3,), padding=[(2, 2)], use_bias=False"
    )


def test_one_scope_at_a_time():
    """Two functions that import different frameworks under one name are told apart."""
    page = "def a():\n    from torch import nn\n    return nn.Conv1d(4, 8, 3)\ndef b():\n    from mindspore import nn\n    return nn.Conv1d(4, 8, 3)\n"
    assert [row.line for row in cp.translate_page(page, "torch", "keras")] == [3]
    assert [row.line for row in cp.translate_page(page, "mindspore", "keras")] == [6]


@pytest.mark.parametrize(("source", "page"), [
    ("mindspore", "from .layers import Conv1d\nc = Conv1d(4, 8, 3)"),
    ("keras", "from .layers import Conv1D\nc = Conv1D(8, 3)"),
    ("flax", "from .layers import Conv\nc = Conv(4, 8, 3)"),
    ("paddle", "from .layers import Conv1D\nc = Conv1D(4, 8, 3)"),
    ("keras", "from tensorflow.keras import layers\ndef f(x, s):\n    if s:\n        conv = layers.SeparableConv1D\n    else:\n        conv = layers.Conv1D\n    return conv(32, 5)(x)"),
])  # fmt: skip
def test_every_framework(source, page):
    """The same holds for the code of each framework."""
    rows = cp.translate_page(page, source, "torch", in_channels=4)
    assert {row.code for row in rows} == {None}
    assert any("may not be" in row.reason for row in rows)


def test_initializers_and_dtypes_are_resolved():
    """A dtype or an initializer of another package is not the framework's; ``dtype=float`` is what the framework makes of it."""
    head = "from mindspore import nn\nfrom mine import initializer\nimport mine\n"
    code = cp.translate(
        head + "x = nn.Conv1d(4, 8, 3, weight_init=initializer.Normal(), dtype=mine.float16)", "mindspore", "torch"
    )
    assert "initial weight: initializer.Normal() has no counterpart" in code
    assert "dtype=mine.float16 is left out" in code
    assert "dtype='float64'" in line(cp.translate("nn.Conv1d(4, 8, 3, dtype=float)", "torch", "paddle"))
    assert "dtype" not in cp.translate("layers.Conv1D(8, 3, dtype=float)", "keras", "torch", in_channels=4)
    head = "from keras.initializers import HeNormal as H\nfrom keras import layers\n"
    assert "trunc_normal_" in cp.translate(
        head + "x = layers.Conv1D(8, 3, kernel_initializer=H())", "keras", "torch", in_channels=4
    )
