"""A stranger's dialect with a policy of its own: everything that a dialect may say."""

from __future__ import annotations

import convpolicy as cp
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass, TargetClass, Writer
from convpolicy.translation.distributions import in_numbers
from convpolicy.translation.initial_code import call
from convpolicy.translation.initializer_words import Named, plain
from convpolicy.translation.meaning import Meaning
from convpolicy.translation.paddings import Padding, SamePad, native_word, same_padding
from convpolicy.translation.reading import REQUIRED, word
from convpolicy.translation.values import code_of


def meaning(arguments):
    """``pad`` is a word of its own, or a number."""
    padding = arguments["padding"]
    if isinstance(padding, str):
        return Meaning(policy={"padding": {"none": 0, "keep": "same_lower"}[word("pad", padding, ("none", "keep"))]})
    return Meaning(policy={"padding": padding}, notes=("pads are cheap",))


def padding(request):
    """A word, a number, a layer before, or a class with the formula."""
    if native_word(request, "tide", ("valid",), modes=False) is not None:
        return Padding({"pad": "none"}, word=True)
    pads = request.pads()
    if pads is None:
        return same_padding(
            request, SamePad(base="tide.Layer", call="run", pad="tide.pad(x, left, total - left)"), {"pad": "none"}
        )
    if pads[0] == pads[1] and request.mode == "zeros":
        return Padding({"pad": pads[0]})
    return Padding({"pad": "none"}, (f'tide.Pad({code_of(pads[0])}, {code_of(pads[1])}, "{request.mode}")',))


def initial(distribution, role, request):
    """Uniforms in numbers, and constants."""
    numbers = in_numbers(distribution, request)
    if numbers.kind == "uniform":
        return f"{{tensor}} = {call('tide.uniform', numbers.parameters['low'], numbers.parameters['high'])}({{tensor}})"
    return f"{{tensor}}.fill({code_of(numbers.parameters['value'])})" if numbers.kind == "constant" else None


CONV = SourceClass(
    title="tide.layers.Conv",
    paths=("tide.Conv",),
    parameters={"cin": REQUIRED, "cout": REQUIRED, "width": REQUIRED, "step": 1, "pad": "none", "fill": None, "speed": None,
                "twist": None},
    positional=3,
    names={"cin": "in_channels", "cout": "out_channels", "width": "kernel_size", "step": "stride", "pad": "padding",
           "fill": "weight_init"},
    meaning=meaning,
    left_out={"speed": "it only says how fast"},
    refused={"twist": "it twists the output"},
)  # fmt: skip
PLAIN = SourceClass(
    title="tide.plain.Conv1",
    parameters={"cin": REQUIRED, "cout": REQUIRED, "width": REQUIRED, "padding": 0},
    positional=4,
    names={"cin": "in_channels", "cout": "out_channels", "width": "kernel_size"},
    policy={"bias": True},
)
READER = Reader(
    classes=(CONV, PLAIN),
    modules={"tide": "tide", "layers": "tide.layers"},
    initializers={"flat": Named({"height": 1.0}, lambda height: Choice("constant", value=height)), "zero": plain("zeros")},
)
WRITER = Writer(
    classes=(
        TargetClass(
            code="layers.Conv",
            sizes="{in_channels}, {out_channels}, [{kernel_size}]",
            names={"stride": "step", "bias": "bias", "dtype": "kind"},
            padding=padding,
            extra="device=here()",
        ),
    ),
    imports={"tide": "import tide", "layers": "from tide import layers"},
    initial=initial,
    sequence="layers.Row({})",
    item="{name}.parts[{number}]",
    has_bias="{}.is_biased",
    activations={"relu": "layers.Relu()"},
    dtype="tide.{}",
    remarks={"float64": "slow"},
)
POLICY = cp.Policy("tide", weight_init="ones", bias_init="ones", bias=False, description="Tide.", source="tide/layers.py")


class Tide:
    """A plugin with a policy and a dialect, whose fields may be others."""

    def __init__(self, **fields):
        self.fields = {"reader": READER, "writer": WRITER, "aliases": ("flood",)} | fields

    @cp.hookimpl
    def convpolicy_policies(self):
        return [POLICY]

    @cp.hookimpl
    def convpolicy_dialects(self):
        return [Dialect("tide", **self.fields)]
