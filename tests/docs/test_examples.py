"""Every example prints what is stored for it; those that need NumPy only do so without any framework."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers.examples import PAPERS, SCRIPTS, expected, name, needs
from helpers.paths import EXAMPLES, ROOT

FRAMEWORKS = ("torch", "mindspore", "keras", "tensorflow", "jax", "flax", "paddle", "transformers", "h5py", "scipy")
WITHOUT = """
import importlib.machinery, runpy, sys
finder = importlib.machinery.PathFinder
find = finder.find_spec
finder.find_spec = lambda name, *more: None if name in {frameworks} else find(name, *more)
sys.path[0] = {folder!r}
runpy.run_path({script!r})
"""  # as where none of the frameworks is installed
MEASURED = {  # file of examples/data -> what measures it anew
    "torch": ("torch",),
    "keras": ("keras", "tensorflow"),
    "mindspore": ("mindspore",),
    "flax": ("flax",),
    "transformers": ("torch", "transformers"),
}


def without_frameworks(script):
    """Code that runs a script as where no framework is installed."""
    return WITHOUT.format(frameworks=FRAMEWORKS, folder=str(script.parent), script=str(script))


def cases():
    """Each script as it is, but those of tests/papers; those that need NumPy only also where no framework can be imported."""
    for script in SCRIPTS:
        if name(script) in PAPERS:
            continue
        yield pytest.param([script], script, marks=pytest.mark.needs(*needs(script)), id=name(script))
        if not needs(script):
            yield pytest.param(["-c", without_frameworks(script)], script, id=f"{name(script)}-without-frameworks")


@pytest.mark.parametrize(("command", "script"), list(cases()))
def test_an_example_prints_what_is_stored(command, script, tmp_path):
    """Run in an empty folder, as a user would, it succeeds, prints its stored output and leaves no file."""
    result = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == expected(script)
    assert not list(tmp_path.glob("*.*"))


def test_the_other_examples_are_run_by_the_tests_of_papers():
    """Each example that is left out above is run by a file of tests/papers, which names it."""
    assert set(PAPERS) <= set(map(name, SCRIPTS))
    for example, file in PAPERS.items():
        assert f'run("{example}"' in (ROOT / "tests" / "papers" / file).read_text(encoding="utf-8")


def test_no_framework_can_be_imported_where_there_is_none(tmp_path):
    """The run without frameworks fails for an example that needs one."""
    script = EXAMPLES / "09_move_a_model.py"
    command = [sys.executable, "-c", without_frameworks(script)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named 'keras'" in result.stderr


def test_every_example_is_listed_and_has_its_output():
    """examples/README.md has a row for each script: its question, a link and the last line it prints; no stored output is left over."""
    rows = [row.split(" | ") for row in (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()]
    listed = {row[0].strip("| "): (row[1], row[-1].strip("| `")) for row in rows if len(row) > 2}
    for script in SCRIPTS:
        first, title = script.read_text(encoding="utf-8").splitlines()[:2]
        assert first == "# %% [markdown]"
        assert title.startswith("# # ")
        link, last = listed[title.removeprefix("# # ")]
        assert link == f"[{script.name}]({name(script)}.py)"
        assert last == expected(script).splitlines()[-1]
    stored = (EXAMPLES / "expected").glob("**/*.txt")
    assert {path.relative_to(EXAMPLES / "expected").with_suffix("").as_posix() for path in stored} == set(map(name, SCRIPTS))
    assert len(SCRIPTS) == 18


@pytest.mark.parametrize(
    "framework",
    [pytest.param(framework, marks=pytest.mark.needs(*packages), id=framework) for framework, packages in MEASURED.items()],
)
def test_the_stored_arrays_are_what_the_framework_computes(framework, tmp_path):
    """Measured anew by the real framework, every array of examples/data has the same bits, and so has the checkpoint file."""
    measure = EXAMPLES / "data" / "measure.py"
    subprocess.run([sys.executable, measure, framework, tmp_path], cwd=tmp_path, capture_output=True, check=True)
    files = sorted(path.name for path in tmp_path.glob("*.*"))
    assert files == [f"{framework}.npz", *(["torch_model.safetensors"] if framework == "torch" else [])]
    with np.load(tmp_path / files[0]) as measured, np.load(EXAMPLES / "data" / files[0]) as stored:
        assert set(measured) == set(stored)
        for key in stored:
            assert (stored[key].dtype, stored[key].shape) == (measured[key].dtype, measured[key].shape), key
            assert stored[key].tobytes() == measured[key].tobytes(), key
    for file in files[1:]:
        assert (tmp_path / file).read_bytes() == (EXAMPLES / "data" / file).read_bytes()


def test_every_stored_file_is_measured_anew():
    """examples/data contains the script, a file of each framework and the checkpoint file, and a sequence that is no measurement."""
    stored = {path.name for path in (EXAMPLES / "data").glob("*.*")}
    assert stored == {"measure.py", "torch_model.safetensors", "tubb8.fa", *(f"{framework}.npz" for framework in MEASURED)}
