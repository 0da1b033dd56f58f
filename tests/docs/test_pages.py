"""The documentation is executed: what its blocks print is what stands below them, and no name or link is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import pages
from helpers.paths import ROOT

import convpolicy as cp
from convpolicy import registry
from convpolicy.extensions import hooks
from convpolicy.parts.mode import OVERFLOW

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")), ROOT / "examples" / "README.md", ROOT / "CONTRIBUTING.md"]


NEEDS = {  # page of docs/ -> what its blocks run on
    "guides/find_the_difference.md": ("torch", "keras", "tensorflow"),
    "guides/convert.md": ("torch", "flax"), "guides/flax.md": ("flax",), "guides/keras.md": ("keras", "tensorflow"), "guides/paddle.md": ("paddle",),
    "guides/sharding.md": ("torch", "flax"),
    "guides/move_models.md": ("torch", "keras", "tensorflow", "flax", "mindspore"),
    "guides/off_by_1e-3.md": ("torch", "keras", "tensorflow", "flax", "mindspore", "transformers"),
    "guides/reproduce_a_paper.md": ("torch", "transformers"), "guides/streaming.md": ("torch", "transformers"),
    "README.md": ("torch",), "index.md": ("torch",), "guides/speed.md": ("torch",), "guides/torch_tools.md": ("torch",),
    "understand/exact.md": ("torch",), "understand/initial_weights.md": ("torch",),
    "understand/why_frameworks_differ.md": ("keras", "tensorflow", "torch"),
}  # fmt: skip
ALONE = {"keras", "flax", "paddle"}  # frameworks that cannot share a process with every other one


def needs(page):
    """The frameworks that the blocks of a page use."""
    return NEEDS.get(page.relative_to(ROOT).as_posix().removeprefix("docs/"), ())


def executed(page):
    """The parameter of a page, left out where a framework that it uses is not installed."""
    return pytest.param(page, marks=pytest.mark.needs(*needs(page)), id=page.relative_to(ROOT).as_posix())


@pytest.mark.parametrize(
    "page",
    [
        executed(page) for page in PAGES if page.name != "write_a_plugin.md"
    ],  # which installs something: see test_write_a_plugin.py
)
def test_the_blocks_of_a_page_print_what_it_says(page, tmp_path, monkeypatch):
    """All Python blocks of a page in one namespace, and its convpolicy commands, in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    if not ALONE & set(needs(page)):
        pages.check(page)
        return
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    words = [sys.executable, pages.__file__, page]
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_drawing_in_the_readme_is_the_commands():
    """README.md shows a part of what its first command prints."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^pip install \. && (convpolicy .*)$", text, re.MULTILINE)[1]
    shown = [text for language, text in pages.BLOCK.findall(text) if language == "text" and "output 638" in text]
    assert len(shown) == 1
    assert shown[0] in pages.run_command(command) + "\n"


def test_the_picture_in_the_readme_is_made_from_plans():
    """docs/static/front.svg is what docs/make_front.py prints today: as many outputs in both plans, and none that reads the same."""
    words = [sys.executable, ROOT / "docs" / "make_front.py"]
    made = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    assert (ROOT / "docs" / "static" / "front.svg").read_text(encoding="utf-8") == made
    torch, keras = (
        policy.plan(3, 2, length=10)
        for policy in (cp.policy("torch").evolve(padding=1), cp.policy("keras").evolve(padding="same"))
    )
    assert torch.length_out == keras.length_out == 5
    assert all(torch.position(output, 0) != keras.position(output, 0) for output in range(5))


def test_parts_md_is_made_from_what_is_registered():
    """docs/reference/parts.md is what docs/make_parts.py prints today, and has a heading for every registered name."""
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_parts.py"], capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    page = (ROOT / "docs" / "reference" / "parts.md").read_text(encoding="utf-8")
    assert page == made
    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    kinds = [
        kind
        for kind in hooks.KINDS.values()
        if kind not in ("backend", "wrapper", "streaming form", "native framework", "dialect", "file format")
    ]
    assert sorted(headings) == sorted(name for kind in kinds for name in registry.current().parts(kind))
    assert all(f"- `{name}`: " in page for name in OVERFLOW)


def test_which_rule_md_is_made_from_plans():
    """docs/which_rule.md is what docs/make_which_rule.py prints today; what it says of TensorFlow's and of torch's words is so."""
    words = [sys.executable, ROOT / "docs" / "make_which_rule.py"]
    made = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    page = (ROOT / "docs" / "which_rule.md").read_text(encoding="utf-8")
    assert page == made
    assert "| TensorFlow `padding='same'` | `padding='same_upper'` | (1, 2) | (1, 1) | (1, 2) | (2, 2) |" in page.replace(
        "\u00a0", " "
    )
    assert "| PyTorch `same` (stride 1 only), TensorFlow `same`, Keras `same`, Flax `SAME`, MindSpore `same`" in page


@pytest.mark.needs("torch")
def test_speed_md_is_made_from_the_stored_measurements():
    """The tables of docs/guides/speed.md are what docs/make_speed.py makes of benchmarks/results, with a column for each processor."""
    words = [sys.executable, ROOT / "docs" / "make_speed.py"]
    made = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    assert (ROOT / "docs" / "guides" / "speed.md").read_text(encoding="utf-8") == made
    assert made.count(", kept") > 10
    for folder in (ROOT / "benchmarks" / "results").iterdir():
        assert f" {folder.name} |" in made


def test_claims_md_is_made_from_the_measurements():
    """docs/understand/claims.md is what docs/make_claims.py prints today; these claims of the page, and no others, are false."""
    words = [sys.executable, ROOT / "docs" / "make_claims.py"]
    made = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    page = (ROOT / "docs" / "understand" / "claims.md").read_text(encoding="utf-8")
    assert page == made
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 19
    assert [claim[:42] for claim, _found, verdict in rows if verdict == "**false**"] == [
        "torch's padding may be a tuple (left, righ",
        "torch's 'same' with an odd total fills the",
        "MindSpore's weight is drawn from N(0, 1)",
        "torch's reflection is nn.Pad(((0,0),(1,1),",
    ]
    assert [claim for claim, _found, verdict in rows if "only" in verdict] == ["MindSpore's bias is zeros"]


def test_the_pages_of_papers_are_made_from_the_policies(tmp_path):
    """docs/papers is what docs/make_papers.py writes today: a page for every paper's policy, and the page that lists them."""
    subprocess.run([sys.executable, ROOT / "docs" / "make_papers.py", tmp_path / "papers"], check=True)
    made, stored = (
        {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        for folder in (tmp_path / "papers", ROOT / "docs" / "papers")
    )
    assert stored == made
    assert len(made) == 1 + sum(name.startswith("paper/") for name in cp.policies())


def test_drawings_are_true():
    """Every drawing ``1234, left 2, right 2 -> …`` of parts.md is what the mode above it does."""
    page = (ROOT / "docs" / "reference" / "parts.md").read_text(encoding="utf-8")
    found = re.findall(r"^### (\S+)\n\n[^\n]*(\d{4}), left 2, right 2 -> (\S+)\|(\d{4})\|(\S+)\.$", page, re.MULTILINE)
    assert {name for name, *_drawn in found} == set(cp.padding_modes())
    for name, given, left, inner, right in found:
        mode = ("reflect", "zeros") if name == "per_side" else cp.Choice("constant", value=9) if name == "constant" else name
        plan = cp.policy("torch").evolve(padding=2, padding_mode=mode).plan(1, length=4)
        drawn = "".join(f"{number:g}" for number in plan.padded(np.array([[float(digit) for digit in given]]))[0])
        assert (left + inner + right).replace("v", "9") == drawn, name


def test_every_part_says_what_it_is():
    """Each registered part has a sentence; rules and policies name a source or say what was measured."""
    for kind in hooks.KINDS.values():
        for name, part in registry.current().parts(kind).items():
            assert part.description.rstrip(")").endswith(".") or "->" in part.description or kind == "padding rule", (kind, name)
    for name in cp.policies():
        assert cp.policy(name).source, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of a page names a file or folder of this repository, and its anchor a heading."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _hash, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target
