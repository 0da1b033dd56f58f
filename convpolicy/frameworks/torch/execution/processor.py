"""The kind of the current processor; a rule of `rules` applies only to the kinds on which it was measured."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

CPU_INFO = Path("/proc/cpuinfo")  # on Linux
FIRST = 4096  # characters; enough for the first core
INTEL, AMD = "GenuineIntel", "AuthenticAMD"  # the names that processors report


class Processor(NamedTuple):
    """A kind of processor.

    Attributes:
        maker: ``"GenuineIntel"``, ``"AuthenticAMD"``, or empty for any other maker.
        instructions: the instruction set that torch uses, e.g. ``"AVX2"``.
    """

    maker: str
    instructions: str


def current() -> Processor:
    """Return the kind of this processor."""
    return Processor(_maker(), torch.backends.cpu.get_cpu_capability())


@lru_cache(maxsize=1)
def _maker() -> str:
    try:
        with CPU_INFO.open(encoding="utf-8", errors="replace") as file:
            text = file.read(FIRST)
    except OSError:
        text = platform.processor()  # on Windows: "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel"
    return next((maker for maker in (INTEL, AMD) if maker in text), "")
