"""Keras's files, dataset by dataset: ``.weights.h5``, and ``.keras``, a zip file with one inside."""

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
from typing import IO, Any

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

TEXT = "convpolicy"  # attribute of the root that holds the metadata
WEIGHTS = "model.weights.h5"
LEGACY = {"model_weights", "layer_names", "model_config"}  # in files of whole models, and of weights, before Keras 3
SHOWN = 20  # names of members in a message
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError)


class H5Reader(Reader):
    """One ``.weights.h5`` file; an entry's name is the dataset's path."""

    title = "HDF5"

    def __init__(self, path: Path, content: IO[bytes] | None = None) -> None:
        super().__init__(path)
        with reading(path, self.title, Exception):
            self.file = h5py.File(path if content is None else content, "r")
            try:
                if LEGACY.intersection((*self.file.attrs, *self.file)):
                    raise InvalidValueError(f"{path.name!r} is {WHOLE_MODEL}.")
                self.groups: list[str] = []
                self._places = {_place(self.file)}
                self.entries = tuple(self._walk(self.file, ""))
                filtered = sum(row.size for row in self.entries if self.file[row.name].chunks is not None)
                check_expansion(path, filtered, path.stat().st_size)
                self.metadata = texts(self.file.attrs.get(TEXT, "{}"))
            except BaseException:
                self.file.close()
                raise

    def _walk(self, group: Any, path: str) -> Iterator[Entry]:
        for name in group:
            inner = f"{path}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidValueError(f"{self.path} holds {inner!r}, a link, which may lead into another file; take it out.")
            item = group[name]
            if isinstance(item, h5py.Group):
                if _place(item) in self._places:
                    raise InvalidValueError(f"{self.path} holds the group {inner!r} twice; write it anew.")
                self._places.add(_place(item))
                self.groups.append(inner)
                yield from self._walk(item, f"{inner}/")
                continue
            if not isinstance(item, h5py.Dataset):
                raise InvalidValueError(
                    f"{self.path} holds {inner!r}, which is no tensor but a {type(item).__name__}; take it out."
                )
            if item.external or item.is_virtual:
                raise InvalidValueError(f"{self.path} holds {inner!r}, whose numbers stand in another file; write it anew.")
            if item.shape and _written(item) < item.nbytes:
                raise InvalidValueError(
                    f"{self.path} holds {inner!r}, which claims numbers that were never written; write it anew."
                )
            little = item.dtype.newbyteorder("<")
            yield entry(inner, item.shape or (), NAMES.get(little, little.str))

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a dataset, some of its first axis at a time, and never a part of a chunk, which is unpacked whole."""
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
    """One ``.weights.h5`` file."""

    title = "HDF5"

    def __init__(self, job: Job, content: IO[bytes] | None = None) -> None:
        self._reader = job.reader if isinstance(job.reader, H5Reader) else None
        if self._reader is None:
            for row in job.entries:
                numpys_own(row, ".h5")
                check_array(row, "an .h5 file")
                if is_unnamed(row.dtype):
                    raise InvalidValueError(f"an .h5 file has no dtype {row.dtype}, which {row.name!r} is; {UNNAMED}.")
                if not _has_type(row.dtype):
                    raise InvalidValueError(
                        f"an .h5 file has no dtype {row.dtype}, which {row.name!r} is; choose another kind of file."
                    )
        self._path = job.path
        with writing(job.path):
            self._file = h5py.File(job.path, "x") if content is None else h5py.File(content, "w")
            for name in ("/", *self._reader.groups) if self._reader is not None else ():
                _take_attributes(self._reader.file[name], self._file.require_group(name))  # type: ignore[union-attr]
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
        """Write what HDF5 still holds."""
        with writing(self._path):
            self._file.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            with writing(self._path):
                self._file.close()


def _has_type(dtype: str) -> bool:
    """Whether HDF5 has a type for a dtype of NumPy's; it has none for text of a fixed length and for dates."""
    try:
        h5py.h5t.py_create(holder(dtype))
    except TypeError:
        return False
    return True


def _place(group: Any) -> int:
    """Return where in its file a group stands."""
    return int(h5py.h5o.get_info(group.id).addr)


def _written(data: Any) -> int:
    """Return how many bytes of a dataset the file holds, before they were compressed."""
    if data.chunks is None:
        return int(data.id.get_storage_size())
    chunk: int = math.prod(data.chunks) * int(data.dtype.itemsize)
    return int(data.id.get_num_chunks()) * chunk


def _take_attributes(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value


class Nowhere(io.RawIOBase):
    """A file that forgets what is written."""

    def write(self, data: Any) -> int:
        """Forget."""
        return len(data)


class KerasReader(H5Reader):
    """One ``.keras`` file; what it holds beside the weights is taken along unchanged."""

    title = "Keras"

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            with reading(path, self.title, *ZIP_FAULTS):
                self.archive = stack.enter_context(zipfile.ZipFile(path))
                self._inner = stack.enter_context(tempfile.TemporaryFile())
                names = self.archive.namelist()
                escaping = next((name for name in names if escapes(name)), None)
                if escaping is not None:
                    raise InvalidValueError(f"{path} holds {escaping!r}, a path out of its folder; take it out.")
                if names.count(WEIGHTS) != 1 or len({*names}) != len(names):
                    raise InvalidValueError(
                        f"{path} must hold {WEIGHTS!r} once, got {sorted(names)[:SHOWN]}; save the model anew."
                    )
                check_expansion(path, sum(info.file_size for info in self.archive.infolist()), path.stat().st_size)
                for info in self.archive.infolist():
                    with self.archive.open(info) as member:  # every member, whose checksum is compared at its end
                        shutil.copyfileobj(member, self._inner if info.filename == WEIGHTS else Nowhere())
            super().__init__(path, self._inner)
            self._opened = stack.pop_all()  # closed with the reader

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._opened.close()


class KerasWriter(H5Writer):
    """One ``.keras`` file, made from another."""

    title = "Keras"

    def __init__(self, job: Job) -> None:
        if not isinstance(job.reader, KerasReader):
            raise InvalidValueError(
                "a .keras file holds the model's configuration too, so it is made from a .keras file; write .weights.h5."
            )
        self._archive, self._source = job.reader.archive, job.reader.path
        self._inner = tempfile.TemporaryFile(dir=job.path.parent)  # noqa: SIM115 (closed with the writer)
        try:
            super().__init__(job, self._inner)
        except BaseException:
            self._inner.close()
            raise

    def finish(self) -> None:
        """Join the weights with the rest."""
        super().finish()
        self._inner.seek(0)
        with reading(self._source, self.title, *ZIP_FAULTS), zipfile.ZipFile(self._path, "x") as made:
            for info in self._archive.infolist():
                kept = zipfile.ZipInfo(info.filename, info.date_time)
                kept.compress_type, kept.external_attr = info.compress_type, info.external_attr
                with self._archive.open(info) as old, made.open(kept, "w", force_zip64=True) as new:
                    shutil.copyfileobj(self._inner if info.filename == WEIGHTS else old, new)

    def close(self) -> None:
        """Let go of the files."""
        super().close()
        self._inner.close()
