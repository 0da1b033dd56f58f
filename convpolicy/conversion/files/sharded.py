"""Safetensors in several files under an index, as large models come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from convpolicy.conversion.files.safetensors import SafetensorsReader, SafetensorsWriter
from convpolicy.conversion.stamps import STAMP
from convpolicy.conversion.tensors import Entry, Job, Piece, Reader, Writer
from convpolicy.errors import InvalidValueError


class ShardedReader(Reader):
    """One ``.safetensors.index.json`` file and the files it names, which stand in its folder."""

    title = "index"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            text = path.read_text(encoding="utf-8")
            self.index: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:  # broken syntax, bad UTF-8, brackets without end
            raise InvalidValueError(f"{path} is no JSON: {error}; fetch or save it anew.") from error
        places = self.index.get("weight_map") if isinstance(self.index, dict) else None
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise InvalidValueError(f"{path} must hold a 'weight_map' of tensor names to file names; fetch or save it anew.")
        if not isinstance(self.index.get("metadata") or {}, dict):
            raise InvalidValueError(f"{path} must hold a table under 'metadata', got {self.index['metadata']!r}; correct it.")
        self.ends = text[len(text.rstrip()) :]
        self.places: dict[str, str] = places
        self.shards: dict[str, SafetensorsReader] = {}
        try:
            for name in dict.fromkeys(places.values()):
                self.shards[name] = SafetensorsReader(self._beside(name), name)
            self._check()
        except BaseException:
            self.close()
            raise
        self.files = (path, *(shard.path for shard in self.shards.values()))
        self.entries = tuple(entry for shard in self.shards.values() for entry in shard.entries)
        first, *others = [set(shard.metadata.items()) for shard in self.shards.values()] or [set()]
        self.metadata = dict(sorted(first.intersection(*others)))
        stamp = (self.index.get("metadata") or {}).get(STAMP)
        if stamp is not None:
            self.metadata |= {STAMP: str(stamp)}

    def _beside(self, name: str) -> Path:
        file = self.path.parent / name
        if any(sign in "/\\:" or not sign.isprintable() for sign in name) or not name.endswith(".safetensors"):
            raise InvalidValueError(
                f"{self.path} names {name!r}, which must be a .safetensors file in its own folder; move it there."
            )
        if file.resolve().parent != self.path.parent.resolve():
            raise InvalidValueError(
                f"{self.path} names {name!r}, a link out of its folder to {file.resolve()}; copy the file there."
            )
        return file

    def _check(self) -> None:
        held = {entry.name: name for name, shard in self.shards.items() for entry in shard.entries}
        count = sum(len(shard.entries) for shard in self.shards.values())
        wrong = sorted(name for name in {*held, *self.places} if held.get(name) != self.places.get(name))
        if wrong or count != len(held):
            raise InvalidValueError(f"{self.path} and its files do not agree about {wrong[:3] or 'a name'}; fetch them anew.")

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        return self.shards[entry.part].pieces(entry)

    def close(self) -> None:
        """Close every file."""
        for shard in self.shards.values():
            shard.close()


class ShardedWriter(Writer):
    """Files of the same names as the source's, each with its own metadata, and the index, which holds the stamp."""

    title = "index"

    def __init__(self, job: Job) -> None:
        if not isinstance(job.reader, ShardedReader):
            raise InvalidValueError("an index is written for sharded input only; name one .safetensors file as the output.")
        self._job, self._reader = job, job.reader
        self._paths = {name: job.sibling(name) for name in self._reader.shards}
        self._part = ""
        self._writer: SafetensorsWriter | None = None

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Append to the file of its part, which is opened at its first tensor."""
        if self._writer is None or entry.part != self._part:
            self.close()
            self._part = entry.part
            entries = tuple(row for row in self._job.entries if row.part == entry.part)
            metadata = self._reader.shards[entry.part].metadata
            self._writer = SafetensorsWriter(Job(self._paths[entry.part], self._job.sibling, entries, metadata, self._reader))
        self._writer.write(entry, pieces)

    def finish(self) -> None:
        """Write the index, its keys in the source's order."""
        renamed = {old.name: new for old, new in zip(self._reader.entries, self._job.entries)}
        index = dict(self._reader.index)
        index["weight_map"] = {renamed[old].name: part for old, part in self._reader.places.items()}
        about = dict(index.get("metadata") or {})
        if "total_size" in about:
            about["total_size"] += sum(row.size for row in self._job.entries) - sum(row.size for row in self._reader.entries)
        about.pop(STAMP, None)
        if STAMP in self._job.metadata:
            about[STAMP] = self._job.metadata[STAMP]
        if about or "metadata" in index:
            index["metadata"] = about
        with self._job.path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(index, indent=2, ensure_ascii=False) + self._reader.ends)

    def close(self) -> None:
        """Close the file in hand."""
        if self._writer is not None:
            self._writer.close()
