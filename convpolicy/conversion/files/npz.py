"""Read and write NumPy's ``.npz`` archives, array by array and without unpickling."""

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

npy: Any = npy_format  # the module has no type annotations
MEMBER = ".npy"
MAX_NAME = 65_535  # bytes of the name of a member of a zip file
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError, SyntaxError, MemoryError)
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpzReader(Reader):
    """Read a ``.npz`` file.

    NumPy has no bfloat16. Libraries that have it store its two bytes as ``|V2``, and the file does not record what they mean. Such a
    tensor is copied, never cast. A subclass for a framework can define what its framework stores in this way.

    Attributes:
        dtypes: NumPy's string for a dtype, with the dtype that it means in these files, such as ``{"|V2": "bfloat16"}``.
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
            raise InvalidValueError(f"{self.path} contains {info.filename!r}, which is not an array; remove it.")
        if escapes(info.filename):
            raise InvalidValueError(f"{self.path} contains {info.filename!r}, a path outside its folder; rename it.")
        with self._archive.open(info) as file:
            shape, _by_columns, dtype = _header(file)
            size = info.file_size - file.tell()
        name = info.filename.removesuffix(MEMBER)
        if dtype.hasobject:
            raise InvalidValueError(
                f"{self.path} contains {name!r} as pickled objects, which could run code; save it as numbers."
            )
        if dtype.names is not None:
            raise InvalidValueError(f"{self.path} contains {name!r} as records; save each field as a separate array.")
        little = dtype.newbyteorder("<")
        row = entry(name, shape, NAMES.get(little) or self.dtypes.get(little.str, little.str))
        if row.size != size:
            raise InvalidValueError(
                f"{self.path} is damaged: {name!r} needs {row.size} bytes, got {size}; download or save it again."
            )
        return row

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of an array; one that is big-endian or in Fortran order is read as a whole."""
        with reading(self.path, self.title, *FAULTS), self._archive.open(entry.name + MEMBER) as file:
            _shape, by_columns, dtype = _header(file)
            if not by_columns and dtype == dtype.newbyteorder("<"):
                count = 0
                while piece := file.read(PIECE):
                    count += len(piece)
                    yield piece
                if count != entry.size:  # the archive's table of contents claims more bytes than the file has
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
        raise ValueError(f"arrays of format {version} are not supported")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = HEADERS[version](file)
    return header


class NpzWriter(Writer):
    """Write an uncompressed ``.npz`` file, byte for byte as ``numpy.savez`` writes the same arrays.

    Attributes:
        dtypes: as in `NpzReader`; such tensors are stored with NumPy's dtype.
    """

    title = "npz"
    dtypes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, job: Job) -> None:
        names = {row.name for row in job.entries}
        for row in job.entries:
            self._stored(row)
            check_array(row, "an .npz file")
            if escapes(row.name):
                raise InvalidValueError(f"an .npz file cannot store {row.name!r}, a path outside its folder; rename it in a map.")
            if len(f"{row.name}{MEMBER}".encode()) > MAX_NAME:
                raise InvalidValueError(
                    f"an .npz file cannot store a name of {len(row.name.encode())} bytes, {row.name[:40] + '…'!r}; rename it in a map."
                )
            if row.name + MEMBER in names:
                raise InvalidValueError(
                    f"an .npz file cannot store both {row.name!r} and {row.name + MEMBER!r}, which NumPy confuses; rename one in a map."
                )
        self._file = job.path.open("xb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def _stored(self, entry: Entry) -> np.dtype[Any]:
        if entry.dtype in self.dtypes:
            raise InvalidValueError(
                f"{entry.name!r} has dtype {entry.dtype}, which would be read as {self.dtypes[entry.dtype]} from this .npz file; "
                f"{UNNAMED}."
            )
        numpy_name = {name: numpy_name for numpy_name, name in self.dtypes.items()}.get(entry.dtype)
        return numpys_own(entry, ".npz") if numpy_name is None else np.dtype(numpy_name)

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
        """Close the file, also after an error on a full disk."""
        with contextlib.suppress(OSError, ValueError):
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()
