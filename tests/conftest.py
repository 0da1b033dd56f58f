"""Which tests run: those whose frameworks are installed. The last lines say what was left out; ``--all-frameworks`` makes that a failure.

A file needs the framework of its folder in ``frameworks/``, and what ``pytestmark = pytest.mark.needs("torch", "mindspore")`` names;
both are read before it is imported. Of the tests marked ``grid``, ``helpers/grids.py`` keeps a part of the cases. The folders in
``OWN_PROCESS`` hold frameworks that end a process in which another one runs: they are collected only when asked for, as
``test_own_processes.py`` does.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytest.register_assert_rewrite("helpers")  # their assertions say what they compared, as those of tests do
pytest_plugins = ["pytester", "helpers.grids"]  # a suite within a test, for the conformance kit; and the marker ``grid``

os.environ.setdefault("CONVPOLICY_LOAD_PLUGINS", "")  # the core's own tests see no installed plugin
# before NumPy is imported: threads of a BLAS cost each process that a test starts more than any product here takes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# before torch is imported: several processes share the cores, and threads that wait actively take them from each other
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOMS = Path(__file__).parent / "frameworks"
OWN_PROCESS = [ROOMS / name for name in ("flax", "keras", "paddle")]
LONGEST = ("test_own_processes.py", "test_matrix_of_pages.py")  # files that begin first
PROGRAMS = ("chromium",)  # which a test may need beside packages
BROWSER = ("chromium", "playwright")  # is said, but no failure with ``--all-frameworks``: it is no framework
LEFT_OUT = pytest.StashKey[dict[str, tuple[tuple[str, ...], int]]]()  # file or test -> packages that are missing, number of tests


def pytest_addoption(parser):
    """Add the option of the README's test command."""
    parser.addoption("--all-frameworks", action="store_true", help="fail where a test is left out or skipped")


def pytest_configure(config):
    """Begin with nothing left out."""
    config.stash[LEFT_OUT] = {}


def is_missing(package):
    """Whether a package cannot be imported, found without importing it, or a program is not there."""
    return shutil.which(package) is None if package in PROGRAMS else importlib.util.find_spec(package) is None


def needs(file, text):
    """The packages that a test file names in its folder and in its ``pytestmark``; most have none, and are not parsed."""
    room = file.relative_to(ROOMS).parts[0] if ROOMS in file.parents and file.parent != ROOMS else "numpy"
    body = ast.parse(text).body if "pytestmark" in text else []
    marks = (node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark")
    calls = (node for mark in marks for node in ast.walk(mark) if isinstance(node, ast.Call))
    return [room, *(word.value for call in calls if ast.unparse(call.func) == "pytest.mark.needs" for word in call.args)]


def leave_out(file, config):
    """Whether a test file needs what is missing; its test functions are then counted."""
    text = file.read_text(encoding="utf-8")
    missing = tuple(package for package in needs(file, text) if is_missing(package))
    if missing:
        tests = sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.parse(text).body)
        config.stash[LEFT_OUT][file.as_posix()] = missing, tests
    return bool(missing)


def is_asked_for(folder, config):
    """Whether a folder, or something in it, was named on the command line."""
    words = (config.invocation_params.dir / word.partition("::")[0] for word in config.args)
    return any(folder in (word.resolve(), *word.resolve().parents) for word in words)


def pytest_ignore_collect(collection_path, config):
    """Leave out files that need what is missing, and folders that have a process of their own, unless this is it."""
    if collection_path in OWN_PROCESS and not is_asked_for(collection_path, config):
        for file in collection_path.glob("test_*.py"):
            leave_out(file, config)
        return True
    return (
        collection_path.name.startswith("test_") and collection_path.suffix == ".py" and leave_out(collection_path, config)
    ) or None


def pytest_collection_modifyitems(config, items):
    """Leave out single tests that need what is missing, and put the longest first."""
    for item in list(items):
        packages = [package for mark in item.iter_markers("needs") for package in mark.args]
        if missing := tuple(package for package in packages if is_missing(package)):
            config.stash[LEFT_OUT][item.nodeid] = missing, 1
            items.remove(item)
    # stable; a long one that begins last runs while the other process of pytest-xdist has nothing to do
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Hear from a process of pytest-xdist what it left out; all of them leave out the same."""
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_sessionfinish(session):
    """Tell what was left out; with ``--all-frameworks`` it is a failure, and so is a test that was skipped."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["left out"] = config.stash[LEFT_OUT]
        return
    skipped = config.pluginmanager.get_plugin("terminalreporter").stats.get("skipped", [])
    frameworks = [missing for missing, _number in config.stash[LEFT_OUT].values() if not set(missing) <= set(BROWSER)]
    if config.getoption("--all-frameworks") and (frameworks or skipped) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter, config):
    """Say at the end what ran in a process of its own, which packages are missing, and how many tests that left out."""
    yield
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            terminalreporter.write_line(f"{name}: {text}")
    left_out = config.stash[LEFT_OUT]
    if not left_out:
        return
    files, tests = defaultdict(set), defaultdict(int)
    for where, (missing, number) in left_out.items():
        for package in missing:
            files[package].add(where.partition("::")[0])
            tests[package] += number
    terminalreporter.section(
        "left out", yellow=not config.getoption("--all-frameworks"), red=config.getoption("--all-frameworks")
    )
    for package in sorted(files):
        terminalreporter.write_line(f"{package} is not installed: {tests[package]} tests in {len(files[package])} files left out")
    terminalreporter.write_line(f"{sum(number for _missing, number in left_out.values())} tests left out in all")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one module and one entry point, as pip leaves it, where Python looks for both."""
    import convpolicy as cp

    cp.plugins()  # the public registry is loaded before anything is installed here
    monkeypatch.delenv("CONVPOLICY_STRICT", raising=False)
    monkeypatch.delenv("CONVPOLICY_LOAD_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def add(name: str, source: str, plugin: str = "", value: str = "") -> None:
        (tmp_path / f"{name}_module.py").write_text(source)
        metadata = tmp_path / f"{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[convpolicy]\n{plugin or name} = {value or f'{name}_module'}\n")

    yield add
    for module in set(sys.modules) - before:
        if module.endswith("_module"):
            del sys.modules[module]


@pytest.fixture(scope="module")
def one_thread():
    """Convolutions as small as those of the tests run three times as fast on one thread of torch."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
