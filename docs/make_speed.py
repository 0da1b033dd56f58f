"""Print docs/guides/speed.md with the tables of the measurement stored in benchmarks/results.

python docs/make_speed.py > speed.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from interleaved import AGAIN, Result, geometric_mean  # noqa: E402 - a script beside the package
from marks import filled  # noqa: E402
from report import summary  # noqa: E402

PEERS = ("Keras 3 on torch", "flax under jit", "transformers", "MindSpore", "NumPy", "whole models")


def peers(results: list[Result]) -> str:
    """Return one row for each thing that people use instead: means and extremes of the last way's ratios."""
    lines = ["| against | cases | mean | smallest | largest |", "|---|---|---|---|---|"]
    for section in PEERS:
        cases = [result for result in results if result.section == section]
        if cases:
            way = [name for name in cases[0].ratios if name != AGAIN][-1]
            first = next(iter(cases[0].microseconds))
            ratios = [result.ratios[way] for result in cases]
            numbers = f"{geometric_mean(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f}"
            lines.append(f"| {section}: {way} / {first} | {len(cases)} | {numbers} |")
    return "\n".join(lines)


def page(text: str, stored: str) -> str:
    """Return the page with the tables of a stored measurement between its marks."""
    document = json.loads(stored)
    results = [Result(**result) for result in document["results"]]
    return filled(text, Path(__file__).name, lambda _name: f"{summary(document['machine'], results)}\n{peers(results)}\n")


if __name__ == "__main__":
    stored = (ROOT / "benchmarks" / "results" / "speed.json").read_text(encoding="utf-8")
    sys.stdout.write(page((ROOT / "docs" / "guides" / "speed.md").read_text(encoding="utf-8"), stored))
