"""Run every policy on every backend and write the tables into docs/understand/exact.md, each between two marks.

    python docs/make_matrix.py

Needs what requirements/test.txt installs, the plugins among it. Policies for a version that is not installed are left out.
"""

from __future__ import annotations

from pathlib import Path

from marks import filled, table

from convpolicy.verification.matrix import Matrix, matrix
from convpolicy.verification.native import LAYERS

PAGE = Path(__file__).parent / "understand" / "exact.md"
BY_PROCESSOR = (("keras-depthwise", "numpy"), ("keras-depthwise", "paddle"))  # exact on processors without AVX-512 only


def shown(found: Matrix, layer: str) -> str:
    """Return the matrix of a layer in Markdown."""
    head, lines = found.table(layer)
    rows = []
    for policy, *cells in (line for line in lines if "not checked" not in line):
        marks = ("\\*" if layer == LAYERS[0] and (policy, backend) in BY_PROCESSOR else "" for backend in head[1:])
        rows.append([f"**{policy}**", *map("".join, zip(cells, marks))])
    return table(["policy", *head[1:]], rows)


def main() -> None:
    """Measure and write. A mark without the name of a layer is that of Conv1d."""
    found = matrix(progress=print)
    text = PAGE.read_text(encoding="utf-8")
    filled_text = filled(text, Path(__file__).name, lambda name: shown(found, name or LAYERS[0]))
    PAGE.write_text(filled_text, encoding="utf-8")


if __name__ == "__main__":
    main()
