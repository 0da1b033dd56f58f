"""MindSpore checkpoints.

The reader parses the bytes and checks them, because MindSpore's loader does not. The writer lets MindSpore save one tensor at a
time.
"""

from __future__ import annotations

import io
import json
import mmap
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mindspore
from mindspore.common.np_dtype import bfloat16

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.limits import check_array
from convpolicy.conversion.tensors import PIECE, Entry, Job, Piece, Reader, Writer, entry, holder, joined, texts
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.mindspore.checkpoint import Value, values

TEXT = "convpolicy"  # name of the text entry with the metadata; MindSpore's loader skips it
ZIP = b"PK"
# dtypes that a checkpoint can contain; mindspore/train/serialization.py, tensor_to_ms_type
DTYPES = {
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bool",
    "bfloat16",
}
TEXTS = "str"  # type of a text entry; its data is UTF-32


class MindSporeReader(Reader):
    """Reads one ``.ckpt`` file and checks that the size of every tensor fits its shape."""

    title = "MindSpore checkpoint"
    ordered = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with ExitStack() as stack, reading(path, self.title, ValueError, OverflowError):
            self._file = stack.enter_context(path.open("rb"))
            if self._file.read(2) == ZIP:
                raise InvalidValueError(
                    f"{path} is a zip file, as torch writes them, and not a MindSpore checkpoint; rename it to .pt."
                )
            if not path.stat().st_size:
                raise ValueError("it is empty")
            with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                groups = self._values(data)
            self.texts = {tag: self._text(tag, parts) for tag, parts in groups.items() if parts[0].kind == TEXTS}
            self._parts = {tag: parts for tag, parts in groups.items() if tag not in self.texts}
            self.metadata = texts(self.texts.pop(TEXT, "{}"))
            self.others = tuple(self.texts)
            self.entries = tuple(self._entry(tag, parts) for tag, parts in self._parts.items())
            self._opened = stack.pop_all()  # closed with the reader

    def _values(self, data: mmap.mmap) -> dict[str, list[Value]]:
        """Group the entries by name; MindSpore splits a large tensor into several consecutive entries."""
        groups: dict[str, list[Value]] = {}
        last = ""
        for value in values(data):
            if value.tag in groups and value.tag != last:
                raise InvalidValueError(f"{self.path} contains {value.tag!r} twice, so the right one is unknown; save it again.")
            groups.setdefault(value.tag, []).append(value)
            last = value.tag
        return groups

    def _text(self, tag: str, parts: list[Value]) -> str:
        if len(parts) > 1:
            raise InvalidValueError(f"{self.path} contains {tag!r} twice, so the right one is unknown; save it again.")
        self._file.seek(parts[0].start)
        return self._file.read(parts[0].end - parts[0].start).decode("utf-32-le").rstrip("\0")

    def _entry(self, tag: str, parts: list[Value]) -> Entry:
        kinds = {(part.kind, part.lengths) for part in parts}
        if len(kinds) > 1:
            raise InvalidValueError(f"{self.path} contains {tag!r} twice, as {sorted(kinds)}; save it again.")
        ((kind, lengths),) = kinds
        dtype = kind.lower()
        if dtype not in DTYPES:
            raise InvalidValueError(f"{self.path} contains {tag!r} of type {kind}, which is not a dtype of numbers; remove it.")
        tensor = entry(tag, () if lengths == (0,) else lengths, dtype)  # MindSpore stores a scalar with shape (0,)
        size = sum(part.end - part.start for part in parts)
        if tensor.size != size or any(length < 0 for length in lengths):
            raise InvalidValueError(
                f"{self.path} is incomplete: {tag!r} of shape {lengths} needs {tensor.size} bytes, got {size}; save it again."
            )
        return tensor

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        for part in self._parts[entry.name]:
            for at in range(part.start, part.end, PIECE):
                self._file.seek(at)
                piece = self._file.read(min(PIECE, part.end - at))
                if len(piece) < min(PIECE, part.end - at):
                    raise InvalidValueError(
                        f"{self.path} was truncated while it was read, inside {entry.name!r}; convert it again."
                    )
                yield piece

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


class MindSporeWriter(Writer):
    """Writes one ``.ckpt`` file: MindSpore saves each tensor to a temporary file, which is appended to the checkpoint."""

    title = "MindSpore checkpoint"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            if row.dtype not in DTYPES:
                raise InvalidValueError(
                    f"MindSpore has no dtype {row.dtype}, which {row.name!r} needs; choose another file format."
                )
            if not row.size:
                raise InvalidValueError(f"MindSpore cannot save the empty tensor {row.name!r}; choose another file format.")
            check_array(row, "a .ckpt file")
        texts = dict(job.reader.texts) if isinstance(job.reader, MindSporeReader) else {}
        if job.metadata:
            texts[TEXT] = json.dumps(dict(job.metadata))
        clash = next((row.name for row in job.entries if row.name in texts), None)
        if clash is not None:
            raise InvalidValueError(
                f"the name {clash!r} belongs to a text entry of the .ckpt file, so no tensor can have it; rename the tensor in "
                f"a map."
            )
        self._path = job.path
        self._one = job.path.with_name(f"{job.path.name}.one.ckpt")
        self._file = io.FileIO(job.path, "xb")
        try:
            if texts:
                self._append([], texts)
        except BaseException:
            self.close()
            raise

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Append a tensor."""
        data = joined(entry, pieces).view(bfloat16 if entry.dtype == "bfloat16" else holder(entry.dtype))
        self._append([{"name": entry.name, "data": mindspore.Tensor(data.reshape(entry.shape))}], {})

    def _append(self, tensors: list[dict[str, Any]], texts: dict[str, str]) -> None:
        with writing(self._path):
            mindspore.save_checkpoint(tensors, str(self._one), append_dict=texts or None)
        with self._one.open("rb") as part:
            shutil.copyfileobj(part, self._file)

    def close(self) -> None:
        """Close the file and remove the temporary ones."""
        self._file.close()
        self._one.unlink(missing_ok=True)
        self._one.with_suffix(".tmp").unlink(missing_ok=True)
