"""Turn the exceptions of file libraries into errors that name the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convpolicy.errors import InvalidValueError


@contextmanager
def reading(path: Path, title: str, *faults: type[BaseException]) -> Iterator[None]:
    """Turn the exceptions that a library raises for a damaged file into an error that names the file.

    Use it in a ``with`` block around the calls that read the file.

    Args:
        path: path of the file.
        title: name of the format, used in the message.
        faults: exception classes that the library raises for a damaged file.

    Raises:
        InvalidValueError: the library raised one of ``faults``, or an `OSError` without an error number.
        OSError: the file cannot be read; the message names it.
    """
    try:
        yield
    except InvalidValueError:
        raise
    except OSError as error:
        if error.errno is None:
            raise InvalidValueError(
                f"{path} is not a whole {title} file: {_first_line(error)}; download or save it again."
            ) from error
        error.filename = error.filename or str(path)
        raise
    except faults as error:
        raise InvalidValueError(
            f"{path} is not a whole {title} file: {_first_line(error)}; download or save it again."
        ) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the exceptions of a library that cannot write a file into an `OSError` that names the file.

    Use it in a ``with`` block around the calls that write the file.

    Args:
        path: path of the file.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        yield
    except RuntimeError as error:
        raise _cause(error, path) from error
    except OSError as error:
        raise _cause(error, path) from error


def _cause(error: BaseException, path: Path) -> OSError:
    for cause in (error, error.__context__):
        if isinstance(cause, OSError) and cause.errno is not None:
            return OSError(cause.errno, os.strerror(cause.errno), str(path))  # HDF5's own message has several lines
    return OSError(errno.EIO, _first_line(error), str(path))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".;") if lines else type(error).__name__
