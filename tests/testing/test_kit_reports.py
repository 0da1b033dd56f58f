"""What the kit does beside checking: its report, its names, and the sentence where its extra is missing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import convpolicy as cp
from convpolicy import testing
from convpolicy.testing import ConformanceError


def test_the_report_of_a_ladder(tmp_path):
    """Text and JSON: what passed, what failed with its message, and what was not reached; later parts are added."""
    path = tmp_path / "report.json"
    broken = cp.PaddingRule("broken", lambda *_: (0, 0.5), description="Wrong.")
    with pytest.raises(ConformanceError) as raised:
        testing.check_padding_rule(broken, report=path)
    shown = str(raised.value.report)
    assert shown.splitlines() == [
        "padding rule broken:", "  names       passed", "  signature   passed", "  pads        failed", "  accepts     failed",
        "  repeatable  not reached", "  values      not reached", "  static      not reached",
    ]  # fmt: skip
    testing.check_padding_rule("valid", report=path, max_examples=5)
    data = json.loads(path.read_text())
    assert data["schema"] == 1
    assert set(data["parts"]) == {"padding rule broken", "padding rule valid"}
    checks = data["parts"]["padding rule broken"]["checks"]
    assert {name: check["verdict"] for name, check in checks.items()} == {
        "names": "passed", "signature": "passed", "pads": "failed", "accepts": "failed", "repeatable": "not reached",
        "values": "not reached", "static": "not reached",
    }  # fmt: skip
    assert "right must be an integer, got 0.5" in checks["pads"]["message"]
    assert data["parts"]["padding rule valid"]["provider"] == "padding_rules"
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 2, "parts": {}}', "{"])
def test_a_file_that_is_no_report_is_not_overwritten(tmp_path, content):
    """Refused in a sentence, and left as it is."""
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(
        cp.InvalidValueError, match=r"report must be a new file or an earlier conformance report, got '.*mine.json'"
    ):
        testing.check_padding_rule("valid", report=path, max_examples=1)
    assert path.read_text() == content


def test_names_are_looked_up():
    """Every check takes a part or the name of a registered one, and an unknown name is refused."""
    for check, name in (
        (testing.check_padding_rule, "half"), (testing.check_crop_rule, "causal"), (testing.check_padding_mode, "zeros"), (testing.check_initializer, "zeros"),
        (testing.check_layout, "WIM"), (testing.check_policy, "torch"), (testing.check_backend, "numpy"),
        (testing.check_random_stream, "torch"), (testing.check_dialect, "keras"), (testing.check_file_format, ".npz"),
    ):  # fmt: skip
        report = check(name, max_examples=2)
        assert report.name == name
        assert report.failures == ()
        with pytest.raises(LookupError, match=r"unknown .* 'nothing'"):
            check("nothing")


def test_nothing_stays_registered():
    """A part on trial is gone afterwards, also when its check fails or its name is taken."""
    before = [report.name for report in cp.plugins()]
    causal = cp.PaddingRule("causal", lambda *_: (0, 1), description="Not the built-in one.", declares={"causal"})
    with pytest.raises(ConformanceError, match="padding rule 'causal' fails check 'causal'"):
        testing.check_padding_rule(causal, max_examples=5)
    assert [report.name for report in cp.plugins()] == before
    assert cp.padding_rules()["causal"].provider == "padding_rules"


@pytest.mark.parametrize(
    ("absent", "code"),
    [
        ("hypothesis", "import convpolicy.testing"),
        ("hypothesis", "from convpolicy.testing import check_backend"),
        ("pytest", "import convpolicy.testing; convpolicy.testing.parametrize_with_checks([])"),
    ],
)
def test_the_kit_without_its_extra_names_its_installation(absent, code):
    """Without hypothesis or pytest the kit says how to install them, as an ImportError; the rest of convpolicy works."""
    code = f"""
import sys
import convpolicy
sys.modules[{absent!r}] = None  # as if not installed
try:
    {code}
except convpolicy.ConvPolicyError as error:
    print(isinstance(error, ImportError), error)
print(convpolicy.policy("torch").plan(3, length=5).length_out)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, worked = result.stdout.splitlines()
    assert said.startswith("True ")
    assert said.endswith(f"needs {absent}, which is not installed; run: pip install 'convpolicy[testing]'.")
    assert worked == "3"
