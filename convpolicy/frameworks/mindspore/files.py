"""MindSpore checkpoints: read from their own bytes, as MindSpore's loader trusts them, and written by MindSpore tensor by tensor."""

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

TEXT = "convpolicy"  # name of the text entry that holds the metadata; MindSpore's own loading passes over it
ZIP = b"PK"
# what a checkpoint may hold; mindspore/train/serialization.py, tensor_to_ms_type
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
TEXTS = "str"  # the type of an entry of text, as UTF-32


class MindSporeReader(Reader):
    """One ``.ckpt`` file; what its entries claim is compared with the bytes that are there."""

    title = "MindSpore checkpoint"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with ExitStack() as stack, reading(path, self.title, ValueError, OverflowError):
            self._file = stack.enter_context(path.open("rb"))
            if self._file.read(2) == ZIP:
                raise InvalidValueError(
                    f"{path} is no MindSpore checkpoint but a zip file, as torch writes them; rename it to .pt."
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
        """Return the entries of each name; a large tensor is in several, one after the other."""
        groups: dict[str, list[Value]] = {}
        last = ""
        for value in values(data):
            if value.tag in groups and value.tag != last:
                raise InvalidValueError(f"{self.path} holds {value.tag!r} twice; which is right is not known; save it anew.")
            groups.setdefault(value.tag, []).append(value)
            last = value.tag
        return groups

    def _text(self, tag: str, parts: list[Value]) -> str:
        if len(parts) > 1:
            raise InvalidValueError(f"{self.path} holds {tag!r} twice; which is right is not known; save it anew.")
        self._file.seek(parts[0].start)
        return self._file.read(parts[0].end - parts[0].start).decode("utf-32-le").rstrip("\0")

    def _entry(self, tag: str, parts: list[Value]) -> Entry:
        kinds = {(part.kind, part.lengths) for part in parts}
        if len(kinds) > 1:
            raise InvalidValueError(f"{self.path} holds {tag!r} twice, as {sorted(kinds)}; save it anew.")
        ((kind, lengths),) = kinds
        dtype = kind.lower()
        if dtype not in DTYPES:
            raise InvalidValueError(f"{self.path} holds {tag!r} as {kind}, which is no tensor of numbers; take it out.")
        made = entry(tag, () if lengths == (0,) else lengths, dtype)  # a number without axes is stored so
        size = sum(part.end - part.start for part in parts)
        if made.size != size or any(length < 0 for length in lengths):
            raise InvalidValueError(
                f"{self.path} is not whole: {tag!r} of shape {lengths} needs {made.size} bytes, got {size}; save it anew."
            )
        return made

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        for part in self._parts[entry.name]:
            for at in range(part.start, part.end, PIECE):
                self._file.seek(at)
                piece = self._file.read(min(PIECE, part.end - at))
                if len(piece) < min(PIECE, part.end - at):
                    raise InvalidValueError(f"{self.path} was cut while it was read, inside {entry.name!r}; start again.")
                yield piece

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


class MindSporeWriter(Writer):
    """One ``.ckpt`` file: each tensor saved alone, and the parts joined, which is how MindSpore writes them together."""

    title = "MindSpore checkpoint"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            if row.dtype not in DTYPES:
                raise InvalidValueError(
                    f"MindSpore has no dtype {row.dtype}, which {row.name!r} is; choose another kind of file."
                )
            if not row.size:
                raise InvalidValueError(f"MindSpore writes no empty tensor, which {row.name!r} is; choose another kind of file.")
            check_array(row, "a .ckpt file")
        texts = dict(job.reader.texts) if isinstance(job.reader, MindSporeReader) else {}
        if job.metadata:
            texts[TEXT] = json.dumps(dict(job.metadata))
        clash = next((row.name for row in job.entries if row.name in texts), None)
        if clash is not None:
            raise InvalidValueError(
                f"a .ckpt file has an entry of text called {clash!r} already, so no tensor can have that name; rename it in a map."
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
        """Close the file and remove the part."""
        self._file.close()
        self._one.unlink(missing_ok=True)
        self._one.with_suffix(".tmp").unlink(missing_ok=True)
