"""How ``translate`` writes MindSpore code."""

from __future__ import annotations

from convpolicy.frameworks.mindspore.initial_code import initial
from convpolicy.frameworks.shared_code import ACTIVATIONS, NAMES, PAD_LAYERS
from convpolicy.translation.crops import CropCode, around, as_padding
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.paddings import Padding, SamePad, require_mode, same_padding, word_or_number
from convpolicy.translation.reading import CONV_TRANSPOSE, Request
from convpolicy.translation.values import code_of

CIRCULAR = '''\
class CircularPad1d(nn.Cell):
    """Pads each side with samples from the other end of the input."""

    def __init__(self, padding):
        super().__init__()
        self.left, self.right = padding

    def construct(self, x):
        length = x.shape[-1]
        return ops.gather(x, ops.arange(-self.left, length + self.right) % length, 2)
'''
CROP_CLASS = '''\
class Crop1d(nn.Cell):
    """Cuts samples on each side."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def construct(self, x):
        return x[:, :, self.left : max(x.shape[-1] - self.right, 0)]
'''
LAYERS = {**PAD_LAYERS, "circular": "CircularPad1d(({}, {}))"}
SAME = SamePad(base="nn.Cell", call="construct", pad="ops.pad(x, (left, total - left))")

CROP = CropCode(
    arguments={"pad_mode": "pad"},
    crop="Crop1d({left}, {right})",  # MindSpore's pad layers return wrong values for some negative pads, as measured on 2.10
    crop_class=CROP_CLASS,
    pad=LAYERS["zeros"],
    circular=(LAYERS["circular"], (CIRCULAR,)),
    periodic=True,
    base="nn.Cell",
    call="construct",
    slice=":, :, left:stop",
)


def padding(request: Request) -> Padding:
    """Return ``pad_mode`` and ``padding`` for equal zero pads and MindSpore's 'same', and a pad layer for any other padding."""
    require_mode(request, "mindspore", LAYERS)
    if (name := word_or_number(request, "mindspore", ("valid", "same"), modes=False)) is not None:
        return Padding({"pad_mode": name}, word=True)
    pads, circular = request.pads(), request.mode == "circular"
    if pads is None:
        return same_padding(request, SAME, {"pad_mode": "valid"})
    if pads == (0, 0):
        return Padding({"pad_mode": "valid"}, periodic=circular)
    if pads[0] == pads[1] and request.mode == "zeros":
        return Padding({"pad_mode": "pad", "padding": pads[0]})
    layer = LAYERS[request.mode].format(*map(code_of, pads))
    return Padding({"pad_mode": "valid"}, (layer,), (CIRCULAR,) if circular else (), periodic=circular)


def crop(request: Request) -> Padding:
    """Return ``pad_mode`` and ``padding`` for equal cuts and MindSpore's 'same' and 'valid', or layers around the convolution."""
    if (name := word_or_number(request, "mindspore", ("valid", "same"), modes=False)) is not None:
        return Padding({"pad_mode": name}, word=True)
    arguments = as_padding(request)
    if arguments is None or arguments[1] != 0:
        return around(request, CROP)
    return Padding({"pad_mode": "pad", **({"padding": arguments[0]} if arguments[0] != 0 else {})})


ARGUMENTS = {**NAMES, "groups": "group", "bias": "has_bias", "weight_init": "weight_init", "bias_init": "bias_init"}
WRITER = Writer(
    classes=(
        TargetClass(code="nn.Conv1d", names=ARGUMENTS, padding=padding),
        TargetClass(code="nn.Conv1dTranspose", names=ARGUMENTS, padding=crop, layer=CONV_TRANSPOSE),
    ),
    function=TargetFunction(
        code="ops.conv1d",
        names={name: name for name in ("stride", "dilation", "groups")},
        transpose="{weight}.transpose{order}",
    ),
    imports={
        "mindspore": "import mindspore",
        "nn": "from mindspore import nn",
        "ops": "from mindspore import ops",
        "initializer": "from mindspore.common import initializer",
    },
    initial=initial,
    sequence="nn.SequentialCell([{}])",
    activations={
        **ACTIVATIONS,
        "selu": "nn.SeLU()",
        "silu": "nn.SiLU()",
        "swish": "nn.SiLU()",
        "gelu": "nn.GELU(approximate=False)",
        "leaky_relu": "nn.LeakyReLU(0.2)",
        "softmax": "nn.Softmax(axis=1)",
    },
    dtype="mindspore.{}",
    remarks={
        "float64": "MindSpore 2.10 has no float64 convolution on the CPU",
        "tanh": "MindSpore 2.10 computes tanh on the CPU with errors up to 1.1e-4",
    },
    spell_defaults=True,
)
