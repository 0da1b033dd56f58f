"""Files that appear whole or not at all: written under a hidden name beside their own, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from itertools import count
from pathlib import Path
from types import TracebackType

from convpolicy.errors import InvalidValueError

NAME_BYTES = 255  # of one name, on the file systems in use
ROOM = 24  # bytes of a hidden name that stay free for what a writer puts behind it


def refuse_existing(path: Path) -> InvalidValueError:
    """Return the error for an output that is there already."""
    return InvalidValueError(f"output {str(path)!r} exists already; pass force to replace it, or another name.")


class Staged:
    """Files that get their names together, when the ``with`` block ends without an error; else none of them is left.

    One is the output, the others are what the output refers to, such as the shards of an index. They get their names before it,
    and never the name of a file that exists, so that a process that is killed at any moment leaves the old output whole or the
    new one. It leaves at most hidden names ``.NAME.HEX``, and files that no output refers to.

    Args:
        force: replace an output that exists; False refuses every file that exists, also those that appear while the block runs.
    """

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._files: list[tuple[Path, Path]] = []  # hidden name, final name
        self._siblings: list[tuple[Path, Path]] = []
        self._obsolete: list[Path] = []

    def beside(self, path: str | os.PathLike[str]) -> Path:
        """Return the hidden name to write instead of ``path``.

        Raises:
            FileNotFoundError: its folder does not exist.
            InvalidValueError: it exists, without ``force``.
            OSError: the file system cannot have such a name.
        """
        final = Path(path)
        if not final.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(final))
        if _is_there(final) and not self._force:
            raise refuse_existing(final)
        hidden = _hidden(final)
        self._files.append((hidden, final))
        return hidden

    def sibling(self, path: str | os.PathLike[str]) -> Path:
        """Return the hidden name to write instead of ``path``, a file that the output refers to by the name that `name_of` returns.

        Raises:
            InvalidValueError: it exists, without ``force``.
            OSError: the file system cannot have such a name.
        """
        final = Path(path)
        if _is_there(final) and not self._force:
            raise refuse_existing(final)
        reserved = {known for _hidden_name, known in self._siblings}
        names = (final if number == 0 else final.with_name(f"{final.stem}.{number}{final.suffix}") for number in count())
        free = next(name for name in names if name not in reserved and not _is_there(name))
        hidden = _hidden(free)
        self._siblings.append((hidden, free))
        return hidden

    def name_of(self, hidden: Path) -> str:
        """Return the name that a file gets in its folder."""
        return dict(self._files + self._siblings)[hidden].name

    def remove_afterwards(self, path: Path) -> None:
        """Remove a file once the output has its name: one that only the replaced output referred to."""
        self._obsolete.append(path)

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
            for hidden, _final in self._files + self._siblings:
                hidden.unlink(missing_ok=True)
        if isinstance(error, OSError):
            self._name(error)

    def _place(self) -> None:
        for hidden, _final in self._siblings + self._files:
            with hidden.open("rb") as file:
                os.fsync(file.fileno())
        links: list[tuple[Path, Path]] = []
        try:
            for hidden, final in self._siblings:
                links.append((hidden, final))
                _link(hidden, final)
            if links:
                _sync_folder(links[0][1].parent)
            for hidden, final in self._files:  # last: from here on the output refers to its siblings
                if self._force:
                    hidden.replace(final)
                else:
                    links.append((hidden, final))
                    _link(hidden, final)
        except BaseException:
            if not all(_has_name(hidden, final) for hidden, final in self._files):
                for hidden, final in links:
                    if _has_name(hidden, final):
                        final.unlink(missing_ok=True)
            raise
        for path in self._obsolete:
            with contextlib.suppress(OSError):  # the result is whole without it
                path.unlink(missing_ok=True)

    def _name(self, error: OSError) -> None:
        """Let an error of writing, such as a full disk, name the file that was to be written."""
        names = {str(hidden): str(final) for hidden, final in self._files + self._siblings}
        said = None if error.filename is None else str(error.filename)
        if error.errno is not None and (said is None or said in names):
            error.filename = names.get(said or "", str(self._files[0][1]) if self._files else "")
            if error.filename2 is not None:
                del error.filename2  # None would be printed


def _hidden(final: Path) -> Path:
    end = f".{uuid.uuid4().hex}"
    kept = os.fsencode(final.name)[: NAME_BYTES - ROOM - len(end) - 1].decode(errors="ignore")
    return final.with_name(f".{kept}{end}")


def _is_there(path: Path) -> bool:
    """Whether a name is taken, be it by a link that leads nowhere.

    Raises:
        OSError: a name that the file system cannot have.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        error.filename = str(path)
        raise
    return True


def _has_name(hidden: Path, final: Path) -> bool:
    """Whether a hidden file has been given its name."""
    if not os.path.lexists(hidden):
        return True
    return os.path.lexists(final) and os.path.samestat(hidden.lstat(), final.lstat())


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


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write(target: Path, data: bytes) -> None:
    """Write one file, in place of one that is there, with the permissions of any new file.

    Raises:
        OSError: the file cannot be written; names the target.
    """
    with Staged(force=True) as staged:
        staged.beside(target).write_bytes(data)
