"""One row or one column of the matrix policy × backend; runs in a process of its own.

``python -m convpolicy.verification.cells expected POLICY FOLDER`` writes what the policy's framework computes to ``FOLDER``;
``python -m convpolicy.verification.cells computed BACKEND FOLDER`` compares the backend's layers with all of it. Each prints JSON rows
behind `MARK`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convpolicy.core.named import policy
from convpolicy.verification.cases import Checked, agreement, load, native_of, random_cases, save
from convpolicy.verification.native import MARK


def expected(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Write the framework's own outputs, and say which version it is and whether the policy is for it."""
    wanted = policy(name)
    checked = Checked(wanted, native_of(name).load())
    version = checked.framework.version()
    if wanted.covers(version):
        save(random_cases(checked), folder / f"{name}.npz")
    yield {"policy": name, "version": version, "covered": wanted.covers(version)}


def computed(backend: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Compare a backend with every framework whose outputs are there."""
    for path in sorted(folder.glob("*.npz")):
        cases = load(path)
        found = agreement(policy(path.stem), backend, cases)
        yield {"policy": path.stem, "verdict": found.verdict, "error": found.error, "cases": len(cases)}


def main() -> None:
    """Print the rows asked for on the command line."""
    what, name, folder = sys.argv[1:]
    for row in {"expected": expected, "computed": computed}[what](name, Path(folder)):
        print(MARK + json.dumps(row), flush=True)  # noqa: T201 - read by the process that started this one


if __name__ == "__main__":
    main()
