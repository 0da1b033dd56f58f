"""The matrix of policies and backends: the layers of every backend compared with the native layers of every policy."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from convpolicy import registry
from convpolicy.verification import rows
from convpolicy.verification.native import LAYERS

Key: TypeAlias = "tuple[str, str, str]"  # layer, policy, backend


@attrs.frozen
class Cell:
    """Result for one layer of one policy on one backend.

    Attributes:
        layer: ``"Conv1d"`` or ``"ConvTranspose1d"``.
        policy, backend: names.
        verdict: ``exact``, ``within tolerance``, ``differs``, ``crashed``, ``not installed``, ``not checked``, or ``no such layer`` if
            the backend has no transposed convolutions.
        error: largest absolute difference from the outputs of the native framework; None if it was not measured.
        detail: number of cases, or the reason why there are none.
    """

    layer: str
    policy: str
    backend: str
    verdict: str
    error: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.error:.1e}" if self.verdict == "within tolerance" else self.verdict


@attrs.frozen
class Matrix:
    """Results for all policies and backends on this machine: convolutions, then transposed convolutions, policy by policy."""

    cells: tuple[Cell, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that were compared, ``"Conv1d"`` or ``"ConvTranspose1d"`` or both."""
        return tuple(dict.fromkeys(cell.layer for cell in self.cells))

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The cells with the verdict ``differs`` or ``crashed``."""
        return tuple(cell for cell in self.cells if cell.verdict in ("differs", "crashed"))

    def table(self, layer: str = LAYERS[0]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the column titles and one row per policy.

        Args:
            layer: one of `layers`.
        """
        cells = [cell for cell in self.cells if cell.layer == layer]
        backends = list(dict.fromkeys(cell.backend for cell in cells))
        lines: dict[str, list[str]] = {}
        for cell in cells:
            lines.setdefault(cell.policy, []).append(str(cell))
        title = "policy" if layer == LAYERS[0] else "policy, transposed"
        return (title, *backends), [(policy, *line) for policy, line in lines.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"failed": len(self.failed), "cells": [attrs.asdict(cell) for cell in self.cells]}


def matrix(
    policies: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
    every: int = 1,
) -> Matrix:
    """Build the layers of policies on backends and compare them with the native frameworks, each in a separate process.

    Transposed convolutions are compared for the policies whose framework has a module for them; see `Native`.

    Args:
        policies: names of policies; None for every policy that describes a framework.
        backends: names of backends; None for every backend whose framework is installed.
        progress: function that is called with a description of each step.
        every: 1 compares layers of all sizes, n only every n-th size.

    Returns:
        A `Matrix`.

    Raises:
        UnknownNameError: a policy or backend is unknown.
    """
    natives, parts = registry.current().parts("native framework"), registry.current().parts("backend")
    names = list(natives) if policies is None else [registry.current().get("native framework", p).name for p in policies]
    columns = [b.name for b in parts.values() if b.is_installed()] if backends is None else [*backends]
    selected = [registry.current().get("backend", backend) for backend in columns]
    report: Callable[[str], None] = progress or (lambda _text: None)
    cells: dict[Key, Cell] = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in names:
            report(f"running the framework of {policy}")
            remaining = list(natives[policy].layers)
            for row in rows([*_command("expected", policy, folder), str(every)], natives[policy].environment):
                for layer in remaining[:] if "crash" in row else [row["layer"]]:
                    remaining.remove(layer)
                    cells |= {(layer, policy, part.name): _without_outputs(layer, policy, part, row) for part in selected}
        for backend in columns:
            report(f"comparing backend {backend}")
            for row in rows(_command("computed", backend, folder), parts[backend].environment):
                cells |= _compared(backend, row, cells)
    keys = itertools.product(LAYERS, names, columns)
    return Matrix(tuple(cells[layer, policy, backend] for layer, policy, backend in keys if layer in natives[policy].layers))


def _command(step: str, name: str, folder: str) -> list[str]:
    return [sys.executable, "-m", "convpolicy.verification.cells", step, name, str(Path(folder))]


def _without_outputs(layer: str, policy: str, backend: Any, row: dict[str, Any]) -> Cell:
    """Return the initial cell of a layer, a policy and a backend, before the backend is compared."""
    if crash := row.get("crash", ""):
        missing = "ModuleNotFoundError" in crash
        return Cell(layer, policy, backend.name, "not installed" if missing else "crashed", detail=crash)
    if not row["covered"]:
        return Cell(layer, policy, backend.name, "not checked", detail=f"installed is {row['version']}")
    if layer != LAYERS[0] and backend.build_transposed is None:
        return Cell(layer, policy, backend.name, "no such layer", detail="the backend has no transposed convolutions")
    return Cell(layer, policy, backend.name, "crashed")  # replaced when the backend is compared


def _compared(backend: str, row: dict[str, Any], cells: dict[Key, Cell]) -> dict[Key, Cell]:
    """Return the cells that one row of a backend's process fills; after a crash, all remaining cells of the backend."""
    if "crash" in row:
        rest = {
            key: cell for key, cell in cells.items() if cell.backend == backend and cell.verdict == "crashed" and not cell.detail
        }
        return {key: attrs.evolve(cell, detail=row["crash"]) for key, cell in rest.items()}
    layer, policy = row["layer"], row["policy"]
    return {(layer, policy, backend): Cell(layer, policy, backend, row["verdict"], row["error"], f"{row['cases']} cases")}
