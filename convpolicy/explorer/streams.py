"""What a stream of each layer waits for, as tables of the integers of its schedule; streams.js computes the times from them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from convpolicy.arithmetic import effective_kernel
from convpolicy.chunks.schedule import schedule
from convpolicy.chunks.transposed import transposed_schedule
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer.plans import BASE, TRANSPOSED, Store, Tables
from convpolicy.parts.choice import Choice

LONG = 10  # multiples of a window and a stride, a length from which on a rule repeats its pads


class Streams:
    """Tables of the schedules of all layers of the page.

    Args:
        tables: the tables of the page's plans, which contain the pairs of pads and the texts of refusals.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.starts, self.waits = Store(), Store()

    def rule(self, choice: Choice) -> int:
        """Return the number of a row with an entry for each window: the integers of a padding rule that adds zeros, in ``starts``.

        These are ``(left, held, first)`` of the `Schedule`, followed by the numbers of the pairs of pads of long inputs.
        """
        return self._by_window(lambda window: self._start(choice, window))

    def crop(self, choice: Choice) -> int:
        """Return the same of a crop rule: ``(left, held)`` of the `TransposedSchedule`."""
        return self._by_window(lambda window: self._crop(choice, window))

    def mode(self, choice: Choice) -> int:
        """Return the number of a row with an entry for each pair of widths: ``(first, last)`` of the `Schedule`, in ``waits``.

        Call it after every call of `rule`.
        """
        return self.tables.row([self._entry(self._wait, choice, *pair) for pair in self.tables.widths])

    def transposed_mode(self, choice: Choice) -> int:
        """Return 0, or the entry for a refusal."""
        return self._entry(self._transposed_mode, choice)

    def _by_window(self, read: Callable[[tuple[int, int, int]], int]) -> int:
        return self.tables.row([self._entry(read, window) for window in self.tables.ranges.windows()])

    def _entry(self, read: Callable[..., int], *arguments: Any) -> int:
        try:
            return read(*arguments)
        except ConvPolicyError as error:
            return self.tables.refusal(error)

    def _start(self, choice: Choice, window: tuple[int, int, int]) -> int:
        kernel, stride, dilation = window
        found = schedule(BASE.evolve(padding=choice), _spec(*window))
        long = LONG * (effective_kernel(kernel, dilation) + stride)
        pairs = set()
        for length in range(long, long + 2 * stride):
            with suppress(ConvPolicyError):  # a rule may refuse lengths that are no multiple of the stride
                plan = found.plan(length)
                pairs.add(self.tables.pairs.number((plan.left, plan.right)))
        return self.starts.number((found.left, found.held, found.first, *sorted(pairs)))

    def _crop(self, choice: Choice, window: tuple[int, int, int]) -> int:
        found = transposed_schedule(TRANSPOSED.evolve(padding=choice), _spec(*window, transposed=True))
        return self.starts.number((found.left, found.held))

    def _wait(self, choice: Choice, left: int, right: int) -> int:
        policy = BASE.evolve(padding=(left, right), padding_mode=choice)
        found = schedule(policy, _spec(left + 1, 1, 1))  # no window consists of padding alone
        return self.waits.number((found.first, found.last))

    def _transposed_mode(self, choice: Choice) -> int:
        transposed_schedule(TRANSPOSED.evolve(padding=0, padding_mode=choice), _spec(1, 1, 1, transposed=True))
        return 0


def _spec(kernel: int, stride: int, dilation: int, *, transposed: bool = False) -> ConvSpec:
    return ConvSpec.of(1, 1, kernel, stride, dilation, 1, transposed=transposed)
