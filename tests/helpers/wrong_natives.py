"""A framework made of NumPy that is what policy ``torch`` claims, and deliberately wrong ones; what rejects each and what it says."""

from __future__ import annotations

from types import SimpleNamespace

import attrs
import numpy as np

import convpolicy as cp
from convpolicy.testing.transposed_faults import OtherFans
from convpolicy.verification.native import LAYERS

POLICY = cp.policy("torch")
PACKED = ("weight", "bias")


def framework(policy=POLICY, **changes):
    """The functions of a native module, some of them changed; those of transposed convolutions for a `TransposedPolicy`."""
    state = {"stream": None}

    def seed(number):
        state["stream"] = policy.start_stream(number)

    def build(spec, words):
        sizes = (spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride)
        make = cp.ConvTranspose1d if spec.transposed else cp.Conv1d
        layer = make(*sizes, dilation=spec.dilation, groups=spec.groups, policy="torch", seed=0, **words)
        if state["stream"] is not None:
            drawn = policy.evolve(bias=layer.bias is not None).draw(spec, state["stream"])
            give(layer, {name: value for name, value in drawn.items() if value is not None})
        return layer

    def parameters(layer):
        return {name: getattr(layer, name) for name in PACKED if getattr(layer, name) is not None}

    def give(layer, values):
        for name, value in values.items():
            getattr(layer, name)[...] = value

    return SimpleNamespace(**{
        "version": lambda: "2.13.0", "seed": seed, "build": build, "parameters": parameters, "give": give,
        "run": lambda layer, data: layer(data), "PADDINGS": (0, 2), "PADDING_MODES": ("zeros", "reflect"), **changes,
    })  # fmt: skip


def transposed_framework(**changes):
    """The functions of a native module of transposed convolutions, some of them changed."""
    changes = {"PADDINGS": (1,), "OUTPUT_PADDINGS": (1,), "PADDING_MODES": ("zeros",), **changes}
    return framework(changes.pop("policy", POLICY.transposed), **changes)


RIGHT = framework()
RIGHT_TRANSPOSED = transposed_framework()


@attrs.frozen(eq=False)
class Numpys(cp.Native):
    """A native whose modules are objects at hand."""

    functions: SimpleNamespace = attrs.field(default=RIGHT, kw_only=True)
    of_transposed: SimpleNamespace = attrs.field(default=RIGHT_TRANSPOSED, kw_only=True)

    def load(self, layer=LAYERS[0]):
        """Return the object of a layer."""
        return self.functions if layer == LAYERS[0] else self.of_transposed


def native(name="torch", module="helpers.wrong_natives", description="A framework of NumPy.", **more):
    return Numpys(name, module, description=description, **more)


def wrong(**changes):
    return native(functions=framework(**changes))


def transposed_native(functions=RIGHT_TRANSPOSED, module=""):
    """The native of transposed convolutions, and of nothing else unless ``module`` is given."""
    return native(module=module, transposed="helpers.wrong_natives", of_transposed=functions)


def wrong_transposed(**changes):
    return transposed_native(transposed_framework(**changes))


def built_transposed(change):
    """The framework whose transposed layers are built of other sizes or words: ``(spec, words) -> (spec, words)``."""

    def build(spec, words):
        return RIGHT_TRANSPOSED.build(*change(spec, dict(words)))

    return wrong_transposed(build=build, seed=RIGHT_TRANSPOSED.seed)


def extra_sample_left(spec, words):
    """output_padding keeps more on the left."""
    padding, more = words.get("padding", 0), words.pop("output_padding", 0)
    return spec, {**words, "padding": (padding - more, padding)}


def without_output_padding(spec, words):
    words.pop("output_padding", None)
    return spec, words


def without_groups(spec, words):
    if spec.groups > 1:
        raise ValueError("no groups")
    return spec, words


def exchanged(layer):
    """The weight with output channels first."""
    return {**RIGHT_TRANSPOSED.parameters(layer), "weight": layer.weight.swapaxes(0, 1)}


def built(change):
    """The framework whose layers are built of other sizes or words: ``(spec, words) -> (spec, words)``."""
    return wrong(build=lambda spec, words: RIGHT.build(*change(spec, dict(words))), seed=RIGHT.seed)


def without(functions, name):
    return SimpleNamespace(**{key: value for key, value in vars(functions).items() if key != name})


def without_modes(spec, words):
    words.pop("padding_mode", None)
    return spec, words


def more_padding(spec, words):
    return spec, {
        **words,
        "padding": words.get("padding", 0) + 1 if isinstance(words.get("padding", 0), int) else words["padding"],
    }


def same_to_the_left(spec, words):
    return spec, {**words, **({"padding": "torch-left"} if words.get("padding") == "same" else {})}


def no_bias(spec, words):
    return spec, {"bias": False, **words}


SHARED = {}


def shared_weights(spec, words):
    key = (spec, tuple(words.items()))
    return SHARED.setdefault(key, RIGHT.build(spec, words))


def half(layer, values):
    RIGHT.give(layer, {name: value.astype("float16") for name, value in values.items()})


def refuse(spec, words):
    if "padding" not in words and spec.groups == 1:
        raise ValueError("no such layer")
    return spec, words


WRONG = {
    "says nothing": (native(description=""), "names", "its description must be one line, got ''"),
    "of no policy": (native("torhc"), "names", "unknown policy 'torhc'.*Did you mean 'torch'"),
    "of a policy without a framework": (native("paper/encodec"), "names", "its name must be that of a policy that claims a framework, but policy 'paper/encodec' claims none"),
    "a file": (native(module="native/torch.py"), "names", "module must be an import path such as 'my_plugin.native', got 'native/torch.py'"),
    "a number in the environment": (native(environment={"THREADS": 1}), "names", "environment must map text to text, got 'THREADS': 1"),
    "another environment": (native(environment={"NO_SUCH_VARIABLE": "x"}), "installed", "the environment of this process must have NO_SUCH_VARIABLE='x', got None; set it before Python starts"),
    "a framework that is not there": (
        cp.Native("torch", "nowhere_at_all.native", description="Nothing."), "installed", "its module 'nowhere_at_all.native' needs 'nowhere_at_all', which is not installed; install it",
    ),
    "no run": (native(functions=without(RIGHT, "run")), "signatures", r"run must be a function of \(layer, data\), got NoneType"),
    "build of sizes alone": (wrong(build=lambda spec: None), "signatures", r"build must take \(spec, words\), but has the signature \(spec\)"),
    "one padding": (wrong(PADDINGS=2), "signatures", "PADDINGS must be a tuple of names and numbers, got 2"),
    "no layers in a row": (wrong(LAYERS_IN_A_ROW=0), "signatures", "LAYERS_IN_A_ROW must be an integer of 1 or more, got 0"),
    "version of numbers": (wrong(version=lambda: (2, 13)), "version", r"version must return a string such as '2.1.0', got \(2, 13\)"),
    "another version": (wrong(version=lambda: "1.0"), "version", "its policy is for versions .*, but 1.0 is installed; install such a version"),
    "lists": (wrong(parameters=lambda layer: {"weight": layer.weight.tolist()}), "parameters", "parameter 'weight' must be a NumPy array, got list, for channels 4 -> 8"),
    "float64": (
        wrong(parameters=lambda layer: {name: value.astype("float64") for name, value in RIGHT.parameters(layer).items()}),
        "parameters", "parameter 'weight' must be float32, got float64",
    ),
    "another name": (
        wrong(parameters=lambda layer: {"kernel": layer.weight}), "parameters", "parameters must have the names and axes of layout OIW, .* got {'kernel': .*no further argument",
    ),
    "another bias by default": (built(no_bias), "parameters", r"parameters must have the names and axes of layout OIW, {'weight': .*, 'bias': .* got {'weight': \(8, 2, 3\)}, .* no further argument"),
    "another axis": (wrong(run=lambda layer, data: layer(data).transpose(0, 2, 1)), "output", r"run must return axes NCW of shape \(2, 8, 7\), got \(2, 7, 8\)"),
    "output in float64": (wrong(run=lambda layer, data: layer(data).astype("float64")), "output", "run must return float32, got float64"),
    "give ignored": (wrong(give=lambda layer, values: None), "give", "parameters must return the weight that give wrote into this layer, bit for bit"),
    "give rounds": (wrong(give=half), "give", "parameters must return the weight that give wrote into this layer, bit for bit"),
    "layers share their weights": (wrong(build=shared_weights), "give", "parameters must return the weight that give wrote into this layer, bit for bit"),
    "padding of its own": (built(more_padding), "output", r"run must return axes NCW of shape \(2, 8, 7\), got \(2, 8, 9\)"),
    "another odd side": (built(same_to_the_left), "windows", "padding 'same': the framework's layer differs from what policy 'torch' claims, kernel 2, stride 1"),
    "mode dropped": (built(without_modes), "windows", "padding mode 'reflect': the framework's layer differs from what policy 'torch' claims, kernel"),
    "another convolution": (
        wrong(run=lambda layer, data: layer(data[:, :, ::-1])[:, :, ::-1]), "windows", "padding by default: the framework's layer differs from what policy 'torch' claims, kernel 2",
    ),
    "not exact": (wrong(run=lambda layer, data: layer(data) + np.float32(1e-3) * (data.shape[0] > 1)), "values", "outputs against float64: .* of the tolerance"),
    "refuses the rest": (built(refuse), "windows", r"padding by default: .* differs from what policy 'torch' claims, \d+ refused by the framework"),
    "seed ignored": (wrong(seed=lambda number: None), "initial-weights", "initial weights after seeding: .* values, .* differ by up to"),
    "no module": (native(module=""), "names", "it must have a module; pass module= or transposed="),
    "a file of transposed layers": (
        native(transposed="native/torch.py"), "names", "transposed must be an import path such as 'my_plugin.native', got 'native/torch.py'",
    ),
    "one output_padding": (
        wrong_transposed(OUTPUT_PADDINGS=1), "transposed-signatures", "OUTPUT_PADDINGS must be a tuple of names and numbers, got 1",
    ),
    "cut on the other side": (
        built_transposed(extra_sample_left), "transposed-windows", "padding by default, output_padding 1: the framework's layer differs from what policy 'torch' claims, kernel",
    ),
    "output_padding ignored": (
        built_transposed(without_output_padding), "transposed-windows", "padding by default, output_padding 1: the framework's layer differs from what policy 'torch' claims, kernel",
    ),
    "kernel flipped": (
        wrong_transposed(run=lambda layer, data: layer(data[..., ::-1])[..., ::-1]), "transposed-windows", "padding by default: the framework's layer differs from what policy 'torch' claims, kernel 2",
    ),
    "in and out exchanged": (
        wrong_transposed(parameters=exchanged), "transposed-parameters", r"parameters must have the names and axes of layout IOW, {'weight': \(4, 6, 3\).* got {'weight': \(6, 4, 3\)",
    ),
    "fans exchanged": (
        wrong_transposed(policy=OtherFans.of(POLICY.transposed)), "transposed-initial-weights", "initial weights after seeding: .* values, .* differ by up to",
    ),
}  # fmt: skip
