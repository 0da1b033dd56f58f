"""`Change`: one change of a computation that `why` tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from convpolicy.diagnosis.computation import Computation, Target


@attrs.frozen(eq=False)
class Change:
    """One change of a computation.

    Args:
        text: instruction for the user.
        result: the computation after the change.
    """

    text: str
    result: Computation


Candidates: TypeAlias = Iterator[Change]
# (the computation, the other layer's computation if known, the outputs to reproduce) -> changes to try
Finder: TypeAlias = Callable[[Computation, Computation | None, Target], Candidates]
