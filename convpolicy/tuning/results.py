"""`autotune_cache`: the fastest implementations that ``execution="auto"`` measured, for this process and in a file."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.files import whole

LOG = logging.getLogger("convpolicy")
FORMAT = "convpolicy autotune cache"
VERSION = 1  # a new number when an implementation of an old name becomes faster or slower


class Choice(NamedTuple):
    """The result for one call: the fastest implementation, and the fastest for a weight that is not packed."""

    lowering: str
    thawed: str


class Results:
    """Results by machine and case. All methods can be called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Choice] = {}
        self._path: Path | None = None

    def get(self, machine: str, case: str) -> Choice | None:
        """Return a result, or None."""
        return self._found.get((machine, case))

    def keep(self, machine: str, case: str, choice: Choice) -> None:
        """Keep a result, and add it to the file, with the results that other processes added to it."""
        with self._lock:
            self._found[machine, case] = choice
            if self._path is None:
                return
            try:
                self._found = read(self._path) | self._found
                write(self._path, self._found)
            except (InvalidValueError, OSError) as error:
                LOG.warning("the autotune cache is not written any more: %s", error)
                self._path = None

    def use(self, path: Path | None) -> None:
        """Use a file from now on, or none. Results of this process that the file lacks are added to it."""
        with self._lock:
            if path is not None:
                found = self._found | read(path)
                write(path, found)
                self._found = found
            self._path = path

    def clear(self) -> None:
        """Forget all results of this process."""
        with self._lock:
            self._found.clear()


def read(path: Path) -> dict[tuple[str, str], Choice]:
    """Return the results in a file; a file that does not exist has none.

    Raises:
        InvalidValueError: the file was not written by `write`.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:  # no JSON, or no UTF-8
        raise _broken(path, "it is not JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _broken(path, f"it has no format {FORMAT!r}")
    if document.get("version") != VERSION:
        raise _broken(path, f"it has version {shown(document.get('version'))} instead of {VERSION}")
    try:
        return {
            (machine, case): Choice(*map(_name, names))
            for machine, cases in document["results"].items()
            for case, names in cases.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise _broken(path, "its results are incomplete") from error


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(name)
    return name


def _broken(path: Path, reason: str) -> InvalidValueError:
    return InvalidValueError(
        f"path must be a new file or one that autotune_cache wrote, got {str(path)!r}: {reason}; delete it, or pass another name."
    )


def write(path: Path, found: dict[tuple[str, str], Choice]) -> None:
    """Write results to a file, which is replaced when the new one is complete."""
    results: dict[str, dict[str, list[str]]] = {}
    for (machine, case), choice in sorted(found.items()):
        results.setdefault(machine, {})[case] = list(choice)
    document = {"format": FORMAT, "version": VERSION, "results": results}
    whole.write(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


RESULTS = Results()


def autotune_cache(path: str | os.PathLike[str] | None) -> None:
    """Keep what layers with ``execution="auto"`` measure in a file, so that the next process does not measure it again.

    A layer uses a result from the file if the processor, the library versions, the sizes of the layer, the shape and dtype of the
    input and the number of threads are the same. It measures other calls and adds the results to the file. Results of other machines
    stay in the file. Call it before the first call of a layer.

    Args:
        path: a JSON file, which is created if it does not exist. None stops using the file.

    Raises:
        InvalidTypeError: ``path`` is not a path.
        InvalidValueError: the file has other contents.
        OSError: the file cannot be read or written.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise InvalidTypeError(f"path must be a path or None, got {shown(path)}; pass for example 'autotune.json'.")
    RESULTS.use(None if path is None else Path(path))
