"""Tensors for a file format to write, and what it does with them: written and read, or refused before there is a file."""

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

FIRST = 8  # bytes of the widest real number
PIECE = 7  # bytes that a writer gets at once: no multiple of any element
FDS = Path("/proc/self/fd")  # where there is one, the open files of this process
ODD = ("<U3", "|V2", "no_such_dtype")  # dtypes that most files do not have


class Tensor(NamedTuple):
    """One tensor; prints as a message says it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: bytes

    def __str__(self) -> str:
        return f"tensor {self.name!r} of shape {self.shape}, {self.dtype}"

    @property
    def entry(self) -> Entry:
        """The entry that a writer gets."""
        if has_holder(self.dtype):
            return entry(self.name, self.shape, self.dtype)
        return Entry(self.name, self.shape, self.dtype, len(self.data))


def tensor(name: str = "weight", shape: tuple[int, ...] = (2, 3), dtype: str = "float32", seed: int = 0) -> Tensor:
    """Return a tensor of random bits, the first of them 1, which is a NaN of floating-point numbers; a bool's are 0 and 1."""
    size = entry(name, shape, dtype).size if has_holder(dtype) else int(np.prod(shape))
    bits = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, size, dtype=np.uint8)
    bits[:FIRST] = np.maximum(bits[:FIRST], 1 if dtype == "bool" else 255)
    text = np.array(["abc"] * int(np.prod(shape)), dtype).tobytes() if dtype.startswith("<U") else None
    return Tensor(name, shape, dtype, bits.tobytes() if text is None else text)


class Memory(Reader):
    """Tensors in memory, as a writer gets them: in small pieces, each valid until the next one."""

    title = "memory"

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__(Path("memory"))
        self.data = {each.name: each.data for each in tensors}
        self.entries = tuple(each.entry for each in tensors)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor from one buffer, which each piece overwrites."""
        data = self.data[entry.name]
        buffer = bytearray(max(PIECE, len(data) // PIECE))
        for at in range(0, len(data), len(buffer)):
            part = data[at : at + len(buffer)]
            buffer[: len(part)] = part
            yield memoryview(buffer)[: len(part)]
            buffer[:] = bytes(len(buffer))


@contextmanager
def folder(part: FileFormat) -> Iterator[Path]:
    """Yield the path of a file of a format that is not there yet, in a new folder."""
    with tempfile.TemporaryDirectory(prefix="convpolicy-") as name:
        yield Path(name).resolve() / f"weights{part.suffix}"


def write(
    part: FileFormat,
    path: Path,
    tensors: Iterable[Tensor],
    metadata: Mapping[str, str] | None = None,
    reader: Reader | None = None,
) -> bool:
    """Write a file; return False where its writer refuses it, in a sentence and before there is a file.

    Args:
        part: the format.
        path: of the file, which is not there yet.
        tensors: what to write.
        metadata: text for the whole file.
        reader: of the same format, whose entries are copied; None: the tensors are written from memory.

    Raises:
        ConformanceError: it refuses too late, or leaves something behind; holds the first tensor.
        PluginError: it fails.
    """
    rows = list(tensors)
    source = Memory(rows) if reader is None else reader
    about = f"for {rows[0]}" if rows else "for no tensor"
    job = Job(path, path.with_name, tuple(row.entry for row in rows), metadata or {}, source)
    try:
        writer = part.create(job)
    except PluginError:
        raise
    except ConvPolicyError as error:
        left = sorted(file.name for file in path.parent.iterdir())
        require(not left, f"it leaves {left} behind when it refuses to write, {about}; refuse before the file is created.")
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
            f"it refuses what it has begun to write, {about}: {error} Refuse before the file is created, in __init__."
        ) from error
    finally:
        writer.close()
    require(path.is_file(), f"it must write the file it is asked for, which is not there, {about}.")
    require(not opened(path), f"it keeps the file open after close, {about}.")
    return True


def read(part: FileFormat, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file; the last tensor is read first.

    Raises:
        ConvPolicyError, OSError: the file is refused.
        ConformanceError: the reader keeps the file open, or gives other bytes than its entries say.
    """
    reader = part.open(path)
    found = {}
    try:
        for row in reversed(reader.entries):
            with named_faults(f"reading {row.name!r}", part):
                data = b"".join(map(bytes, reader.pieces(row)))
            require(
                len(data) == row.size,
                f"pieces must give the {row.size} bytes of {row.name!r}, shape {row.shape}, {row.dtype}, got {len(data)}.",
            )
            found[row.name] = Tensor(row.name, row.shape, row.dtype, data)
        metadata = dict(reader.metadata)
    finally:
        reader.close()
    require(not opened(path), "it keeps the file open after close; close what it opened.")
    return found, metadata


def judge(tensors: Iterable[Tensor], found: Mapping[str, Tensor], *, bits: bool) -> None:
    """Require that the tensors that were read are those that were written."""
    rows = {row.name: row for row in tensors}
    require(set(found) == set(rows), f"it must read the tensors {sorted(rows)} that it wrote, got {sorted(found)}.")
    for name, row in rows.items():
        got = found[name]
        require((got.shape, got.dtype) == (row.shape, row.dtype), f"it must read {row} as it was written, got {got}.")
        require(not bits or got.data == row.data, f"it must read the bits that were written, got others for {row}.")


def opened(path: Path) -> bool:
    """Whether this process has a file of the path's folder open, where that can be told."""
    if not FDS.is_dir():
        return False
    places: list[Path] = []
    for number in FDS.iterdir():
        try:
            places.append(number.readlink())
        except OSError:  # closed meanwhile
            continue
    return any(path.parent in place.parents for place in places)
