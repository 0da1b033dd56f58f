"""A stranger's dialect is read and written like a built-in one; whatever fails in it is reported with its name and its plugin's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import convpolicy as cp
from convpolicy import registry
from convpolicy.cli import group as cli
from convpolicy.extensions.loading import PluginRegistry
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect, Reader, SourceClass, TargetClass, Writer
from convpolicy.translation.distributions import Distribution, in_numbers
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


@pytest.fixture
def register():
    """``register(plugin, name="stranger")``, undone after the test."""
    names = []

    def run(plugin, name="stranger"):
        report = cp.register(plugin, name)
        names.append(report.name)
        return report

    yield run
    for name in names:
        cp.unregister(name)


WRITTEN = """\
import tide
from tide import layers


class SameLowerPad1d(tide.Layer):
    \"\"\"Zeros for ceil(length / stride) outputs, an odd one on the left.\"\"\"

    def __init__(self, kernel_size, stride, dilation):
        super().__init__()
        self.span, self.stride = (kernel_size - 1) * dilation, stride

    def run(self, x):
        total = max(self.span - (x.shape[-1] - 1) % self.stride, 0)
        left = total - total // 2
        return tide.pad(x, left, total - left)


# input: (batch, channels, length) here, (batch, length, channels) in flax
# weight: axes OIW here, WIO in flax (O out, I in/groups, W kernel)
# initial values: drawn from the laws of flax by another generator, so not the same numbers
# initial weight: lecun_truncated_normal has no counterpart here, the default stands in
layer = layers.Row(
    SameLowerPad1d(3, 2, 1),
    layers.Conv(2, 4, [3], step=2, pad="none", bias=b, device=here()),
)
if layer.parts[1].is_biased:
    layer.parts[1].bias.fill(0.0)
"""


def test_a_strangers_dialect_is_written(register):
    """Sizes, keywords, a pad class, statements for initial values, remarks and imports are the dialect's."""
    register(Tide())
    flax = "nnx.Conv(2, 4, (3,), strides=2, padding='SAME_LOWER', use_bias=b, rngs=r)"
    assert cp.translate(flax, "flax", "tide") == WRITTEN
    code = cp.translate("nn.Conv1d(2, 4, 3, dtype=torch.float64, padding=1, padding_mode='circular')", "torch", "flood")
    assert "# slow\n" in code
    conv = 'layers.Conv(2, 4, [3], pad="none", bias=True, kind=tide.float64, device=here())'
    assert f'layer = layers.Row(\n    tide.Pad(1, 1, "circular"),\n    {conv},\n)\n' in code
    bound = (1 / 3 * 3 / 6) ** 0.5
    assert f"layer.parts[1].weight = tide.uniform({-bound}, {bound})(layer.parts[1].weight)\n" in code
    relu = cp.translate("layers.Conv1D(4, 3, activation='relu', kernel_initializer='ones')", "keras", "tide", in_channels=2)
    assert 'layer = layers.Row(layers.Conv(2, 4, [3], pad="none", bias=True, device=here()), layers.Relu())\n' in relu
    assert "layer.parts[0].weight" not in relu  # ones are its default
    command = CliRunner().invoke(cli.build(), ["translate", flax, "--from", "flax", "--to", "tide"])
    assert command.stdout == WRITTEN


def test_a_strangers_dialect_is_read(register):
    """Its names, words, defaults and initializers, both of its classes, and its files."""
    register(Tide())
    assert "layer = nn.Conv1d(2, 4, 3, bias=False)\nnn.init.constant_(layer.weight, 1.0)\n" in cp.translate(
        "tide.Conv(2, 4, 3)", "tide", "torch"
    )
    code = cp.translate("layers.Conv(2, 4, 3, pad=1, fill=flat(height=0.5), speed=9)", "flood", "mindspore")
    assert "# speed=9 is left out: it only says how fast\n# pads are cheap\n" in code
    assert 'nn.Conv1d(\n    2, 4, 3,\n    pad_mode="pad",\n    padding=1,\n' in code
    assert "weight_init=initializer.Constant(0.5)" in code
    assert "SameLowerPad1d(3, 2, 1)" in cp.translate("tide.Conv(2, 4, 3, step=2, pad='keep')", "tide", "torch")
    page = "from tide.plain import Conv1\nimport tide.layers as tl\na = Conv1(2, 4, n, k)\nb = tl.Conv(*x)\nc = tl.Conv(1, 2, 3, pad='nune')"
    first, second, third = cp.translate_page(page, "tide", "torch")
    assert first.code.endswith(
        "a = nn.Conv1d(2, 4, n, padding=k)\nnn.init.constant_(a.weight, 1.0)\nnn.init.constant_(a.bias, 1.0)\n"
    )
    assert "starred" in second.reason
    assert third.reason == "pad must be one of none, keep, got 'nune'; pick one. Did you mean 'none'?"
    with pytest.raises(cp.InvalidValueError, match="twist must be left out, got 3, as it twists the output"):
        cp.translate("tide.Conv(2, 4, 3, twist=3)", "tide", "torch")
    with pytest.raises(cp.InvalidValueError, match=r"padding must be an integer, got 'same'"):
        cp.translate("tide.plain.Conv1(2, 4, 3, 'same')", "tide", "torch")
    with pytest.raises(cp.InvalidValueError, match=r"it has some of tide: pass source="):
        cp.translate_page(page)
    with pytest.raises(cp.InvalidValueError, match=r"got tide\.layers\.Linear; pass such a call"):
        cp.translate("layers.Linear(2, 4)", "tide", "torch")


def test_what_a_class_has_no_argument_for_is_refused(register):
    """Dilation and groups, which it cannot express, an unknown activation, and a kind of layer that it does not have."""
    register(Tide())
    for name in ("dilation", "groups"):
        with pytest.raises(
            cp.InvalidValueError, match=f"{name} must be left out for tide, whose layers.Conv has no such argument, got 2"
        ):
            cp.translate(f"nn.Conv1d(2, 4, 3, {name}=2)", "torch", "tide")
    with pytest.raises(cp.InvalidValueError, match="activation must be one of relu for tide, got 'elu'"):
        cp.translate("layers.Conv1D(4, 3, activation='elu')", "keras", "tide", in_channels=2)
    with pytest.raises(cp.InvalidValueError, match=r"Deconv1d cannot be written in tide, which has Conv1d\."):
        Tide().convpolicy_dialects()[0].target_class("Deconv1d")


@pytest.mark.parametrize(("fields", "direction"), [({"writer": None}, "target"), ({"reader": None}, "source")])
def test_a_dialect_of_one_direction(register, fields, direction):
    """It is not offered for the other one."""
    register(Tide(**fields))
    calls = {"target": ("nn.Conv1d(2, 4, 3)", "torch", "tide"), "source": ("tide.Conv(2, 4, 3)", "tide", "torch")}
    with pytest.raises(
        LookupError, match=f"unknown {direction} framework 'tide'; known: flax, keras, mindspore, paddle, tensorflow, torch"
    ):
        cp.translate(*calls.pop(direction))
    assert cp.translate(*next(iter(calls.values())))


def broken(*_arguments):
    """Fails as a stranger's function does: with an error of Python's own."""
    raise KeyError("seven")


BROKEN = {
    "meaning": (Tide(reader=Reader(classes=(SourceClass(title="tide.Conv", parameters=CONV.parameters, positional=3, names=CONV.names,
                                                        meaning=broken),))), "reading tide.Conv"),
    "channels": (Tide(reader=Reader(classes=(CONV,), channels=broken)), "following the channels of a page"),
    "padding": (Tide(writer=Writer(classes=(TargetClass(code="Conv", names={}, padding=broken),), imports={}, sequence="{}")),
                "writing Conv"),
    "initial": (Tide(writer=Writer(classes=(TargetClass(code="Conv", names={"bias": "bias"}, padding=padding),), imports={},
                                   sequence="{}", initial=broken)), "writing Conv"),
}  # fmt: skip


@pytest.mark.parametrize("function", BROKEN)
def test_a_function_that_fails_is_reported(register, function):
    """By the dialect and its plugin; on a page as the reason of each call; other dialects go on."""
    plugin, step = BROKEN[function]
    register(plugin)
    sentence = f"dialect 'tide' of plugin 'stranger' failed while {step}: KeyError: 'seven'"
    reads = function in ("meaning", "channels")
    call, source, target = ("tide.Conv(2, 4, 3)", "tide", "torch") if reads else ("nn.Conv1d(2, 4, 3)", "torch", "tide")
    translate = cp.translate_page if function == "channels" else cp.translate
    with pytest.raises(cp.ConvPolicyError) as error:
        translate(call, source, target)
    assert (type(error.value).__name__, str(error.value)) == ("PluginError", sentence)
    if function != "channels":
        assert [line.reason for line in cp.translate_page(f"x = 1\n{call}", source, target)] == [sentence]
    assert cp.translate("nn.Conv1d(2, 4, 3)")


class Late:
    """A plugin whose dialect is made late."""

    def __init__(self, make):
        self.make = make

    @cp.hookimpl
    def convpolicy_dialects(self):
        return [cp.Deferred("dialect", "late", self.make)]


@pytest.mark.parametrize(("make", "sentence"), [
    (broken, "dialect 'late' of plugin 'stranger' failed to load: KeyError: 'seven'"),
    (lambda: None, "dialect 'late' of plugin 'stranger' failed to load: "),
    (lambda: Dialect("early"), "dialect 'late' of plugin 'stranger' must be one of that name, got Dialect("),
    (cp.lazy("convpolicy_absent", "dialect"), "dialect 'late' of plugin 'stranger' failed to load: ModuleNotFoundError: No module"),
])  # fmt: skip
def test_a_dialect_that_does_not_load_is_reported_and_stops_nothing(register, make, sentence):
    """The others translate; its plugin's report names it; asking for it raises the same sentence."""
    report = register(Late(make))
    assert report.errors == []
    assert cp.translate("nn.Conv1d(2, 4, 3)")
    assert cp.translate("nn.Conv1d(2, 4, 3)")
    assert [len(report.errors), report.errors[0].startswith(sentence)] == [1, True]
    for pair in (("late", "torch"), ("torch", "late")):
        with pytest.raises(cp.ConvPolicyError) as error:
            cp.translate("nn.Conv1d(2, 4, 3)", *pair)
        assert str(error.value).startswith(sentence)
        assert type(error.value).__name__ == "PluginError"


def test_a_hook_that_fails_is_reported():
    """With the plugin's name, and nothing of it stays."""

    class Broken:
        @cp.hookimpl
        def convpolicy_dialects(self):
            raise KeyError("seven")

    with pytest.raises(cp.ConvPolicyError, match="plugin 'stranger': convpolicy_dialects raised KeyError: 'seven'"):
        cp.register(Broken(), "stranger")
    assert cp.translate("nn.Conv1d(2, 4, 3)")


def test_two_plugins_with_one_dialect_are_both_named(register, install, monkeypatch):
    """A second one by hand, one of a built-in name, one alias of two dialects, and two that are installed."""
    register(Tide())
    with pytest.raises(cp.ConvPolicyError, match="dialect 'tide' is offered by two plugins, 'stranger' and 'second'"):
        cp.register(Tide(), "second")

    class Named:
        def __init__(self, name, aliases=()):
            self.dialect = Dialect(name, reader=READER, writer=WRITER, aliases=aliases, policy="tide")

        @cp.hookimpl
        def convpolicy_dialects(self):
            return [self.dialect]

    with pytest.raises(cp.ConvPolicyError, match="dialect 'torch' is offered by two plugins, 'torch' and 'second'"):
        cp.register(Named("torch"), "second")
    register(Named("ebb", ("flood",)), "second")
    with pytest.raises(
        cp.ConvPolicyError, match="'flood' is an alias of two dialects, 'ebb' of plugin 'second' and 'tide' of plugin 'stranger'"
    ):
        cp.translate("nn.Conv1d(2, 4, 3)", "torch", "flood")
    assert cp.translate("nn.Conv1d(2, 4, 3)", "torch", "ebb") == cp.translate("nn.Conv1d(2, 4, 3)", "torch", "tide")

    text = "import convpolicy as cp\n@cp.hookimpl\ndef convpolicy_dialects():\n    return [cp.Dialect('tide')]\n"
    for name in ("one", "two"):
        install(name, text)
    before = registry.current()
    monkeypatch.setattr(registry, "_current", PluginRegistry())
    assert registry.current() is not before
    with pytest.raises(cp.ConvPolicyError, match="dialect 'tide' is offered by two plugins, 'one' and 'two'"):
        cp.translate("nn.Conv1d(2, 4, 3)", "torch", "tide")
    assert cp.translate("nn.Conv1d(2, 4, 3)")


class Smooth:
    """A plugin with an initializer, and a dialect that reads it."""

    def __init__(self, distribution):
        self.initializer = cp.Initializer(
            "smooth", lambda draws, target: draws.normal(target.shape, 0, 1), distribution=distribution
        )

    @cp.hookimpl
    def convpolicy_initializers(self):
        return [self.initializer]

    @cp.hookimpl
    def convpolicy_dialects(self):
        return [Dialect("tide", reader=Reader(classes=(CONV,), initializers={"smooth": plain("smooth")}), policy="torch")]


SMOOTH = "tide.Conv(2, 4, 3, fill='smooth')"


def test_a_strangers_initializer_is_written_by_its_distribution(register):
    """In every framework; without a distribution, or with one that none of them has, a comment says that the default is left."""
    register(Smooth(lambda: Distribution("normal", mean=0.0, std=2.0)))
    assert "nn.init.normal_(layer.weight, mean=0.0, std=2.0)" in cp.translate(SMOOTH, "tide", "torch")
    assert "initializer.Normal(sigma=2.0, mean=0.0)" in cp.translate(SMOOTH, "tide", "mindspore")
    assert "RandomNormal(mean=0.0, stddev=2.0)" in cp.translate(SMOOTH, "tide", "keras")
    assert "nnx.initializers.normal(2.0)" in cp.translate(SMOOTH, "tide", "flax")
    assert "nn.initializer.Normal(mean=0.0, std=2.0)" in cp.translate(SMOOTH, "tide", "paddle")


@pytest.mark.parametrize(
    "distribution", [None, lambda: Distribution("cauchy", width=1.0), lambda: Distribution("constant", value=1e999)]
)
def test_an_initializer_without_a_counterpart_is_a_comment(register, distribution):
    """Not an error, whatever the target."""
    register(Smooth(distribution))
    for target in ("torch", "mindspore", "keras", "flax", "paddle"):
        assert "# initial weight: smooth has no counterpart here" in cp.translate(SMOOTH, "tide", target)


@pytest.mark.parametrize(("distribution", "sentence"), [
    (broken, r"distribution of initializer 'smooth' \(stranger\) failed for {}: KeyError: 'seven'"),
    (lambda: "normal", r"distribution of initializer 'smooth' \(stranger\) must return a Distribution, got str"),
    (lambda: Distribution("normal", sigma=1.0), "distribution 'normal' must have mean, std, got sigma"),
])  # fmt: skip
def test_a_wrong_distribution_is_reported(register, distribution, sentence):
    """With the initializer, its plugin and what came."""
    register(Smooth(distribution))
    with pytest.raises(cp.ConvPolicyError, match=sentence):
        cp.translate(SMOOTH, "tide", "torch")


def test_every_initializer_has_a_distribution_that_names_its_parameters():
    """Of the built-in ones all but fixed arrays and a depthwise kernel's, which no other framework has."""
    without = {name for name, part in cp.initializers().items() if part.distribution is None}
    assert without == {"array", "keras_depthwise_glorot_uniform"}
    for name, part in cp.initializers().items():
        if name not in without:
            assert isinstance(part.distribution(**part.arguments(Choice(name))), Distribution)


def test_the_channels_that_a_keras_call_says():
    """Also on a page, where nothing else says them."""
    for words in ("input_dim=3", "input_shape=(3, 9), data_format='channels_first'"):
        assert (
            "layer1 = nn.Conv1d(3, 8, 4)" in cp.translate_page(f"x = 1\nlayers.Conv1D(8, 4, {words})", "keras", "torch")[0].code
        )


def test_loading_plugins_imports_no_translation():
    """A dialect is made when a translation asks for it."""
    code = "import sys, convpolicy as cp; cp.policies(), cp.plugins(); print([m for m in sys.modules if 'translation' in m or 'dialect' in m])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
