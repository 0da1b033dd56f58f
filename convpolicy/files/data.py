"""Reads and writes TOML and JSON files as plain data: mappings, lists, text and numbers."""

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
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _value in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return data


FORMATS: dict[str, tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]] = {
    ".toml": (_toml_dump, _toml_load),
    ".json": (_json_dump, _json_load),
}


def format_of(path: Path, title: str = "a policy file") -> tuple[Callable[[dict[str, Any]], str], Callable[[str], Any]]:
    """Return the functions that write and read a file, by its suffix.

    Args:
        path: path of the file.
        title: kind of file, for the message.

    Raises:
        InvalidValueError: the suffix is unknown. The message contains the name of the file.
    """
    if path.suffix not in FORMATS:
        raise InvalidValueError(f"{title} must end in {' or '.join(FORMATS)}, got {path.name!r}; rename it.")
    return FORMATS[path.suffix]


def path_of(argument: str, value: Any) -> Path:
    """Convert an argument to a path.

    Raises:
        InvalidTypeError, InvalidValueError: not a path, or one that no system allows. The message contains argument and value.
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
            raise InvalidValueError(f"{argument} must not contain a null character, got {shown(text)}; pass another path.")
    except UnicodeEncodeError:
        raise InvalidValueError(
            f"{argument} must be a name that the file system allows, got {shown(text)}; pass another path."
        ) from None
    return Path(text)


def read(path: Path) -> bytes:
    """Return the content of an ordinary file.

    Raises:
        InvalidValueError: the path is a pipe or a device, which may be endless. The message contains the path.
        OSError: the file cannot be read.
    """
    if not (stat.S_ISREG(path.stat().st_mode) or path.is_dir()):  # for a folder, read_bytes raises an OSError
        raise InvalidValueError(f"{path} must be an ordinary file, got a pipe or a device; copy it to a file first.")
    return path.read_bytes()


def read_data(path: Path, title: str) -> Any:
    """Read plain data from a TOML or JSON file.

    Args:
        path: path of the file; it ends in ``.toml`` or ``.json``.
        title: kind of file, for the message.

    Raises:
        InvalidValueError: another suffix, not an ordinary file, or broken syntax. The message contains the file and the line.
        OSError: the file cannot be read.
    """
    format_of(path, title)
    return parse(read(path), str(path))


def parse(text: str | bytes, source: str) -> Any:
    """Return the plain data in the text of a file.

    Args:
        text: content of the file, UTF-8.
        source: name or path of the file, for the message; it ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError: broken syntax. The message contains the file and the line.
    """
    load = format_of(Path(source))[1]
    try:
        data = load(text.decode("utf-8") if isinstance(text, bytes) else text)
        _require_unicode(data)
    except Exception as error:  # parsers raise many classes: for syntax, UTF-8, a duplicate key, deep nesting, long numbers
        reason = said(error).rstrip(".") or type(error).__name__
        raise InvalidValueError(f"{source}: broken {Path(source).suffix[1:]} syntax: {reason}; correct the file.") from error
    return data


def text_of(data: dict[str, Any], path: Path) -> bytes:
    """Return plain data as the content of a TOML or JSON file.

    Args:
        data: the plain data.
        path: path of the file; it ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError: another suffix, or data that the format cannot represent. The message contains file and reason.
    """
    dump = format_of(path)[0]
    try:
        _require_unicode(data)
        return dump(data).encode()
    except (ValueError, TypeError) as error:
        raise InvalidValueError(f"{path.name} cannot contain this: {said(error).rstrip('.')}; change the value.") from error


def _require_unicode(data: Any) -> None:
    """Refuse text with a lone surrogate, half a character that JSON can escape but UTF-8 cannot encode."""
    try:
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"text with {error.object[error.start]!a}, which is half a character") from None
