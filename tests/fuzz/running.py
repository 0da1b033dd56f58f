"""Running fuzzers: each in a child process that is watched, so that a hang or a crash is a fault with a seed and not the end.

A fuzzer is a module of this folder with ``NAME`` and ``case(random, folder)``: one call is one input. It returns True for an input that
was accepted, False for one that was refused, None where it does not tell; whatever it raises is a fault. ``NEEDS`` names packages
that it cannot do without. The input of seed 7 is ``case(random.Random(7), folder)``, in an empty folder.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pathlib
import queue
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import attrs

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
LONGEST = 60.0  # seconds that one input may take before it is a hang; the first one also imports what it needs
MEMORY = 16 << 30  # bytes of addresses that a child may have
OUTCOMES = {True: "accepted", False: "refused", None: "untold"}


@attrs.define
class Tally:
    """What a fuzzer has seen.

    Attributes:
        name: of the fuzzer.
        inputs, accepted, refused: numbers of inputs; a fuzzer need not tell which of the two an input was.
        crashes: inputs that ended or hung the process.
        exceptions: inputs that raised.
        seconds: how long it ran.
        faults: seed -> what happened.
    """

    name: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    crashes: int = 0
    exceptions: int = 0
    seconds: float = 0.0
    faults: dict[int, str] = attrs.field(factory=dict)


def modules() -> dict[str, ModuleType]:
    """Return every fuzzer of this folder, by name."""
    found = {}
    for file in sorted(HERE.glob("[!_]*.py")):
        if file.stem != "running" and not file.stem.startswith("test_"):
            module = importlib.import_module(f"{__package__}.{file.stem}")
            found[module.NAME] = module
    return found


def run(
    name: str,
    seed: int = 0,
    count: int | None = None,
    seconds: float = float("inf"),
    note: Callable[[str], None] = lambda _line: None,
    longest: float = LONGEST,
) -> Tally:
    """Run one fuzzer on the inputs of consecutive seeds.

    Args:
        name: of the fuzzer.
        seed: of the first input.
        count: number of inputs; None for as many as there is time for.
        seconds: after which no new input begins.
        note: called with a line for each fault.
        longest: seconds that one input may take.
    """
    tally, start = Tally(name), time.monotonic()
    end = start + seconds
    left = count if count is not None else sys.maxsize
    while left > 0 and time.monotonic() < end:
        done = _watched(tally, seed, left, end, note, longest)
        seed, left = seed + done, left - done
    tally.seconds = time.monotonic() - start
    return tally


def _watched(tally: Tally, seed: int, left: int, end: float, note: Callable[[str], None], longest: float) -> int:
    """Let one child do inputs until it ends, hangs, crashes or the time is over; return how many it began."""

    def fault(seed: int, text: str) -> None:
        tally.faults[seed] = text
        note(f"{tally.name} --seed {seed}: {text}")

    words = [sys.executable, "-m", __package__ or "", "--child", "--only", tally.name, "--seed", str(seed), "--count", str(left)]
    folder = ROOT if __package__ == "tests.fuzz" else HERE.parent
    paths = os.pathsep.join([str(ROOT), str(HERE.parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        words, cwd=folder, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    errors: list[str] = []
    readers = (
        threading.Thread(target=lambda: [*map(lines.put, process.stdout or ()), lines.put("")], daemon=True),
        threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True),
    )
    for reader in readers:
        reader.start()
    began, current = 0, None
    try:
        while True:
            try:
                line = lines.get(timeout=longest)
            except queue.Empty:
                tally.crashes += 1
                fault(seed + began - 1 if current is not None else seed, f"hung for {longest:g} s")
                return max(began, 1)
            if not line:
                break
            event = json.loads(line)
            if "begin" in event:
                began, current = began + 1, event["begin"]
                tally.inputs += 1
                continue
            if event["outcome"] == "raised":
                tally.exceptions += 1
                fault(event["seed"], event["text"])
            elif event["outcome"] != "untold":
                setattr(tally, event["outcome"], getattr(tally, event["outcome"]) + 1)
            current = None
            if time.monotonic() > end:
                return began
        process.wait()
        readers[1].join(5)
        if current is not None or (process.returncode and not began):
            tally.crashes += 1
            fault(
                seed if current is None else current,
                f"ended the process with status {process.returncode}: {''.join(errors)[-500:]}",
            )
        return max(began, 1)
    finally:
        process.kill()
        process.wait()
        for reader, stream in zip(readers, (process.stdout, process.stderr)):
            reader.join(5)
            if stream is not None and not reader.is_alive():  # a process that an input left may hold the other end
                stream.close()


def child(name: str, seed: int, count: int) -> None:
    """Do inputs in this process and tell of each on stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what an input prints is nobody's

    def tell(**event: Any) -> None:
        pipe.write(json.dumps(event) + "\n")

    case = modules()[name].case
    for number in range(seed, seed + count):
        with _folder() as folder:
            tell(begin=number)
            try:
                outcome = OUTCOMES[case(random.Random(number), folder)]
            except BaseException as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                text = f"{type(error).__name__}: {str(error)[:2000]} ({pathlib.Path(last.filename).name}, line {last.lineno})"
                tell(seed=number, outcome="raised", text=text)
            else:
                tell(seed=number, outcome=outcome)


@contextlib.contextmanager
def _folder() -> Iterator[pathlib.Path]:
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            yield pathlib.Path(folder)
        finally:
            os.chdir(before)
