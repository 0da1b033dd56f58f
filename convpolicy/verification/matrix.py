"""The matrix policy × backend: every layer of every installed backend against the native framework of every policy."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.verification import rows


@attrs.frozen
class Cell:
    """One policy on one backend.

    Attributes:
        policy, backend: names.
        verdict: ``exact``, ``within tolerance``, ``differs`` or ``crashed``; ``not installed`` or ``not checked`` where there is
            nothing to compare with.
        error: largest absolute difference from the native framework's outputs, None where none was measured.
        detail: cases compared, or why not.
    """

    policy: str
    backend: str
    verdict: str
    error: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.error:.1e}" if self.verdict == "within tolerance" else self.verdict


@attrs.frozen
class Matrix:
    """Every cell measured on this machine, policy by policy."""

    cells: tuple[Cell, ...]

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The cells in which a layer differs from the native framework by more than rounding, or crashes."""
        return tuple(cell for cell in self.cells if cell.verdict in ("differs", "crashed"))

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the heading and one line per policy."""
        backends = list(dict.fromkeys(cell.backend for cell in self.cells))
        lines: dict[str, list[str]] = {}
        for cell in self.cells:
            lines.setdefault(cell.policy, []).append(str(cell))
        return ("policy", *backends), [(policy, *line) for policy, line in lines.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return {"failed": len(self.failed), "cells": [attrs.asdict(cell) for cell in self.cells]}


def matrix(
    policies: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Matrix:
    """Run policies on backends and compare with the native frameworks, each framework in a process of its own.

    Args:
        policies: names; None for every policy that claims a framework.
        backends: names; None for every backend whose framework is installed.
        progress: called with what is done next.

    Returns:
        A `Matrix`.

    Raises:
        UnknownNameError: an unknown policy or backend.
    """
    natives, parts = registry.current().parts("native framework"), registry.current().parts("backend")
    rows_wanted = list(natives) if policies is None else [registry.current().get("native framework", p).name for p in policies]
    columns = [b.name for b in parts.values() if b.is_installed()] if backends is None else [*backends]
    for backend in columns:
        registry.current().get("backend", backend)
    said: Callable[[str], None] = progress or (lambda _text: None)
    cells: dict[tuple[str, str], Cell] = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in rows_wanted:
            said(f"running the framework of {policy}")
            for row in rows(_command("expected", policy, folder), natives[policy].environment):
                cells |= {(policy, backend): _without_outputs(policy, backend, row) for backend in columns}
        for backend in columns:
            said(f"comparing backend {backend}")
            for row in rows(_command("computed", backend, folder), parts[backend].environment):
                cells |= _compared(backend, row, cells)
    return Matrix(tuple(cells[policy, backend] for policy in rows_wanted for backend in columns))


def _command(what: str, name: str, folder: str) -> list[str]:
    return [sys.executable, "-m", "convpolicy.verification.cells", what, name, str(Path(folder))]


def _without_outputs(policy: str, backend: str, row: dict[str, Any]) -> Cell:
    """Return the cell as it stands before a backend fills it."""
    if crash := row.get("crash", ""):
        missing = "ModuleNotFoundError" in crash
        return Cell(policy, backend, "not installed" if missing else "crashed", detail=crash)
    if not row["covered"]:
        return Cell(policy, backend, "not checked", detail=f"installed is {row['version']}")
    return Cell(policy, backend, "crashed")  # until the backend has been there


def _compared(backend: str, row: dict[str, Any], cells: dict[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    """Return the cells that one row of a backend's process fills; all that are left when it crashed."""
    if "crash" in row:
        left = [cell for cell in cells.values() if cell.backend == backend and cell.verdict == "crashed" and not cell.detail]
        return {(cell.policy, backend): attrs.evolve(cell, detail=row["crash"]) for cell in left}
    policy = row["policy"]
    return {(policy, backend): Cell(policy, backend, row["verdict"], row["error"], f"{row['cases']} cases")}
