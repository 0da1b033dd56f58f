"""Conversions that are killed: at a random moment, or at each of their steps on the disk."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of other libraries do not matter to a process that only converts
        return os.fork()


def seconds_of(work: Callable[[], Any]) -> float:
    """Return how long work takes in a process of its own; one that hangs is killed after a minute."""
    start, child = time.perf_counter(), _fork()
    if child == 0:
        signal.alarm(60)
        try:
            work()
        finally:
            os._exit(0)
    assert not os.WIFSIGNALED(os.waitpid(child, 0)[1])
    return time.perf_counter() - start


def killed_after(seconds: float, work: Callable[[], Any]) -> bool:
    """Run work in a process of its own, kill it after some seconds, and return whether it was killed before its end."""
    child = _fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Run work in a process of its own that ends before its step of this number; return whether it was killed before its end.

    A step is one of the calls that give a file its name or take it away.
    """
    child = _fork()
    if child == 0:
        left = [step]

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **keywords: Any) -> Any:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return function(*arguments, **keywords)

            return call

        os.link = counted(os.link)
        for name in ("replace", "unlink"):
            setattr(Path, name, counted(getattr(Path, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
