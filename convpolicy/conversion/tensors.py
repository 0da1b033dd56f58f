"""Building blocks of a file format: `Reader`, `Writer`, `Job`, `Entry` and `Piece`.

A reader lists the tensors of a file as entries. It returns the bytes of each tensor in pieces: in C order, little-endian, at most about
1 MiB at a time. A writer receives entries and pieces. Neither knows frameworks, layouts or names of layers.
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
# dtype -> the NumPy dtype that holds its bits
HOLDERS = {
    **{name: np.dtype(name).newbyteorder("<") for name in ("float64", "float32", "float16", "complex128", "complex64")},
    **{name: np.dtype(name).newbyteorder("<") for name in ("int64", "int32", "int16", "uint64", "uint32", "uint16")},
    **{name: np.dtype(name) for name in ("int8", "uint8", "bool")},
    "bfloat16": np.dtype("<u2"),
    **{name: np.dtype("u1") for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")},
}
NAMES = {dtype: name for name, dtype in HOLDERS.items() if dtype.name == name}  # the dtypes that NumPy has itself
FLOATS = ("float64", "float32", "float16", "bfloat16")  # dtypes that `dtype=` casts from and to
# advice about bytes of an unknown dtype
UNNAMED = "this is how NumPy stores a dtype that it lacks, usually bfloat16; pass the policy of the framework that wrote the file as source"
Piece = Any  # a part of a tensor's bytes: bytes, a memoryview, or a uint8 array


@attrs.frozen
class Entry:
    """One tensor of a file; the function `entry` makes one and computes its size.

    Args:
        name: name of the tensor in the file.
        shape: shape of the tensor.
        dtype: canonical name of the dtype, such as ``"float32"`` or ``"bfloat16"``. A tensor of a dtype that only this format knows is
            copied, never cast.
        size: size in bytes.
        part: in a sharded checkpoint, the name of the file that contains the tensor; otherwise empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    part: str = ""


def entry(name: str, shape: Iterable[int], dtype: str, part: str = "") -> Entry:
    """Make an `Entry` and compute its size.

    Args:
        name: name of the tensor in the file.
        shape: shape of the tensor.
        dtype: canonical name of the dtype, such as ``"float32"``, or NumPy's string for it, such as ``"<U8"``.
        part: in a sharded checkpoint, the name of the file that contains the tensor.

    Raises:
        TypeError: the dtype is neither a canonical name nor a NumPy dtype.
    """
    sizes = tuple(int(length) for length in shape)
    return Entry(name, sizes, dtype, math.prod(sizes) * holder(dtype).itemsize, part)


def holder(dtype: str) -> np.dtype[Any]:
    """Return the NumPy dtype that holds the bits of a dtype."""
    return HOLDERS[dtype] if dtype in HOLDERS else np.dtype(dtype)


def has_holder(dtype: str) -> bool:
    """Return whether a NumPy array can hold the elements; it cannot hold elements of four bits."""
    try:
        holder(dtype)
    except TypeError:
        return False
    return True


def numpys_own(row: Entry, suffix: str) -> np.dtype[Any]:
    """Return the dtype of an entry for a file format that has NumPy's dtypes only; ``suffix`` is the format's.

    Raises:
        InvalidValueError: NumPy does not have the dtype, or it is one of Python objects; the message names the tensor.
    """
    dtype = holder(row.dtype) if has_holder(row.dtype) else np.dtype(object)
    if dtype.hasobject or NAMES.get(dtype, row.dtype) != row.dtype:
        raise InvalidValueError(
            f"a {suffix} file cannot store dtype {row.dtype}, which {row.name!r} has; choose another file format."
        )
    return dtype


def is_unnamed(dtype: str) -> bool:
    """Return whether a dtype is plain bytes such as ``|V2``, which is how NumPy stores a dtype that it does not have."""
    return dtype.startswith("|V")


def in_pieces(array: NDArray[Any]) -> Iterator[Piece]:
    """Yield the bytes of an array in C order, at most 1 MiB at a time."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
    for at in range(0, flat.size, PIECE):
        yield flat[at : at + PIECE]


def joined(entry: Entry, pieces: Iterable[Piece]) -> NDArray[np.uint8]:
    """Join the pieces of a tensor, in order, into one uint8 array of ``entry.size`` bytes."""
    data = np.empty(entry.size, np.uint8)
    at = 0
    for piece in pieces:
        part = np.frombuffer(piece, np.uint8)
        data[at : at + part.size] = part
        at += part.size
    return data


def escapes(name: str) -> bool:
    """Return whether unpacking a name from an archive would write outside the folder."""
    return any(path.is_absolute() or path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name)))


def texts(document: str) -> dict[str, str]:
    """Read metadata from a JSON object whose values are strings.

    Raises:
        ValueError: the document is something else.
    """
    try:
        table = json.loads(document)
    except RecursionError:
        raise ValueError("its metadata is nested too deeply") from None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError("its metadata is not a table of strings")
    return table


class Reader:
    """Base class of readers: a file format subclasses it, sets ``entries`` and overrides `pieces`.

    ``__init__`` opens the file. It raises an `InvalidValueError` that names the file if the file is damaged or could run code; use
    `reading` to turn a library's exceptions into that error. `convert` reads each tensor once, in any order.

    Args:
        path: path of the file.

    Attributes:
        entries: every tensor of the file, in the order of the file, each made by `entry`.
        metadata: text that belongs to the whole file; empty by default.
        files: paths of every file that the reader reads, ``path`` first. `convert` never overwrites them.
        others: names of entries that are not tensors. A writer of the same format can copy them.
        title: name of the format in messages, such as ``"npz"``.
        ordered: True if the entries are in the order in which the model made its tensors, and not e.g. sorted by name.
    """

    title: ClassVar[str] = "tensor"
    ordered: ClassVar[bool] = False
    entries: tuple[Entry, ...] = ()
    metadata: Mapping[str, str] = MappingProxyType({})
    others: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: tuple[Path, ...] = (path,)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor in C order, little-endian; `in_pieces` does this for an array.

        Args:
            entry: one of ``entries``.

        Returns:
            An iterator of pieces with ``entry.size`` bytes in total. A piece is valid until the next one is yielded.
        """
        raise NotImplementedError

    def array(self, entry: Entry) -> NDArray[Any]:
        """Return a whole tensor as an array; a dtype that NumPy lacks becomes integers of its bits, such as uint16 for bfloat16."""
        return joined(entry, self.pieces(entry)).view(holder(entry.dtype)).reshape(entry.shape)

    def close(self) -> None:
        """Close the file; `convert` calls this method once."""


def _leave(name: str) -> None:
    """Do not remove the file."""


@attrs.frozen
class Job:
    """What a `Writer` writes, and where.

    Attributes:
        path: temporary path to write to, which does not exist yet. `convert` renames the file when it is complete.
        sibling: ``name -> path``. Call it with the name of a further file in the output's folder; write to the path that it returns.
        entries: every tensor, in the order in which it is written.
        metadata: text for the whole file; empty when the format keeps no metadata.
        reader: reader of the input. If it belongs to the same format, it also has what only that format contains.
        name_of: ``path -> name``. Call it with a path of `sibling` for the name that the file gets at the end. This is another name
            than the one you asked for if that file exists, because a replaced model keeps its files until the output is complete.
        remove_afterwards: ``name -> None``. Call it with the name of a file in the folder that only the replaced output used; the
            file is removed when the output is complete.
    """

    path: Path
    sibling: Callable[[str], Path]
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    reader: Reader
    name_of: Callable[[Path], str] = attrs.field(default=operator.attrgetter("name"), kw_only=True)
    remove_afterwards: Callable[[str], None] = attrs.field(default=_leave, kw_only=True)


class Writer:
    """Base class of writers: a file format subclasses it and overrides ``__init__`` and `write`.

    The methods are called in this order:

    1. ``__init__`` checks every entry and creates the file. For a tensor that such a file cannot store it raises an
       `InvalidValueError` that names the tensor, before it creates anything.
    2. `write` or `copy` is called once for each entry, in the order of ``job.entries``.
    3. `finish` is called after the last entry.
    4. `close` is called last, also after an error.

    Args:
        job: what to write, and where.

    Attributes:
        title: name of the format in messages, such as ``"npz"``.
    """

    title: ClassVar[str] = "tensor"

    def __init__(self, job: Job) -> None:
        raise NotImplementedError

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Write the next tensor from its bytes.

        Args:
            entry: name, shape and dtype of the tensor.
            pieces: ``entry.size`` bytes in C order, little-endian. `joined` makes one array of them.
        """
        raise NotImplementedError

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Copy the next tensor from the input, where its bytes are the same; a format can override this to copy more than bytes.

        Args:
            entry: name, shape and dtype of the tensor in the output.
            reader: reader of the input.
            old: entry of the tensor in the input.
        """
        self.write(entry, reader.pieces(old))

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close the file, whether it is complete or not."""


def cast(data: NDArray[Any], old: str, new: str) -> NDArray[Any]:
    """Cast between floating-point dtypes, rounding ties to even.

    Args:
        data: numbers in the NumPy dtype that holds the bits of ``old``; those of ``new`` are returned likewise.
        old, new: names of the dtypes, each one of ``FLOATS``.

    Raises:
        InvalidValueError: finite numbers become infinite; the message contains how many.
    """
    if old == new:
        return data
    numbers = from_bfloat16(data) if old == "bfloat16" else data
    with np.errstate(over="ignore", invalid="ignore"):  # NumPy warns about a signalling NaN
        if new == "bfloat16":  # through float32, as frameworks cast
            result = to_bfloat16(numbers.astype(np.float32)).astype(HOLDERS[new])
            infinite = (result & 0x7FFF) == 0x7F80
        else:
            result = numbers.astype(HOLDERS[new])
            infinite = np.isinf(result)
    lost = int(np.count_nonzero(infinite & np.isfinite(numbers)))
    if lost:
        raise InvalidValueError(f"{lost} finite numbers would be infinite in {new}; choose a wider dtype.")
    return result
