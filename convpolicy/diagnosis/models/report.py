"""`ModelDiagnosis`: the answer of `why` for two models, as an object, as text and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs

from convpolicy.diagnosis.models.causes import ModelCause
from convpolicy.layers.capture import Capture

EQUAL, ROUNDED = "equal to the bit", "equal within rounding"
MOST_CAUSES = 12  # causes that the text shows
MOST_ROWS = 30  # rows of equal modules that the text shows
HEAD = ("a", "b", "kind", "own error", "inherited", "verdict")


@attrs.frozen
class ModelRow:
    """One pair of modules, or a module without a partner.

    Attributes:
        path_a, path_b: paths of the modules; empty where a model has none.
        kind: kind of module.
        own: largest difference of the outputs when both modules receive ``a``'s input; None if there is no partner, infinite if the
            module of ``b`` cannot take this input.
        inherited: largest difference of the inputs in the two runs; None if they have other shapes.
        verdict: ``"equal"``, ``"rounding"``, ``"inherited"``, ``"differs"``, ``"only in a"``, ``"only in b"`` or ``"unseen"``: the
            difference arises before this module, in code that is no module.
    """

    path_a: str
    path_b: str
    kind: str
    own: float | None
    inherited: float | None
    verdict: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        numbers = (_number(self.own), _number(self.inherited))
        return (self.path_a or "-", self.path_b or "-", self.kind, *numbers, self.verdict)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if math.isnan(value):
        return "NaN"
    return "shape" if math.isinf(value) else f"{value:.2g}" if value else "0"


@attrs.frozen(eq=False, repr=False)
class ModelDiagnosis:
    """Explanation of why two models give different outputs.

    Print the object to read the explanation.

    Attributes:
        verdict: ``"equal to the bit"``, ``"equal within rounding"``, ``"one cause"``, ``"two causes"``, ``"3 causes"``, …, or
            ``"unexplained"``.
        largest_difference: largest difference of the outputs of the models; infinite if they have other shapes, NaN if a number is NaN or
            infinite in one of them only.
        rows: one `ModelRow` for each pair of modules, in the order of the computation.
        causes: one `ModelCause` for each thing that differs.
        notes: what could not be seen, and settings that differ without changing this output.
    """

    verdict: str
    largest_difference: float
    rows: tuple[ModelRow, ...]
    causes: tuple[ModelCause, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """True if the outputs are bit-identical or differ only by rounding."""
        return self.verdict in (EQUAL, ROUNDED)

    @property
    def fix(self) -> str:
        """Lines of code that change ``b``, here called ``model``; they call this object ``diagnosis``."""
        return "\n".join(cause.fix for cause in self.causes if cause.fix)

    @property
    def changed(self) -> dict[str, Capture]:
        """Path in ``b`` -> the convolution after the change, for causes that are in a convolution."""
        return {cause.path_b: cause.changed for cause in self.causes if cause.changed is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        plain = {field.name: getattr(self, field.name) for field in attrs.fields(ModelDiagnosis)}
        plain["rows"] = [attrs.asdict(row) for row in self.rows]
        plain["causes"] = [attrs.asdict(cause, filter=lambda field, _value: field.name != "changed") for cause in self.causes]
        return {"equal": self.equal, "fix": self.fix, **plain, "notes": list(self.notes)}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only to show it

        return text("\n".join(self._explanation())) + table(HEAD, [row.cells() for row in self.rows])

    def __repr__(self) -> str:
        return f"ModelDiagnosis({self.verdict!r}, largest_difference={self.largest_difference:.3g})"

    def __str__(self) -> str:
        return "\n".join([*self._explanation(), "", *self._table()])

    def _explanation(self) -> Iterable[str]:
        if self.equal:
            yield f"The outputs of the models are {self.verdict}. Largest difference: {_number(self.largest_difference)}."
        else:
            count = self.verdict if self.causes else "Unexplained"
            yield f"{count.capitalize()}. Largest difference of the outputs: {_number(self.largest_difference)}."
        for cause in self.causes[:MOST_CAUSES]:
            where = cause.path_b or cause.path_a
            yield f"  {where} ({cause.kind}): {cause.text}"
        lines = self.fix.splitlines()
        if lines:
            yield "Change b:"
            yield from (f"  {line}" for line in lines[:MOST_CAUSES])
        if len(self.causes) > MOST_CAUSES:
            yield f"{MOST_CAUSES} of {len(self.causes)} causes are shown; the attributes causes and fix contain all of them."
        yield from (f"Note: {note}" for note in self.notes)

    def _table(self) -> Iterable[str]:
        shown = [row for row in self.rows if row.verdict not in ("equal", "rounding", "inherited")]
        rows = self.rows if len(self.rows) <= MOST_ROWS else shown
        cells = [HEAD, *(row.cells() for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
        yield from ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
        if len(rows) < len(self.rows):
            yield f"{len(self.rows) - len(rows)} more pairs of modules without an error of their own"
