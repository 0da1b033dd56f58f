"""``convpolicy new-plugin``: create a plugin package with working parts and tests."""

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
SUFFIX = ".template"  # suffix of the template files, in the syntax of `string.Template`
EVERY = "any"  # folder of the files that every kind of plugin gets
EXAMPLE = "example"  # file with the example for the README
KINDS = ("padding", "rule", "crop", "mode", "initializer", "policy", "backend", "framework")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", default=KINDS[0], show_default=True, help=f"One of {', '.join(KINDS)}. padding is a rule and a mode.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="New folder; convpolicy-NAME by default.")
@arguments.as_json
def start_plugin(name: str, kind: str, folder: Path | None, as_json: bool) -> None:
    """Create a plugin package.

    It contains example parts of one kind, their tests, a README and a CI workflow.
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
    """Write a plugin package to a new folder. If it fails, nothing is written.

    Args:
        name: name of the entry point and prefix of the part names: lower-case letters, digits and single hyphens.
        target: the folder; must not exist.
        kind: kind of the example parts, one of `KINDS`.

    Returns:
        The names of the files, relative to ``target``.

    Raises:
        InvalidValueError: the kind is unknown, the name is invalid or in use, or the folder exists.
    """
    if kind not in KINDS:
        raise InvalidValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}; pick one.{nearest(kind, KINDS)}")
    if not NAME.fullmatch(name):
        raise InvalidValueError(
            f"NAME must be lower-case letters, digits and single hyphens, starting with a letter, got {name!r}; "
            f"pick one such as lookahead."
        )
    if name in [report.name for report in registry.current().reports()]:
        raise InvalidValueError(f"NAME must be new, got {name!r}, the name of an installed plugin; pick another.")
    if target.exists():
        raise InvalidValueError(f"folder must not exist yet, got {str(target)!r}; remove it or pass --folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        temporary.mkdir()
        texts = _rendered(name, kind)
        for file, text in texts.items():
            (temporary / file).parent.mkdir(parents=True, exist_ok=True)
            (temporary / file).write_text(text, encoding="utf-8")
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return list(texts)


def _rendered(name: str, kind: str) -> dict[str, str]:
    """Return file name -> text. The project description is the first line of the module docstring."""
    module = f"convpolicy_{name.replace('-', '_')}"
    values = {"name": name, "distribution": f"convpolicy-{name}", "module": module, "version": convpolicy.__version__}
    own = {file.replace("MODULE", module): text for file, text in _templates(kind, values).items()}
    values["example"] = own.pop(EXAMPLE).rstrip("\n")
    values["description"] = own[f"{module}/__init__.py"].partition("\n")[0].strip('".')
    return dict(sorted({**_templates(EVERY, values), **own}.items()))


def _templates(folder: str, values: dict[str, str]) -> dict[str, str]:
    templates = (path for path in (TEMPLATE / folder).rglob(f"*{SUFFIX}") if path.is_file())
    return {
        path.relative_to(TEMPLATE / folder).as_posix().removesuffix(SUFFIX): Template(
            path.read_text(encoding="utf-8")
        ).substitute(values)
        for path in templates
    }
