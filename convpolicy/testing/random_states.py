"""The random states that a process shares: what a part draws neither reads nor changes them."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from convpolicy.testing.common import require


def twice(draw: Callable[[], Any], about: str, fix: str) -> list[Any]:
    """Return what a function gives with one and with another state of NumPy and Python, which it must leave as they are.

    Args:
        draw: the function.
        about: what is drawn, for the message.
        fix: what to draw from instead, for the message.

    Raises:
        ConformanceError: it changes one of the states; holds which.
    """
    drawn, shared = [], (np.random.get_state(), random.getstate())  # noqa: NPY002 - the states that are not to be read
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
