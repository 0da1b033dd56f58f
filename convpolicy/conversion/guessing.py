"""Guess which tensors are weights of a Conv1d, from names, shapes and biases."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, has_depthwise, has_layout, kept_in, partner, parts_of
from convpolicy.conversion.tensors import Entry
from convpolicy.parts.layout import Layout

CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
# parts of a path that rule out a Conv1d
OTHER_LAYERS = (
    (
        re.compile(r"transpose|deconv|up_?conv|conv_?t(?![a-z])", re.IGNORECASE),
        "its name says that it belongs to a transposed convolution",
    ),
    (re.compile(r"conv_?[23]d", re.IGNORECASE), "its name says that it belongs to a 2-D or 3-D convolution"),
)
DEPTHWISE = re.compile(r"depthwise|(?<![a-z])dw", re.IGNORECASE)
# other layers whose weights have three axes and whose bias has one element per output
DENSE = re.compile(r"atte?n|mha|query|key|value|dense|linear|einsum|lstm|gru|rnn", re.IGNORECASE)
NUMBERED = re.compile(r"_\d+$")


@attrs.frozen
class Guess:
    """Result of a guess.

    Attributes:
        moves: name of each tensor that is selected as a weight, with its `Move`.
        left: name of each tensor that resembles a weight and is not selected, with the reason.
    """

    moves: Mapping[str, Move]
    left: Mapping[str, str]


def by_guess(entries: Mapping[str, Entry], source: Side, target: Side) -> Guess:
    """Return the tensors that are Conv1d weights by name, axes, path and bias.

    A tensor with the name and the axes of a weight is selected in one of two cases:

    - its path contains the name of a convolution;
    - its bias has one element per output, and its shape rules out the weight of a transposed convolution.

    It is not selected if its path or its bias shows that it belongs to another layer.

    Args:
        entries: tensors of the file by name.
        source, target: the two sides of the conversion.
    """
    moves: dict[str, Move] = {}
    left: dict[str, str] = {}
    directions = {partner(name): name for name in entries if partner(name) in entries}  # by the name of their lengths
    wide = _wide_kernels(entries, source)
    for name, entry in entries.items():
        parts = parts_of(name, source.weight)
        if parts is None or len(entry.shape) != len(source.layout.axes):
            continue
        stem, part = parts
        if (part == "g" and name not in directions) or (part == "v" and partner(name) not in entries):
            continue
        layout, reason = _layout(stem, source)
        if any(entry.shape[at] != 1 for at, axis in enumerate(layout.axes) if axis == "1"):
            continue
        whole = entries[directions[name]] if part == "g" else entry
        reason = reason or _against(stem, whole, entries, layout, source) or (wide if "1" in layout.axes else "")
        if reason:
            left[name] = f"{reason}; pass layers or a map"
        else:
            groups = entry.shape[layout.axes.index("I")] if "M" in layout.axes else None
            moves[name] = Move(layout, kept_in(target, layout, source), stem, "guessed", groups, part)
    return Guess(moves, left)


def outputs(layout: Layout, shape: tuple[int, ...]) -> int:
    """Return the number of output channels of a weight of this layout and shape."""
    lengths = dict(zip(layout.axes, shape))
    return lengths["O"] if "O" in lengths else lengths["I"] * lengths["M"]


def _against(stem: str, entry: Entry, entries: Mapping[str, Entry], layout: Layout, source: Side) -> str:
    """Return the reason why a tensor may not be a Conv1d weight, or an empty text."""
    for pattern, reason in OTHER_LAYERS:
        if pattern.search(stem):
            return reason
    if "M" not in layout.axes and DEPTHWISE.search(stem) and has_depthwise(source):
        return f"its name says that it is a depthwise weight, for which {source.name} has another layout"
    if 0 in entry.shape:
        return "it has no elements"
    bias, out = entries.get(stem + source.bias), outputs(layout, entry.shape)
    if bias is not None and bias.shape != (out,):
        return f"its bias has shape {bias.shape}, and the bias of a Conv1d with this weight has shape ({out},)"
    if CONVOLUTION.search(stem):
        return ""
    lengths = dict(zip(layout.axes, entry.shape))
    if bias is None:
        return "its name does not mention a convolution, and it has no bias"
    if DENSE.search(stem):
        return "its name says that it belongs to another kind of layer"
    if out == lengths["I"]:
        return "its name does not mention a convolution, and with as many inputs as outputs it may be a transposed weight"
    return ""


def _layout(stem: str, source: Side) -> tuple[Layout, str]:
    """Return the layout of a weight, and the reason why it may be wrong or an empty text; the path may name the layer's class."""
    name = NUMBERED.sub("", re.split(r"[./]", stem.rstrip("./"))[-1])
    layout = source.names.classes.get(name, source.layout.name)
    if not layout:
        return source.layout, f"its path names {name!r}, which is not a Conv1d"
    own: Layout = registry.current().get("layout", layout)
    if own.name == source.layout.name or not source.framework or has_layout(source, own):
        return own, ""
    reason = f"its path names {name!r}, whose layout is {own.name}, which {source.name} does not have"
    return source.layout, reason if "M" in own.axes else ""


def _wide_kernels(entries: Mapping[str, Entry], source: Side) -> str:
    """Return the reason why weights with an axis of length 1 may be those of 2-D convolutions, or an empty text."""
    ones = [at for at, axis in enumerate(source.layout.axes) if axis == "1"]
    for name, entry in entries.items() if ones else ():
        has_form = parts_of(name, source.weight) and len(entry.shape) == len(source.layout.axes)
        if has_form and any(entry.shape[at] > 1 for at in ones):
            return f"{name!r} has shape {entry.shape}, so the kernels in this file are 2-D"
    return ""
