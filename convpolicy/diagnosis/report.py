"""`Diagnosis`: what `why` found, as an object, as text and as plain data."""

from __future__ import annotations

from typing import Any

import attrs

from convpolicy.layers.capture import Capture

EQUAL = ("equal to the bit", "equal within rounding")
COUNTED = ("unexplained", "one cause", "two causes")


@attrs.frozen
class Difference:
    """One output of both layers.

    Attributes:
        batch, channel, position: where it is.
        a, b: the two numbers; None where a layer gives no such output.
        bound: how far rounding alone may set them apart.
    """

    batch: int
    channel: int
    position: int
    a: float | None
    b: float | None
    bound: float

    def __str__(self) -> str:
        numbers = " and ".join("none" if number is None else f"{number:.9g}" for number in (self.a, self.b))
        return f"batch {self.batch}, channel {self.channel}, position {self.position}: {numbers}"


@attrs.frozen
class Cause:
    """One aspect in which the layers differ.

    Attributes:
        aspect: ``"total"``, ``"odd side"``, ``"padding mode"``, …; see `convpolicy.diagnosis.causes`.
        change: what the user does about it.
    """

    aspect: str
    change: str


@attrs.frozen
class Alternative:
    """Another explanation that fits this input as well.

    Attributes:
        causes: its changes.
        told_apart_by: an input on which the two differ.
    """

    causes: tuple[Cause, ...]
    told_apart_by: str


@attrs.frozen(eq=False, repr=False)
class Diagnosis:
    """Why two layers give different outputs.

    Attributes:
        verdict: ``"equal to the bit"``, ``"equal within rounding"``, ``"one cause"``, ``"two causes"``, ``"3 causes"`` and so on,
            ``"undecided"`` where other aspects explain this input as well, or ``"unexplained"``.
        causes: what differs; empty when the layers are equal or nothing fits.
        alternatives: other explanations of as few changes.
        changes_on: ``"a"`` or ``"b"``, the layer that the changes are made on.
        changed: that layer with the changes made; its ``build`` gives a layer that equals the other one, where its output needs
            no activation. None without causes.
        first_difference: the first output, by batch, channel and position, that rounding does not explain; None when equal.
        largest_difference: where the two are farthest apart; None when equal to the bit.
        where: what is common to the outputs that differ.
        tried: number of changes tried.
        notes: what else was noticed.
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
        """True when the outputs are equal, to the bit or within rounding."""
        return self.verdict in EQUAL

    @property
    def change(self) -> str:
        """What makes the outputs equal, in words; empty when they are, or when nothing does."""
        return f"in {self.changes_on}: {' and '.join(cause.change for cause in self.causes)}" if self.causes else ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON; ``changed`` as its text."""
        plain = {field.name: getattr(self, field.name) for field in attrs.fields(Diagnosis)}
        plain["changed"] = None if self.changed is None else str(self.changed)
        return {"equal": self.equal, "change": self.change} | {name: _plain(value) for name, value in plain.items()}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only to show it

        rows = [(cause.aspect, f"in {self.changes_on}: {cause.change}") for cause in self.causes]
        return text(self) + (table(("what differs", "the change that helps"), rows) if rows else "")

    def __repr__(self) -> str:
        return f"Diagnosis({self.verdict!r}, {self.change!r})"

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {', '.join(cause.aspect for cause in self.causes)}" if self.causes else self.verdict]
        if self.first_difference is not None:
            lines.append(f"first difference at {self.first_difference}")
        largest = self.largest_difference
        if largest is not None:
            apart = "" if largest.a is None or largest.b is None else f", {abs(largest.a - largest.b):.2e} apart"
            lines.append(f"largest at {largest}{apart}; rounding explains {largest.bound:.1e}")
        lines += [f"where: {self.where}"] if self.where else []
        lines += [f"change {self.change}"] if self.causes else []
        for other in self.alternatives:
            said = " and ".join(f"{cause.change} ({cause.aspect})" for cause in other.causes)
            lines.append(f"or, as well on this input: {said}; told apart by {other.told_apart_by}")
        lines += [f"{self.tried} changes tried, alone and in pairs"] if self.verdict == COUNTED[0] else []
        return "\n".join([*lines, *self.notes])


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in attrs.asdict(value, recurse=False).items()} if attrs.has(type(value)) else value


def counted(number: int) -> str:
    """Return the verdict for a number of causes."""
    return COUNTED[number] if number < len(COUNTED) else f"{number} causes"
