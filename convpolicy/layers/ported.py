"""`PortedModel`: the result of `port_model`, with a report on every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

MOST_PATHS = 3  # paths in a line for several modules


@attrs.frozen
class Ported:
    """Report on one module of a model.

    Attributes:
        path: name of the module in the model, e.g. ``"encoder.conv1"``.
        class_name: class of the original module.
        reason: why the module was not ported. Empty if the module was ported.
        wrapper: class of an enclosing convolution that was not ported. The work of this class, such as padding, is missing. Empty
            if there is no such class.
        note: what the new layer does and leaves out, as text after "ported, ". Empty if it computes what the module computes, and no
            parent is known to pad.
    """

    path: str
    class_name: str
    reason: str = ""
    wrapper: str = ""
    note: str = ""

    @property
    def state(self) -> str:
        """The result as text: ``"ported"``, a warning, or the reason."""
        if self.reason:
            return self.reason
        if self.note:
            return f"ported, {self.note}"
        if self.wrapper:
            return f"ported, but incomplete: the work of the enclosing {self.wrapper}, such as padding, is not ported"
        return "ported"


@attrs.frozen
class Renamed:
    """New name and axes of one parameter of the original model.

    Attributes:
        name: name in the ported layers, e.g. ``"encoder.conv1.weight"``.
        axes: axis order before and after, e.g. ``"OIW -> OI1W"``, with ``", reversed"`` if the kernel axis changes its direction. Empty
            for a scalar.
        computed: True if the new values are computed from this parameter and others, e.g. under weight normalization.
    """

    name: str
    axes: str
    computed: bool = False


@attrs.frozen(eq=False, repr=False)
class PortedModel:
    """The Conv1d and ConvTranspose1d layers of a model, converted to another framework.

    Print the object to see which layers were ported. You port every other layer, and the forward pass, yourself.

    Attributes:
        layers: mapping from path to native layer.
        report: one `Ported` for every module that is a Conv1d or ConvTranspose1d or has such a class name, in the order of the model.
        parameters: mapping from old parameter name to `Renamed`.
        origins: mapping from path to the original `Convolution`. The field ``module`` is not kept.
    """

    layers: Mapping[str, Any]
    report: tuple[Ported, ...]
    parameters: Mapping[str, Renamed]
    origins: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def refused(self) -> tuple[Ported, ...]:
        """The modules that were not ported."""
        return tuple(row for row in self.report if row.reason)

    @property
    def noted(self) -> tuple[Ported, ...]:
        """The modules that were ported, but not with everything around them."""
        return tuple(row for row in self.report if not row.reason and row.state != "ported")

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        return table(("path", "class", "state"), [(row.path, row.class_name, row.state) for row in self.report], repr(self))

    def __repr__(self) -> str:
        return f"PortedModel({self.summary})"

    @property
    def summary(self) -> str:
        """The numbers of layers, such as ``"40 layers ported, 3 with a note, 2 refused"``."""
        plural = "" if len(self.layers) == 1 else "s"
        return f"{len(self.layers)} layer{plural} ported, {len(self.noted)} with a note, {len(self.refused)} refused"

    def __str__(self) -> str:
        if not self.report:
            return "The model contains no module that is a Conv1d or ConvTranspose1d. Convolutions that are function calls are not seen."
        paths: dict[tuple[str, str, str], list[str]] = {}
        for row in self.report:  # rows with the same note or reason are printed as one line
            alone = row.path if row.state == "ported" else ""
            paths.setdefault((row.class_name, row.state, alone), []).append(row.path)
        rows = [f"{_listed(group)} ({class_name}): {state}" for (class_name, state, _alone), group in paths.items()]
        return "\n".join([*rows, f"{self.summary}."])


def _listed(paths: list[str]) -> str:
    return ", ".join(paths[:MOST_PATHS]) + (f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else "")
