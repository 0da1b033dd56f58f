"""Some inputs of every fuzzer, and the runner itself: what crashes, hangs or raises is a fault with its seed."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from fuzz import __main__ as command
from fuzz import running

INPUTS = 150
SECONDS = 10.0  # where inputs take long, or the machine is busy
FUZZERS = running.modules()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(*getattr(module, "NEEDS", ()))) for name, module in FUZZERS.items()]
)
def test_a_bounded_run(name):
    """No fault in the first inputs, of which there are many."""
    tally = running.run(name, count=INPUTS, seconds=SECONDS)
    assert tally.faults == {}
    assert tally.inputs >= 10


FAULTY = """
import os, time
NAME = "{name}"
def case(random, folder):
    (folder / "file").write_text("x")
    number = random.randrange(10**9)
    if number in {numbers}:
        {fault}
    return number % 2 == 0
"""
FAULTS = {
    "raises": ("raise KeyError('seven')", "KeyError: 'seven'"),
    "asserts": ("assert number < 0", "AssertionError"),
    "exits": ("raise SystemExit(0)", "SystemExit: 0"),
    "crashes": ("os.abort()", "ended the process with status -6"),
    "leaves": ("os._exit(0)", "ended the process with status 0"),
    "hangs": ("time.sleep(600)", "hung for 3 s"),
    "eats": ("bytearray(1 << 40)", "MemoryError"),
}


@pytest.mark.grid(every=2)
@pytest.mark.skipif(sys.platform == "win32", reason="limits and signals")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_with_its_seed(tmp_path, name):
    """Seed 3 fails, in every way there is; the inputs before and after it run, and that seed alone fails again."""
    fault, says = FAULTS[name]
    numbers = [random.Random(3).randrange(10**9)]
    (tmp_path / "fuzzed").mkdir()
    for file in ("running.py", "__main__.py"):
        (tmp_path / "fuzzed" / file).write_text((running.HERE / file).read_text())
    (tmp_path / "fuzzed" / "faulty.py").write_text(FAULTY.format(name=name, numbers=numbers, fault=fault))
    script = (
        f"import sys, json, attrs\nsys.path.insert(0, {str(tmp_path)!r})\nfrom fuzzed import running\n"
        f"print(json.dumps([attrs.asdict(running.run({name!r}, seed, count, longest=3)) for seed, count in ((0, 6), (3, 1))]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    for tally, inputs in zip(json.loads(result.stdout), (6, 1)):
        assert tally["inputs"] == inputs
        (seed,) = tally["faults"]
        assert seed == "3"
        assert says in tally["faults"]["3"]
        assert tally["accepted"] + tally["refused"] == inputs - 1


def test_the_command(monkeypatch, capsys):
    """``python -m tests.fuzz`` prints a table, or JSON, and refuses what is no fuzzer."""
    words = ["--only", "policies", "--count", "5"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words], cwd=running.ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    table = result.stdout.splitlines()
    assert table[0].split() == ["fuzzer", "inputs", "refused", "accepted", "crashes", "exceptions", "seconds"]
    assert table[1].split()[:2] == ["policies", "5"]
    monkeypatch.setattr("sys.argv", ["fuzz", *words, "--json"])
    assert command.main() == 0
    (tally,) = json.loads(capsys.readouterr().out)
    assert (tally["name"], tally["inputs"], tally["faults"]) == ("policies", 5, {})
    monkeypatch.setattr("sys.argv", ["fuzz", *words, "--only", "polices"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "--only must name fuzzers, got polices" in capsys.readouterr().err
