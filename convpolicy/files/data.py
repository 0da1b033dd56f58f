"""TOML and JSON files as plain data: mappings, lists, text, numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convpolicy.errors import InvalidValueError


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


def read_data(path: Path, what: str) -> Any:
    """Read plain data from a TOML or JSON file.

    Args:
        path: ends in ``.toml`` or ``.json``.
        what: what the file is, for the message.

    Raises:
        InvalidValueError: another suffix, or broken syntax; holds the file and the line.
        OSError: the file cannot be read.
    """
    format_of(path, what)
    return parse(path.read_bytes(), str(path))


def parse(text: str | bytes, source: str) -> Any:
    """Return the plain data in the text of a file.

    Args:
        text: what the file contains, UTF-8.
        source: its name or path, for the message; ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError: broken syntax; holds the file and the line.
    """
    try:
        return format_of(Path(source))[1](text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:  # tomlkit's and json's syntax errors, bad UTF-8, brackets without end
        said = str(error).rstrip(".")
        raise InvalidValueError(f"{source}: broken {Path(source).suffix[1:]} syntax: {said}; correct the file.") from error
