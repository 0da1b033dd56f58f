"""`Diagnosis`: the answer of `why`, as an object, as text and as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from convpolicy.layers.capture import Capture

EQUAL = ("equal to the bit", "equal within rounding")
COUNTED = ("unexplained", "one cause", "two causes")
# Aspect -> its name in printed text; an aspect that is missing here is printed as it is.
SUBJECTS = {
    "flip": "direction of the kernel",
    "layout": "weight layout",
    "total": "amount of padding",
    "odd side": "side of the extra padding sample",
    "stride phase": "split of the padding between the two sides",
    "split": "split of the padding between the two sides",
    "output_padding": "output padding",
    "appended zeros": "zeros appended to the output",
    "cut total": "amount that is cut from the output",
    "cut side": "side that is cut",
    "cut split": "split of the cut between the two sides",
    "layer": "kind of layer",
    "scale": "scale of the weights",
    "kernel_size and groups": "kernel size or groups",
    "initial weights": "weights",
}


@attrs.frozen
class Difference:
    """One output position and its value in both layers.

    Attributes:
        batch, channel, position: indices of the output.
        a, b: values of the two layers. A layer without this output has None.
        bound: largest difference that rounding can cause.
    """

    batch: int
    channel: int
    position: int
    a: float | None
    b: float | None
    bound: float

    def __str__(self) -> str:
        values = ", ".join(
            f"{name} has no output" if value is None else f"{name} = {value:.9g}"
            for name, value in (("a", self.a), ("b", self.b))
        )
        return f"batch {self.batch}, channel {self.channel}, position {self.position}: {values}"


@attrs.frozen
class Cause:
    """One aspect in which the layers differ.

    Attributes:
        aspect: ``"total"``, ``"odd side"``, ``"padding mode"``, …; see `convpolicy.diagnosis.causes`.
        change: the change that removes this difference, e.g. ``"padding=(1, 2) instead of (0, 0)"``.
    """

    aspect: str
    change: str


@attrs.frozen
class Alternative:
    """Another explanation of the difference between two layers on the same input.

    Attributes:
        causes: the causes that this explanation names.
        told_apart_by: NumPy expression of an input that decides between this explanation and the first one.
    """

    causes: tuple[Cause, ...]
    told_apart_by: str


@attrs.frozen(eq=False, repr=False)
class Diagnosis:
    """Explanation of why two layers give different outputs.

    Print the object to read the explanation. ``changed.build(backend)`` builds the corrected layer.

    Attributes:
        verdict: one of

            - ``"equal to the bit"``
            - ``"equal within rounding"``
            - ``"one cause"``, ``"two causes"``, ``"3 causes"``, …
            - ``"undecided"``: explanations with other kinds of causes also fit this input
            - ``"unexplained"``
        causes: the aspects that differ. Empty if the outputs are equal, or if ``why`` finds no explanation.
        alternatives: other explanations with the same number of changes.
        changes_on: ``"a"`` or ``"b"``, the layer to change.
        changed: the layer after the changes, as a `Capture`, or None if ``causes`` is empty. It does not include an activation or the
            precision of the computation.
        first_difference: the first output that differs by more than rounding, or None. The order is batch, channel, position.
        largest_difference: the output with the largest difference. None if the outputs are bit-identical.
        where: text that lists the positions and channels that differ.
        tried: number of changes that ``why`` tried.
        notes: warnings, e.g. that a layer could not be captured.
    """

    verdict: str
    causes: tuple[Cause, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    changes_on: str = ""
    changed: Capture | None = None
    first_difference: Difference | None = None
    largest_difference: Difference | None = None
    where: str = ""
    tried: int = 0
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """True if the outputs are bit-identical or differ only by rounding."""
        return self.verdict in EQUAL

    @property
    def change(self) -> str:
        """The changes that make the outputs equal, as one line of text. Empty if ``causes`` is empty."""
        return f"in {self.changes_on}: {' and '.join(cause.change for cause in self.causes)}" if self.causes else ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. The value of ``changed`` is text."""
        plain = {field.name: getattr(self, field.name) for field in attrs.fields(Diagnosis)}
        plain["changed"] = None if self.changed is None else str(self.changed)
        return {"equal": self.equal, "change": self.change} | {name: _plain(value) for name, value in plain.items()}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only to show it

        rows = [(_subject(cause), f"in {self.changes_on}: {cause.change}") for cause in self.causes]
        return text(self) + (table(("what differs", "the change that helps"), rows) if rows else "")

    def __repr__(self) -> str:
        return f"Diagnosis({self.verdict!r}, {self.change!r})"

    def __str__(self) -> str:
        lines = [*self._explanation()]
        if self.where:
            lines.append(f"Where: {self.where}.")
        if self.first_difference is not None:
            lines.append(f"First difference: {self.first_difference}.")
        largest = self.largest_difference
        if largest is not None:
            size = "" if largest.a is None or largest.b is None else f"{abs(largest.a - largest.b):.3g} at "
            lines.append(f"Largest difference: {size}{largest}. Rounding explains up to {largest.bound:.2g}.")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def _explanation(self) -> Iterable[str]:
        """Yield the lines about the causes."""
        if not self.causes:
            unexplained = f"Unexplained: none of the {self.tried} changes tried, alone or in pairs, makes the outputs equal."
            yield unexplained if self.verdict == COUNTED[0] else f"The outputs are {self.verdict}."
            return
        subjects = ", ".join(dict.fromkeys(map(_subject, self.causes)))
        yield f"Most likely: {subjects}." if self.verdict == "undecided" else f"{self.verdict.capitalize()}: {subjects}."
        yield from _steps(f"To make the outputs equal, change {self.changes_on}:", self.causes)
        for other in self.alternatives:
            yield from _steps("This fits the input too:", other.causes)
            yield f"To decide, compare the layers on x = {other.told_apart_by}."


def _subject(cause: Cause) -> str:
    return SUBJECTS.get(cause.aspect, cause.aspect)


def _steps(heading: str, causes: tuple[Cause, ...]) -> list[str]:
    """Return a heading and its changes: on the same line when there is one change, else one line per change."""
    if len(causes) == 1:
        return [f"{heading} {causes[0].change}"]
    return [heading, *(f"  {cause.change}" for cause in causes)]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in attrs.asdict(value, recurse=False).items()} if attrs.has(type(value)) else value


def counted(number: int) -> str:
    """Return the verdict for a number of causes."""
    return COUNTED[number] if number < len(COUNTED) else f"{number} causes"
