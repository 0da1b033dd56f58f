"""Measure the old frameworks anew, in a Python 3.9 of their own, and compare with what is stored.

python tests/legacy/run.py [--keep FOLDER]

Builds a virtual environment with torch 1.9.0 and mindspore 2.0.0, runs tests/golden/measure.py and laws.py in it and compares
with what tests/golden/ stores, which the ordinary tests hold against the versioned policies. Exit status 0: the same;
1: different; 3: no Python 3.9 here, nothing was measured.

Torch 1.9's inverse error function comes from a maths library whose last bits depend on the CPU: its truncated normals may be a few
units in the last place from what another CPU stored, which is printed and is no difference; see `last_bits`.
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
OF_THE_CPU = {("torch-1.9.0", "truncated_normal")}  # drawn through a maths library's erfinv
# erfinv within 2 units of a float32 or 4 of a float64 on any CPU, then two rounded operations of half a unit each, in a term that
# adding the mean may leave with fewer leading bits than it had: the largest a term can be is the spread of the cut
UNITS = {"float32": 3, "float64": 5}
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}


def last_bits(name: str, found: dict, stored: dict) -> bool:
    """Say whether two draws of a law that depends on the CPU differ in the last bits only.

    The checksums cannot be compared then; the first value of each weight is, within ``UNITS`` of the largest term summed.
    """
    same = ("law", "params", "dtype", "seed")
    if (name, found["law"]) not in OF_THE_CPU or any(found[key] != stored[key] for key in same):
        return False
    if "first" not in found or "first" not in stored or found["dtype"] not in UNITS:
        return False
    params = found["params"]
    largest = abs(params["mean"]) + max(abs(params.get("lower", -2.0)), abs(params.get("upper", 2.0))) * params["std"]
    allowed = UNITS[found["dtype"]] * EPSILON[found["dtype"]] * largest
    pairs = list(zip(found["first"], stored["first"]))
    return len(found["first"]) == len(stored["first"]) and all(abs(a - b) <= allowed for a, b in pairs)


def differences(name: str, key: str, found: list | dict, stored: list | dict) -> list[str]:
    """Return what differs, one sentence each; last bits that depend on the CPU are printed instead."""
    if found == stored:
        return []
    if key != "draws" or len(found) != len(stored):
        return [f"{name}: {key}"]
    unlike = [(new, old) for new, old in zip(found, stored) if new != old]
    real = [new for new, old in unlike if not last_bits(name, new, old)]
    if len(real) < len(unlike):
        print(
            f"{name}: {len(unlike) - len(real)} truncated normal draws differ in the last bits, as this law does from CPU to CPU"
        )
    return [f"{name}: {key}: {new['law']} {new['dtype']} seed {new['seed']}" for new in real]


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
            for key in compared:
                different += differences(name, key, found[key], stored[key])
            print(f"{script} on {name}: measured")
    print("different: " + ", ".join(different) if different else "as stored")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
