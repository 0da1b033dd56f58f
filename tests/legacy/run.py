"""Measure the old frameworks anew, in a Python 3.9 of their own, and compare with what is stored.

python tests/legacy/run.py [--keep FOLDER]

Builds a virtual environment with torch 1.9.0 and mindspore 2.0.0, runs tests/golden/measure.py and laws.py in it and compares
with what tests/golden/ stores, which the ordinary tests hold against the versioned policies. Exit status 0: the same;
1: different; 3: no Python 3.9 here, nothing was measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
# mindspore 2.0.0 needs pillow below 10 and NumPy below 1.24
NEEDS = ["torch==1.9.0", "mindspore==2.0.0", "numpy<1.24", "pillow<10"]
STORED = {"torch": "torch-1.9.0", "mindspore": "mindspore-2.0.0"}
# script -> the folder of its stored files, and what is compared
MEASURED = {
    "measure.py": (GOLDEN, ("version", "shapes", "page", "weights", "same")),
    "laws.py": (GOLDEN / "laws", ("version", "shapes", "draws")),
}
NOT_RUN = 3


def measure(python: Path, script: str, framework: str, folder: Path) -> dict:
    """Run a measurement in the old environment."""
    words = [python, GOLDEN / script, framework]
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.strip().splitlines()[-1])


def working_python39() -> str | None:
    """Return a Python 3.9 that starts; a version manager's placeholder does not."""
    found = shutil.which("python3.9")
    works = found is not None and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    return found if works else None


def main() -> int:
    """Build, measure, compare."""
    parser = argparse.ArgumentParser(description="Measure torch 1.9.0 and mindspore 2.0.0 anew.")
    parser.add_argument("--keep", type=Path, help="build the environment here and leave it, or use the one that is here")
    keep = parser.parse_args().keep
    python39 = working_python39()
    if python39 is None:
        print(
            "NOT RUN: there is no python3.9 on this machine; torch 1.9.0 and mindspore 2.0.0 were not measured.", file=sys.stderr
        )
        return NOT_RUN
    with tempfile.TemporaryDirectory() as scratch:
        home = keep or Path(scratch) / "venv"
        python = home / "bin" / "python"
        if not python.exists():
            subprocess.run([python39, "-m", "venv", home], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS], check=True)
        different = []
        for (script, (home_of, compared)), (framework, name) in itertools.product(MEASURED.items(), STORED.items()):
            found = measure(python, script, framework, Path(scratch))
            stored = json.loads((home_of / f"{name}.json").read_text(encoding="utf-8"))
            different += [f"{name}: {key}" for key in compared if found[key] != stored[key]]
            print(f"{script} on {name}: measured")
    print("different: " + ", ".join(different) if different else "as stored")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
