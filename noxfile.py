"""The commands of a contributor: ``nox -l`` lists them, ``nox -s core`` runs one, in a separate environment."""

from __future__ import annotations

import re
from pathlib import Path

import nox

ROOT = Path(__file__).parent
FRAMEWORKS = {  # session -> what its framework is installed from
    "torch": ["torch"],
    "mindspore": ["mindspore", "numpy", "torch"],  # compared with torch
    "keras": ["torch", "keras", "tensorflow_cpu", "jax", "jaxlib", "h5py"],
    "flax": ["flax", "jax", "jaxlib"],
    "paddle": ["paddlepaddle"],
}
PAGES = {
    "parts": "reference/parts.md",
    "which_rule": "which_rule.md",
    "claims": "understand/claims.md",
    "front": "static/front.svg",
    "speed": "guides/speed.md",
}

nox.options.sessions = ["core", "lint"]


def pins(file: str) -> dict[str, str]:
    """Return the pinned packages of a requirements file, name -> ``name==version``."""
    lines = (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0]: line for line in lines if re.match(r"[\w-]+==", line)}


@nox.session
def core(session: nox.Session) -> None:
    """Test what needs no framework."""
    session.install(".[testing]", "scipy", "pytest-xdist")
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


def framework_session(name: str) -> None:
    """Add the session of one framework."""

    def test(session: nox.Session) -> None:
        session.install(*(pins("test.txt")[package] for package in FRAMEWORKS[name]))
        session.install(".[testing]")
        session.run("pytest", f"tests/frameworks/{name}", *session.posargs)

    test.__doc__ = f"Test the room of {name}."
    nox.session(name=name)(test)


for framework in FRAMEWORKS:
    framework_session(framework)


@nox.session(name="all")
def everything(session: nox.Session) -> None:
    """Test everything, with every framework: the README's command."""
    session.install("-r", "requirements/test.txt")
    session.run("pytest", "-n", "2", "--dist", "worksteal", "--all-frameworks", *session.posargs)


@nox.session
def grid(session: nox.Session) -> None:
    """Test everything, with every case of the slow grids; takes hours."""
    session.install("-r", "requirements/test.txt")
    session.run("pytest", "-n", "2", "--dist", "worksteal", "--all-frameworks", "--grid", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the direction of imports."""
    session.install("-r", "requirements/test.txt")  # mypy reads the frameworks' types
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def site(session: nox.Session) -> None:
    """Build the site; any warning is an error."""
    session.install("-r", "requirements/site.txt", ".")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "docs", "site", env={"CONVPOLICY_LOAD_PLUGINS": ""})


@nox.session
def docs(session: nox.Session) -> None:
    """Make the generated pages of docs/ anew."""
    session.install(".")
    for name, page in PAGES.items():
        with (ROOT / "docs" / page).open("w", encoding="utf-8") as file:
            session.run("python", f"docs/make_{name}.py", stdout=file, env={"CONVPOLICY_LOAD_PLUGINS": ""})
    session.run("python", "docs/make_papers.py", "docs/papers", env={"CONVPOLICY_LOAD_PLUGINS": ""})
    session.run("python", "docs/make_tables.py", env={"CONVPOLICY_LOAD_PLUGINS": ""})


@nox.session
def papers(session: nox.Session) -> None:
    """Compare the policies of papers with the papers' own packages, and run the models with published weights."""
    session.install(pins("papers.txt")["torch"])
    session.install("--no-deps", "-r", "requirements/papers.txt")
    session.install("--no-deps", ".", "./plugins/convpolicy-onnx", "./plugins/convpolicy-mlx")
    session.run("pytest", "-n", "2", "--dist", "loadfile", "tests/papers", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure the speed of the layers on this machine."""
    session.install("-r", "requirements/test.txt", "matplotlib")
    session.run("python", "benchmarks/speed.py", *session.posargs)


@nox.session
def old_versions(session: nox.Session) -> None:
    """Measure torch 1.9.0 and mindspore 2.0.0 anew, where Python 3.9 exists."""
    session.install(".")
    session.run("python", "tests/legacy/run.py", *session.posargs, success_codes=[0, 3])
