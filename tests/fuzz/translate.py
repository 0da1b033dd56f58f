"""Mutated calls and pages for ``translate``: whatever comes, a translation that compiles or a sentence, and nothing of it is run.

One call of `case` is one input; the mark of a spell that was run, an exception outside the contract, and code that is no Python are
faults.
"""

from __future__ import annotations

import ast
import contextlib
import pathlib
import random
import warnings
from collections.abc import Callable

import convpolicy as cp
from convpolicy.errors import InvalidTypeError, InvalidValueError, UnknownNameError

NAME = "translate"
SOURCES = ("torch", "mindspore", "keras", "flax", "paddle")
HEADS = {
    "torch": "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nfrom torch.nn.utils import weight_norm, spectral_norm\n",
    "mindspore": "import mindspore\nfrom mindspore import nn\nfrom mindspore.common import initializer\n",
    "keras": "from tensorflow.keras import layers\nimport keras\nfrom keras.layers import TimeDistributed\n",
    "flax": "from flax import nnx\nimport jax.numpy as jnp\n",
    "paddle": "import paddle\nfrom paddle import nn\n",
    "": "from . import nn\nfrom .modules import *\n",
}
CALLS = {
    "torch": (
        "nn.Conv1d({}, {}, {}, padding={})", "nn.Conv1d({}, {}, kernel_size={}, stride={}, padding_mode='reflect')", "F.conv1d({}, {})",
        "nn.Conv1d({}, {}, {}, dtype={})", "nn.ConvTranspose1d({}, {}, {}, {}, {}, {})",
        "nn.ConvTranspose1d({}, {}, kernel_size={}, padding={}, output_padding={})", "nn.Linear({}, {})",
    ),
    "mindspore": (
        "nn.Conv1d({}, {}, {}, pad_mode='pad', padding={})", "nn.Conv1d({}, {}, {}, {}, pad_mode={})", "mint.nn.Conv1d({}, {}, {})",
        "nn.Conv1d({}, {}, {}, weight_init=initializer.HeUniform(negative_slope={}))",
        "nn.Conv1d({}, {}, {}, weight_init=initializer.VarianceScaling({}, 'fan_in', 'uniform'))", "nn.Conv1d({}, {}, {}, weight_init={})",
        "nn.Conv1dTranspose({}, {}, {}, {}, pad_mode={}, padding={})",
    ),
    "keras": (
        "layers.Conv1D({}, {}, padding={})", "layers.Conv1D({}, {}, {}, padding='same', activation={})",
        "layers.Conv1D({}, {}, data_format={}, kernel_initializer=keras.initializers.VarianceScaling({}))",
        "layers.Conv1D({}, {}, input_shape={}, dilation_rate={})", "layers.SeparableConv1D({}, {})",
        "layers.Conv1DTranspose({}, {}, {}, padding='same', output_padding={})", "layers.Conv1DTranspose({}, {}, {}, padding={})", "layers.Input(({}, {}))",
    ),
    "flax": (
        "nnx.Conv({}, {}, {}, padding={}, rngs=r)", "nnx.Conv({}, {}, {}, kernel_init=nnx.initializers.normal({}), rngs=r)",
        "nnx.Conv({}, {}, ({},), strides={}, mask={}, rngs=r)", "nnx.Linear({}, {})",
        "nnx.ConvTranspose({}, {}, {}, {}, padding={}, rngs=r)", "nnx.ConvTranspose({}, {}, ({},), padding='CIRCULAR', transpose_kernel={})",
        "linen.ConvTranspose({}, {}, {}, {})",
    ),
    "paddle": (
        "nn.Conv1D({}, {}, {}, padding={}, data_format={})", "nn.Conv1D({}, {}, {}, weight_attr=paddle.ParamAttr(initializer={}))",
        "nn.Conv1D({}, {}, {}, weight_attr=nn.initializer.KaimingNormal({}), bias_attr={})", "nn.Conv1D({}, {}, {}, padding_mode={})",
        "nn.Conv1DTranspose({}, {}, {}, {}, {}, {})", "nn.Conv1DTranspose({}, {}, {}, {}, padding='SAME', output_padding={})",
    ),
    "": ("Conv1d({}, {}, {})", "C({}, {}, {})", "nn.Conv1d({}, {}, {})", "Conv1D({}, {})"),
}  # fmt: skip
PLAIN = ("1", "2", "3", "4", "4", "8", "dim")
AROUND = (
    "{}", "weight_norm({})", "spectral_norm({})", "nn.Sequential({}, nn.ReLU())", "{}.half()", "{}.to({})", "{}(x)", "TimeDistributed({})",
    "[{} for _ in range({})]", "(y := {})", "lambda: {}", "f({})", "{} if a else None", "partial({})",
)  # fmt: skip
STATEMENTS = (
    "x = {}", "self.conv = {}", "{}", "for nn in {}: pass", "with {} as nn: pass", "def f(nn, x={}):\n    return nn.Conv1d(1, 2, 3)",
    "class Conv1d:\n    c = {}", "nn.init.kaiming_normal_(x.weight, a={})", "x.stride = {}", "x.weight.data.normal_({})", "x.half()",
    "nn = {}", "global nn", "del nn", "nn.Conv1d = {}", "C = partial(nn.Conv1d, {})\ny = C({})", "model.add({})", "model = m = {}",
    "try:\n    nn = {}\nexcept E as nn:\n    pass", "match x:\n    case [nn, *y]: z = {}", "from torch import nn as {}", "setattr(nn, 'Conv1d', {})",
    "self.apply({})", "async def g():\n    async with {} as nn: pass",
)  # fmt: skip
VALUES = (
    "2", "3", "4", "0", "-1", "True", "None", "1e999", "-0.0", "1e-320", "float", "torch.float64", "'same'", "'SAME'", "'causal'", '"reflect"',
    "(1,)", "[1]", "[(1, 2)]", "{{}}", "{{1: 2}}", "b'x'", "1j", "dim", "2 * dim", "self.c", "*sizes", "**more", "f'{{x}}'", "...", "0x" + "f" * 5000,
    "9" * 400, "'\\ud800'", "'a' * 9", "lambda: 0", "x[0]", "(" * 60 + "1" + ")" * 60, "1" + "+1" * 3000, "not " * 80 + "a", "'\\n'", "'# '", "é",
    "nn.Conv1d", "x.y.z", "await x", "'''\n'''",
)  # fmt: skip
PIECES = (
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "\n",
    "    ",
    ".",
    "'",
    '"',
    "#",
    "\\",
    "\0",
    "\t",
    "\x0c",
    "\r",
    "\u2028",
    "\ufeff",
    "lambda ",
    "*",
    "1",
    "nn",
)


def page(draw: random.Random, source: str, spell: str) -> str:
    """Return a page of a few statements of a framework, with values of any kind and a spell that leaves a mark where it is run."""

    def value() -> str:
        choice = draw.random()
        part = draw.choice(PLAIN) if choice < 0.86 else spell if choice < 0.88 else draw.choice(VALUES)
        return part.replace("{{", "{").replace("}}", "}").replace("{}", "dict()")

    def call() -> str:
        text = draw.choice(CALLS[source if draw.random() < 0.9 else draw.choice(list(CALLS))])
        return filled(text, value)

    def filled(text: str, part: Callable[[], str]) -> str:
        return "".join(piece + (part() if number < text.count("{}") else "") for number, piece in enumerate(text.split("{}")))

    def layer() -> str:
        text = call()
        while draw.random() < 0.3:
            outer = draw.choice(AROUND)
            text = outer.replace("{}", text, 1) if outer.count("{}") == 1 else filled(outer.replace("{}", text, 1), value)
        return text

    if draw.random() < 0.3:
        return layer()
    body = [f"x = {layer()}", *(filled(draw.choice(STATEMENTS), layer) for _ in range(draw.choice((0, 0, 1, 2, 4))))]
    head = HEADS[source if draw.random() < 0.9 else draw.choice(list(HEADS))]
    draw.shuffle(body)
    return head + "\n".join(body) + "\n"


def mutated(draw: random.Random, text: str) -> str:
    """Return a text with a few pieces removed, doubled, moved or put in."""
    for _ in range(draw.choice((0, 0, 0, 0, 1, 1, 2, 4))):
        if not text:
            break
        start = draw.randrange(len(text))
        end = min(len(text), start + draw.randint(1, 12))
        text = draw.choice((
            text[:start] + text[end:], text[:end] + text[start:], text[:start] + draw.choice(PIECES) + text[start:],
            text[end:] + text[:end],
        ))  # fmt: skip
    return text


def _compiles(text: str) -> bool:
    """Whether Python takes a page that it can parse; `await` outside a function is parsed only."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(text, "page", "exec")
        return True
    return False


def case(draw: random.Random, folder: pathlib.Path) -> bool:
    """Translate one mutated page.

    Args:
        draw: says what it is.
        folder: where the mark of a spell that was run would be.

    Returns:
        Whether anything of it was translated.

    Raises:
        AssertionError: an exception outside the contract, code that does not compile, or code of the page that was run.
    """
    mark = folder / "run"
    source, target = draw.sample(SOURCES, 2)
    text = mutated(draw, page(draw, source, f"open({str(mark)!r}, 'w')"))
    options = {"in_channels": draw.choice((None, 1, 4)), "length": draw.choice((None, None, 7))}
    codes = []
    try:
        with contextlib.suppress(InvalidValueError, InvalidTypeError, UnknownNameError):
            codes.append(cp.translate(text, source, target, **options))
        with contextlib.suppress(InvalidValueError, InvalidTypeError, UnknownNameError):
            rows = cp.translate_page(text, source, target, **options)
            assert all(row.line >= 1 and (row.code is None) != (row.reason is None) and row.original for row in rows), rows
            assert not any("failed while" in (row.reason or "") for row in rows), f"{rows} for {text!r}"  # a dialect's own fault
            codes += [row.code for row in rows if row.code is not None]
            codes += [rows.text] if _compiles(text) else []
            ast.parse(rows.text)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {text!r} from {source} to {target} with {options}") from error
    for code in codes:
        try:
            compile(code, "translated", "exec")
        except Exception as error:
            raise AssertionError(f"the translation {code!r} of {text!r} does not compile: {error}") from error
    assert not mark.exists(), f"{text!r} was run"
    return bool(codes)
