"""Writes files atomically: to a temporary file in the same folder, which is synced and renamed when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from itertools import count
from pathlib import Path
from types import TracebackType

from convpolicy.errors import InvalidValueError

NAME_BYTES = 255  # longest name of a file on common file systems
ROOM = 24  # bytes of a temporary name that stay free for a suffix that a writer appends


def refuse_existing(path: Path) -> InvalidValueError:
    """Return the error for an output that exists already."""
    return InvalidValueError(f"output {str(path)!r} exists already; pass force (--force) to replace it, or another name.")


class Staged:
    """An output file, and files that it refers to, that appear together when the ``with`` block ends without an error.

    The other files are, for example, the shards of an index; they are called siblings. They are renamed before the output and
    never replace an existing file. If the process is killed, either the old or the new output is complete. At most, temporary
    files ``.NAME.HEX`` and siblings to which no output refers are left over.

    Args:
        force: True replaces an existing output. False refuses existing files, also those that appear while the block runs.
    """

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._files: list[tuple[Path, Path]] = []  # temporary name, final name
        self._siblings: list[tuple[Path, Path]] = []
        self._obsolete: list[Path] = []

    def beside(self, path: str | os.PathLike[str]) -> Path:
        """Return the temporary file to write instead of the output ``path``.

        Raises:
            FileNotFoundError: the folder does not exist.
            InvalidValueError: the output exists, and ``force`` is False.
            OSError: the file system does not allow the name.
        """
        final = Path(path)
        if not final.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(final))
        if _is_there(final) and not self._force:
            raise refuse_existing(final)
        temporary = _temporary_path(final)
        self._files.append((temporary, final))
        return temporary

    def sibling(self, path: str | os.PathLike[str]) -> Path:
        """Return the temporary file to write instead of the sibling ``path``.

        If ``path`` exists, the sibling gets another name; `name_of` returns it.

        Raises:
            InvalidValueError: ``path`` exists, and ``force`` is False.
            OSError: the file system does not allow the name.
        """
        final = Path(path)
        if _is_there(final) and not self._force:
            raise refuse_existing(final)
        reserved = {name for _temporary_name, name in self._siblings}
        names = (final if number == 0 else final.with_name(f"{final.stem}.{number}{final.suffix}") for number in count())
        free = next(name for name in names if name not in reserved and not _is_there(name))
        temporary = _temporary_path(free)
        self._siblings.append((temporary, free))
        return temporary

    def name_of(self, temporary: Path) -> str:
        """Return the final name of a temporary file, without its folder."""
        return dict(self._files + self._siblings)[temporary].name

    def remove_afterwards(self, path: Path) -> None:
        """Remove a file after the output is in place, such as a sibling of the output that was replaced."""
        self._obsolete.append(path)

    def __enter__(self) -> Staged:  # noqa: PYI034 - typing.Self is newer than the oldest Python
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._place()
        except OSError as fault:
            self._use_final_name(fault)
            raise
        finally:
            for temporary, _final in self._files + self._siblings:
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            self._use_final_name(error)

    def _place(self) -> None:
        for temporary, _final in self._siblings + self._files:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        links: list[tuple[Path, Path]] = []
        try:
            for temporary, final in self._siblings:
                links.append((temporary, final))
                _link(temporary, final)
            if links:
                _sync_folder(links[0][1].parent)
            for temporary, final in self._files:  # last, since the output refers to its siblings
                if self._force:
                    temporary.replace(final)
                else:
                    links.append((temporary, final))
                    _link(temporary, final)
        except BaseException:
            if not all(_has_name(temporary, final) for temporary, final in self._files):
                for temporary, final in links:
                    if _has_name(temporary, final):
                        final.unlink(missing_ok=True)
            raise
        for path in self._obsolete:
            with contextlib.suppress(OSError):  # the output is complete even if this fails
                path.unlink(missing_ok=True)

    def _use_final_name(self, error: OSError) -> None:
        """Replace the temporary name in an error of writing, such as a full disk, by the final name."""
        names = {str(temporary): str(final) for temporary, final in self._files + self._siblings}
        name = None if error.filename is None else str(error.filename)
        if error.errno is not None and (name is None or name in names):
            error.filename = names.get(name or "", str(self._files[0][1]) if self._files else "")
            if error.filename2 is not None:
                del error.filename2  # setting it to None would print "None"


def _temporary_path(final: Path) -> Path:
    end = f".{uuid.uuid4().hex}"
    start = os.fsencode(final.name)[: NAME_BYTES - ROOM - len(end) - 1].decode(errors="ignore")
    return final.with_name(f".{start}{end}")


def _is_there(path: Path) -> bool:
    """Return True if a name is in use, also by a broken link.

    Raises:
        OSError: the file system does not allow the name.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        error.filename = str(path)
        raise
    return True


def _has_name(temporary: Path, final: Path) -> bool:
    """Return True if a temporary file has its final name."""
    if not os.path.lexists(temporary):
        return True
    return os.path.lexists(final) and os.path.samestat(temporary.lstat(), final.lstat())


def _link(temporary: Path, final: Path) -> None:
    """Rename a temporary file unless the final name is in use; on disks without hard links this is checked beforehand."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise refuse_existing(final) from None
    except OSError:
        if os.path.lexists(final):
            raise refuse_existing(final) from None
        temporary.replace(final)


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, if the system supports it."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write(target: Path, data: bytes) -> None:
    """Write one file atomically and replace an existing one; the file has the default permissions of new files.

    Raises:
        OSError: the file cannot be written. The error contains the target.
    """
    with Staged(force=True) as staged:
        staged.beside(target).write_bytes(data)
