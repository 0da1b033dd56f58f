"""What is published: the table of extras, the citation, the metadata and the files of the wheel agree with pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
import tomlkit
from helpers.paths import ROOT

import convpolicy as cp

PROJECT = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_table_of_extras():
    """docs/start/install.md has a row for each extra, which names every package that the extra installs."""
    page = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `convpolicy\[(\w+)\]` \| ([^|]+) \|", page, re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    assert set(rows) == set(extras)
    for extra, packages in extras.items():
        names = {re.split(r"[\[<>=]", package)[0] for package in packages} - {"convpolicy"}
        assert all(name in rows[extra] for name in names), extra


def test_the_citation_is_of_this_version():
    """CITATION.cff names the version, the licence and the keywords' field."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {cp.__version__}\n" in text
    assert f"license: {PROJECT['license']}\n" in text


def test_the_changelog_keeps_its_form():
    """Every version has a heading with its date or is unreleased, and its changes are under the six headings of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


@pytest.mark.parametrize("template", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_issue_templates_ask_for_something(template):
    """Each one has a name, a description and a question that must be answered."""
    text = template.read_text(encoding="utf-8")
    assert re.match(r"name: .+\ndescription: .+\nlabels: \[\w+\]\nbody:\n", text)
    assert "required: true" in text


@pytest.mark.needs("hatchling")
def test_the_wheel_holds_the_package_alone(tmp_path):
    """Nothing but the package and its metadata; no test, plugin, page or cache; the source archive holds what builds it again."""
    for target in ("wheel", "sdist"):
        words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", tmp_path]
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.split("/")[0] for name in names} == {"convpolicy", f"convpolicy-{cp.__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2].split("/")[0] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "convpolicy"} <= inside
