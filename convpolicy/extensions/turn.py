"""`Turn`: a lock for loading plugins that detects when the loading thread waits for the thread that needs the lock."""

from __future__ import annotations

import sys
import threading
from types import FrameType

INTERVAL = 0.05  # seconds between two inspections of the thread that has the lock
LIMIT = 200  # inspections without progress, after which the owner is assumed to wait for a thread that it may have started


class Turn:
    """A reentrant lock; a thread does not wait for it if the owner waits for that thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Release the lock whoever owns it: in a forked process the owner may not exist."""
        self._lock = threading.RLock()
        self._depth = 0
        self._owner = 0
        self._elders: frozenset[int | None] = frozenset()  # the threads that existed when the owner took the lock

    def take(self) -> bool:
        """Wait for the lock and return True; return False without it if its owner waits for this thread."""
        last_position, repeats = None, 0
        while not self._lock.acquire(timeout=INTERVAL):
            frame = sys._current_frames().get(self._owner)
            if frame is None or frame.f_code.co_filename != threading.__file__:
                last_position, repeats = None, 0
                continue
            position = (id(frame), frame.f_lasti)
            last_position, repeats = position, repeats + 1 if position == last_position else 0
            thread = threading.current_thread()
            if _joins(frame, thread) or (repeats >= LIMIT and thread.ident not in self._elders):
                return False
        self._depth += 1
        if self._depth == 1:
            self._owner = threading.get_ident()
            self._elders = frozenset(thread.ident for thread in threading.enumerate())
        return True

    def leave(self) -> None:
        """Release the lock."""
        self._depth -= 1
        self._lock.release()


def _joins(frame: FrameType | None, thread: threading.Thread) -> bool:
    """Return True if a frame of the module ``threading`` is within ``thread.join()``."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        if frame.f_code.co_name == "join" and frame.f_locals.get("self") is thread:
            return True
        frame = frame.f_back
    return False
