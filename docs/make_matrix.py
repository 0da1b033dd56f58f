"""Run every policy on every backend and write the table into README.md, between the two marks.

    python docs/make_matrix.py

Needs what requirements/test.txt installs, the plugins among it. Policies for a version that is not installed are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from convpolicy.verification.matrix import Matrix, matrix

README = Path(__file__).parents[1] / "README.md"
BY_PROCESSOR = (("keras-depthwise", "numpy"), ("keras-depthwise", "paddle"))  # exact on processors without AVX-512 only
BEGIN, END = "<!-- made by docs/make_matrix.py -->\n", "<!-- to here -->\n"


def table(found: Matrix) -> str:
    """Return the matrix in Markdown."""
    head, lines = found.table()
    shown = [line for line in lines if "not checked" not in line]
    rows = [head, ["---"] * len(head)]
    for policy, *cells in shown:
        marks = ("\\*" if (policy, backend) in BY_PROCESSOR else "" for backend in head[1:])
        rows.append([f"**{policy}**", *map("".join, zip(cells, marks))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Measure and write."""
    found = matrix(progress=print)
    text = README.read_text(encoding="utf-8")
    made = re.sub(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", table(found), text, flags=re.DOTALL)
    README.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
