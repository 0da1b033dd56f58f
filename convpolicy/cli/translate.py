"""``convpolicy translate``: print a call or a file of one framework as code of another, or rewrite the file."""

from __future__ import annotations

import io
import shutil
import sys
import tokenize
from pathlib import Path

import click

from convpolicy import translation
from convpolicy.cli import arguments, output
from convpolicy.errors import InvalidValueError
from convpolicy.files.whole import Staged
from convpolicy.translation.translated_page import TranslatedPage

SUFFIX = ".py"
STDIN = "<stdin>"


@click.command()
@click.argument("code", metavar="CODE|FILE|-")
@click.option(
    "--from", "source", default="torch", show_default=True, help="Framework of the code, e.g. mindspore or mindspore@2.0."
)
@click.option("--to", "target", default="mindspore", show_default=True, help="Framework of the output.")
@click.option("--in-channels", type=int, help="Input channels of calls that do not contain them, as in Keras.")
@click.option("--length", type=int, help="Input length in samples, to write length-dependent padding as numbers.")
@click.option("--diff", "form", flag_value="diff", help="Print the changes of the FILE as a unified diff.")
@click.option("--in-place", "form", flag_value="in-place", help="Write the translation to the FILE.")
@click.option("--layers", "form", flag_value="layers", help="Print only the layers of the FILE, each with its translation.")
@arguments.as_json
def translate(
    code: str, source: str, target: str, in_channels: int | None, length: int | None, form: str | None, as_json: bool
) -> None:
    """Translate code of convolutions to another framework.

    Pass one call as CODE, a FILE ending in .py, or - for stdin. The output of a FILE is the whole file. Its 1-D convolutions are
    translated, the imports that they need are added, and a comment marks every layer that is left. Everything else is unchanged.
    """
    file = code if code.endswith(SUFFIX) or _is_file(code) else ""
    if as_json and form is not None:
        raise InvalidValueError(f"--json and --{form} cannot be combined; pass one of them.")
    if file or code == "-":
        if form == "in-place" and not file:
            raise InvalidValueError("--in-place needs the path of a file, got - for stdin; leave it out.")
        name = file or STDIN
        text = _decoded(name, _read(file))
        page = translation.translate_page(text, source, target, in_channels=in_channels, length=length)
        _page(name, page, form, as_json=as_json)
        return
    if form is not None:
        raise InvalidValueError(f"--{form} needs a FILE, got the code {code!r}; pass the path of a file, or - for stdin.")
    translated = translation.translate(code, source, target, in_channels=in_channels, length=length)
    if as_json:
        output.print_json({"original": code, "code": translated})
    else:
        output.write(translated)


def _page(name: str, page: TranslatedPage, form: str | None, *, as_json: bool) -> None:
    """Print or write the translation of a file.

    Raises:
        InvalidValueError: no layer is translated; what was asked for is printed first, but never written to the file.
    """
    count = sum(layer.code is not None for layer in page)
    if as_json:
        output.print_json([layer.to_dict() for layer in page])
    elif form == "layers":
        output.write(translation.page_of(page, name))
    elif form == "diff":
        output.write_exactly(page.diff("stdin.py" if name == STDIN else Path(name).as_posix().lstrip("/")))
    elif form is None:
        output.write_exactly(page.text)
    elif count:
        _replace(Path(name).resolve(), page.text)
        output.say(f"{name}: {count} of {len(page)} layers are translated; comments with 'convpolicy:' mark the others.")
    if not count:
        where = "the list" if as_json or form == "layers" else "the comments" if form != "in-place" else "the output of --diff"
        raise InvalidValueError(f"{name} has no layer that can be translated; the reasons are in {where}.")


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, with the same permissions."""
    with Staged(force=True) as staged:
        temporary = staged.beside(path)
        temporary.write_bytes(text.encode())
        shutil.copymode(path, temporary)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a long call is not a valid file name
        return False


def _read(file: str) -> bytes:
    """Return the content of a file, or of stdin for an empty name."""
    if file:
        return Path(file).read_bytes()
    return sys.stdin.buffer.read()


def _decoded(name: str, data: bytes) -> str:
    """Return the text of a file, with its byte order mark and line ends.

    Raises:
        InvalidValueError: it is not UTF-8, or its first lines name another encoding; the message contains the file.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidValueError(
            f"{name} must be UTF-8 text, got byte {error.object[error.start]:#x}; save it as UTF-8."
        ) from error
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise InvalidValueError(
            f"{name} must be UTF-8 text, got an encoding that Python refuses: {error}; correct it."
        ) from error
    if encoding not in ("utf-8", "utf-8-sig"):
        raise InvalidValueError(f"{name} must be UTF-8 text, got the encoding {encoding!r} in its first lines; save it as UTF-8.")
    return text
