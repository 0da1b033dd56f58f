"""Every built-in part keeps what the kit asks of a stranger's; and what the kit does beside checking: ids, reasons, reports."""

from __future__ import annotations

import json
import re

import attrs
import pytest

import convpolicy as cp
from convpolicy.testing import checks_of, parametrize_with_checks

FEW = 10  # examples per check: the parts' own tests try far more


@parametrize_with_checks(cp.padding_rules().values(), max_examples=FEW)
def test_built_in_rules(check):
    """All rungs, and whatever a rule declares."""
    check()


@parametrize_with_checks(cp.crop_rules().values(), max_examples=FEW)
def test_built_in_crop_rules(check):
    """All rungs, and whatever a rule declares."""
    check()


@parametrize_with_checks(cp.padding_modes().values(), max_examples=FEW)
def test_built_in_modes(check):
    """All rungs, and whatever a mode declares."""
    check()


@parametrize_with_checks(cp.initializers().values(), max_examples=FEW)
def test_built_in_initializers(check):
    """All rungs; the array initializer with an array of the target's shape."""
    check()


@parametrize_with_checks(cp.layouts().values(), max_examples=FEW)
def test_built_in_layouts(check):
    """All rungs, for weights and data."""
    check()


@parametrize_with_checks(map(cp.policy, cp.policies()), max_examples=FEW)
def test_built_in_policies(check):
    """All rungs, and the properties that follow from rule, mode and bias."""
    check()


@parametrize_with_checks([cp.backends()["numpy"]])
def test_numpy(check):
    """The NumPy backend; the frameworks' stand in test_conformance_everywhere.py."""
    check()


@pytest.mark.parametrize("name", ["shapes", "assign", "capture", "streaming", "strided-input", "lengths", "initial-weights"])
def test_fewer_examples_are_fewer_layers(name):
    """A framework that compiles every shape asks for few examples: no check builds as many layers as with the default."""
    numpy, built = cp.backends()["numpy"], []

    def build(request, stream, device):
        built.append(request)
        return numpy.build(request, stream, device)

    numbers = []
    for more in ({"max_examples": 5}, {}):
        built.clear()
        next(check for check in checks_of(attrs.evolve(numpy, build=build), **more) if check.name == name)()
        numbers.append(len(built))
    assert 0 < numbers[0] < numbers[1]


# -- parametrisation ------------------------------------------------------------------------------------------------------

WRONG = cp.PaddingRule("wrong", lambda *_: (0, 1), description="Not causal.", declares={"causal"})


def ids(mark):
    """The ids of a parametrisation."""
    return [case.id for case in mark.args[1]]


def test_ids_are_part_and_check():
    """In the order of the ladder, for every part; a property that is not declared has no check."""
    mark = parametrize_with_checks([cp.padding_rules()["same_upper"], cp.padding_modes()["zeros"]])
    assert ids(mark) == [
        *(f"same_upper-{name}" for name in ("names", "signature", "pads", "accepts", "repeatable", "values", "static", "length-preserving")),
        *(f"zeros-{name}" for name in ("names", "signature", "indices", "repeatable", "each-position", "values", "causal", "linear")),
    ]  # fmt: skip
    assert mark.name == "parametrize"


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (([WRONG],  {"wrong-casual": "why"}), ValueError, "expected_failures must name checks, got 'wrong-casual'; there is no check with this identifier. Did you mean 'wrong-causal'?"),
        (([WRONG], {"wrong-causal": " "}), ValueError, "expected_failures must say why, got ' ' for 'wrong-causal'"),
        (([WRONG, WRONG], {}), ValueError, "parts must have different names, got two named 'wrong'"),
        ((["causal"], {}), TypeError, "part must be a padding rule, crop rule, padding mode, initializer, layout, policy, backend, random stream, native framework, dialect, file format, wrapper, streaming form, got 'causal' of type str"),
        (([cp.Choice("causal")], {}), TypeError, "part must be a padding rule"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, kind, says):
    """Stale ids, empty reasons, two parts of one name, and what is no part; when tests are collected."""
    parts, expected = arguments
    with pytest.raises(cp.ConvPolicyError, match=re.escape(says)) as raised:
        parametrize_with_checks(parts, expected_failures=expected)
    assert isinstance(raised.value, kind)


SUITE = """
import convpolicy as cp
from convpolicy.testing import parametrize_with_checks

wrong = cp.PaddingRule("wrong", lambda *_: (0, 1), description="Not causal.", declares={"causal"})
right = cp.padding_rules()["valid"]


@parametrize_with_checks([wrong], expected_failures={"wrong-causal": "known"}, max_examples=5)
def test_known(check):
    check()


@parametrize_with_checks([right], expected_failures={"valid-values": "was mended"}, max_examples=5)
def test_stale(check):
    check()


@parametrize_with_checks([wrong], max_examples=5)
def test_unknown(check):
    check()
"""


def test_in_pytest(pytester, tmp_path, monkeypatch):
    """A failure that is expected passes as xfail, one that is not fails, and one that no longer happens fails too; all reported."""
    report = tmp_path / "report.json"
    monkeypatch.setenv("CONVPOLICY_CONFORMANCE_REPORT", str(report))
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-rxf", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=7 + 6 + 7, xfailed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["*XFAIL*test_known?wrong-causal?*known*", "*FAILED*test_stale?valid-values?*XPASS(strict)*", "*FAILED*test_unknown?wrong-causal?*"],
        consecutive=False,
    )  # fmt: skip
    found = json.loads(report.read_text())["parts"]
    assert set(found) == {"padding rule wrong", "padding rule valid"}
    assert found["padding rule wrong"]["checks"]["causal"]["verdict"] == "failed"  # the later of the two tests
    assert found["padding rule valid"]["checks"]["values"] == {"rung": "values", "verdict": "passed", "message": ""}
