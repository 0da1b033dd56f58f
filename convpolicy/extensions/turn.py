"""`Turn`: one thread at a time loads or registers plugins; the others wait, unless that thread waits for them."""

from __future__ import annotations

import sys
import threading
from types import FrameType

LOOK = 0.05  # seconds from one look at the thread that has the turn to the next
LOOKS = 200  # alike, after which a thread that the plugin may have started is taken for one that it waits for


class Turn:
    """A lock that a thread may take again while it has it, and that does not wait for the thread that waits for it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Be free, whoever had the turn: in a forked process its thread does not exist."""
        self._lock = threading.RLock()
        self._depth = 0
        self._owner = 0
        self._elders: frozenset[int | None] = frozenset()  # the threads there were when the turn was taken

    def take(self) -> bool:
        """Wait for the turn; False, without it, when the thread that has it waits for this one."""
        place, alike = None, 0
        while not self._lock.acquire(timeout=LOOK):
            frame = sys._current_frames().get(self._owner)
            if frame is None or frame.f_code.co_filename != threading.__file__:
                place, alike = None, 0
                continue
            here = (id(frame), frame.f_lasti)
            place, alike = here, alike + 1 if here == place else 0
            me = threading.current_thread()
            if _joins(frame, me) or (alike >= LOOKS and me.ident not in self._elders):
                return False
        self._depth += 1
        if self._depth == 1:
            self._owner = threading.get_ident()
            self._elders = frozenset(thread.ident for thread in threading.enumerate())
        return True

    def leave(self) -> None:
        """Let the next thread have the turn."""
        self._depth -= 1
        self._lock.release()


def _joins(frame: FrameType | None, thread: threading.Thread) -> bool:
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        if frame.f_code.co_name == "join" and frame.f_locals.get("self") is thread:
            return True
        frame = frame.f_back
    return False
