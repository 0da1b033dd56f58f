"""Separate processes that fill the matrix of policies and backends. They print JSON rows after `MARK`.

- ``python -m convpolicy.verification.cells expected POLICY FOLDER EVERY`` writes the outputs of the policy's framework to ``FOLDER``, for
  every n-th size.
- ``python -m convpolicy.verification.cells computed BACKEND FOLDER`` compares the layers of a backend with all of these outputs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convpolicy import registry
from convpolicy.verification.cases import SIZES, Checked, agreement, load, native_of, policy_of, random_cases, save
from convpolicy.verification.native import LAYERS, MARK


def expected(name: str, folder: Path, every: int = 1) -> Iterator[dict[str, Any]]:
    """Write the outputs of a policy's framework; each row says whether the policy covers the installed version."""
    native = native_of(name)
    for layer in native.layers:
        checked = Checked.of(native, layer)
        version = checked.framework.version()
        covered = checked.policy.covers(version)
        if covered:
            (folder / layer).mkdir(exist_ok=True)
            save(random_cases(checked, SIZES[::every]), folder / layer / f"{name}.npz")
        yield {"layer": layer, "policy": name, "version": version, "covered": covered}


def computed(backend: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Compare the layers of a backend with the outputs of every framework in a folder."""
    part = registry.current().get("backend", backend)
    for layer in LAYERS if part.build_transposed else LAYERS[:1]:
        for path in sorted((folder / layer).glob("*.npz")):
            cases = load(path)
            result = agreement(policy_of(path.stem, layer), backend, cases)
            found = {"verdict": result.verdict if cases else "differs", "error": result.error, "cases": len(cases)}
            yield {"layer": layer, "policy": path.stem, **found}


STEPS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {"expected": expected, "computed": computed}


def main() -> None:
    """Run the step that the command line names and print its rows."""
    step, name, folder, *every = sys.argv[1:]
    for row in STEPS[step](name, Path(folder), *map(int, every)):
        print(MARK + json.dumps(row), flush=True)  # noqa: T201 - read by the process that started this one


if __name__ == "__main__":
    main()
