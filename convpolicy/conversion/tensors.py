"""What the author of a file format works with: `Reader`, `Writer`, `Job`, `Entry` and `Piece`.

A reader lists the tensors of a file as entries and returns the bytes of each in pieces: in C order, little-endian, at most about
1 MiB at once. A writer receives entries and pieces. Neither sees frameworks, layouts or names of layers.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import from_bfloat16, to_bfloat16
from convpolicy.errors import InvalidValueError

PIECE = 1 << 20  # bytes read and written at once; a multiple of every element size
# dtype -> what holds its bits in NumPy
HOLDERS = {
    **{name: np.dtype(name).newbyteorder("<") for name in ("float64", "float32", "float16", "complex128", "complex64")},
    **{name: np.dtype(name).newbyteorder("<") for name in ("int64", "int32", "int16", "uint64", "uint32", "uint16")},
    **{name: np.dtype(name) for name in ("int8", "uint8", "bool")},
    "bfloat16": np.dtype("<u2"),
    **{name: np.dtype("u1") for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")},
}
NAMES = {kept: name for name, kept in HOLDERS.items() if kept.name == name}  # those that are no stand-in for another
FLOATS = ("float64", "float32", "float16", "bfloat16")  # what `dtype=` casts from and to
# what to do about bytes without a meaning
UNNAMED = (
    "NumPy stores a dtype that it lacks so, usually bfloat16; pass the policy of the framework that wrote the file as source"
)
Piece = Any  # a part of a tensor's bytes: bytes, a memoryview, or a uint8 array


@attrs.frozen
class Entry:
    """One tensor in a file; `entry` computes the size.

    Args:
        name: in the file.
        shape: lengths of its axes.
        dtype: canonical name such as ``"float32"`` or ``"bfloat16"``; a name that only this format knows is copied, never cast.
        size: in bytes.
        part: of a sharded checkpoint, the name of the file that contains the tensor; else empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    part: str = ""


def entry(name: str, shape: Iterable[int], dtype: str, part: str = "") -> Entry:
    """Return an `Entry` with its size.

    Args:
        name: in the file.
        shape: lengths of its axes.
        dtype: canonical name, e.g. ``"float32"``, or NumPy's name for a dtype, e.g. ``"<U8"``.
        part: see `Entry`.

    Raises:
        TypeError: NumPy has no such dtype.
    """
    sizes = tuple(int(length) for length in shape)
    return Entry(name, sizes, dtype, math.prod(sizes) * holder(dtype).itemsize, part)


def holder(dtype: str) -> np.dtype[Any]:
    """Return the NumPy dtype that holds the bits of a dtype."""
    return HOLDERS[dtype] if dtype in HOLDERS else np.dtype(dtype)


def has_holder(dtype: str) -> bool:
    """Whether NumPy holds the elements one by one; it does not for those of four bits."""
    try:
        holder(dtype)
    except TypeError:
        return False
    return True


def numpys_own(row: Entry, suffix: str) -> np.dtype[Any]:
    """Return the NumPy dtype of an entry for a file that holds NumPy's dtypes only.

    Raises:
        InvalidValueError: it has none, or one of objects; names the tensor.
    """
    kept = holder(row.dtype) if has_holder(row.dtype) else np.dtype(object)
    if kept.hasobject or NAMES.get(kept, row.dtype) != row.dtype:
        raise InvalidValueError(f"a {suffix} file has no dtype {row.dtype}, which {row.name!r} is; choose another kind of file.")
    return kept


def is_unnamed(dtype: str) -> bool:
    """Whether a dtype is bytes without a meaning, ``|V2`` for example, as NumPy stores numbers of a dtype that it lacks."""
    return dtype.startswith("|V")


def in_pieces(array: NDArray[Any]) -> Iterator[Piece]:
    """Yield the bytes of an array in C order, piece by piece."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
    for at in range(0, flat.size, PIECE):
        yield flat[at : at + PIECE]


def joined(entry: Entry, pieces: Iterable[Piece]) -> NDArray[np.uint8]:
    """Return all bytes of a tensor."""
    data = np.empty(entry.size, np.uint8)
    at = 0
    for piece in pieces:
        part = np.frombuffer(piece, np.uint8)
        data[at : at + part.size] = part
        at += part.size
    return data


def escapes(name: str) -> bool:
    """Whether a name in an archive, unpacked, would be a file out of the folder."""
    return any(path.is_absolute() or path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name)))


def texts(said: str) -> dict[str, str]:
    """Return metadata from its JSON.

    Raises:
        ValueError: it is no table of texts.
    """
    try:
        table = json.loads(said)
    except RecursionError:
        raise ValueError("its metadata is nested without end") from None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError("its metadata is no table of texts")
    return table


class Reader:
    """The tensors of one file; a file format subclasses it, sets ``entries`` and overrides `pieces`.

    ``__init__`` opens the file and refuses a damaged one, and one that could run code, with an `InvalidValueError` that names it:
    `reading` turns a library's exceptions into that. ``entries`` come in the order of the file. Tensors are read once each, in an
    order of the caller's choice.

    Args:
        path: of the file.

    Attributes:
        entries: every tensor, as `entry` makes them.
        metadata: text that belongs to the whole file; may stay empty.
        files: every file it reads, ``path`` first; none of them is ever overwritten.
        others: names of entries that are not tensors; a writer of the same format may copy it.
        title: name of the format in messages, e.g. ``"npz"``.
    """

    title: ClassVar[str] = "tensor"
    entries: tuple[Entry, ...] = ()
    metadata: Mapping[str, str] = MappingProxyType({})
    others: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: tuple[Path, ...] = (path,)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor in C order, little-endian; `in_pieces` does so for an array.

        Args:
            entry: one of ``entries``.

        Returns:
            An iterator of pieces, ``entry.size`` bytes in all; a piece is valid until the next one is yielded.
        """
        raise NotImplementedError

    def array(self, entry: Entry) -> NDArray[Any]:
        """Return a whole tensor; a bfloat16 one as uint16, other dtypes that NumPy lacks likewise as integers of their bits."""
        return joined(entry, self.pieces(entry)).view(holder(entry.dtype)).reshape(entry.shape)

    def close(self) -> None:
        """Close the file; called once."""


def _kept(name: str) -> None:
    """Leave a file where it is."""


@attrs.frozen
class Job:
    """What a `Writer` is to write.

    Attributes:
        path: where to write; a temporary name, which becomes the output's when the file is complete. It does not exist yet.
        sibling: ``name -> path``: where to write a further file in the same folder, one that the output refers to.
        name_of: ``path -> name`` that a file gets: another one than was asked for where a file of that name exists, as a model that
            is replaced keeps its files until the output has its name.
        remove_afterwards: ``name -> None``: a file in the folder that only the replaced output referred to.
        entries: every tensor, in the order in which they are written.
        metadata: text for the whole file; empty where the format keeps none.
        reader: of the file that the tensors come from; one of the same format has what only that format contains.
    """

    path: Path
    sibling: Callable[[str], Path]
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    reader: Reader
    name_of: Callable[[Path], str] = attrs.field(default=operator.attrgetter("name"), kw_only=True)
    remove_afterwards: Callable[[str], None] = attrs.field(default=_kept, kw_only=True)


class Writer:
    """Writes one file; a file format subclasses it and overrides ``__init__`` and `write`.

    ``__init__`` creates the file and refuses, before it does, a tensor that such a file cannot contain, with an
    `InvalidValueError` that names the tensor. `write` or `copy` is then called once for each entry, in order, and `finish` after
    the last one. `close` comes last in any case, also after an error.

    Args:
        job: what to write, and where.

    Attributes:
        title: name of the format in messages, e.g. ``"npz"``.
    """

    title: ClassVar[str] = "tensor"

    def __init__(self, job: Job) -> None:
        raise NotImplementedError

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Write the next tensor from its bytes.

        Args:
            entry: name, shape and dtype of the tensor.
            pieces: ``entry.size`` bytes in C order, little-endian; `joined` makes one array of them.
        """
        raise NotImplementedError

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Write the next tensor with the bytes that it has in another file; a format may copy more than these.

        Args:
            entry: name, shape and dtype of the tensor.
            reader: of the other file.
            old: the tensor's entry there.
        """
        self.write(entry, reader.pieces(old))

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close the file, complete or not."""


def cast(data: NDArray[Any], old: str, new: str) -> NDArray[Any]:
    """Cast between floating-point dtypes, ties to even, given and returned in the dtypes that hold their bits.

    Raises:
        InvalidValueError: a finite number that becomes infinite; holds how many.
    """
    if old == new:
        return data
    numbers = from_bfloat16(data) if old == "bfloat16" else data
    with np.errstate(over="ignore", invalid="ignore"):  # signalling NaN is invalid to NumPy
        if new == "bfloat16":  # by way of float32, which is how frameworks cast
            made = to_bfloat16(numbers.astype(np.float32)).astype(HOLDERS[new])
            infinite = (made & 0x7FFF) == 0x7F80
        else:
            made = numbers.astype(HOLDERS[new])
            infinite = np.isinf(made)
    lost = int(np.count_nonzero(infinite & np.isfinite(numbers)))
    if lost:
        raise InvalidValueError(f"{lost} finite numbers are infinite in {new}; choose a wider dtype.")
    return made
