"""Flax's ``.msgpack`` files, as ``flax.serialization.to_bytes`` writes them, read and written tensor by tensor without running any code.

Source: flax/serialization.py; the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

import attrs

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.limits import check_array
from convpolicy.conversion.tensors import HOLDERS, PIECE, Entry, Job, Piece, Reader, Writer, entry
from convpolicy.errors import InvalidValueError

ARRAY, SCALAR = 1, 3  # codes of an array and of a NumPy scalar among MessagePack's extensions
CHUNKED = "__msgpack_chunked_array__"  # key of a table that stands for an array of more than 1 GiB
DEPTH = 64  # tables in tables
LARGEST = 2**32 - 1  # bytes of one extension
# type byte -> size of the length after it
MAPS, TEXTS, ARRAYS = {0xDE: 2, 0xDF: 4}, {0xD9: 1, 0xDA: 2, 0xDB: 4}, {0xDC: 2, 0xDD: 4}
BINARY, EXTENSIONS = {0xC4: 1, 0xC5: 2, 0xC6: 4}, {0xC7: 1, 0xC8: 2, 0xC9: 4}
FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
NUMBERS = {
    0xC0: 0,
    0xC2: 0,
    0xC3: 0,
    0xCA: 4,
    0xCB: 8,
    **{0xCC + at: 1 << at for at in range(4)},
    **{0xD0 + at: 1 << at for at in range(4)},
}
UNSIGNED = {0xCC: "B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}


@attrs.frozen
class Place:
    """Where the bytes of a tensor are: start and end of each part."""

    shape: tuple[int, ...]
    dtype: str
    parts: tuple[tuple[int, int], ...]


class Parser:
    """Reads MessagePack from a file, and jumps over the bytes of arrays.

    Args:
        file: the open file.
        size: its size in bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size

    def value(self, depth: int = 0) -> Any:
        """Return the value at the position of the file: a dict, a text, a `Place`, or a number; None for another value."""
        sign = self._take(1)[0]
        if depth > DEPTH:
            raise ValueError("its tables are nested too deeply")
        if sign < 0x80:
            return sign
        if sign < 0x90 or sign in MAPS:
            return self._map(sign & 0x0F if sign < 0x90 else self._length(MAPS[sign]), depth)
        if sign < 0xA0 or sign in ARRAYS:
            count = sign & 0x0F if sign < 0xA0 else self._length(ARRAYS[sign])
            return tuple(self.value(depth + 1) for _ in range(self._bounded(count)))
        if sign < 0xC0 or sign in TEXTS:
            return self._take(sign & 0x1F if sign < 0xC0 else self._length(TEXTS[sign])).decode()
        if sign in BINARY:
            return self._skip(self._length(BINARY[sign]))
        if sign in EXTENSIONS or sign in FIXED_EXTENSIONS:
            length = self._length(EXTENSIONS[sign]) if sign in EXTENSIONS else FIXED_EXTENSIONS[sign]
            return self._extension(length)
        if sign in UNSIGNED:
            return struct.unpack(UNSIGNED[sign], self._take(NUMBERS[sign]))[0]
        if sign in NUMBERS:
            self._take(NUMBERS[sign])
            return None
        if sign >= 0xE0:
            return sign - 0x100
        raise ValueError(f"byte {sign:#x} is not MessagePack")

    def _map(self, count: int, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for _ in range(self._bounded(count)):
            key = self.value(depth + 1)
            if not isinstance(key, str) or key in table:
                raise ValueError(f"its table has the key {key!r}, which is no text or not the only one")
            table[key] = self.value(depth + 1)
        return table

    def _extension(self, length: int) -> Any:
        code, start = self._take(1)[0], self._file.tell()
        if start + length > self._size:
            raise ValueError("it is incomplete")
        if code not in (ARRAY, SCALAR):
            return self._skip(length)
        if self._take(1)[0] != 0x93:
            raise ValueError("an array is not shape, dtype and bytes")
        shape, dtype, data = self.value(), self.value(), self.value()
        if not isinstance(shape, tuple) or not all(type(one) is int for one in shape) or not isinstance(dtype, str):
            raise ValueError("an array is not shape, dtype and bytes")
        if not isinstance(data, slice) or data.stop != start + length:
            raise ValueError("an array is not shape, dtype and bytes")
        return Place(shape, dtype, ((data.start, data.stop),))

    def _length(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        data = self._file.read(size) if size <= self._size else b""
        if len(data) < size:
            raise ValueError("it is incomplete")
        return data

    def _skip(self, size: int) -> slice:
        start = self._file.tell()
        if start + size > self._size:
            raise ValueError("it is incomplete")
        self._file.seek(start + size)
        return slice(start, start + size)

    def _bounded(self, count: int) -> int:
        if count > self._size - self._file.tell():
            raise ValueError("it is incomplete")
        return count


class MessagesReader(Reader):
    """Reads one ``.msgpack`` file; the name of an entry is the path in its tables."""

    title = "MessagePack"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with ExitStack() as stack, reading(path, self.title, ValueError, RecursionError, OverflowError):
            self._file = stack.enter_context(path.open("rb"))
            size = path.stat().st_size
            table = Parser(self._file, size).value()
            if not isinstance(table, dict):
                raise InvalidValueError(f"{path} must contain a table of parameters; save serialization.to_bytes(parameters).")
            if self._file.tell() != size:
                raise ValueError("it has more than one value")
            self._places: dict[str, Place] = {}
            others: list[str] = []
            self._walk(table, "", others)
            self.others = tuple(others)
            self.entries = tuple(self._entry(name, place) for name, place in self._places.items())
            self._opened = stack.pop_all()  # closed with the reader

    def _walk(self, table: Mapping[str, Any], start: str, others: list[str]) -> None:
        for key, value in table.items():
            if not key or "/" in key:
                raise ValueError(f"its table has the key {key!r}, which is empty or has a slash")
            name = f"{start}{key}"
            if isinstance(value, dict) and CHUNKED in value:
                self._places[name] = _joined(value)
            elif isinstance(value, dict):
                self._walk(value, f"{name}/", others)
            elif isinstance(value, Place):
                self._places[name] = value
            else:
                others.append(name)

    def _entry(self, name: str, place: Place) -> Entry:
        if place.dtype not in HOLDERS or any(length < 0 for length in place.shape):
            raise InvalidValueError(
                f"{self.path} contains {name!r} of dtype {place.dtype!r}, which is not a dtype of numbers; remove it."
            )
        made = entry(name, place.shape, place.dtype)
        size = sum(end - start for start, end in place.parts)
        if made.size != size:
            raise ValueError(f"{name!r} of shape {place.shape} needs {made.size} bytes, got {size}")
        return made

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        for start, end in self._places[entry.name].parts:
            for at in range(start, end, PIECE):
                self._file.seek(at)
                piece = self._file.read(min(PIECE, end - at))
                if len(piece) < min(PIECE, end - at):
                    raise InvalidValueError(
                        f"{self.path} was truncated while it was read, inside {entry.name!r}; convert it again."
                    )
                yield piece

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def _joined(table: Mapping[str, Any]) -> Place:
    """Return the place of an array in chunks."""
    tables = [table.get(key) for key in ("shape", "chunks")]
    if not all(isinstance(one, dict) for one in tables):
        raise ValueError("an array in chunks has no shape or no chunks")
    shape, chunks = ([one[str(at)] for at in range(len(one)) if str(at) in one] for one in tables if one is not None)
    if not all(isinstance(chunk, Place) for chunk in chunks) or not chunks or not all(type(one) is int for one in shape):
        raise ValueError("an array in chunks has chunks that are no arrays")
    return Place(tuple(shape), chunks[0].dtype, tuple(part for chunk in chunks for part in chunk.parts))


class MessagesWriter(Writer):
    """Writes one ``.msgpack`` file; the tables need all tensors, which are kept in a temporary file until `finish`."""

    title: ClassVar[str] = "MessagePack"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            check_array(row, "a .msgpack file")
            if row.dtype not in HOLDERS or row.size >= LARGEST - (1 << 16):
                raise InvalidValueError(
                    f"a .msgpack file cannot store {row.name!r} of dtype {row.dtype} with {row.size} bytes: at most 4 GiB of numbers; choose "
                    "another file format."
                )
        self._path = job.path
        self._places: dict[str, tuple[Entry, int]] = {}
        self._data = tempfile.TemporaryFile(dir=job.path.parent)  # noqa: SIM115 (closed with the writer)

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Keep a tensor until `finish`."""
        self._places[entry.name] = (entry, self._data.tell())
        with writing(self._path):
            for piece in pieces:
                self._data.write(piece)

    def finish(self) -> None:
        """Write the file."""
        with writing(self._path), self._path.open("xb") as file:
            self._table(file, _tree(self._places))

    def _table(self, file: IO[bytes], table: Mapping[str, Any]) -> None:
        file.write(_header(len(table), 0x80, 16, {2: 0xDE, 4: 0xDF}))
        for key, value in table.items():
            file.write(_text(key))
            if isinstance(value, dict):
                self._table(file, value)
                continue
            row, at = value
            head = b"\x93" + _header(len(row.shape), 0x90, 16, {2: 0xDC}) + b"".join(map(_number, row.shape)) + _text(row.dtype)
            head += _header(row.size, 0, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6})
            file.write(_header(len(head) + row.size, 0, 0, {1: 0xC7, 2: 0xC8, 4: 0xC9}) + bytes([ARRAY]) + head)
            self._data.seek(at)
            left = row.size
            while left:
                piece = self._data.read(min(PIECE, left))
                file.write(piece)
                left -= len(piece)

    def close(self) -> None:
        """Close the temporary file."""
        self._data.close()


def _tree(places: Mapping[str, Any]) -> dict[str, Any]:
    """Return names with slashes as tables in tables, sorted as Flax does."""
    tree: dict[str, Any] = {}
    for name in sorted(places):
        *parents, leaf = name.split("/")
        table = tree
        for part in parents:
            table = table.setdefault(part, {})
        table[leaf] = places[name]
    return tree


def _header(count: int, short: int, shorts: int, signs: Mapping[int, int]) -> bytes:
    """Return a type byte with a length: in one byte below ``shorts``, else after the type byte in as few bytes as possible."""
    if count < shorts:
        return bytes([short | count])
    size = next(size for size in sorted(signs) if count < 1 << (8 * size))
    return bytes([signs[size]]) + count.to_bytes(size, "big")


def _text(text: str) -> bytes:
    data = text.encode()
    return _header(len(data), 0xA0, 32, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + data


def _number(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else _header(number, 0, 0, {1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF})
