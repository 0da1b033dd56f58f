"""How ``translate`` writes Keras code."""

from __future__ import annotations

import itertools

import attrs

from convpolicy.core.named import policy as named_policy
from convpolicy.frameworks.keras.initial_code import initial
from convpolicy.parts.choice import Choice
from convpolicy.translation.crops import CropCode, around
from convpolicy.translation.dialect import TargetClass, Writer
from convpolicy.translation.functions import TargetFunction
from convpolicy.translation.paddings import Padding, SamePad, native_word, require_mode, same_padding
from convpolicy.translation.reading import CONV_TRANSPOSE, Request
from convpolicy.translation.values import Value, code_of

SAME = SamePad(
    name="{}Pad1D",
    base="keras.layers.Layer",
    call="call",
    axis="1",
    pad="keras.ops.pad(x, ((0, 0), (left, total - left), (0, 0)))",
    init_head=", **kwargs",
    init_tail="**kwargs",
)
DILATED = "dilation: TensorFlow cannot run a dilated transposed convolution on the CPU; run Keras on torch or JAX there"
PAD = '''\
class {name}(keras.layers.Layer):
    """Pads both sides with {samples}."""

    def __init__(self, left, right, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = left, right

    def call(self, x):
        left, right = self.left, self.right
        return {pad}
'''
MODES = {
    "reflect": ("ReflectPad1D", "the mirrored input", 'keras.ops.pad(x, ((0, 0), (left, right), (0, 0)), mode="reflect")'),
    "replicate": (
        "ReplicatePad1D",
        "the edge sample",
        "keras.ops.concatenate([x[:, :1]] * left + [x] + [x[:, -1:]] * right, axis=1)",
    ),
    "circular": (
        "CircularPad1D",
        "samples from the other end",
        "keras.ops.concatenate([x[:, -left:] if left else x[:, :0], x, x[:, :right]], axis=1)",
    ),
}


def padding(request: Request) -> Padding:
    """Return Keras's own ``padding``, a ``ZeroPadding1D`` for other zero pads, or a pad layer for another mode."""
    require_mode(request, "keras", ("zeros", *MODES))
    tail = (
        "" if request.dtype in (None, "float32") else f', dtype="{request.dtype}"'
    )  # without it Keras casts the input to float32
    keyword = native_word(request, "keras", ("valid", "same", "causal"), modes=False)
    if keyword is not None:
        return Padding({} if keyword == "valid" else {"padding": keyword}, word=True)
    pads = request.pads()
    if pads is None:
        return same_padding(request, SAME, {}, tail)
    if pads == (0, 0):
        return Padding()
    if request.mode == "zeros":
        return Padding({}, (f"keras.layers.ZeroPadding1D({code_of(pads)}{tail})",))
    name, samples, pad = MODES[request.mode]
    left, right = map(code_of, pads)
    return Padding({}, (f"{name}({left}, {right}{tail})",), (PAD.format(name=name, samples=samples, pad=pad),))


def crop(request: Request) -> Padding:
    """Return Keras's own ``padding``, or layers around a transposed convolution that cuts nothing."""
    return attrs.evolve(_crop(request), notes=() if request.values["dilation"] == 1 else (DILATED,))


def _crop(request: Request) -> Padding:
    if (arguments := _own_crop(request)) is not None:
        return Padding(arguments, word=True)
    tail = "" if request.dtype in (None, "float32") else f', dtype="{request.dtype}"'
    name, samples, pad = MODES["circular"]
    return around(
        request,
        CropCode(
            crop=f"keras.layers.Cropping1D(({{left}}, {{right}}){tail})",
            pad=f"keras.layers.ZeroPadding1D(({{}}, {{}}){tail})",
            circular=(f"{name}({{}}, {{}}{tail})", (PAD.format(name=name, samples=samples, pad=pad),)),
            at_least_stride=True,
            name="SameCrop1D",
            base=SAME.base,
            call=SAME.call,
            axis=SAME.axis,
            slice=":, left:stop",
            init_head=SAME.init_head,
            init_tail=SAME.init_tail,
            tail=tail,
        ),
    )


def _own_crop(request: Request) -> dict[str, Value] | None:
    """Return Keras's ``padding`` and ``output_padding`` that cut like the layer, or None."""
    names = dict(named_policy("keras").half().padding_names)
    strides = range(int(request.spec.stride)) if request.is_known("stride") else ()
    for output_padding, word in itertools.product((None, *strides), ("valid", "same")):
        choice = Choice(names[word], **({} if output_padding is None else {"output_padding": output_padding}))
        if native_word(request, "keras", (choice,), modes=False) is not None:
            arguments = {"padding": word, "output_padding": output_padding}
            return {name: value for name, value in arguments.items() if value not in ("valid", None)}
    return None


ARGUMENTS = {
    "stride": "strides",
    "dilation": "dilation_rate",
    "bias": "use_bias",
    "weight_init": "kernel_initializer",
    "bias_init": "bias_initializer",
    "activation": "activation",
    "dtype": "dtype",
}
SIZES = "{out_channels}, {kernel_size}"
WRITER = Writer(
    classes=(
        TargetClass(code="keras.layers.Conv1D", sizes=SIZES, names={**ARGUMENTS, "groups": "groups"}, padding=padding),
        TargetClass(code="keras.layers.Conv1DTranspose", sizes=SIZES, names=ARGUMENTS, padding=crop, layer=CONV_TRANSPOSE),
    ),
    function=TargetFunction(
        code="keras.ops.conv",
        names={"stride": "strides", "dilation": "dilation_rate"},  # groups follow from the shapes
        axes="WIO",
        transpose="keras.ops.transpose({weight}, {order})",
        takes_bias=False,
    ),
    imports={"keras": "import keras"},
    initial=initial,
    sequence="keras.Sequential([{}])",
)
