"""Imports run in one direction: the contracts of ``[tool.importlinter]`` in pyproject.toml are kept, and can be broken."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import tomlkit
from helpers.paths import ROOT

import convpolicy as cp

pytestmark = pytest.mark.needs("grimp", "importlinter")

PACKAGE = Path(cp.__file__).parent
CONTRACTS = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
EVERYWHERE = {"attrs", "numpy"}  # with the contracts of the same names


def lint(folder, config):
    """Run the import linter on the package in a folder."""
    words = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", config]
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_contracts_are_kept():
    """Layers, rooms, circles and homes of outside packages, type-checking and late imports included, with no exception."""
    result = lint(PACKAGE.parent, ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout
    assert all("ignore_imports" not in contract and "unmatched_ignore_imports_alerting" not in contract for contract in CONTRACTS)


@pytest.fixture(scope="module")
def graph():
    """Which module imports which."""
    return grimp.build_graph("convpolicy", include_external_packages=True, cache_dir=None)


def test_there_is_no_circle_of_files(graph):
    """No chain of imports, wherever they stand, leads from a file back to itself."""
    graphlib.TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()


def through_the_package(path, root, graph):
    """Return the imports ``from package import ...`` in a file whose package's own ``__init__`` imports this file, at any remove."""
    parts = ("convpolicy", *path.relative_to(root).with_suffix("").parts)
    packages = {".".join(parts[:size]) for size in range(2, len(parts)) if parts[-1] != "__init__"}
    imports = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [node.module for node in imports if node.module in packages]
    return [name for name in names if graph.chain_exists(importer=name, imported=".".join(parts))]


def test_a_module_imports_from_where_a_name_is_defined(graph, tmp_path):
    """Not from its package, whose ``__init__`` is not complete when the module is imported; and one that did is named."""
    assert {path: names for path in PACKAGE.rglob("*.py") if (names := through_the_package(path, PACKAGE, graph))} == {}
    wrong = tmp_path / "diagnosis" / "causes.py"
    wrong.parent.mkdir()
    wrong.write_text("from convpolicy.diagnosis import crops\n", encoding="utf-8")
    assert through_the_package(wrong, tmp_path, graph) == ["convpolicy.diagnosis"]


def test_a_room_borrows_only_streams(graph):
    """Of another framework's room a module imports its random stream and nothing else."""
    for name in graph.modules:
        room = name.split(".")[:3]
        for other in graph.find_modules_directly_imported_by(name) if name.startswith("convpolicy.frameworks.") else ():
            if other.startswith("convpolicy.frameworks.") and other.count(".") > 2 and other.split(".")[:3] != room:
                assert other.endswith(".stream"), (name, other)


def test_every_outside_package_has_a_home(graph):
    """Each one that is imported, but the two that are everywhere, is named by a contract that says who may import it."""
    outside = {name for name in graph.modules if not name.startswith("convpolicy")} - sys.stdlib_module_names
    homes = {name for contract in CONTRACTS for name in contract.get("protected_modules", ())}
    assert outside - homes == EVERYWHERE


def test_the_root_is_small_and_shadows_nothing():
    """At most 12 modules beside the packages, and no module or package bears a public function's name."""
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert len(modules) <= 12
    assert not (modules | packages) & set(cp.__all__)


WRONG = [  # a module, a line at its end, and the import that the linter then names
    ("errors", "from convpolicy.core.policy import Policy", "convpolicy.errors -> convpolicy.core.policy"),
    ("core/plan", "def late():\n    from convpolicy.layers.backend import Backend", "core.plan -> convpolicy.layers.backend"),
    ("core/paper", "if TYPE_CHECKING:\n    from convpolicy.layers import conv1d", "core.paper -> convpolicy.layers.conv1d"),
    ("comparison/drawing", "from ..diagnosis import why", "comparison.drawing -> convpolicy.diagnosis"),
    ("core/named", "from convpolicy import policy", "core.named -> convpolicy "),
    ("layers/conv1d", "try:\n    import torch\nexcept ImportError:\n    pass", "layers.conv1d -> torch"),
    ("frameworks/torch/plugin", "from convpolicy.frameworks.mindspore import stream", "torch.plugin -> convpolicy.frameworks.mindspore.stream"),
    ("comparison/paper_text", "from rich import print", "comparison.paper_text -> rich"),
    ("arithmetic", "import numpy as np", "convpolicy.arithmetic -> numpy"),
    ("core/policy", "from convpolicy import reference", "core.policy -> convpolicy.reference"),
    ("reference", "from convpolicy import arithmetic", "convpolicy.reference -> convpolicy.arithmetic"),
]  # fmt: skip


def test_wrong_imports_are_noticed(tmp_path):
    """The contracts can fail: an import of each kind is named, wherever it stands and however it is written."""
    for path in PACKAGE.rglob("*.py"):
        copy = tmp_path / "convpolicy" / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for module, text, _named in WRONG:
        with (tmp_path / "convpolicy" / f"{module}.py").open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    result = lint(tmp_path, ROOT / "pyproject.toml")
    assert result.returncode == 1
    assert [named for *_fault, named in WRONG if named not in result.stdout] == []
