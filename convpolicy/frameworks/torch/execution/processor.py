"""Which processor this is: a rule of speed holds on the processors on which it was measured."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

CPU_INFO = Path("/proc/cpuinfo")  # of Linux
FIRST = 4096  # characters, which hold the first core
INTEL, AMD = "GenuineIntel", "AuthenticAMD"  # as processors name their makers


class Processor(NamedTuple):
    """A kind of processor.

    Attributes:
        maker: ``"GenuineIntel"``, ``"AuthenticAMD"``, or empty for another and where the system does not say.
        instructions: what torch computes with, e.g. ``"AVX2"``.
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
        text = platform.processor()  # of Windows: "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel"
    return next((maker for maker in (INTEL, AMD) if maker in text), "")
