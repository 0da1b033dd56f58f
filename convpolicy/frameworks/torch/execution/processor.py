"""The kind of the current processor; a rule of `rules` applies only to the kinds on which it was measured."""

from __future__ import annotations

import os
import platform
import re
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


@lru_cache(maxsize=1)
def current() -> Processor:
    """Return the kind of this processor."""
    maker = next((maker for maker in (INTEL, AMD) if maker in _description()), "")
    return Processor(maker, torch.backends.cpu.get_cpu_capability())


@lru_cache(maxsize=1)
def machine() -> str:
    """Return the model of the processor and the versions of what computes on it, for stored measurements."""
    found = re.search(r"model name\s*: (.*)", _description())
    model = found[1].strip() if found else platform.processor() or platform.machine()
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{model}, {os.cpu_count()} cores, {instructions}, torch {torch.__version__}"


def _description() -> str:
    try:
        with CPU_INFO.open(encoding="utf-8", errors="replace") as file:
            return file.read(FIRST)
    except OSError:
        return platform.processor()  # on Windows: "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel"
