"""Which tensors are weights of a Conv1d, guessed: by names and shapes, and only where something besides the axes says so."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, has_depthwise, has_layout, kept_in, partner, parts_of
from convpolicy.conversion.tensors import Entry
from convpolicy.parts.layout import Layout

CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
# what a path may say against a Conv1d, however its weight's axes are
OTHER_LAYERS = (
    (re.compile(r"transpose|deconv|up_?conv|conv_?t(?![a-z])", re.IGNORECASE), "its name says that it is a transposed one"),
    (re.compile(r"conv_?[23]d", re.IGNORECASE), "its name says that it has more axes of space"),
)
DEPTHWISE = re.compile(r"depthwise|(?<![a-z])dw", re.IGNORECASE)
# layers whose weights have three axes and that also have a bias of their outputs
DENSE = re.compile(r"atte?n|mha|query|key|value|dense|linear|einsum|lstm|gru|rnn", re.IGNORECASE)
NUMBERED = re.compile(r"_\d+$")


@attrs.frozen
class Guess:
    """What was guessed.

    Attributes:
        moves: name of a tensor -> its `Move`.
        left: name of a tensor with the name and the axes of a weight -> why it is not taken for one.
    """

    moves: Mapping[str, Move]
    left: Mapping[str, str]


def by_guess(entries: Mapping[str, Entry], source: Side, target: Side) -> Guess:
    """Return what has the name, the axes and the surroundings of a weight of a Conv1d.

    A weight is taken where its path says that it is of a convolution, or where it has a bias of as many elements as it has outputs and
    could not be a transposed weight; never where its path or its bias says that it is another layer's.

    Args:
        entries: name -> tensor.
        source, target: of the conversion.
    """
    moves: dict[str, Move] = {}
    left: dict[str, str] = {}
    lengths = {partner(name): name for name in entries if partner(name) in entries}  # -> directions
    wide = _wide_kernels(entries, source)
    for name, entry in entries.items():
        parts = parts_of(name, source.weight)
        if parts is None or len(entry.shape) != len(source.layout.axes):
            continue
        stem, part = parts
        if (part == "g" and name not in lengths) or (part == "v" and partner(name) not in entries):
            continue
        layout, reason = _layout(stem, source)
        if any(entry.shape[at] != 1 for at, axis in enumerate(layout.axes) if axis == "1"):
            continue
        whole = entries[lengths[name]] if part == "g" else entry
        reason = reason or _against(stem, whole, entries, layout, source) or (wide if "1" in layout.axes else "")
        if reason:
            left[name] = f"{reason}; pass layers or a map"
        else:
            groups = entry.shape[layout.axes.index("I")] if "M" in layout.axes else None
            moves[name] = Move(layout, kept_in(target, layout, source), stem, "guessed", groups, part)
    return Guess(moves, left)


def outputs(layout: Layout, shape: tuple[int, ...]) -> int:
    """Return the number of outputs of a weight."""
    lengths = dict(zip(layout.axes, shape))
    return lengths["O"] if "O" in lengths else lengths["I"] * lengths["M"]


def _against(stem: str, entry: Entry, entries: Mapping[str, Entry], layout: Layout, source: Side) -> str:
    """Return why a tensor is not certain to be a weight of a Conv1d, or an empty text."""
    for pattern, reason in OTHER_LAYERS:
        if pattern.search(stem):
            return reason
    if "M" not in layout.axes and DEPTHWISE.search(stem) and has_depthwise(source):
        return f"its name says that it is depthwise, and {source.name} has another layout for these"
    if 0 in entry.shape:
        return "it has no elements"
    bias, out = entries.get(stem + source.bias), outputs(layout, entry.shape)
    if bias is not None and bias.shape != (out,):
        return f"its bias has the shape {bias.shape}, where that of a Conv1d of its weight has ({out},)"
    if CONVOLUTION.search(stem):
        return ""
    lengths = dict(zip(layout.axes, entry.shape))
    if bias is None:
        return "its name does not say that it is of a convolution, and it has no bias"
    if DENSE.search(stem):
        return "its name says that it is another layer's"
    if out == lengths["I"]:
        return "it has as many inputs as outputs, so it may be a transposed one, and its name does not say that it is of a convolution"
    return ""


def _layout(stem: str, source: Side) -> tuple[Layout, str]:
    """Return the layout of a weight, which the class in its path may say, and why it is not certain, if it is not."""
    name = NUMBERED.sub("", re.split(r"[./]", stem.rstrip("./"))[-1])
    layout = source.names.classes.get(name, source.layout.name)
    if not layout:
        return source.layout, f"its path says {name!r}, whose weights are none of a Conv1d"
    own: Layout = registry.current().get("layout", layout)
    if own.name == source.layout.name or not source.framework or has_layout(source, own):
        return own, ""
    said = f"its path says {name!r}, whose layout is {own.name}, and {source.name} has none such"
    return source.layout, said if "M" in own.axes else ""


def _wide_kernels(entries: Mapping[str, Entry], source: Side) -> str:
    """Return why a weight with an axis of length 1 is not certain: others like it are longer there, so kernels have two axes."""
    ones = [at for at, axis in enumerate(source.layout.axes) if axis == "1"]
    for name, entry in entries.items() if ones else ():
        alike = parts_of(name, source.weight) and len(entry.shape) == len(source.layout.axes)
        if alike and any(entry.shape[at] > 1 for at in ones):
            return f"{name!r} has the shape {entry.shape}, so the kernels in this file have two axes"
    return ""
