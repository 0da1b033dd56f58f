"""Test tensors for file formats, and functions that write and read them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convpolicy.conversion.formats import FileFormat, named_faults
from convpolicy.conversion.tensors import Entry, Job, Piece, Reader, entry, has_holder
from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.testing.common import require
from convpolicy.testing.ladder import ConformanceError

FIRST = 8  # bytes of the widest real dtype
PIECE = 7  # bytes that a writer gets at a time, which is not a multiple of any element size
FDS = Path("/proc/self/fd")  # the open files of this process, on systems that list them
ODD = ("<U3", "|V2", "no_such_dtype")  # dtypes that most files do not have


class Tensor(NamedTuple):
    """One tensor; ``str()`` is used in messages."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: bytes

    def __str__(self) -> str:
        return f"tensor {self.name!r} of shape {self.shape}, {self.dtype}"

    @property
    def entry(self) -> Entry:
        """The `Entry` of the tensor."""
        if has_holder(self.dtype):
            return entry(self.name, self.shape, self.dtype)
        return Entry(self.name, self.shape, self.dtype, len(self.data))


def tensor(name: str = "weight", shape: tuple[int, ...] = (2, 3), dtype: str = "float32", seed: int = 0) -> Tensor:
    """Return a tensor of random bits. The first floating-point number is a NaN; booleans are 0 and 1."""
    size = entry(name, shape, dtype).size if has_holder(dtype) else int(np.prod(shape))
    bits = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, size, dtype=np.uint8)
    bits[:FIRST] = np.maximum(bits[:FIRST], 1 if dtype == "bool" else 255)
    text = np.array(["abc"] * int(np.prod(shape)), dtype).tobytes() if dtype.startswith("<U") else None
    return Tensor(name, shape, dtype, bits.tobytes() if text is None else text)


class Memory(Reader):
    """Read tensors from memory in small pieces, each of which is valid until the next one."""

    title = "memory"

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__(Path("memory"))
        self.data = {each.name: each.data for each in tensors}
        self.entries = tuple(each.entry for each in tensors)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor from one buffer, which every piece overwrites."""
        data = self.data[entry.name]
        buffer = bytearray(max(PIECE, len(data) // PIECE))
        for at in range(0, len(data), len(buffer)):
            part = data[at : at + len(buffer)]
            buffer[: len(part)] = part
            yield memoryview(buffer)[: len(part)]
            buffer[:] = bytes(len(buffer))


@contextmanager
def folder(part: FileFormat) -> Iterator[Path]:
    """Yield a path for a new file of a format, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="convpolicy-") as name:
        yield Path(name).resolve() / f"weights{part.suffix}"


def write(
    part: FileFormat,
    path: Path,
    tensors: Iterable[Tensor],
    metadata: Mapping[str, str] | None = None,
    reader: Reader | None = None,
) -> bool:
    """Write a file, and return whether the format accepted the tensors.

    Args:
        part: the format.
        path: path of the file, which must not exist.
        tensors: tensors to write.
        metadata: text for the whole file.
        reader: reader of the same format, to copy the tensors from; None to write them from memory.

    Raises:
        ConformanceError: the writer refuses a tensor after it has created a file; the message names the first tensor.
        PluginError: the writer fails.
    """
    rows = list(tensors)
    source = Memory(rows) if reader is None else reader
    about = f"for {rows[0]}" if rows else "without tensors"
    job = Job(path, path.with_name, tuple(row.entry for row in rows), metadata or {}, source)
    try:
        writer = part.create(job)
    except PluginError:
        raise
    except ConvPolicyError as error:
        files = sorted(file.name for file in path.parent.iterdir())
        require(not files, f"it leaves {files} behind when it refuses to write, {about}; refuse before the file is created.")
        require(
            len(rows) != 1 or repr(rows[0].name)[1:10] in str(error) or "own-source" in part.declares,
            f"it must name the tensor that it refuses, got {str(error)!r}, {about}.",
        )
        return False
    try:
        with named_faults("writing", part):
            for row in rows:
                if reader is None:
                    writer.write(row.entry, source.pieces(row.entry))
                else:
                    old = next(entry for entry in reader.entries if entry.name == row.name)
                    writer.copy(row.entry, reader, old)
            writer.finish()
    except PluginError:
        raise
    except ConvPolicyError as error:
        raise ConformanceError(
            f"it refuses a tensor after it has created the file, {about}: {error} Refuse before that, in __init__."
        ) from error
    finally:
        writer.close()
    require(path.is_file(), f"it must write the file at job.path, which does not exist, {about}.")
    require(not opened(path), f"it keeps the file open after close, {about}.")
    return True


def read(part: FileFormat, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file. The tensors are read in reverse order.

    Raises:
        ConvPolicyError, OSError: the file is refused.
        ConformanceError: the reader keeps the file open, or yields another number of bytes than an entry has.
    """
    reader = part.open(path)
    tensors = {}
    try:
        for row in reversed(reader.entries):
            with named_faults(f"reading {row.name!r}", part):
                data = b"".join(map(bytes, reader.pieces(row)))
            require(
                len(data) == row.size,
                f"pieces must return the {row.size} bytes of {row.name!r}, shape {row.shape}, {row.dtype}, got {len(data)}.",
            )
            tensors[row.name] = Tensor(row.name, row.shape, row.dtype, data)
        metadata = dict(reader.metadata)
    finally:
        reader.close()
    require(not opened(path), "it keeps the file open after close; close every file.")
    return tensors, metadata


def judge(tensors: Iterable[Tensor], result: Mapping[str, Tensor], *, bits: bool) -> None:
    """Require that the tensors that were read are those that were written; ``bits`` also compares their bytes."""
    rows = {row.name: row for row in tensors}
    require(set(result) == set(rows), f"it must read the tensors {sorted(rows)} that it wrote, got {sorted(result)}.")
    for name, row in rows.items():
        actual = result[name]
        require((actual.shape, actual.dtype) == (row.shape, row.dtype), f"it must read back {row}, got {actual}.")
        require(not bits or actual.data == row.data, f"it must read the bits that were written, got others for {row}.")


def opened(path: Path) -> bool:
    """Return whether this process has a file in the folder of a path open; False on systems that do not list open files."""
    if not FDS.is_dir():
        return False
    places: list[Path] = []
    for number in FDS.iterdir():
        try:
            places.append(number.readlink())
        except OSError:  # the file has been closed meanwhile
            continue
    return any(path.parent in place.parents for place in places)
