"""NumPy archives, member by member; nothing in them is ever unpickled."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.lib import format as npy_format

from convpolicy.conversion.faults import reading
from convpolicy.conversion.limits import check_array
from convpolicy.conversion.tensors import (
    NAMES,
    PIECE,
    UNNAMED,
    Entry,
    Job,
    Piece,
    Reader,
    Writer,
    entry,
    escapes,
    in_pieces,
    numpys_own,
)
from convpolicy.errors import InvalidValueError

npy: Any = npy_format  # it has no types
MEMBER = ".npy"
MAX_NAME = 65_535  # bytes of the name of a member of a zip file
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError, SyntaxError, MemoryError)
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpzReader(Reader):
    """One ``.npz`` file.

    NumPy has no bfloat16: libraries that have it store its two bytes as ``|V2``, and the file does not say what they mean. Such a
    tensor is copied, never cast, unless a subclass knows what its framework stores so.

    Attributes:
        dtypes: NumPy's name of a dtype -> what it means in these files, e.g. ``{"|V2": "bfloat16"}``.
    """

    title = "npz"
    dtypes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, self.title, *FAULTS):
            self._archive = zipfile.ZipFile(path)
            try:
                self.entries = tuple(self._entry(info) for info in self._archive.infolist())
            except BaseException:
                self._archive.close()
                raise

    def _entry(self, info: zipfile.ZipInfo) -> Entry:
        if not info.filename.endswith(MEMBER):
            raise InvalidValueError(f"{self.path} holds {info.filename!r}, which is no array; take it out.")
        if escapes(info.filename):
            raise InvalidValueError(f"{self.path} holds {info.filename!r}, a path out of its folder; rename it.")
        with self._archive.open(info) as file:
            shape, _by_columns, dtype = _header(file)
            size = info.file_size - file.tell()
        name = info.filename.removesuffix(MEMBER)
        if dtype.hasobject:
            raise InvalidValueError(f"{self.path} holds {name!r} as pickled objects, which could run code; save it as numbers.")
        if dtype.names is not None:
            raise InvalidValueError(f"{self.path} holds {name!r} as records; save each field as an array of its own.")
        little = dtype.newbyteorder("<")
        made = entry(name, shape, NAMES.get(little) or self.dtypes.get(little.str, little.str))
        if made.size != size:
            raise InvalidValueError(
                f"{self.path} is not whole: {name!r} needs {made.size} bytes, got {size}; fetch or save it anew."
            )
        return made

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of an array; one stored by columns or big-endian is read whole."""
        with reading(self.path, self.title, *FAULTS), self._archive.open(entry.name + MEMBER) as file:
            _shape, by_columns, dtype = _header(file)
            if not by_columns and dtype == dtype.newbyteorder("<"):
                count = 0
                while piece := file.read(PIECE):
                    count += len(piece)
                    yield piece
                if count != entry.size:  # the archive's table of contents claimed more than there is
                    raise EOFError(f"{entry.name!r} needs {entry.size} bytes, got {count}")
                return
        with reading(self.path, self.title, *FAULTS), self._archive.open(entry.name + MEMBER) as file:
            array = npy.read_array(file, allow_pickle=False)
        yield from in_pieces(array.astype(dtype.newbyteorder("<"), order="C"))

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"arrays of format {version} are not read")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = HEADERS[version](file)
    return header


class NpzWriter(Writer):
    """One ``.npz`` file, not compressed; byte by byte what ``numpy.savez`` writes of the same arrays.

    Attributes:
        dtypes: see `NpzReader`; such tensors are stored under NumPy's name.
    """

    title = "npz"
    dtypes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, job: Job) -> None:
        names = {row.name for row in job.entries}
        for row in job.entries:
            self._stored(row)
            check_array(row, "an .npz file")
            if escapes(row.name):
                raise InvalidValueError(f"an .npz file with {row.name!r} would lead out of its folder; rename it in a map.")
            if len(f"{row.name}{MEMBER}".encode()) > MAX_NAME:
                raise InvalidValueError(
                    f"an .npz file has no name of {len(row.name.encode())} bytes, as {row.name[:40] + '…'!r} has; rename it in a map."
                )
            if row.name + MEMBER in names:
                raise InvalidValueError(
                    f"an .npz file cannot tell {row.name!r} from {row.name + MEMBER!r}, as NumPy finds both by either; rename one in a map."
                )
        self._file = job.path.open("xb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def _stored(self, entry: Entry) -> np.dtype[Any]:
        if entry.dtype in self.dtypes:
            raise InvalidValueError(
                f"{entry.dtype} means {self.dtypes[entry.dtype]} in such an .npz file, and {entry.name!r} is of that dtype without a "
                f"meaning; {UNNAMED}."
            )
        word = {name: word for word, name in self.dtypes.items()}.get(entry.dtype)
        return numpys_own(entry, ".npz") if word is None else np.dtype(word)

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Add one member."""
        header = {"descr": npy.dtype_to_descr(self._stored(entry)), "fortran_order": False, "shape": entry.shape}
        with self._archive.open(entry.name + MEMBER, "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, header)
            for piece in pieces:
                file.write(piece)

    def finish(self) -> None:
        """Write the archive's table of contents."""
        self._archive.close()
        self._file.close()

    def close(self) -> None:
        """Close the file; after an error the archive may be incomplete, which the disk may be too full to record."""
        with contextlib.suppress(OSError, ValueError):
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()
