"""Run every policy on every backend and write the table into docs/understand/exact.md, between the two marks.

    python docs/make_matrix.py

Needs what requirements/test.txt installs, the plugins among it. Policies for a version that is not installed are left out.
"""

from __future__ import annotations

from pathlib import Path

from marks import filled, table

from convpolicy.verification.matrix import Matrix, matrix

PAGE = Path(__file__).parent / "understand" / "exact.md"
BY_PROCESSOR = (("keras-depthwise", "numpy"), ("keras-depthwise", "paddle"))  # exact on processors without AVX-512 only


def shown(found: Matrix) -> str:
    """Return the matrix in Markdown."""
    head, lines = found.table()
    rows = []
    for policy, *cells in (line for line in lines if "not checked" not in line):
        marks = ("\\*" if (policy, backend) in BY_PROCESSOR else "" for backend in head[1:])
        rows.append([f"**{policy}**", *map("".join, zip(cells, marks))])
    return table(head, rows)


def main() -> None:
    """Measure and write."""
    made = shown(matrix(progress=print))
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, Path(__file__).name, lambda _name: made), encoding="utf-8")


if __name__ == "__main__":
    main()
