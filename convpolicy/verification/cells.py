"""Separate processes that fill the matrix of policies and backends. They print JSON rows after `MARK`.

- ``python -m convpolicy.verification.cells expected POLICY FOLDER`` writes the outputs of the policy's framework to ``FOLDER``.
- ``python -m convpolicy.verification.cells computed BACKEND FOLDER`` compares the layers of a backend with all of these outputs.
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
    """Write the outputs of a policy's framework; the row says whether the policy covers the installed version."""
    checked = Checked(policy(name), native_of(name).load())
    version = checked.framework.version()
    covered = checked.policy.covers(version)
    if covered:
        save(random_cases(checked), folder / f"{name}.npz")
    yield {"policy": name, "version": version, "covered": covered}


def computed(backend: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Compare the layers of a backend with the outputs of every framework in a folder."""
    for path in sorted(folder.glob("*.npz")):
        cases = load(path)
        result = agreement(policy(path.stem), backend, cases)
        yield {"policy": path.stem, "verdict": result.verdict, "error": result.error, "cases": len(cases)}


def main() -> None:
    """Run the step that the command line names and print its rows."""
    step, name, folder = sys.argv[1:]
    for row in {"expected": expected, "computed": computed}[step](name, Path(folder)):
        print(MARK + json.dumps(row), flush=True)  # noqa: T201 - read by the process that started this one


if __name__ == "__main__":
    main()
