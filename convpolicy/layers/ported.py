"""`PortedModel`: what `port_model` made of the layers of a model, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Ported:
    """What became of one module.

    Attributes:
        path: its name in the model, e.g. ``"encoder.conv1"``.
        class_name: of the original.
        reason: why it was not ported, empty when it was.
        wrapper: class of the module around it that is called a convolution too and was not ported: what it does around this one,
            such as padding, is missing. Empty when there is none.
    """

    path: str
    class_name: str
    reason: str = ""
    wrapper: str = ""

    @property
    def state(self) -> str:
        """What became of it, in words."""
        if self.wrapper and not self.reason:
            return f"ported, but not usable as it stands: what {self.wrapper} does around it, such as padding, is not ported"
        return self.reason or "ported"


@attrs.frozen
class Renamed:
    """The new name of one parameter of the original model.

    Attributes:
        name: in the ported layers, e.g. ``"encoder.conv1.weight"``.
        axes: axes before and after, e.g. ``"OIW -> OI1W"``; equal when nothing moves, and empty for a number.
        computed: True when the new values are computed from this parameter and others, as weight normalisation does.
    """

    name: str
    axes: str
    computed: bool = False


@attrs.frozen(eq=False, repr=False)
class PortedModel:
    """The Conv1d layers of a model on another framework.

    Attributes:
        layers: path -> native layer.
        report: one `Ported` for every module that is a Conv1d or is called one, in the model's order.
        parameters: old parameter name -> `Renamed`.
        origins: path -> `Convolution` that the layer was ported from, without its module.
    """

    layers: Mapping[str, Any]
    report: tuple[Ported, ...]
    parameters: Mapping[str, Renamed]
    origins: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def refused(self) -> tuple[Ported, ...]:
        """The modules that were not ported."""
        return tuple(row for row in self.report if row.reason)

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        return table(("path", "class", "state"), [(row.path, row.class_name, row.state) for row in self.report], repr(self))

    def __repr__(self) -> str:
        return f"PortedModel({len(self.layers)} layers ported, {len(self.refused)} refused)"

    def __str__(self) -> str:
        paths: dict[tuple[str, str, str], list[str]] = {}
        for row in self.report:  # a reason that many share is printed once
            alone = "" if row.reason or row.wrapper else row.path
            paths.setdefault((row.class_name, row.state, alone), []).append(row.path)
        return "\n".join(f"{', '.join(rows)} ({class_name}): {state}" for (class_name, state, _alone), rows in paths.items())
