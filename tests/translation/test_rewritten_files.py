"""What `translate_page(…).text` does with single files: names, imports, comments, classes, functions, and what is left."""

from __future__ import annotations

import ast

import pytest

import convpolicy as cp

TORCH = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def text(page, source="torch", target="keras", **more):
    """The translation of a file, which is Python."""
    new = cp.translate_page(page, source, target, **more).text
    ast.parse(new)
    return new


NAMES = {  # file -> (target, import that is added or None, class as code)
    "from torch import nn\n{}": ("mindspore", "from mindspore import nn as mindspore_nn", "mindspore_nn.Conv1d("),
    "import torch.nn as tnn\nfrom torch.nn import Conv1d as C\nC(4, 8, 3)\n{}": ("mindspore", "from mindspore import nn", " nn.Conv1d("),
    "from torch import nn\nimport keras\n{}": ("keras", None, "keras.layers.Conv1D("),
    "from torch import nn\nfrom tensorflow import keras\n{}": ("keras", "import keras as keras_package", "keras_package.layers.Conv1D("),
    "from torch import nn\ndef f(keras): pass\n{}": ("keras", "import keras as keras_package", "keras_package.layers.Conv1D("),
    "from torch import nn\ndef f():\n    import keras\n{}": ("keras", "import keras as keras_package", "keras_package.layers.Conv1D("),
    "from torch import nn\nmindspore_nn = 3\n{}": ("mindspore", "from mindspore import nn as mindspore_nn_2", "mindspore_nn_2.Conv1d("),
    "from torch import nn\n{}\nimport keras\n": ("keras", "import keras as keras_package", "keras_package.layers.Conv1D("),
}  # fmt: skip


@pytest.mark.parametrize("page", NAMES)
def test_imports_take_no_name_of_the_file(page):
    """An import is added once, unless the file has it; a name that the file uses gets another one, in the code too."""
    target, line, code = NAMES[page]
    nn = "tnn" if "as tnn" in page else "nn"
    old = page.format(f"a = {nn}.Conv1d(4, 8, 3)\nb = {nn}.Conv1d(8, 8, 3)\n")
    new = text(old, target=target)
    added = [row for row in new.splitlines() if "import" in row and row not in old.splitlines()]
    assert [row for row in added if "initializer" not in row] == ([] if line is None else [line])
    assert new.count(code) >= 2


def test_a_class_of_the_file_keeps_its_name():
    """`SamePad1d` of the translation gets a number where the file has one of its own, in the definition and the use."""
    page = "from keras import layers\nclass SamePad1d: pass\nx = layers.Conv1D(8, 3, 2, 'same', input_dim=4)\n"
    new = text(page, "keras", "torch")
    assert "class SamePad1d_2(nn.Module):" in new
    assert "x = nn.Sequential(SamePad1d_2(3, 2, 1), nn.Conv1d(4, 8, 3, stride=2))\nnn.init.xavier_uniform_(x[1].weight)" in new


def test_initial_values_follow_the_layer_or_wrap_it():
    """Statements follow an assignment that has its line for itself; elsewhere a function of the file applies them."""
    page = "from keras import layers\nlayer = 1\nif a:\n\tx = layers.Conv1D(8, 3, input_dim=4)  # one\ny = f(layers.Conv1D(8, 3, input_dim=4))\n"
    new = text(page, "keras", "torch")
    assert (
        "\tx = nn.Conv1d(4, 8, 3)  # one\n\tnn.init.xavier_uniform_(x.weight)\n\tnn.init.zeros_(x.bias)\ny = f(with_changes(\n"
        in new
    )
    assert new.count("def with_changes(layer, *fills):") == 1
    assert "    lambda layer_2: nn.init.xavier_uniform_(layer_2.weight),\n" in new
    optional = text(f"{TORCH}def f(b):\n    return nn.Conv1d(4, 8, 3, bias=b)\n", "torch", "paddle")
    assert "bias_attr=paddle_nn.initializer.Uniform(" in optional


def test_comments_say_what_is_left_and_what_remains_to_do():
    """One line each, above the line of the layer, with the line numbers of the new file; a second run adds none of them again."""
    page = f"""{TORCH}
class Net(nn.Module):
    def __init__(self, device):
        self.a = nn.Conv1d(4,  # in
            8, 3).half().to(device)
        self.b = nn.Sequential(
            nn.Conv1d(8, 8, 3),
            nn.BatchNorm1d(8))
        nn.init.kaiming_normal_(self.a.weight)
        self.a.double()
        assert isinstance(self.a, nn.Conv1d)
"""
    lines = text(page, target="paddle").splitlines()
    comments = [line.strip() for line in lines if line.lstrip().startswith("#")]
    fill = lines.index("        nn.init.kaiming_normal_(self.a.weight)") + 1
    assert comments == [
        "# convpolicy: translated from torch to paddle: 2 of 3 layers",
        "# convpolicy: initial values: same distributions as in torch, other random numbers",
        "# in",
        "# convpolicy: .to(device) is left out: move the layer yourself",
        f"# convpolicy: initial weight: that of nn.init.kaiming_normal_(self.a.weight) at line {fill}; remove that line",
        f"# convpolicy: dtype: that of .double() at line {fill + 1}; remove that line",
        "# convpolicy: torch.nn.Sequential is not translated; replace it with a container of paddle.",
        "# convpolicy: torch.nn.BatchNorm1d is not translated; replace it with a layer of paddle.",
        "# convpolicy: not translated: the class is named here but not called; translate the code that calls it.",
    ]
    assert 'dtype="float64"' in "\n".join(lines)
    left = text(f"{TORCH}a = nn.LazyConv1d(8, 3)\nb = nn.Conv1d(*s)\n")
    assert left.count("# convpolicy: ") == 2
    assert text(left) == left


def test_a_class_that_fixes_arguments_becomes_a_function():
    """With its parameters, docstring and indentation; one that does more, or is used otherwise than by a call, is left."""
    page = """from torch import nn
class Causal(nn.Conv1d):
  '''Pads
    more.'''
  def __init__(self, a, b=8, *, k: int = 3):
    super(Causal, self).__init__(a, b, k, padding=2)
x = Causal(4)
"""
    new = text(page, target="paddle")
    assert "def Causal(a, b=8, *, k: int=3):\n  '''Pads\n    more.'''\n  return paddle_nn.Conv1D(\n      a, b, k,\n" in new
    assert "class" not in new
    for change, reason in {
        "x = Causal(4)": "isinstance(x, Causal)", "super(Causal, self).__init__(a, b, k, padding=2)": "super().__init__(a, b, self.k)",
        "padding=2)": "padding=2)\n    self.k = k", "class Causal(nn.Conv1d)": "@register\nclass Causal(nn.Conv1d)",
    }.items():  # fmt: skip
        other = page.replace(change, reason)
        assert other != page
        rows = cp.translate_page(other, "torch", "paddle")
        assert [row.code for row in rows] == [None]
        assert rows[0].reason.startswith("class Causal ")
        assert other.splitlines()[-1] in rows.text


def test_functional_calls():
    """The weight keeps the axes of the source; the target's axes of the data are said once."""
    page = f"{TORCH}y = F.conv1d(pad(x), self.w if a else b, self.bias, stride=2, padding=(1,), groups=4)\n"
    assert text(page, target="mindspore").splitlines()[-1] == (
        'y = ops.conv1d(pad(x), (self.w if a else b), self.bias, stride=2, groups=4, pad_mode="pad", padding=1)'
    )
    assert (
        "y = (keras.ops.conv(keras.layers.ZeroPadding1D((1, 1))(pad(x)), keras.ops.transpose((self.w if a else b), (2, 1, 0)), strides=2)"
        in (text(page))
    )
    assert (
        'window_strides=(2,), feature_group_count=4, padding=[(1, 1)], dimension_numbers=("NWC", "OIW", "NWC")) + self.bias'
        in (text(page, target="flax"))
    )
    tensorflow = 'import tensorflow as tf\ny = tf.nn.conv1d(x, w, 1, "SAME", "NCW")\n'
    assert text(tensorflow, "keras", "torch").endswith('y = nn.functional.conv1d(x, w.permute(2, 1, 0), padding="same")\n')
    assert "here, (batch, length" not in text(tensorflow, "keras", "torch")
    paddle = 'import paddle.nn.functional as F\ny = F.conv1d(x, w, padding=[1, 2], data_format="NLC")\n'
    assert "y = nn.functional.conv1d(nn.ConstantPad1d((1, 2), 0.0)(x), w)" in text(paddle, "paddle", "torch")
    assert "y = nn.functional.conv1d(x, w, padding=2)" in text(
        "from mindspore import ops\ny = ops.conv1d(x, w, pad_mode='pad', padding=2)\n", "mindspore", "torch"
    )
    assert cp.translate("F.conv1d(x, w, stride=2)", "torch", "paddle").endswith(
        "output1 = nn.functional.conv1d(x, w, stride=2)\n"
    )


REFUSED = {
    "import tensorflow as tf\ny = tf.layers.conv1d(x, 8, 5)\n": ("keras", "tensorflow.layers.conv1d cannot be translated: it is TensorFlow 1's function"),
    "import jax\ny = jax.lax.conv_general_dilated(x, w, (1,), 'SAME')\n": ("flax", "it is a function without weights; write flax.nnx.Conv"),
    f"{TORCH}y = F.conv_transpose1d(x, w)\n": ("torch", "it is a function without weights; write torch.nn.ConvTranspose1d"),
    f"{TORCH}y = F.conv1d(*tensors)\n": ("torch", "starred arguments cannot be read"),
    f"{TORCH}y = F.conv1d(x, w, padding='same', stride=2)\n": ("torch", "got w.shape[2], as the padding torch_same depends on it"),
    "import tensorflow as tf\ny = tf.nn.conv1d(x, w[0], 2, 'SAME')\n": ("keras", "got w[0].shape[0], as the padding same_upper depends on it; write a layer"),
    "from keras import layers\ny = layers.SeparableConv1D(8, 3)\n": ("keras", "separable layers are not translated; write a Conv1D with groups"),
    "from keras import layers\ny = layers.DepthwiseConv1D(3)\n": ("keras", "in_channels is needed"),
    "import flax.linen as nn\ny = nn.Conv(8, (3,))\n": ("flax", "its input channels are not known; pass in_channels="),
    "import flax.linen as nn\ny = nn.Conv(8, (3, 3))\n": ("flax", "kernel_size must be one number"),
    f"{TORCH}y = f'{{nn.Conv1d(4, 8, 3)}}'\n": ("torch", "it is inside an f-string"),
}  # fmt: skip


@pytest.mark.parametrize("page", REFUSED)
def test_what_is_left_has_a_reason_above_it(page):
    """One comment of one line with what to do; the line itself is as it was."""
    source, reason = REFUSED[page]
    new = text(page, source, "mindspore" if source != "keras" else "torch")
    *_rest, comment, last = new.splitlines()
    assert last == page.splitlines()[-1]
    assert comment.startswith("# convpolicy: ")
    assert reason in comment


def test_channels_of_depthwise_and_lazy_layers():
    """Depthwise layers pass channels · depth_multiplier on; `in_channels` that was passed is said in a comment."""
    page = "from keras import layers, Sequential, Input\nm = Sequential([Input((9, 4)), layers.DepthwiseConv1D(3, depth_multiplier=2), layers.Conv1D(5, 1)])\n"
    new = text(page, "keras", "mindspore")
    assert "4, 8, 3,\n" in new
    assert "8, 5, 1,\n" in new
    lazy = text(f"{TORCH}a = nn.LazyConv1d(8, 3)\n", target="mindspore", in_channels=6)
    assert (
        "# convpolicy: in_channels: 6 as passed, since the file does not contain it\na = mindspore_nn.Conv1d(\n    6, 8, 3,"
        in lazy
    )


def test_computed_sizes_are_kept_where_they_are_computed_once():
    """`padding=get(k)` is copied with its comments; where the target would compute it twice, the layer is left."""
    page = f"{TORCH}a = nn.Conv1d(4, 8, 3, padding=get(\n  k,  # kernel\n))\n"
    assert "padding=get(\n  k,  # kernel\n)" in text(page, target="mindspore")
    assert "padding must be a literal or a name, got get(k), which is computed" in text(page, target="keras")


def test_code_that_is_indented_as_a_whole_is_no_file():
    """Its layers are listed, and a sentence says why there is no text."""
    page = cp.translate_page("    x = nn.Conv1d(4, 8, 3)\n")
    assert len(page) == 1
    with pytest.raises(cp.ConvPolicyError, match="code must be the text of a file"):
        page.text
