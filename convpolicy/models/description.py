"""`Description`: what one module of a model computes, in names that all frameworks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

# Kind of module -> names of its settings. A reader uses no other names; `convpolicy.diagnosis.models` computes with them.
KINDS: dict[str, tuple[str, ...]] = {
    "convolution": (),  # of one axis; `Description.layer` is what `convpolicy.capture` reads
    "convolution of more axes": ("kernel_size", "stride", "padding", "dilation", "groups", "transposed"),
    "linear": (),
    "batch norm": ("eps", "momentum", "batch_statistics"),
    "layer norm": ("eps", "axes"),
    "rms norm": ("eps",),
    "group norm": ("eps", "groups", "interleaved"),
    "activation": ("function", "slope", "axis"),
    "pooling": ("function", "kernel_size", "stride", "padding", "ceil_mode", "count_padding"),
    "global pooling": ("function",),
    "upsampling": ("function", "factor", "align_corners"),
    "dropout": ("rate", "active"),
    "embedding": (),
    "padding": ("left", "right", "mode", "value"),
    "flatten": (),
    "recurrent": ("cell", "bidirectional", "layers", "reset_after"),
    "identity": (),
}
DEFAULTS: dict[str, Any] = {"interleaved": False}  # settings that a reader may leave out
NEUTRAL = ("identity", "dropout", "flatten")  # kinds that a model may lack without computing something else


@attrs.frozen(eq=False)
class Description:
    """What one module computes.

    Attributes:
        kind: one of `KINDS`.
        settings: setting -> value. ``momentum`` is the share of the running value that is kept. ``kernel_size``, ``stride`` and
            ``padding`` of a pooling over one axis are numbers, ``padding`` a pair. ``interleaved`` groups of n channels are every
            n-th channel, others are n channels in a row.
        arrays: role -> NumPy array, a bfloat16 one as float32. The roles are ``weight`` (out, in/groups, kernel…), of an embedding
            (words, features); ``bias`` (out,); ``scale``, ``shift``, ``mean`` and ``variance`` (channels,); of a recurrent module the
            names of the framework.
        axis: axis of the channels in the data of this module, 1 or -1. None if no axis is special, or the last one is in every
            framework.
        layer: the native convolution of one axis, or its `Capture`.
    """

    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    arrays: Mapping[str, NDArray[Any]] = attrs.field(factory=dict)
    axis: int | None = None
    layer: Any = None

    @property
    def title(self) -> str:
        """The kind, of an activation or a pooling with its function: ``"gelu"``, ``"max pooling"``."""
        function = self.settings.get("function", "")
        return str(function) if self.kind == "activation" else f"{function} {self.kind}".strip()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The sorted shapes of the arrays, without axes of length 1."""
        return tuple(sorted(tuple(size for size in np.shape(array) if size != 1) for array in self.arrays.values()))
