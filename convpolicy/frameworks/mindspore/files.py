"""MindSpore checkpoints, through MindSpore's own functions; they read a file whole and write it tensor by tensor."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mindspore
from mindspore.common.np_dtype import bfloat16

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.tensors import NAMES, Entry, Job, Piece, Reader, Writer, entry, holder, in_pieces, joined, texts
from convpolicy.errors import InvalidValueError

TEXT = "convpolicy"  # name of the text entry that holds the metadata; MindSpore's own loading passes over it
ZIP = b"PK"


class MindSporeReader(Reader):
    """One ``.ckpt`` file, held whole."""

    title = "MindSpore checkpoint"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with path.open("rb") as file:
            if file.read(2) == ZIP:
                raise InvalidValueError(
                    f"{path} is no MindSpore checkpoint but a zip file, as torch writes them; rename it to .pt."
                )
        with reading(path, self.title, Exception):
            loaded: dict[str, Any] = mindspore.load_checkpoint(str(path))
        self.texts = {name: value for name, value in loaded.items() if isinstance(value, str)}
        with reading(path, self.title, ValueError):
            self.metadata = texts(self.texts.pop(TEXT, "{}"))
        self.others = tuple(self.texts)
        self._parameters = {name: value for name, value in loaded.items() if not isinstance(value, str)}
        self.entries = tuple(self._entry(name, value) for name, value in self._parameters.items())

    def _entry(self, name: str, value: Any) -> Entry:
        dtype = str(getattr(value, "dtype", type(value).__name__)).lower()
        if dtype != "bfloat16" and dtype not in NAMES.values():
            raise InvalidValueError(f"{self.path} holds {name!r} as {dtype}, which is no tensor of numbers; take it out.")
        return entry(name, value.shape, dtype)

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        yield from in_pieces(self._parameters[entry.name].asnumpy().view(holder(entry.dtype)))


class MindSporeWriter(Writer):
    """One ``.ckpt`` file: each tensor saved alone, and the parts joined, which is how MindSpore writes them together."""

    title = "MindSpore checkpoint"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            if row.dtype != "bfloat16" and row.dtype not in NAMES.values():
                raise InvalidValueError(
                    f"MindSpore has no dtype {row.dtype}, which {row.name!r} is; choose another kind of file."
                )
            if not row.size:
                raise InvalidValueError(f"MindSpore writes no empty tensor, which {row.name!r} is; choose another kind of file.")
        self._path = job.path
        self._one = job.path.with_name(f"{job.path.name}.one.ckpt")
        self._file = io.FileIO(job.path, "xb")
        texts = dict(job.reader.texts) if isinstance(job.reader, MindSporeReader) else {}
        if job.metadata:
            texts[TEXT] = json.dumps(dict(job.metadata))
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
