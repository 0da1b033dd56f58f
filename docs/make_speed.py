"""Print docs/guides/speed.md with the tables of the measurements stored in benchmarks/results, one folder for each processor.

python docs/make_speed.py > speed.md
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

from backends import FRAMEWORKS  # noqa: E402 - a script beside the package
from interleaved import AGAIN, Result, geometric_mean  # noqa: E402
from marks import filled, table  # noqa: E402
from report import FIRST, MOST_CALLS, TARGETS, first_calls, stored, wrong_bits  # noqa: E402

PEERS = (
    *("Keras 3 on torch", "flax under jit", "transformers", "torch.compile", "NumPy", "whole models"),
    *(f"{backend} layers" for backend in FRAMEWORKS),
)
MISSING = "not measured"
Machine = tuple[dict[str, str], list[Result]]


def targets(machines: dict[str, Machine]) -> str:
    """Return one row for each target, with the ratio of every machine."""
    rows = []
    for target in TARGETS:
        cells = [target.cell(results) for _about, results in machines.values()]
        texts = [", ".join(filter(None, (ratio, verdict))) or MISSING for ratio, verdict, _cases in cells]
        rows.append((target.name, target.way, target.allowed, *texts))
    first = [first_calls(results) for _about, results in machines.values()]
    rows.append(
        (FIRST, "auto", f"≤ {MOST_CALLS}", *(f"{ratio}, {verdict}" if cases else MISSING for ratio, verdict, cases in first))
    )
    bits = [_bits(results) for _about, results in machines.values()]
    return table(("what", "execution", "target", *machines), [*rows, ("bits of exact layers", "exact", "equal", *bits)])


def _bits(results: list[Result]) -> str:
    wrong = wrong_bits(results)
    return "equal, kept" if not wrong else "**missed** by " + "; ".join(wrong)


def peers(machines: dict[str, Machine]) -> str:
    """Return rows for each thing that people use instead: mean and extremes of the ratios, for every machine."""
    rows = []
    for section in PEERS:
        found = [[result for result in results if result.section == section] for _about, results in machines.values()]
        cases = next(filter(None, found), None)
        if cases is not None:
            first, *others = (name for name in cases[0].microseconds if name != AGAIN)
            rows += [(f"{section}: {way} / {first}", *(_mean(each, way) for each in found)) for way in others]
    return table(("against", *machines), rows)


def _mean(cases: list[Result], way: str) -> str:
    ratios = [result.ratios[way] for result in cases]
    return f"{geometric_mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else MISSING


def described(machines: dict[str, Machine]) -> str:
    """Return one line for each machine."""
    lines = [f"- {name}: {', '.join(f'{key} {value}' for key, value in about.items())}" for name, (about, _) in machines.items()]
    return "\n".join(lines) + "\n"


def plots(machines: dict[str, Machine]) -> str:
    """Return the picture of each machine that has one."""
    text = "![Sorted ratios of fast to native for all layers at three lengths, on {0}](../../benchmarks/results/{0}/speed.png)\n"
    return "\n".join(text.format(name) for name in machines if (RESULTS / name / "speed.png").exists())


def page(text: str) -> str:
    """Return the page with the tables of the stored measurements between its marks."""
    machines = {folder.name: stored(folder) for folder in sorted(RESULTS.iterdir()) if (folder / "speed.json").exists()}
    parts = (described(machines), targets(machines), peers(machines), plots(machines))
    return filled(text, Path(__file__).name, lambda _name: "\n".join(parts))


if __name__ == "__main__":
    sys.stdout.write(page((ROOT / "docs" / "guides" / "speed.md").read_text(encoding="utf-8")))
