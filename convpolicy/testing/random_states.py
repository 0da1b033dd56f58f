"""Check that a part does not use or change the global random states of NumPy and Python."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from convpolicy.testing.common import require


def twice(draw: Callable[[], Any], about: str, fix: str) -> list[Any]:
    """Call a function under two different global random states of NumPy and Python, and return both results.

    Args:
        draw: the function.
        about: what the function draws, used in the message.
        fix: what to draw from instead, used in the message.

    Raises:
        ConformanceError: the function changes a global state; the message says which.
    """
    drawn, shared = [], (np.random.get_state(), random.getstate())  # noqa: NPY002 - the global states are tested
    try:
        for other in (1, 2):
            np.random.seed(other)  # noqa: NPY002 - as above
            random.seed(other)
            before = _states()
            drawn.append(draw())
            changed = [name for name, state in _states().items() if state != before[name]]
            require(not changed, f"it changes {' and '.join(changed)} {about}; {fix}.")
    finally:
        np.random.set_state(shared[0])  # noqa: NPY002 - as above
        random.setstate(shared[1])
    return drawn


def _states() -> dict[str, Any]:
    return {"NumPy's random state": pickle.dumps(np.random.get_state()), "Python's random state": random.getstate()}  # noqa: NPY002
