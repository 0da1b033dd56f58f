"""Exceptions of the libraries that read and write files, turned into one sentence that names the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convpolicy.errors import InvalidValueError


@contextmanager
def reading(path: Path, title: str, *faults: type[BaseException]) -> Iterator[None]:
    """Turn the exceptions of a library that cannot read a file into one sentence that names the file.

    Args:
        path: of the file.
        title: of the format.
        faults: classes of exceptions that the library raises for a damaged file.

    Raises:
        InvalidValueError: in place of one of ``faults``.
        OSError: the file cannot be read; holds its name.
    """
    try:
        yield
    except InvalidValueError:
        raise
    except OSError as error:
        if error.errno is None:
            raise InvalidValueError(
                f"{path} is not a whole {title} file: {_first_line(error)}; fetch or save it anew."
            ) from error
        error.filename = error.filename or str(path)
        raise
    except faults as error:
        raise InvalidValueError(f"{path} is not a whole {title} file: {_first_line(error)}; fetch or save it anew.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the exceptions of a library that cannot write a file into an `OSError` that names the file."""
    try:
        yield
    except RuntimeError as error:
        raise _cause(error, path) from error
    except OSError as error:
        raise _cause(error, path) from error


def _cause(error: BaseException, path: Path) -> OSError:
    for known in (error, error.__context__):
        if isinstance(known, OSError) and known.errno is not None:
            return OSError(known.errno, os.strerror(known.errno), str(path))  # HDF5 says it in several lines
    return OSError(errno.EIO, _first_line(error), str(path))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".;") if lines else type(error).__name__
