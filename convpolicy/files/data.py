"""TOML and JSON files as plain data: mappings, lists, text, numbers."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convpolicy.errors import InvalidTypeError, InvalidValueError, said, shown


def _toml_dump(data: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(data)


def _toml_load(text: str) -> Any:
    import tomlkit

    return tomlkit.parse(text).unwrap()


def _json_dump(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def _json_load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen = [key for key, _value in pairs]
        raise ValueError(f"key {next(key for key in seen if seen.count(key) > 1)!r} stands twice")
    return data


FORMATS: dict[str, tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]] = {
    ".toml": (_toml_dump, _toml_load),
    ".json": (_json_dump, _json_load),
}


def format_of(path: Path, what: str = "a policy file") -> tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]:
    """Return how a file is written and read, by its suffix.

    Args:
        path: its name.
        what: what the file is, for the message.

    Raises:
        InvalidValueError: another suffix; holds the name.
    """
    if path.suffix not in FORMATS:
        raise InvalidValueError(f"{what} must end in {' or '.join(FORMATS)}, got {path.name!r}; rename it.")
    return FORMATS[path.suffix]


def path_of(argument: str, value: Any) -> Path:
    """Return a path that a caller passed.

    Raises:
        InvalidTypeError, InvalidValueError: no path, or one that no system has; holds the argument and what came.
    """
    try:
        text = os.fspath(value)
    except TypeError:
        raise InvalidTypeError(
            f"{argument} must be a path, got {shown(value)} of type {type(value).__name__}; pass text or a pathlib.Path."
        ) from None
    text = os.fsdecode(text)
    try:
        if b"\0" in os.fsencode(text):
            raise InvalidValueError(
                f"{argument} must not contain the character of number 0, got {shown(text)}; pass another path."
            )
    except UnicodeEncodeError:
        raise InvalidValueError(f"{argument} must be a name that the system has, got {shown(text)}; pass another path.") from None
    return Path(text)


def read(path: Path) -> bytes:
    """Return the content of an ordinary file.

    Raises:
        InvalidValueError: a pipe or a device, which may never end; holds its name.
        OSError: the file cannot be read.
    """
    if not (stat.S_ISREG(path.stat().st_mode) or path.is_dir()):  # a folder is the system's own error
        raise InvalidValueError(f"{path} must be an ordinary file, got a pipe or a device; copy it to a file first.")
    return path.read_bytes()


def read_data(path: Path, what: str) -> Any:
    """Read plain data from a TOML or JSON file.

    Args:
        path: ends in ``.toml`` or ``.json``.
        what: what the file is, for the message.

    Raises:
        InvalidValueError: another suffix, no ordinary file, or broken syntax; holds the file and the line.
        OSError: the file cannot be read.
    """
    format_of(path, what)
    return parse(read(path), str(path))


def parse(text: str | bytes, source: str) -> Any:
    """Return the plain data in the text of a file.

    Args:
        text: what the file contains, UTF-8.
        source: its name or path, for the message; ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError: broken syntax; holds the file and the line.
    """
    load = format_of(Path(source))[1]
    try:
        data = load(text.decode("utf-8") if isinstance(text, bytes) else text)
        _require_unicode(data)
    except Exception as error:  # the parsers' own, of whatever class: syntax, UTF-8, a key twice, brackets or digits without end
        reason = said(error).rstrip(".") or type(error).__name__
        raise InvalidValueError(f"{source}: broken {Path(source).suffix[1:]} syntax: {reason}; correct the file.") from error
    return data


def text_of(data: dict[str, Any], path: Path) -> bytes:
    """Return what a file of plain data contains, by its suffix.

    Raises:
        InvalidValueError: another suffix, or data that no such file can hold; holds the file and the reason.
    """
    dump = format_of(path)[0]
    try:
        _require_unicode(data)
        return dump(data).encode()
    except (ValueError, TypeError) as error:
        raise InvalidValueError(f"{path.name} cannot hold this: {said(error).rstrip('.')}; change the value.") from error


def _require_unicode(data: Any) -> None:
    """Refuse text with half a character in it, which JSON can spell and no file holds."""
    try:
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"text with {error.object[error.start]!a}, which is half a character") from None
