"""What a file of tensors is to the conversion: entries, and their bytes in pieces, in C order and little-endian."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

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
Piece = Any  # bytes, or what a file's write takes for bytes


@attrs.frozen
class Entry:
    """One tensor in a file.

    Attributes:
        name: in the file.
        shape, dtype: canonical name, or the file's own word for a dtype that is only copied.
        size: in bytes.
        part: the file of a sharded checkpoint that holds it, else empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    part: str = ""


def entry(name: str, shape: Iterable[int], dtype: str, part: str = "") -> Entry:
    """Return an entry of a canonical dtype, or of NumPy's own word for one."""
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
    found = json.loads(said)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("its metadata is no table of texts")
    return found


class Reader:
    """The tensors of a file, in its order; each format has one.

    Attributes:
        entries: every tensor.
        metadata: text that belongs to the whole file.
        files: every file it reads.
        others: names of what is no tensor; only the same format takes it along.
        title: the format, for messages.
    """

    title: ClassVar[str]
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    others: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: tuple[Path, ...] = (path,)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor in C order, little-endian; a piece is valid until the next is asked for."""
        raise NotImplementedError

    def array(self, entry: Entry) -> NDArray[Any]:
        """Return a whole tensor, its bits in the dtype that holds them."""
        return joined(entry, self.pieces(entry)).view(holder(entry.dtype)).reshape(entry.shape)

    def close(self) -> None:
        """Let go of the file."""


@attrs.frozen
class Job:
    """What a writer is to write.

    Attributes:
        path: the hidden name to write to.
        sibling: name of a further file in the same folder -> the hidden name to write to.
        entries: every tensor, in order.
        metadata: text for the whole file.
        reader: the file that the tensors come from; one of the same format gives what only that format has.
    """

    path: Path
    sibling: Callable[[str], Path]
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    reader: Reader


class Writer:
    """Takes the tensors in the order of its entries; each format has one.

    Attributes:
        keeps_metadata: whether text can be written beside the tensors.
        title: the format, for messages.
    """

    title: ClassVar[str]
    keeps_metadata: ClassVar[bool] = True

    def __init__(self, job: Job) -> None:
        raise NotImplementedError

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Write the next tensor from its bytes."""
        raise NotImplementedError

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Write the next tensor as it stands in another file; a format may keep more than its bytes."""
        self.write(entry, reader.pieces(old))

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Let go of the file, complete or not."""


@contextmanager
def reading(path: Path, title: str, *faults: type[BaseException]) -> Iterator[None]:
    """Turn what a library says of a file it cannot read into one sentence that names the file."""
    try:
        yield
    except InvalidValueError:
        raise
    except OSError as error:
        if error.errno is None:
            raise InvalidValueError(
                f"{path} is not a whole {title} file: {_first_line(error)}; fetch or save it anew."
            ) from error
        error.filename = error.filename or str(path)
        raise
    except faults as error:
        raise InvalidValueError(f"{path} is not a whole {title} file: {_first_line(error)}; fetch or save it anew.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a library says of a disk it cannot write to into an `OSError` that names the file."""
    try:
        yield
    except RuntimeError as error:
        raise _cause(error, path) from error
    except OSError as error:
        raise _cause(error, path) from error


def _cause(error: BaseException, path: Path) -> OSError:
    for known in (error, error.__context__):
        if isinstance(known, OSError) and known.errno is not None:
            return OSError(known.errno, os.strerror(known.errno), str(path))  # HDF5 says it in several lines
    return OSError(errno.EIO, _first_line(error), str(path))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".;") if lines else type(error).__name__


def cast(data: NDArray[Any], old: str, new: str) -> NDArray[Any]:
    """Cast between floating-point dtypes, ties to even, given and returned in the dtypes that hold their bits.

    Raises:
        InvalidValueError: a finite number that becomes infinite; holds how many.
    """
    if old == new:
        return data
    numbers = (data.astype(np.uint32) << 16).view(np.float32) if old == "bfloat16" else data
    with np.errstate(over="ignore", invalid="ignore"):  # signalling NaN is invalid to NumPy
        if new == "bfloat16":  # by way of float32, as torch casts
            narrow = numbers.astype(np.float32)
            bits = narrow.view(np.uint32)
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            made = np.where(np.isnan(narrow), (bits >> 16) | 0x40, rounded).astype(HOLDERS[new])
            infinite = (made & 0x7FFF) == 0x7F80
        else:
            made = numbers.astype(HOLDERS[new])
            infinite = np.isinf(made)
    lost = int(np.count_nonzero(infinite & np.isfinite(numbers)))
    if lost:
        raise InvalidValueError(f"{lost} finite numbers are infinite in {new}; choose a wider dtype.")
    return made
