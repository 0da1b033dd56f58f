"""Whatever is installed is tested: what is missing is left out before it is imported, counted, and a failure on demand."""

from __future__ import annotations

import pytest
from helpers.paths import TESTS

WHOLE = """
import pytest
import no_such_framework

pytestmark = pytest.mark.needs("json", "no_such_framework")

def test_one(): pass
def test_two(): pass
"""
SINGLE = """
import pytest

@pytest.mark.needs("no_such_framework", "nor_this")
def test_three(): pass
def test_four(): pass
"""
GRIDS = """
import pytest

@pytest.mark.grid(every=3)
@pytest.mark.parametrize("number", range(7))
def test_six(number): assert number != 5
@pytest.mark.grid
def test_seven(): pass
"""
CASES = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_eight(number): pass
@pytest.mark.grid(every=1)
@pytest.mark.parametrize("number", range(2))
def test_nine(number): pass
def test_ten(): pass
"""
SKIPPED = "import pytest\n\ndef test_five(): pytest.skip()\n"


@pytest.fixture
def suite(pytester):
    """A suite under this suite's conftest."""
    pytester.makeconftest((TESTS / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = needs\n    grid\npythonpath = .")
    pytester.makepyfile(test_whole=WHOLE, test_single=SINGLE)
    pytester.mkpydir("frameworks")
    return pytester


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("words", [(), pytest.param(("-n", "2"), marks=pytest.mark.needs("xdist"))], ids=["one process", "two"])
def test_what_is_missing_is_left_out_and_said(suite, words):
    """A whole file, which would fail to import, and a single test; the last lines name the packages and count the tests."""
    result = suite.runpytest_inprocess("--all-frameworks", *words)
    result.assert_outcomes(passed=1)
    assert result.ret == 1  # for nothing but what is left out
    assert result.outlines[-4:-1] == [
        "no_such_framework is not installed: 3 tests in 2 files left out",
        "nor_this is not installed: 1 tests in 1 files left out",
        "3 tests left out in all",
    ]


def test_a_missing_browser_is_said_and_no_failure(suite, monkeypatch):
    """A test that needs a program which is not there is left out and counted; with ``--all-frameworks`` only that is no failure."""
    (suite.path / "test_whole.py").unlink()
    suite.makepyfile(test_single=SINGLE.replace('"no_such_framework", "nor_this"', '"chromium"'))
    monkeypatch.setenv("PATH", "")
    result = suite.runpytest_inprocess("--all-frameworks")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert "chromium is not installed: 1 tests in 1 files left out" in result.outlines


def test_what_skips_itself_is_a_failure_on_demand(suite):
    """With ``--all-frameworks``, and not without it; what is left out is none without it either."""
    suite.makepyfile(test_single=SKIPPED)
    assert suite.runpytest_inprocess().ret == 0
    (suite.path / "test_whole.py").unlink()
    assert suite.runpytest_inprocess("--all-frameworks").ret == 1


def test_a_framework_with_a_process_of_its_own(suite):
    """Its folder is collected when something in it is asked for, and not from above."""
    folder = suite.path / "frameworks" / "flax"
    folder.mkdir()
    (folder / "test_flax.py").write_text("def test_seven(): pass\n")
    (suite.path / "flax.py").touch()  # as if it were installed
    suite.runpytest_inprocess().assert_outcomes(passed=1)
    suite.runpytest_inprocess("frameworks/flax/test_flax.py::test_seven").assert_outcomes(passed=1)


@pytest.mark.parametrize("words", [pytest.param(("-n", "2"), marks=pytest.mark.needs("xdist"))], ids=["two processes"])
def test_of_a_grid_each_nth_case_runs(suite, words):
    """And every one with ``--grid``, the one that fails among them; the last lines count the others."""
    for name in ("test_whole.py", "test_single.py"):
        (suite.path / name).unlink()
    suite.makepyfile(test_grids=GRIDS)
    result = suite.runpytest_inprocess("--all-frameworks", *words)
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert "5 cases of grids did not run; --grid runs them" in result.outlines
    suite.runpytest_inprocess("--grid").assert_outcomes(passed=7, failed=1)


def test_every_nth_case_of_what_is_no_grid(suite):
    """With ``--every``, and not of grids; a test without cases runs. With ``--grid`` all of them do."""
    for name in ("test_whole.py", "test_single.py"):
        (suite.path / name).unlink()
    suite.makepyfile(test_cases=CASES)
    suite.runpytest_inprocess().assert_outcomes(passed=8)
    result = suite.runpytest_inprocess("--every", "3")
    result.assert_outcomes(passed=2 + 2 + 1)
    assert "3 cases of grids did not run; --grid runs them" in result.outlines
    suite.runpytest_inprocess("--every", "3", "--grid").assert_outcomes(passed=8)
