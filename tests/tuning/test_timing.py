"""Timing in turn, and what the benchmark says of its numbers."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from convpolicy.tuning import timing

sys.path.insert(0, str(ROOT / "benchmarks"))

import interleaved
import report

pytestmark = pytest.mark.needs("torch")


def test_ways_are_timed_in_turn(monkeypatch):
    """Every way is called in every round, warm, and long calls in fewer rounds; a ratio is a median within the rounds."""
    now = [0.0]
    calls = []

    def way(name, seconds):
        def call():
            calls.append(name)
            now[0] += seconds

        return call

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing, "ORDERS", random.Random(0))
    taken = timing.interleaved({"a": way("a", 0.01), "b": way("b", 0.02)}, 9)
    assert taken["a"] == pytest.approx([0.01] * 9)
    assert timing.ratio(taken["b"], taken["a"]) == pytest.approx(2)
    rounds = [calls[3 + 4 * n : 7 + 4 * n] for n in range(9)]  # after the first look: each way warm, then timed
    assert all(sorted(each) == ["a", "a", "b", "b"] for each in rounds)
    assert len({tuple(each) for each in rounds}) == 2  # in either order
    orders = []
    for _ in range(20):
        calls.clear()
        timing.interleaved({name: way(name, 0.01) for name in "abcdef"}, 3)
        orders.append("".join(calls))
    assert len({*orders}) > 10  # those of one call are not those of the next
    assert len(timing.interleaved({"a": way("a", 0.06)}, 30)["a"]) == 10
    assert timing.ratio([1.0, 9.0, 2.0], [1.0, 3.0, 1.0]) == 2.0


def result(name, fast, again, section="layers", **facts):
    """One case of a benchmark."""
    return interleaved.Result(section, name, {"native": 10.0, "fast": 10 * fast}, {"fast": fast, "again": again}, facts)


def test_a_missed_target_is_said():
    """A mean above its limit, and one case above the limit beyond its noise and that of its kind, are missed and named; noise alone is not."""
    mean = report.Target("all", "fast", 0.9, lambda r: r.section == "layers")
    assert "mean 0.849" in mean.line([result("a", 0.8, 1.0), result("b", 0.9, 1.0)])
    assert mean.line([result("a", 0.8, 1.0), result("b", 0.9, 1.0)]).endswith("| kept |")
    assert "**missed**" in mean.line([result("a", 1.0, 1.0)])
    assert mean.line([result("a", 1.0, 1.0, "other")]) == ""
    worst = report.Target("every", "fast", 1.03, lambda r: True, worst=True)
    quiet = [result(str(n), 0.5, 1.0) for n in range(40)]
    assert worst.line([result("a", 1.05, 1.03), *quiet]).endswith("| kept, noise 0.00 |")
    assert "**missed** by b 1.06" in worst.line([result("b", 1.06, 1.02), *quiet])
    noisy = [result(str(n), 0.5, 0.95) for n in range(40)]
    assert worst.line([result("b", 1.06, 1.0), *noisy]).endswith("| kept, noise 0.05 |")
    assert "**missed** by b 1.09" in worst.line([result("b", 1.09, 1.0), *noisy])


def test_a_run_adds_to_the_results_of_a_machine(tmp_path):
    """Another section keeps those that were measured with the same versions; results of other versions are dropped."""
    about = {"processor": "AMD EPYC(TM) 9B14 Processor", "instructions": "AVX512", "torch": "2.13"}
    assert report.slug(about) == "amd-epyc-9b14-avx512"
    report.write([result("a", 0.5, 1.0, "other"), result("b", 0.5, 1.0, "auto", length=16, first=31)], tmp_path, about)
    new = [result("c", 0.7, 1.0, "auto", length=16, first=12)]
    both = report.merged(new, tmp_path, about)
    assert [each.name for each in both] == ["a", "c"]
    assert [each.name for each in report.merged(new, tmp_path, about | {"torch": "2.14"})] == ["c"]
    assert report.first_calls(both) == ("largest 12", "kept", 1)
    assert report.first_calls(report.stored(tmp_path)[1]) == ("largest 31", "**missed** by 1", 1)


def test_what_exceeds_the_limit_is_measured_again(monkeypatch):
    """A way slower than the limit beyond the noise gets three times the rounds, and the second measurement counts."""
    asked = []

    def timed(ways, rounds):
        asked.append(rounds)
        return {name: [2.0 if name == "slow" and len(asked) == 1 else 1.0] * 3 for name in ways}

    monkeypatch.setattr(interleaved, "interleaved", timed)
    found = interleaved.compare("s", "n", {"native": int, "slow": int}, 5)
    assert asked == [5, 15]
    interleaved.compare("s", "n", {"native": int, "limit": int}, 5)
    assert asked == [5, 15, 5]
    assert found.ratios == {"slow": 1.0, "again": 1.0}


def test_the_command_writes_its_report(tmp_path):
    """The benchmark runs a section in a separate process and writes every case to JSON and Markdown."""
    words = [sys.executable, ROOT / "benchmarks" / "speed.py", "--rounds", "3", "--section", "overhead", "--output", tmp_path]
    printed = subprocess.run(words, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    document = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert {case["section"] for case in document["results"]} == {"overhead"}
    assert document["machine"]["processor"]
    assert "| one call on 1×8×64 | fast |" in printed
    assert all(case["name"] in (tmp_path / "speed.md").read_text(encoding="utf-8") for case in document["results"])
