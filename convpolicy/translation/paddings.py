"""How each framework pads: by an argument of its convolution where it can, else by a layer before it.

A framework's own word is taken where it pads the same (`native_word` asks the policies); numbers are the policies' too. What
depends on the input length becomes a class with the formula in it, which needs nothing but its framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.errors import InvalidValueError
from convpolicy.translation.reading import Wanted
from convpolicy.translation.values import Value, code_of
from convpolicy.translation.writing import Padding, native_word

SAME_PAD = '''\
class {name}({base}):
    """Zeros for ceil(length / stride) outputs, an odd one on the {side}."""

    def __init__(self, kernel_size, stride, dilation{init_head}):
        super().__init__({init_tail})
        self.span, self.stride = (kernel_size - 1) * dilation, stride

    def {call}(self, x):
        total = max(self.span - (x.shape[{axis}] - 1) % self.stride, 0)
        left = {left}
        return {pad}
'''
LEFTS = {"right": "total // 2", "left": "total - total // 2"}
DIALECTS: Mapping[str, Mapping[str, str]] = {
    "torch": {"base": "nn.Module", "call": "forward", "axis": "-1", "pad": "nn.functional.pad(x, (left, total - left))"},
    "mindspore": {"base": "nn.Cell", "call": "construct", "axis": "-1", "pad": "ops.pad(x, (left, total - left))"},
    "paddle": {"base": "nn.Layer", "call": "forward", "axis": "-1", "pad": "nn.functional.pad(x, [left, total - left])"},
    "keras": {
        "base": "keras.layers.Layer",
        "call": "call",
        "axis": "1",
        "pad": "keras.ops.pad(x, ((0, 0), (left, total - left), (0, 0)))",
        "init_head": ", **kwargs",
        "init_tail": "**kwargs",
    },
}

MINDSPORE_CIRCULAR = '''\
class CircularPad1d(nn.Cell):
    """The other end of the input on each side."""

    def __init__(self, padding):
        super().__init__()
        self.left, self.right = padding

    def construct(self, x):
        length = x.shape[-1]
        return ops.gather(x, ops.arange(-self.left, length + self.right) % length, 2)
'''

KERAS_PAD = '''\
class {name}(keras.layers.Layer):
    """{what} on each side."""

    def __init__(self, left, right, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = left, right

    def call(self, x):
        left, right = self.left, self.right
        return {pad}
'''
KERAS_MODES = {
    "reflect": ("ReflectPad1D", "The mirrored input", 'keras.ops.pad(x, ((0, 0), (left, right), (0, 0)), mode="reflect")'),
    "replicate": (
        "ReplicatePad1D",
        "The edge sample again",
        "keras.ops.concatenate([x[:, :1]] * left + [x] + [x[:, -1:]] * right, axis=1)",
    ),
    "circular": (
        "CircularPad1D",
        "The other end of the input",
        "keras.ops.concatenate([x[:, -left:] if left else x[:, :0], x, x[:, :right]], axis=1)",
    ),
}
TORCH_LAYERS = {
    "zeros": "nn.ConstantPad1d(({}, {}), 0.0)",
    "reflect": "nn.ReflectionPad1d(({}, {}))",
    "replicate": "nn.ReplicationPad1d(({}, {}))",
    "circular": "nn.CircularPad1d(({}, {}))",
}
MINDSPORE_LAYERS = {**TORCH_LAYERS, "circular": "CircularPad1d(({}, {}))"}
PADDLE_LAYERS = {
    **{mode: f'nn.Pad1D([{{}}, {{}}], mode="{mode}")' for mode in ("reflect", "replicate", "circular")},
}
JAX_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
Native = dict[str, Any]


def _as_word(wanted: Wanted, target: str, words: tuple[str, ...], *, modes: bool) -> Any:
    """Return the target's word where the source has one too, or where no number would do; numbers stay numbers."""
    found = native_word(wanted, target, words, modes=modes)
    if found is None or wanted.policy.padding.name != "explicit":
        return found
    pads = wanted.pads()
    return None if pads is not None and pads[0] == pads[1] else found


def _nothing(pads: tuple[Value, Value]) -> bool:
    return pads == (0, 0)


def _by_length(wanted: Wanted, target: str, arguments: Native, tail: str = "") -> Padding:
    """Pad by a class that holds the formula of the least padding, the only rule that reads the length."""
    side = wanted.policy.part("padding")[1].get("odd_side", "right")
    sizes = [wanted.number(name, "the pads depend on it") for name in ("kernel_size", "stride", "dilation")]
    name = {"right": "SamePad1d", "left": "SameLowerPad1d"}[side]
    name = name.replace("1d", "1D") if target in ("keras", "paddle") else name
    words = {"init_head": "", "init_tail": "", **DIALECTS[target]}
    text = SAME_PAD.format(name=name, side=side, left=LEFTS[side], **words)
    return Padding(arguments, (f"{name}({', '.join(map(str, sizes))}{tail})",), (text,))


def torch(wanted: Wanted) -> Padding:
    """``padding`` and ``padding_mode`` for equal pads and its own 'same'; else a pad layer."""
    mode: Native = {} if wanted.mode == "zeros" else {"padding_mode": wanted.mode}
    if (found := _as_word(wanted, "torch", ("valid", "same"), modes=True)) is not None:
        return Padding({} if found == "valid" else {"padding": found, **mode}, word=True)
    pads = wanted.pads()
    if pads is None:
        return _by_length(wanted, "torch", {})
    if _nothing(pads):
        return Padding()
    if pads[0] == pads[1]:
        return Padding({"padding": pads[0], **mode})
    return Padding({}, (TORCH_LAYERS[wanted.mode].format(*map(code_of, pads)),))


def mindspore(wanted: Wanted) -> Padding:
    """``pad_mode`` and ``padding`` for zeros, equal on both sides or its own 'same'; else a pad layer."""
    if (found := _as_word(wanted, "mindspore", ("valid", "same"), modes=False)) is not None:
        return Padding({"pad_mode": found}, word=True)
    pads = wanted.pads()
    if pads is None:
        return _by_length(wanted, "mindspore", {"pad_mode": "valid"})
    if _nothing(pads):
        return Padding({"pad_mode": "valid"})
    if pads[0] == pads[1] and wanted.mode == "zeros":
        return Padding({"pad_mode": "pad", "padding": pads[0]})
    classes = (MINDSPORE_CIRCULAR,) if wanted.mode == "circular" else ()
    return Padding({"pad_mode": "valid"}, (MINDSPORE_LAYERS[wanted.mode].format(*map(code_of, pads)),), classes)


def keras(wanted: Wanted) -> Padding:
    """Its words for zeros, ``ZeroPadding1D`` for other zeros; else a layer of its own."""
    tail = "" if wanted.dtype in (None, "float32") else f', dtype="{wanted.dtype}"'  # else Keras casts the input to float32
    found = native_word(wanted, "keras", ("valid", "same", "causal"), modes=False)
    if found is not None:
        return Padding({} if found == "valid" else {"padding": found}, word=True)
    pads = wanted.pads()
    if pads is None:
        return _by_length(wanted, "keras", {}, tail)
    if _nothing(pads):
        return Padding()
    if wanted.mode == "zeros":
        return Padding({}, (f"keras.layers.ZeroPadding1D({code_of(pads)}{tail})",))
    name, what, pad = KERAS_MODES[wanted.mode]
    left, right = map(code_of, pads)
    return Padding({}, (f"{name}({left}, {right}{tail})",), (KERAS_PAD.format(name=name, what=what, pad=pad),))


def flax(wanted: Wanted) -> Padding:
    """Its words, and pairs for other zeros; else ``jnp.pad`` before."""
    words = ("VALID", "SAME", "SAME_LOWER", "CAUSAL", "CIRCULAR", "REFLECT")
    if (found := _as_word(wanted, "flax", words, modes=False)) is not None:
        return Padding({"padding": found}, word=True)
    pads = wanted.pads()
    if pads is None:  # every rule that reads the length is one of its words
        raise InvalidValueError(
            f"padding {wanted.policy.padding} depends on the length, which flax cannot express; pass length=..."
        )
    if _nothing(pads):
        return Padding({"padding": "VALID"})
    if wanted.mode == "zeros":
        return Padding({"padding": [pads]})
    pad = f'lambda x: jnp.pad(x, ((0, 0), {code_of(pads)}, (0, 0)), mode="{JAX_MODES[wanted.mode]}")'
    return Padding({"padding": "VALID"}, (pad,))


def paddle(wanted: Wanted) -> Padding:
    """Numbers, pairs for zeros, and its own 'SAME' for dilation 1; else a pad layer."""
    if (found := _as_word(wanted, "paddle", ("VALID", "SAME"), modes=False)) is not None:
        return Padding({} if found == "VALID" else {"padding": found}, word=True)
    pads = wanted.pads()
    if pads is None:
        return _by_length(wanted, "paddle", {})
    if _nothing(pads):
        return Padding()
    mode: Native = {} if wanted.mode == "zeros" else {"padding_mode": wanted.mode}
    if pads[0] == pads[1]:
        return Padding({"padding": pads[0], **mode})
    if wanted.mode == "zeros":
        return Padding({"padding": list(pads)})
    return Padding({}, (PADDLE_LAYERS[wanted.mode].format(*map(code_of, pads)),))
