"""``convpolicy new-plugin``: a folder that installs, passes its own tests and appears in ``convpolicy list``."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path
from string import Template

import click

import convpolicy
from convpolicy import registry
from convpolicy.cli import arguments, output
from convpolicy.errors import InvalidValueError, nearest

TEMPLATE = Path(__file__).parent / "plugin_template"
SUFFIX = ".template"  # of files of `string.Template`
EVERY = "any"  # the folder of what is the same for every kind
EXAMPLE = "example"  # the lines of Python that the README shows
KINDS = ("padding", "rule", "mode", "initializer", "policy", "backend", "framework")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind", default=KINDS[0], show_default=True, help=f"What it offers: {', '.join(KINDS)}; padding is a rule and a mode."
)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to write; convpolicy-NAME by default.")
@arguments.as_json
def start_plugin(name: str, kind: str, folder: Path | None, as_json: bool) -> None:
    """Start a plugin of your own.

    The folder gets parts of one kind, their tests, a README and a CI workflow.
    """
    target = folder or Path(f"convpolicy-{name}")
    files = write(name, target, kind)
    if as_json:
        output.print_json({"folder": str(target), "kind": kind, "files": files})
        return
    for file in files:
        output.say(target / file)
    output.say(f"Now: cd {target} && pip install -e '.[test]' && convpolicy plugins && pytest")


def write(name: str, target: Path, kind: str = KINDS[0]) -> list[str]:
    """Render the template into a new folder, whole or not at all.

    Args:
        name: lower-case letters, digits and single hyphens; the entry point, and the start of the parts' names.
        target: the folder; must not exist.
        kind: one of `KINDS`, what the plugin offers.

    Returns:
        The files written, relative to ``target``.

    Raises:
        InvalidValueError: another kind, another kind of name, one that is taken, or a folder that exists; holds it.
    """
    if kind not in KINDS:
        raise InvalidValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}; pick one.{nearest(kind, KINDS)}")
    if not NAME.fullmatch(name):
        raise InvalidValueError(
            f"NAME must be lower-case letters, digits and single hyphens, starting with a letter, got {name!r}; "
            f"pick one such as lookahead."
        )
    taken = [report.name for report in registry.current().reports()]
    if name in taken:
        raise InvalidValueError(f"NAME must be new, got {name!r}, which is a plugin already; pick another.")
    if target.exists():
        raise InvalidValueError(f"folder must not exist yet, got {str(target)!r}; remove it or pass --folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        beside.mkdir()
        texts = _rendered(name, kind)
        for file, text in texts.items():
            (beside / file).parent.mkdir(parents=True, exist_ok=True)
            (beside / file).write_text(text, encoding="utf-8")
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return list(texts)


def _rendered(name: str, kind: str) -> dict[str, str]:
    """Return file -> text; the project is described by the first line of its module, and shows its example."""
    module = f"convpolicy_{name.replace('-', '_')}"
    words = {"name": name, "distribution": f"convpolicy-{name}", "module": module, "version": convpolicy.__version__}
    own = {file.replace("MODULE", module): text for file, text in _templates(kind, words).items()}
    words["example"] = own.pop(EXAMPLE).rstrip("\n")
    words["description"] = own[f"{module}/__init__.py"].partition("\n")[0].strip('".')
    return dict(sorted({**_templates(EVERY, words), **own}.items()))


def _templates(folder: str, words: dict[str, str]) -> dict[str, str]:
    templates = (path for path in (TEMPLATE / folder).rglob(f"*{SUFFIX}") if path.is_file())
    return {
        path.relative_to(TEMPLATE / folder).as_posix().removesuffix(SUFFIX): Template(
            path.read_text(encoding="utf-8")
        ).substitute(words)
        for path in templates
    }
