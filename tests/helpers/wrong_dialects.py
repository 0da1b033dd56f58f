"""Deliberately wrong dialects, torch's with one fault each; what rejects it and what it says."""

from __future__ import annotations

import attrs

import convpolicy as cp
from convpolicy.frameworks.torch.dialect import READER, dialect
from convpolicy.frameworks.torch.dialect_written import WRITER
from convpolicy.translation.initializer_words import plain
from convpolicy.translation.paddings import Padding

CONV, CONV_TRANSPOSE, *_lazy = READER.classes
TARGET, TARGET_TRANSPOSE = WRITER.classes


def other(**fields):
    """Torch's dialect with other fields."""
    return attrs.evolve(dialect(), **{"name": "wrong", "policy": "torch", **fields})


def reads(**fields):
    """Torch's dialect that reads a class otherwise."""
    return other(reader=attrs.evolve(READER, classes=(attrs.evolve(CONV, **fields), CONV_TRANSPOSE)))


def reader(**fields):
    """Torch's dialect with another reader."""
    return other(reader=attrs.evolve(READER, **fields))


def writes(**fields):
    """Torch's dialect that writes a class otherwise."""
    return other(writer=attrs.evolve(WRITER, classes=(attrs.evolve(TARGET, **fields), TARGET_TRANSPOSE)))


def writer(**fields):
    """Torch's dialect with another writer."""
    return other(writer=attrs.evolve(WRITER, **fields))


def means(change):
    """Torch's dialect whose meaning is changed: ``(meaning, arguments) -> meaning``."""
    return reads(meaning=lambda arguments: change(CONV.meaning(arguments), arguments))


def pads(change):
    """Torch's dialect whose padding is changed: ``(padding, request) -> padding``."""
    return writes(padding=lambda request: change(TARGET.padding(request), request))


def reads_transposed(**fields):
    """Torch's dialect that reads a transposed convolution otherwise."""
    return other(reader=attrs.evolve(READER, classes=(CONV, attrs.evolve(CONV_TRANSPOSE, **fields))))


def writes_transposed(**fields):
    """Torch's dialect that writes a transposed convolution otherwise."""
    return other(writer=attrs.evolve(WRITER, classes=(TARGET, attrs.evolve(TARGET_TRANSPOSE, **fields))))


def cuts(change):
    """Torch's dialect whose crop is changed: ``(padding, request) -> padding``."""
    return writes_transposed(padding=lambda request: change(TARGET_TRANSPOSE.padding(request), request))


def without_output_padding(padding, request):
    return attrs.evolve(padding, arguments={name: value for name, value in padding.arguments.items() if name != "output_padding"})


def cut_again(padding, request):
    return attrs.evolve(padding, arguments={"padding": 1}) if padding.after else padding


def one_crop(padding, request):
    return attrs.evolve(padding, after=("nn.ConstantPad1d((0, -1), 0.0)",)) if padding.after else padding


def larger_kernel(meaning, arguments):
    return attrs.evolve(meaning, arguments={"kernel_size": arguments["kernel_size"] + 1})


def crashes(meaning, arguments):
    return attrs.evolve(meaning, policy={**meaning.policy, "padding": arguments["padding"] + 0})


def refuses_all(*_):
    raise cp.InvalidValueError("this layer is not for us; write another.")


def without_mode(padding, request):
    return attrs.evolve(padding, arguments={name: value for name, value in padding.arguments.items() if name != "padding_mode"})


def twice(padding, request):
    return attrs.evolve(padding, arguments={"padding": 1}) if padding.before else padding


def one_more(padding, request):
    value = padding.arguments.get("padding")
    return attrs.evolve(padding, arguments={**padding.arguments, "padding": value + 1}) if isinstance(value, int) else padding


def both_sides_left(padding, request):
    known = request.pads()
    if not padding.before or known is None:
        return padding
    return Padding({}, (f"nn.ConstantPad1d({known[0]}, 0.0)",))


def any_mode(padding, request):
    known = request.pads()
    return padding if not padding.before or known is None else Padding({}, (f"nn.ConstantPad1d({known}, 0.0)",))


def unlisted_mode(request):
    return {"zeros": TARGET.padding}[request.mode](request)


def squared(distribution, role, request):
    if distribution.kind == "normal":
        return f"nn.init.normal_({{tensor}}, {distribution.parameters['mean']!r}, {distribution.parameters['std'] ** 2!r})"
    return WRITER.initial(distribution, role, request)


def names(**changes):
    return {**TARGET.names, **changes}


WRONG = {
    "says nothing": (other(description=""), "names", "its description must be one line, got ''"),
    "does nothing": (other(reader=None, writer=None), "names", "it must have a reader or a writer; pass one"),
    "of no policy": (other(policy="torhc"), "names", "unknown policy 'torhc'.*Did you mean 'torch'"),
    "a list of aliases": (other(aliases=["w"]), "names", r"aliases must be a tuple of names, got \['w'\]"),
    "an alias of two words": (other(aliases=("two words",)), "names", "an alias must be printable and without spaces and '@', got 'two words'"),
    "an alias of its own name": (other(aliases=("wrong",)), "names", "an alias must differ from the name of the dialect, got 'wrong'; remove it"),
    "another's alias": (other(aliases=("tensorflow",)), "names", "alias 'tensorflow' must be unique, but dialect 'keras' has that name; rename it"),
    "no class": (reader(classes=()), "classes", "its reader must have a class; list one, or pass reader=None"),
    "a class without a module": (reads(title="Conv1d"), "classes", r"a class must have a dotted name such as 'mylib.nn.Conv1d', got 'Conv1d'"),
    "a class twice": (reads(paths=("torch.nn.Conv1d",)), "classes", "a class must be listed once, got 'torch.nn.Conv1d' twice"),
    "too many by position": (reads(positional=12), "classes", "positional of torch.nn.Conv1d must be from 0 to its 11 parameters, got 12"),
    "a parameter that is not there": (reads(names={"kernel": "kernel_size"}), "classes", r"names of torch.nn.Conv1d must be of its parameters, got \['kernel'\]"),
    "leaves out what is not there": (reads(left_out={"speed": "it is fast"}), "classes", r"left_out of torch.nn.Conv1d must be of its parameters, got \['speed'\]"),
    "no kernel": (reads(names={"kernel_size": "width"}), "classes", "torch.nn.Conv1d must have a parameter for kernel_size; name it in names"),
    "two strides": (reads(names={"dilation": "stride"}), "classes", r"torch.nn.Conv1d must have one parameter for \['stride'\], got two"),
    "an initializer as it is written": (reader(initializers={"Zeros_": plain("zeros")}), "classes", "initializers must have names in lower case without underscores, got 'Zeros_', which never matches"),
    "an argument that is none": (writes(names=names(width="kernel_size")), "words", r"names of nn.Conv1d must have common names as keys, got \['width'\]"),
    "sizes of another framework": (writes(sizes="{inputs}, {outputs}"), "words", "sizes of nn.Conv1d must be a template of in_channels, .*, got '{inputs}, {outputs}'"),
    "an import of something else": (writer(imports={"nn": "import torch"}), "words", "imports must define the name that they are listed under, got 'import torch' for 'nn'"),
    "a sequence without layers": (writer(sequence="nn.Sequential()"), "words", r"sequence must contain {}, got 'nn.Sequential\(\)'"),
    "a meaning of nothing": (reads(meaning=lambda: None), "signatures", r"meaning of torch.nn.Conv1d must take \(arguments\), but has the signature \(\)"),
    "padding of two": (writes(padding=lambda request, plan: Padding()), "signatures", r"padding of nn.Conv1d must take \(request\), but has the signature \(request, plan\)"),
    "initial of two": (writer(initial=lambda distribution, role: None), "signatures", r"initial must take \(distribution, role, request\), but has"),
    "refuses to read": (means(refuses_all), "reads", "it must read torch.nn.Conv1d with the required arguments, but refuses it: this layer is not for us"),
    "reads another kernel": (means(larger_kernel), "reads", "it must read kernel_size 3 of torch.nn.Conv1d, got 4"),
    "breaks at a word": (means(crashes), "garbage", "padding=.* of torch.nn.Conv1d must be read or refused with a ConvPolicyError: .* TypeError"),
    "pads by default": (reads(parameters={**CONV.parameters, "padding": 1}), "defaults", r"torch.nn.Conv1d must pad \(0, 0\) by default, as policy 'torch', got \(1, 1\), length 9"),
    "no bias by default": (reads(parameters={**CONV.parameters, "bias": False}), "defaults", "torch.nn.Conv1d must have bias=True by default, as policy 'torch', got False"),
    "refuses to write": (writes(padding=refuses_all), "writes", "it refuses to write a layer with kernel=3, .*; refuse only what the framework does not have"),
    "no Python": (writes(code="nn.Conv 1d"), "code", r"it writes 'conv = nn.Conv 1d\(.*', which is not valid Python: "),
    "without an import": (writer(imports={}), "code", r"it writes the names \['nn'\], which its code does not define, .*; add their imports"),
    "from elsewhere": (
        writer(imports={"nn": "from tensorflow import nn"}), "code", r"it imports \['tensorflow'\], which are not among its packages \['torch'\], .*; list a class or module",
    ),
    "a mode that it has not": (writes(padding=unlisted_mode), "code", "failed while writing nn.Conv1d: KeyError: 'reflect'"),
    "a class that it does not read": (writes(code="nn.LazyConv1d"), "read-back", "it does not read what it writes for a layer of kernel=3|it must read one layer in what it writes"),
    "a keyword that it does not read": (writes(names=names(bias="has_bias")), "values", "it does not read what it writes for .*: torch.nn.Conv1d has no argument 'has_bias'"),
    "one side for both": (pads(both_sides_left), "distinct", r"it writes the same code for pads .* of mode 'zeros' and for pads|it writes the same code for pads"),
    "one mode for all": (pads(any_mode), "distinct", "it writes the same code for pads .* of mode 'zeros' and for pads .* of mode 'reflect'; write different code, or refuse one"),
    "mode dropped": (pads(without_mode), "distinct", "it writes the same code for pads .* of mode 'zeros' and for pads .* of mode 'reflect'; write different code, or refuse one"),
    "one sample more": (pads(one_more), "values", r"it writes the padding, but the convolution itself pads \(left, right, mode\) \(2, 2, .* instead of \(1, 1, "),
    "padded twice": (pads(twice), "values", r"it writes the padding in a layer before the convolution, but the convolution itself pads"),
    "stride for dilation": (writes(names=names(stride="dilation", dilation="stride")), "values", "it writes stride 2, but reads it back as 1, for a layer with"),
    "std squared": (writer(initial=squared), "values", "it writes the initial weight normal {.*'std': 0.5}, but reads it back as normal {.*'std': 0.25}, .*; write a comment"),
    "a kind of layer of its own": (
        reads_transposed(layer="Deconv1d"), "classes", "layer must be one of Conv1d, ConvTranspose1d, got 'Deconv1d'; pick one",
    ),
    "cuts by default": (
        reads_transposed(parameters={**CONV_TRANSPOSE.parameters, "padding": 1}), "defaults",
        r"torch.nn.ConvTranspose1d must cut \(0, 0\) by default, as policy 'torch', got \(1, 1\), length 9",
    ),
    "a transposed class that it does not read": (
        writes_transposed(code="nn.LazyConvTranspose1d"), "read-back", "it does not read what it writes for a layer with kernel=3|it must read one layer in what it writes",
    ),
    "cuts one sample more": (cuts(one_more), "values", r"it writes the crop, but the convolution itself cuts \(left, right, mode\) \(2, 2, 'zeros'\) instead of \(1, 1, 'zeros'\)"),
    "output_padding dropped": (cuts(without_output_padding), "distinct", r"it writes the same code for pads \(1, 1\) of mode 'zeros' and for pads|it writes the same code"),
    "cut twice": (cuts(cut_again), "values", r"it writes the crop in layers around the convolution, but the convolution itself cuts \(left, right, mode\) \(1, 1, 'zeros'\) instead of \(0, 0, 'zeros'\)"),
    "one crop for all": (cuts(one_crop), "distinct", "it writes the same code for pads .* of mode 'zeros' and for pads"),
    "a dtype for a device": (writes(names=names(dtype="device")), "values", "it writes dtype float64, but reads it back as float32, for a layer with"),
}  # fmt: skip
