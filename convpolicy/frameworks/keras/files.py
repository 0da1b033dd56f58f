"""Keras's files: ``.weights.h5``, and ``.keras``, a zip file that contains one; both are read dataset by dataset."""

from __future__ import annotations

import io
import json
import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

import h5py
import numpy as np

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.limits import check_array, check_expansion
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
    holder,
    in_pieces,
    is_unnamed,
    joined,
    numpys_own,
    texts,
)
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras.other_files import WHOLE_MODEL

TEXT = "convpolicy"  # attribute of the root group with the metadata
WEIGHTS = "model.weights.h5"
LEGACY = {"model_weights", "layer_names", "model_config"}  # attributes and groups of files from before Keras 3
SHOWN = 20  # names of members that a message lists
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError)


class H5Reader(Reader):
    """Reads one ``.weights.h5`` file; the name of an entry is the path of its dataset."""

    title = "HDF5"
    has_paths: ClassVar[bool] = True  # the name of an entry is the path of its dataset

    def __init__(self, path: Path, content: IO[bytes] | None = None) -> None:
        super().__init__(path)
        with reading(path, self.title, Exception):
            self.file = h5py.File(path if content is None else content, "r")
            try:
                self.check_kind()
                self.groups: list[str] = []
                self._addresses = {_address(self.file)}
                self.entries = tuple(self._walk(self.file, ""))
                filtered = sum(row.size for row in self.entries if self.file[row.name].chunks is not None)
                check_expansion(path, filtered, path.stat().st_size)
                self.metadata = texts(self.file.attrs.get(TEXT, "{}"))
            except BaseException:
                self.file.close()
                raise

    def check_kind(self) -> None:
        """Refuse a file that another version of Keras wrote."""
        if LEGACY.intersection((*self.file.attrs, *self.file)):
            raise InvalidValueError(f"{self.path.name!r} is {WHOLE_MODEL}.")

    def _walk(self, group: Any, path: str) -> Iterator[Entry]:
        for name in group:
            inner = f"{path}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidValueError(f"{self.path} contains the link {inner!r}, which may refer to another file; remove it.")
            item = group[name]
            if isinstance(item, h5py.Group):
                if _address(item) in self._addresses:
                    raise InvalidValueError(f"{self.path} contains the group {inner!r} twice; save it again.")
                self._addresses.add(_address(item))
                self.groups.append(inner)
                yield from self._walk(item, f"{inner}/")
                continue
            if not isinstance(item, h5py.Dataset):
                raise InvalidValueError(f"{self.path} contains {inner!r}, a {type(item).__name__} and not a tensor; remove it.")
            if item.external or item.is_virtual:
                raise InvalidValueError(f"{self.path} contains {inner!r}, whose data is in another file; save it again.")
            if item.shape and _stored_bytes(item) < item.nbytes:
                raise InvalidValueError(f"{self.path} contains {inner!r}, whose data was never written; save it again.")
            little = item.dtype.newbyteorder("<")
            yield entry(inner, item.shape or (), NAMES.get(little, little.str))

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a dataset, slice by slice along the first axis.

        A slice contains whole chunks only, since HDF5 always unpacks whole chunks.
        """
        data = self.file[entry.name]
        step = max(1, PIECE * max(1, len(data) if data.shape else 1) // max(1, entry.size))
        if data.chunks:
            step = -(-step // data.chunks[0]) * data.chunks[0]
        with reading(self.path, self.title, Exception):
            for at in range(0, len(data) if data.shape else 1, step):
                read = np.asarray(data[at : at + step] if data.shape else data[()])
                yield from in_pieces(read.astype(read.dtype.newbyteorder("<"), copy=False))

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class H5Writer(Writer):
    """Writes one ``.weights.h5`` file."""

    title = "HDF5"

    def __init__(self, job: Job, content: IO[bytes] | None = None) -> None:
        self._reader = job.reader if isinstance(job.reader, H5Reader) and job.reader.has_paths else None
        if self._reader is None:
            for row in job.entries:
                numpys_own(row, ".h5")
                check_array(row, "an .h5 file")
                if is_unnamed(row.dtype):
                    raise InvalidValueError(f"an .h5 file has no dtype {row.dtype}, which {row.name!r} needs; {UNNAMED}.")
                if not _has_type(row.dtype):
                    raise InvalidValueError(
                        f"an .h5 file has no dtype {row.dtype}, which {row.name!r} needs; choose another file format."
                    )
        self._path = job.path
        with writing(job.path):
            self._file = h5py.File(job.path, "x") if content is None else h5py.File(content, "w")
            for name in ("/", *self._reader.groups) if self._reader is not None else ():
                _copy_attributes(self._reader.file[name], self._file.require_group(name))  # type: ignore[union-attr]
            self._file.attrs.pop(TEXT, None)
            if job.metadata:
                self._file.attrs[TEXT] = json.dumps(dict(job.metadata))

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Write a dataset from its bytes."""
        data = joined(entry, pieces).view(numpys_own(entry, ".h5"))
        with writing(self._path):
            self._file.create_dataset(entry.name, data=data.reshape(entry.shape))

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Copy a dataset with its chunks, filters and attributes."""
        if self._reader is None or entry.shape != old.shape:
            super().copy(entry, reader, old)
            return
        parent, _slash, name = entry.name.rpartition("/")
        with writing(self._path):
            self._file.copy(self._reader.file[old.name], self._file.require_group(parent or "/"), name)

    def finish(self) -> None:
        """Write the data that HDF5 still buffers."""
        with writing(self._path):
            self._file.close()

    def close(self) -> None:
        """Close the file, also after an error."""
        if self._file:
            with writing(self._path):
                self._file.close()


def _has_type(dtype: str) -> bool:
    """Return True when HDF5 has a type for a NumPy dtype; it has none for fixed-length text and for dates."""
    try:
        h5py.h5t.py_create(holder(dtype))
    except TypeError:
        return False
    return True


def _address(group: Any) -> int:
    """Return the address of a group in its file."""
    return int(h5py.h5o.get_info(group.id).addr)


def _stored_bytes(data: Any) -> int:
    """Return how many bytes of a dataset were written to the file, counted before compression."""
    if data.chunks is None:
        return int(data.id.get_storage_size())
    chunk: int = math.prod(data.chunks) * int(data.dtype.itemsize)
    return int(data.id.get_num_chunks()) * chunk


def _copy_attributes(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value


class Nowhere(io.RawIOBase):
    """A file that discards everything written to it."""

    def write(self, data: Any) -> int:
        """Discard the data."""
        return len(data)


class KerasReader(H5Reader):
    """Reads the weights in a ``.keras`` file; `KerasWriter` copies the other members unchanged."""

    title = "Keras"

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            with reading(path, self.title, *ZIP_FAULTS):
                self.archive = stack.enter_context(zipfile.ZipFile(path))
                self._inner = stack.enter_context(tempfile.TemporaryFile())
                names = self.archive.namelist()
                escaping = next((name for name in names if escapes(name)), None)
                if escaping is not None:
                    raise InvalidValueError(f"{path} contains {escaping!r}, a path outside its folder; remove it.")
                if names.count(WEIGHTS) != 1 or len({*names}) != len(names):
                    raise InvalidValueError(
                        f"{path} must contain {WEIGHTS!r} once, got {sorted(names)[:SHOWN]}; save the model again."
                    )
                check_expansion(path, sum(info.file_size for info in self.archive.infolist()), path.stat().st_size)
                for info in self.archive.infolist():
                    with self.archive.open(info) as member:  # reading a member to its end compares its checksum
                        shutil.copyfileobj(member, self._inner if info.filename == WEIGHTS else Nowhere())
            super().__init__(path, self._inner)
            self._opened = stack.pop_all()  # closed with the reader

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._opened.close()


class KerasWriter(H5Writer):
    """Writes a ``.keras`` file from another one, with other weights."""

    title = "Keras"

    def __init__(self, job: Job) -> None:
        if not isinstance(job.reader, KerasReader):
            raise InvalidValueError(
                "a .keras file contains the model's configuration and can only be made from a .keras file; write .weights.h5."
            )
        self._archive, self._source = job.reader.archive, job.reader.path
        self._inner = tempfile.TemporaryFile(dir=job.path.parent)  # noqa: SIM115 (closed with the writer)
        try:
            super().__init__(job, self._inner)
        except BaseException:
            self._inner.close()
            raise

    def finish(self) -> None:
        """Write the weights and the other members to the file."""
        super().finish()
        self._inner.seek(0)
        with reading(self._source, self.title, *ZIP_FAULTS), zipfile.ZipFile(self._path, "x") as archive:
            for info in self._archive.infolist():
                member = zipfile.ZipInfo(info.filename, info.date_time)
                member.compress_type, member.external_attr = info.compress_type, info.external_attr
                with self._archive.open(info) as old, archive.open(member, "w", force_zip64=True) as new:
                    shutil.copyfileobj(self._inner if info.filename == WEIGHTS else old, new)

    def close(self) -> None:
        """Close the files, also after an error."""
        super().close()
        self._inner.close()
