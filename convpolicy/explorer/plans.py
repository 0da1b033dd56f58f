"""Every plan of the page, as tables: pads of each rule, outputs of each padded length, elements that each mode adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import Plan
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.pictures.columns import constant

BASE = Policy("explorer")  # a policy that refuses no sizes
TRANSPOSED = TransposedPolicy("explorer")  # the same for transposed convolutions
PLAIN = Choice("zeros")  # a mode without a limit


class Ranges(NamedTuple):
    """The sizes that a page contains, each as a pair (first, last), in samples."""

    kernel: tuple[int, int] = (1, 8)
    stride: tuple[int, int] = (1, 4)
    dilation: tuple[int, int] = (1, 3)
    length: tuple[int, int] = (1, 16)
    pad: tuple[int, int] = (-2, 6)

    def values(self, name: str) -> range:
        """Return all values of one size, e.g. of ``"kernel"``."""
        first, last = getattr(self, name)
        return range(first, last + 1)

    def windows(self) -> list[tuple[int, int, int]]:
        """Return every ``(kernel, stride, dilation)``; the kernel varies slowest."""
        return list(product(self.values("kernel"), self.values("stride"), self.values("dilation")))


class Store:
    """A list of distinct values, numbered in the order in which they were added."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value; add the value if it is new."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        """All values, sorted by their number."""
        return list(self._numbers)


class Tables:
    """Tables of integers in which a page looks plans up.

    A negative entry is a refusal: ``-1 - number``, where ``number`` is the number of its text in ``texts``.

    Args:
        ranges: sizes that the page contains.
    """

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self.texts, self.pairs, self.rows = Store(), Store(), Store()
        self.sides, self.ends, self.added, self.crops = Store(), Store(), Store(), Store()
        self.longest = ranges.length[1]
        for pads in product(ranges.values("pad"), repeat=2):
            self.pairs.number(pads)

    def refusal(self, error: ConvPolicyError | str) -> int:
        """Return the entry for a refusal."""
        return -1 - self.texts.number(str(error))

    def entry(self, policy: LayerPolicy, window: tuple[int, int, int], length: int, read: Callable[[Any], int]) -> int:
        """Return ``read(plan)`` for the plan of these sizes, or the entry for their refusal."""
        try:
            return read(policy.plan(*window, length=length))
        except ConvPolicyError as error:
            return self.refusal(error)

    def padding(self, choice: Choice) -> dict[str, Any]:
        """Return the pads of one padding rule; see `numbers`."""
        return self.numbers(BASE, choice, self._pads)

    def cropping(self, choice: Choice) -> dict[str, Any]:
        """Return the cuts of one crop rule; see `numbers`."""
        return self.numbers(TRANSPOSED, choice, lambda plan: self.crops.number((plan.left, plan.right)))

    def cuts(self, rules: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int, int], set[tuple[int, int]]]:
        """Return, for each window, what the page can cut: every pair of its two fields, and what the crop rules cut."""
        fields: set[tuple[int, int]] = {(left, right) for left, right in product(self.ranges.values("pad"), repeat=2)}
        pairs = {window: set(fields) for window in self.ranges.windows()}
        for rule in rules:
            for number, window in enumerate(pairs):
                row = rule["rows"] if isinstance(rule["rows"], int) else rule["rows"][number]
                pairs[window].update(self.crops.values[entry] for entry in self.rows.values[row] if entry >= 0)
        return pairs

    def numbers(self, base: LayerPolicy, choice: Choice, read: Callable[[Any], int]) -> dict[str, Any]:
        """Return the numbers of one rule: a row for each window, and whether they are the same for every length.

        A row contains an entry for each length, or one entry if all are equal.
        """
        try:
            policy = base.evolve(padding=choice)
        except ConvPolicyError as error:
            return {"rows": self.row([self.refusal(error)]), "static": ""}
        rows = [
            self.row([self.entry(policy, window, length, read) for length in self.lengths]) for window in self.ranges.windows()
        ]
        static = "".join(str(int(_is_static(policy, window))) for window in self.ranges.windows())
        return {"rows": rows if len(set(rows)) > 1 else rows[0], "static": static}

    @property
    def lengths(self) -> range:
        """Every input length."""
        return self.ranges.values("length")

    def row(self, entries: list[int]) -> int:
        """Return the number of a row."""
        return self.rows.number(tuple(entries if len(set(entries)) > 1 else entries[:1]))

    def _pads(self, plan: Plan) -> int:
        self.longest = max(self.longest, plan.padded_length)
        return self.pairs.number((plan.left, plan.right))

    def outputs(self) -> list[int]:
        """Return, for each window, the number of a row of output lengths, indexed by the padded length.

        Call it after every call of `padding`.
        """
        policy = BASE.evolve(padding="valid")
        longest = max(self.longest, self.ranges.length[1] + 2 * self.ranges.pad[1])
        return [
            self.row([policy.plan(*window, length=length).length_out for length in range(longest + 1)])
            for window in self.ranges.windows()
        ]

    @property
    def widths(self) -> list[tuple[int, int]]:
        """Every pair of numbers of added elements, left and right; a negative pad counts as 0."""
        return list(dict.fromkeys((max(left, 0), max(right, 0)) for left, right in self.pairs.values))

    def mode(self, choice: Choice, widths: Iterable[tuple[int, int]]) -> int | list[int]:
        """Return the elements that one mode adds: for each length, the number of a table in ``added``.

        The table has an entry for each pair of widths. The entry is a number in ``ends``, and that is a pair of numbers in ``sides``.
        """
        try:
            policies = [BASE.evolve(padding=pads, padding_mode=choice) for pads in widths]
        except ConvPolicyError as error:
            return self.refusal(error)
        return [
            self.added.number(tuple(self.entry(policy, (1, 1, 1), length, self._ends) for policy in policies))
            for length in self.lengths
        ]

    def _ends(self, plan: Plan) -> int:
        return self.ends.number(
            tuple(self.sides.number(_elements(side, plan.length, from_end)) for side, from_end in zip(plan.sides, (False, True)))
        )


def _is_static(policy: LayerPolicy, window: tuple[int, int, int]) -> bool:
    try:
        return policy.static_pads(*window) is not None
    except ConvPolicyError:
        return False


def _elements(side: Any, length: int, from_end: bool) -> tuple[Any, ...]:
    """Return the constant of a side as text, followed by its elements.

    An element is an input position, -1 for the constant, or a tuple of pairs (coefficient, position) for a sum. Positions on the
    right are counted backwards from the last sample, so that most of them are the same for every length.
    """
    if not side.width:
        return ("",)
    place: Callable[[int], int] = (lambda source: length - 1 - source if source >= 0 else source) if from_end else int
    if side.copies:
        return (constant(side), *map(place, side.sources))
    shares = [np.broadcast_to(term.coefficient, side.width).tolist() for term in side.terms]
    elements = []
    for number in range(side.width):
        pairs = [(share[number], place(term.sources[number])) for share, term in zip(shares, side.terms)]
        elements.append(tuple(pair for pair in pairs if pair[0]))
    return (constant(side), *elements)


def refused_windows(policy: LayerPolicy, ranges: Ranges, refusal: Callable[[ConvPolicyError], int]) -> Mapping[str, int]:
    """Return ``"stride,dilation"`` -> entry of the refusal, for the pairs that a policy's framework refuses."""
    entries = {}
    for stride, dilation in product(ranges.values("stride"), ranges.values("dilation")):
        try:
            policy.evolve(padding=0, padding_mode=PLAIN).plan(1, stride, dilation, length=1)
        except ConvPolicyError as error:
            entries[f"{stride},{dilation}"] = refusal(error)
    return entries
