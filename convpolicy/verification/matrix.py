"""The matrix of policies and backends: the layers of every backend compared with the native layers of every policy."""

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
    """Result for one policy on one backend.

    Attributes:
        policy, backend: names.
        verdict: ``exact``, ``within tolerance``, ``differs``, ``crashed``, ``not installed`` or ``not checked``.
        error: largest absolute difference from the outputs of the native framework; None if it was not measured.
        detail: number of cases, or the reason why there are none.
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
    """Results for all policies and backends on this machine, policy by policy."""

    cells: tuple[Cell, ...]

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The cells with the verdict ``differs`` or ``crashed``."""
        return tuple(cell for cell in self.cells if cell.verdict in ("differs", "crashed"))

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the column titles and one row per policy."""
        backends = list(dict.fromkeys(cell.backend for cell in self.cells))
        lines: dict[str, list[str]] = {}
        for cell in self.cells:
            lines.setdefault(cell.policy, []).append(str(cell))
        return ("policy", *backends), [(policy, *line) for policy, line in lines.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"failed": len(self.failed), "cells": [attrs.asdict(cell) for cell in self.cells]}


def matrix(
    policies: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Matrix:
    """Build the layers of policies on backends and compare them with the native frameworks, each in a separate process.

    Args:
        policies: names of policies; None for every policy that describes a framework.
        backends: names of backends; None for every backend whose framework is installed.
        progress: function that is called with a description of each step.

    Returns:
        A `Matrix`.

    Raises:
        UnknownNameError: a policy or backend is unknown.
    """
    natives, parts = registry.current().parts("native framework"), registry.current().parts("backend")
    names = list(natives) if policies is None else [registry.current().get("native framework", p).name for p in policies]
    columns = [b.name for b in parts.values() if b.is_installed()] if backends is None else [*backends]
    for backend in columns:
        registry.current().get("backend", backend)
    report: Callable[[str], None] = progress or (lambda _text: None)
    cells: dict[tuple[str, str], Cell] = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in names:
            report(f"running the framework of {policy}")
            for row in rows(_command("expected", policy, folder), natives[policy].environment):
                cells |= {(policy, backend): _without_outputs(policy, backend, row) for backend in columns}
        for backend in columns:
            report(f"comparing backend {backend}")
            for row in rows(_command("computed", backend, folder), parts[backend].environment):
                cells |= _compared(backend, row, cells)
    return Matrix(tuple(cells[policy, backend] for policy in names for backend in columns))


def _command(step: str, name: str, folder: str) -> list[str]:
    return [sys.executable, "-m", "convpolicy.verification.cells", step, name, str(Path(folder))]


def _without_outputs(policy: str, backend: str, row: dict[str, Any]) -> Cell:
    """Return the initial cell of a policy and a backend, before the backend is compared."""
    if crash := row.get("crash", ""):
        missing = "ModuleNotFoundError" in crash
        return Cell(policy, backend, "not installed" if missing else "crashed", detail=crash)
    if not row["covered"]:
        return Cell(policy, backend, "not checked", detail=f"installed is {row['version']}")
    return Cell(policy, backend, "crashed")  # replaced when the backend is compared


def _compared(backend: str, row: dict[str, Any], cells: dict[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    """Return the cells that one row of a backend's process fills; after a crash, all remaining cells of the backend."""
    if "crash" in row:
        rest = [cell for cell in cells.values() if cell.backend == backend and cell.verdict == "crashed" and not cell.detail]
        return {(cell.policy, backend): attrs.evolve(cell, detail=row["crash"]) for cell in rest}
    policy = row["policy"]
    return {(policy, backend): Cell(policy, backend, row["verdict"], row["error"], f"{row['cases']} cases")}
