"""`Change`: one aspect of a computation changed, to be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from convpolicy.diagnosis.computation import Computation, Target


@attrs.frozen(eq=False)
class Change:
    """One thing done to a computation.

    Args:
        text: what the user does.
        result: the computation changed so.
    """

    text: str
    result: Computation


Candidates: TypeAlias = Iterator[Change]
# (the computation, that of the other layer where it is known, the outputs to be met) -> changes to try
Finder: TypeAlias = Callable[[Computation, Computation | None, Target], Candidates]
