"""Conversions that are killed: at a random moment, or at each of their steps on the disk."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.checkpoints import digest, same

import convpolicy as cp


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


def converted_and_killed(
    kills: int,
    source: Path,
    older: Path,
    outputs: tuple[Path, str],
    read: Callable[[Path], Any],
    expected: tuple[Any, Any],
    words: dict[str, Any],
) -> set[str]:
    """Convert again and again, each time killed at a random moment, every other time over the result of an older source.

    Asserts that the source is intact, and that what has the output's name is the new result, or the old one where there was one.

    Args:
        kills: how many.
        source, older: files to convert.
        outputs: folder to work in, and the name of the result.
        read: reads a result by its own library.
        expected: what it gives of ``source`` and of ``older``.
        words: what `convpolicy.convert` is called with.

    Returns:
        What was met: ``"new"``, ``"old"``.
    """
    folder, name = outputs
    before, chance, outcomes = digest(source), random.Random(0), set()
    (folder / "first").mkdir()
    seconds = seconds_of(lambda: cp.convert(source, folder / "first" / name, **words))
    for number in range(kills):
        output, old = folder / str(number) / name, bool(number % 2)
        output.parent.mkdir()
        if old:
            cp.convert(older, output, **words)
        killed_after(
            chance.uniform(0, 1.2 * seconds), lambda output=output, old=old: cp.convert(source, output, **words, force=old)
        )
        assert digest(source) == before
        if old or output.exists():
            found = read(output)
            outcomes.add("new" if same(found, expected[0]) else "old")
            assert same(found, expected[0]) or (old and same(found, expected[1]))
    return outcomes
