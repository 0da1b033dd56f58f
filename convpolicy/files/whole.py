"""Files that appear whole or not at all: written under a hidden name beside their own, synced, then renamed."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path
from types import TracebackType

from convpolicy.errors import InvalidValueError


def refuse_existing(path: Path) -> InvalidValueError:
    """Return the error for an output that is there already."""
    return InvalidValueError(f"output {str(path)!r} exists already; pass force to replace it, or another name.")


class Staged:
    """Files that get their names together, when the ``with`` block ends without an error; else none of them is left.

    A killed process leaves at most the hidden names ``.NAME.HEX``.

    Args:
        force: replace files that exist; False refuses them, also those that appear while the block runs.
    """

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._files: list[tuple[Path, Path]] = []  # hidden name, final name

    def beside(self, path: str | os.PathLike[str]) -> Path:
        """Return the hidden name to write instead of ``path``.

        Raises:
            FileNotFoundError: its folder does not exist.
            InvalidValueError: it exists, without ``force``.
        """
        final = Path(path)
        if not final.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(final))
        if not self._force and os.path.lexists(final):
            raise refuse_existing(final)
        hidden = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
        self._files.append((hidden, final))
        return hidden

    def __enter__(self) -> Staged:  # noqa: PYI034 - typing.Self is newer than the oldest Python
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._place()
        except OSError as failed:
            self._name(failed)
            raise
        finally:
            for hidden, _final in self._files:
                hidden.unlink(missing_ok=True)
        if isinstance(error, OSError):
            self._name(error)

    def _place(self) -> None:
        for hidden, _final in self._files:
            with hidden.open("rb") as file:
                os.fsync(file.fileno())
        placed: list[Path] = []
        try:
            for hidden, final in self._files:
                if self._force:
                    hidden.replace(final)
                else:
                    _link(hidden, final)
                    placed.append(final)
        except BaseException:
            for final in placed:  # none of them was there before
                final.unlink(missing_ok=True)
            raise

    def _name(self, error: OSError) -> None:
        """Let an error of writing, such as a full disk, name the file that was to be written."""
        if error.errno is not None and error.filename in (None, *(str(hidden) for hidden, _final in self._files)):
            hidden_of = {str(hidden): final for hidden, final in self._files}
            error.filename = str(hidden_of.get(error.filename, self._files[-1][1] if self._files else ""))
            if error.filename2 is not None:
                del error.filename2  # None would be printed


def _link(hidden: Path, final: Path) -> None:
    """Give a file its name unless that name is taken; where the disk knows no hard links, after a look."""
    try:
        os.link(hidden, final)
    except FileExistsError:
        raise refuse_existing(final) from None
    except OSError:
        if os.path.lexists(final):
            raise refuse_existing(final) from None
        hidden.replace(final)


def write(target: Path, data: bytes) -> None:
    """Write one file, in place of one that is there, with the permissions of any new file.

    Raises:
        OSError: the file cannot be written; names the target.
    """
    with Staged(force=True) as staged:
        staged.beside(target).write_bytes(data)
