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
from convpolicy.errors import InvalidValueError

TEMPLATE = Path(__file__).parent / "plugin_template"
SUFFIX = ".template"  # of files of `string.Template`
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command("new-plugin")
@click.argument("name")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to write; convpolicy-NAME by default.")
@arguments.as_json
def start_plugin(name: str, folder: Path | None, as_json: bool) -> None:
    """Start a plugin called NAME: one padding rule, one padding mode, their tests, a README and a CI workflow."""
    target = folder or Path(f"convpolicy-{name}")
    files = write(name, target)
    if as_json:
        output.print_json({"folder": str(target), "files": files})
        return
    for file in files:
        output.say(target / file)
    output.say(f"Now: cd {target} && pip install -e '.[test]' && convpolicy plugins && pytest")


def write(name: str, target: Path) -> list[str]:
    """Render the template into a new folder, whole or not at all.

    Args:
        name: lower-case letters, digits and single hyphens; the entry point, and the start of the parts' names.
        target: the folder; must not exist.

    Returns:
        The files written, relative to ``target``.

    Raises:
        InvalidValueError: another kind of name, one that is taken, or a folder that exists; holds it.
    """
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
    words = {
        "name": name,
        "distribution": f"convpolicy-{name}",
        "module": f"convpolicy_{name.replace('-', '_')}",
        "version": convpolicy.__version__,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        beside.mkdir()
        files = []
        for template in sorted(path for path in TEMPLATE.rglob(f"*{SUFFIX}") if path.is_file()):
            inside = template.relative_to(TEMPLATE).as_posix()
            file = inside.removesuffix(SUFFIX).replace("MODULE", words["module"])
            (beside / file).parent.mkdir(parents=True, exist_ok=True)
            text = Template(template.read_text(encoding="utf-8")).substitute(words)
            (beside / file).write_text(text, encoding="utf-8")
            files.append(file)
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return files
