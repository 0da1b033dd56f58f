"""Read and write safetensors files, tensor by tensor. The ``safetensors`` library checks the header."""

from __future__ import annotations

import io
import itertools
import json
import operator
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.faults import reading
from convpolicy.conversion.tensors import PIECE, UNNAMED, Entry, Job, Piece, Reader, Writer, has_holder, holder, is_unnamed
from convpolicy.errors import InvalidValueError

METADATA = "__metadata__"
DTYPE_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "complex64": "C64",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16",
    "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
DTYPES = {short: name for name, short in DTYPE_NAMES.items()}
MAX_HEADER = 100_000_000  # bytes that the library reads; safetensors/src/tensor.rs, MAX_HEADER_SIZE
LINUX = sys.platform == "linux"  # which starts to write to the disk when told to
SYNCED = 1 << 24  # bytes that it is told about together
OURS = "safetensors:"  # before the name of a dtype that only safetensors has, such as one of four bits


class SafetensorsReader(Reader):
    """Read a ``.safetensors`` file; the entries are in the order of their bytes."""

    title = "safetensors"

    def __init__(self, path: Path, part: str = "") -> None:
        super().__init__(path)
        self._file = path.open("rb", buffering=0)
        try:
            header = self._checked_header()
        except BaseException:
            self._file.close()
            raise
        self.metadata = header.pop(METADATA, None) or {}
        rows = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        self._offsets = {name: self._start + row["data_offsets"][0] for name, row in rows}
        self.entries = tuple(
            Entry(
                name,
                tuple(row["shape"]),
                DTYPES.get(row["dtype"], OURS + row["dtype"]),
                row["data_offsets"][1] - row["data_offsets"][0],
                part,
            )
            for name, row in rows
        )
        self._buffer = memoryview(bytearray(PIECE))

    def _checked_header(self) -> dict[str, Any]:
        from safetensors import SafetensorError, safe_open

        with reading(self.path, self.title, SafetensorError), safe_open(str(self.path), "numpy"):
            pass  # the library has checked sizes, offsets, overlaps, dtypes and the end of the file
        length = int.from_bytes(self._file.read(8), "little")
        self._start = 8 + length
        header: dict[str, Any] = json.loads(self._file.read(length))  # the library above has parsed it, with limited depth
        return header

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        at, left = self._offsets[entry.name], entry.size
        while left:
            self._file.seek(at)
            with reading(self.path, self.title):
                count = self._file.readinto(self._buffer[: min(left, PIECE)])
            if not count:
                raise self._truncated(entry)
            yield self._buffer[:count]
            at, left = at + count, left - count

    def array(self, entry: Entry) -> NDArray[Any]:
        """Return a whole tensor as an array."""
        data = np.empty(entry.size, np.uint8)
        self._file.seek(self._offsets[entry.name])
        for at in range(0, entry.size, PIECE):
            rest = data.data[at : at + PIECE]
            while rest:
                with reading(self.path, self.title):
                    count = self._file.readinto(rest)
                if not count:
                    raise self._truncated(entry)
                rest = rest[count:]
        return data.view(holder(entry.dtype)).reshape(entry.shape)

    def _truncated(self, entry: Entry) -> InvalidValueError:
        return InvalidValueError(f"{self.path} was truncated while it was read, inside {entry.name!r}; start again.")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def dtype_name(entry: Entry) -> str:
    """Return the safetensors name of an entry's dtype, such as ``"F32"``.

    Raises:
        InvalidValueError: safetensors does not have the dtype; the message names the tensor.
    """
    if entry.dtype.startswith(OURS):
        return entry.dtype.removeprefix(OURS)
    if entry.dtype not in DTYPE_NAMES:
        hint = f"; {UNNAMED}" if is_unnamed(entry.dtype) else "; choose an .npz file"
        raise InvalidValueError(f"safetensors cannot store dtype {entry.dtype}, which {entry.name!r} has{hint}.")
    return DTYPE_NAMES[entry.dtype]


class SafetensorsWriter(Writer):
    """Write a ``.safetensors`` file, byte for byte as the library writes the same tensors."""

    title = "safetensors"

    def __init__(self, job: Job) -> None:
        header: dict[str, Any] = {METADATA: dict(job.metadata)} if job.metadata else {}
        at = 0
        for row in job.entries:
            if row.name == METADATA:
                raise InvalidValueError(f"safetensors reserves the name {METADATA!r}, which a tensor has; rename it in a map.")
            check_lengths(row)
            header[row.name] = {"dtype": dtype_name(row), "shape": row.shape, "data_offsets": (at, at + row.size)}
            at += row.size
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        if len(text) > MAX_HEADER:
            raise InvalidValueError(
                f"names and shapes of the tensors need {len(text)} bytes, of at most {MAX_HEADER} in safetensors; choose an .npz file."
            )
        self._file, self._synced = io.FileIO(job.path, "xb"), 0
        try:
            self._put(len(text).to_bytes(8, "little") + text)
        except BaseException:
            self.close()
            raise

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Append the bytes of the next tensor."""
        for piece in pieces:
            self._put(piece)
            self._start_syncing()

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Append the bytes of the next tensor, which are those of the input: nothing is computed beside which the disk could write."""
        for piece in reader.pieces(old):
            self._put(piece)

    def _start_syncing(self) -> None:
        """Let the disk write what is in the file while the next tensors are computed; `convert` waits for it at the end."""
        end = self._file.tell()
        if LINUX and end - self._synced >= SYNCED:
            os.posix_fadvise(self._file.fileno(), self._synced, end - self._synced, os.POSIX_FADV_DONTNEED)
            self._synced = end

    def _put(self, piece: Piece) -> None:
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_lengths(row: Entry) -> None:
    """Refuse a shape whose product overflows 64 bits when the library multiplies the lengths in order.

    Raises:
        InvalidValueError: the message names the tensor.
    """
    if max(itertools.accumulate(row.shape, operator.mul), default=1) >= 2**64:
        raise InvalidValueError(
            f"safetensors cannot store {row.name!r} of shape {row.shape}, which is too large for 64 bits; choose another file format."
        )


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in an order that aligns each to its element size: their own order if it does, else the widest first."""
    rows = list(entries)
    at = 0
    for row in rows:
        if at % _width(row):
            return sorted(rows, key=lambda row: -_width(row))
        at += row.size
    return rows


# dtypes in the order of the safetensors library, which writes the last ones first
LIBRARY = [
    "bool",
    "uint8",
    "int8",
    "float8_e5m2",
    "float8_e4m3fn",
    "float8_e8m0fnu",
    "int16",
    "uint16",
    "float16",
    "bfloat16",
    "int32",
    "uint32",
    "float32",
    "complex64",
    "float64",
    "int64",
    "uint64",
]


def in_library_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order in which the safetensors library writes them: by dtype, then by name."""
    return sorted(entries, key=lambda row: (-LIBRARY.index(row.dtype) if row.dtype in LIBRARY else 1, row.name))


def _width(row: Entry) -> int:
    return max(1, holder(row.dtype).itemsize) if has_holder(row.dtype) else 1
