"""``convpolicy translate``: print code of convolutions of one framework as code of another."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from convpolicy import translation
from convpolicy.cli import arguments, output
from convpolicy.errors import InvalidValueError

SUFFIX = ".py"


@click.command()
@click.argument("code", metavar="CODE|FILE|-")
@click.option(
    "--from", "source", default="torch", show_default=True, help="Framework of the code, e.g. mindspore or mindspore@2.0."
)
@click.option("--to", "target", default="mindspore", show_default=True, help="Framework of the output.")
@click.option("--in-channels", type=int, help="Input channels of Keras calls, which do not contain them.")
@click.option("--length", type=int, help="Input length in samples, to write length-dependent padding as numbers.")
@arguments.as_json
def translate(code: str, source: str, target: str, in_channels: int | None, length: int | None, as_json: bool) -> None:
    """Translate code of convolutions to another framework.

    Pass one call as CODE, a FILE ending in .py, or - for stdin. Every Conv1d and ConvTranspose1d of a file is translated and printed.
    The file is not changed.
    """
    file = code if code.endswith(SUFFIX) or _is_file(code) else ""
    text = sys.stdin.read() if code == "-" else _read(file) if file else code
    options = {"in_channels": in_channels, "length": length}
    if file or code == "-":
        layers = translation.translate_page(text, source, target, **options)
        if as_json:
            output.print_json([layer.to_dict() for layer in layers])
        else:
            output.write(translation.page_of(layers, file or "<stdin>"))
        if all(layer.code is None for layer in layers):
            raise InvalidValueError(f"{file or '<stdin>'} has no layer that can be translated; the reasons are in the list.")
        return
    translated = translation.translate(text, source, target, **options)
    if as_json:
        output.print_json({"original": text, "code": translated})
    else:
        output.write(translated)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a long call is not a valid file name
        return False


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError(
            f"{file} must be UTF-8 text, got byte {error.object[error.start]:#x}; save it as UTF-8."
        ) from error
