"""docs/guides/write_a_plugin.md is carried out: from the wheel of convpolicy, in an empty folder, with real installations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.needs("hatchling")

PAGE = ROOT / "docs" / "guides" / "write_a_plugin.md"
EXAMPLE = ROOT / "examples" / "convpolicy-tide"
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEMPLATE = Path("convpolicy") / "cli" / "plugin_template"
OFFLINE = "-m pip --disable-pip-version-check -q install --no-deps --no-build-isolation --no-index"
WORDS = {  # how a line of the page starts -> how it is run here, by this Python and without a network
    "convpolicy ": "-m convpolicy ",
    "pytest ": "-m pytest -p no:cacheprovider ",
    "pip install -e 'convpolicy-tide[test]'": f"{OFFLINE} --target {{site}} ./convpolicy-tide",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("convpolicy-*.whl"))


def files(folder):
    """Every file of a folder and its text, but what Python and pytest leave there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".hypothesis" not in path.parts
    }


def test_the_whole_template_is_in_the_wheel(wheel):
    """Also what starts with a dot."""
    names = set(zipfile.ZipFile(wheel).namelist())
    template = files(ROOT / TEMPLATE)
    assert {f"{TEMPLATE.as_posix()}/{name}" for name in template} <= names
    assert {f"any/{name}.template" for name in (".gitignore", ".github/workflows/tests.yml", "pyproject.toml")} <= set(template)
    assert "convpolicy/testing/__init__.py" in names


def shell(line, site):
    """Turn a line of the page into words for this Python."""
    start = next(start for start in WORDS if line.startswith(start))
    return [sys.executable, *(WORDS[start].format(site=site) + line.removeprefix(start)).split()]


def test_the_page_leads_to_an_installed_plugin(wheel, tmp_path):
    """Its commands and its Python, each script in a process of its own, print what stands below; the files are those of examples/."""
    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVPOLICY_")}
    environment |= {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}

    def run(words):
        done = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return re.sub(r"(\d+ passed) in .*", r"\1", done.stdout)

    run([sys.executable, *OFFLINE.split(), "--target", site, wheel])
    printed, script = "", ""
    for language, file, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "text":
            assert printed == text
            printed = ""
            continue
        assert not printed.strip(), f"nothing stands below what prints {printed!r}"
        if file:
            (here / file).write_text(text, encoding="utf-8")
            run(shell("pip install -e 'convpolicy-tide[test]'", f"{site} --upgrade"))  # -e needs no second installation
        elif language == "python":
            before = run([sys.executable, "-c", script])
            script += text
            printed = run([sys.executable, "-c", script]).removeprefix(before)
        else:
            for line in text.splitlines():
                printed += (here / line[4:]).read_text(encoding="utf-8") if line.startswith("cat ") else run(shell(line, site))
    assert not printed.strip()
    assert files(here / "convpolicy-tide") == files(EXAMPLE)
    listed = run([sys.executable, "-m", "convpolicy", "plugins"])
    assert re.search(r"^tide +0\.1\.0 +installed +ok +5$", listed, re.MULTILINE)
