"""Guess which tensors are weights of a Conv1d, from names, shapes and biases."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs
import numpy as np

from convpolicy import registry
from convpolicy.conversion.selection import Move, Side, has_depthwise, has_layout, kept_in, partner, parts_of
from convpolicy.conversion.tensors import Entry
from convpolicy.parts.layout import Layout

CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
# parts of a path that rule out a Conv1d
OTHER_LAYERS = (
    (
        re.compile(r"transpose|deconv|up_?conv|conv_?t(r|rans)?(?![a-z])|(?<![a-z])t(rans)?_?conv", re.IGNORECASE),
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
        doubtful: names in ``moves`` of Conv1d weights that could also be those of transposed convolutions, which would be
            converted to another result.
    """

    moves: Mapping[str, Move]
    left: Mapping[str, str]
    doubtful: frozenset[str] = frozenset()


def by_guess(entries: Mapping[str, Entry], source: Side, target: Side) -> Guess:
    """Return the tensors that are weights of a Conv1d by name, axes, path and bias.

    A tensor with the name and the axes of a weight is selected in one of two cases:

    - its path contains the name of a convolution;
    - its bias has one element per output, and its shape rules out the weight of a transposed convolution.

    It is not selected if its path or its bias shows that it belongs to another layer. A weight of a transposed convolution is
    selected only if its path contains the name of a class with such a layout, or if the source is such a layout.

    Args:
        entries: tensors of the file by name.
        source, target: the two sides of the conversion.
    """
    moves: dict[str, Move] = {}
    left: dict[str, str] = {}
    doubtful = set()
    either = _may_be_transposed(source, target)
    directions = {partner(name): name for name in entries if partner(name) in entries}  # by the name of their lengths
    wide = _wide_kernels(entries, source)
    for name, entry in entries.items():
        parts = parts_of(name, source.weight)
        if parts is None:
            continue
        stem, part = parts
        layout, reason = _layout(stem, source, target)
        if len(entry.shape) != len(layout.axes):
            continue
        if (part == "g" and name not in directions) or (part == "v" and partner(name) not in entries):
            continue
        if any(entry.shape[at] != 1 for at, axis in enumerate(layout.axes) if axis == "1"):
            continue
        whole = entries[directions[name]] if part == "g" else entry
        reason = reason or _against(stem, whole, entries, layout, source) or (wide if "1" in layout.axes else "")
        if reason:
            left[name] = f"{reason}; pass layers or a map"
        else:
            groups = entry.shape[layout.axes.index("I")] if "M" in layout.axes else None
            moves[name] = Move(layout, kept_in(target, layout, source), stem, "guessed", groups, part)
            if either and part != "g" and layout is source.layout and not _rules_out_transposed(stem, whole, entries, source):
                doubtful.add(name)
    return Guess(moves, left, frozenset(doubtful))


def fits_bias(layout: Layout, shape: tuple[int, ...], bias: tuple[int, ...], groups: int | None = None) -> bool:
    """Return whether a bias of this shape has one element per output channel of a weight.

    Args:
        layout, shape: layout and shape of the weight.
        bias: shape of the bias.
        groups: number of groups of a transposed convolution, whose weight has the output channels of one group; None if unknown.
    """
    lengths = dict(zip(layout.axes, shape))
    if not layout.transposed:
        return bias == (_outputs(layout, shape),)
    if len(bias) != 1 or not lengths["O"] or bias[0] % lengths["O"]:
        return False
    number = bias[0] // lengths["O"]
    return number == groups if groups else number > 0 and lengths["I"] % number == 0


def _outputs(layout: Layout, shape: tuple[int, ...]) -> int:
    """Return the number of output channels of a weight; of a transposed convolution, those of one group."""
    lengths = dict(zip(layout.axes, shape))
    return lengths["O"] if "O" in lengths else lengths["I"] * lengths["M"]


def _may_be_transposed(source: Side, target: Side) -> bool:
    """Return whether a weight of a transposed convolution can have the axes of a Conv1d weight and be converted otherwise."""
    layout, other = source.layout, source.transposed
    if layout.transposed or (other is not None and len(other.axes) != len(layout.axes)):
        return False
    if other is None or target.transposed is None:
        return True
    weight = layout.stored(np.arange(24).reshape(2, 3, 4))
    ones = [at for at, axis in enumerate(other.axes) if axis == "1"]
    if any(weight.shape[at] != 1 for at in ones):
        return False
    return not np.array_equal(target.layout.stored(layout.restored(weight)), target.transposed.stored(other.restored(weight)))


def _rules_out_transposed(stem: str, entry: Entry, entries: Mapping[str, Entry], source: Side) -> bool:
    """Return whether the bias shows that a weight is not that of a transposed convolution without groups, or of a depthwise one."""
    bias, lengths = entries.get(stem + source.bias), dict(zip(source.layout.axes, entry.shape))
    return bias is not None and lengths["I"] not in (1, lengths["O"])


def _against(stem: str, entry: Entry, entries: Mapping[str, Entry], layout: Layout, source: Side) -> str:
    """Return the reason why a tensor may not be a Conv1d weight, or an empty text."""
    for pattern, reason in OTHER_LAYERS[layout.transposed :]:  # the first says that it is transposed
        if pattern.search(stem):
            return reason
    if "M" not in layout.axes and DEPTHWISE.search(stem) and has_depthwise(source):
        return f"its name says that it is a depthwise weight, for which {source.name} has another layout"
    if 0 in entry.shape:
        return "it has no elements"
    bias, out = entries.get(stem + source.bias), _outputs(layout, entry.shape)
    if bias is not None and not fits_bias(layout, entry.shape, bias.shape):
        kind = "ConvTranspose1d" if layout.transposed else "Conv1d"
        return f"its bias has shape {bias.shape}, and the bias of a {kind} with this weight has shape ({out},)"
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


def _layout(stem: str, source: Side, target: Side) -> tuple[Layout, str]:
    """Return the layout of a weight, and the reason why it may be wrong or an empty text; the path may name the layer's class."""
    name = NUMBERED.sub("", re.split(r"[./]", stem.rstrip("./"))[-1])
    layout = source.names.classes.get(name, source.layout.name)
    if not layout:
        return source.layout, f"its path names {name!r}, which is not a Conv1d"
    own: Layout = registry.current().get("layout", layout)
    if own.transposed and target.transposed is None:
        return own, f"its path names {name!r}, and {target.name} has no layout of weights of transposed convolutions"
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
