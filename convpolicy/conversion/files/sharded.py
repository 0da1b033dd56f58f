"""Read and write sharded safetensors: several files and an index, as large models are published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from convpolicy.conversion.files.safetensors import SafetensorsReader, SafetensorsWriter
from convpolicy.conversion.stamps import STAMP
from convpolicy.conversion.tensors import Entry, Job, Piece, Reader, Writer
from convpolicy.errors import InvalidValueError

INDEX = ".safetensors.index.json"


class ShardedReader(Reader):
    """Read a ``.safetensors.index.json`` file and the shards that it lists, which must be in its folder."""

    title = "index"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            text = path.read_text(encoding="utf-8")
            self.index: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:  # invalid syntax, invalid UTF-8, too many brackets
            raise InvalidValueError(f"{path} is not valid JSON: {error}; download or save it again.") from error
        places = self.index.get("weight_map") if isinstance(self.index, dict) else None
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise InvalidValueError(
                f"{path} must contain a 'weight_map' of tensor names to file names; download or save it again."
            )
        if not isinstance(self.index.get("metadata") or {}, dict):
            raise InvalidValueError(f"{path} must contain a table under 'metadata', got {self.index['metadata']!r}; correct it.")
        size = (self.index.get("metadata") or {}).get("total_size", 0)
        if isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 <= size < 2**63:
            raise InvalidValueError(
                f"{path} must contain a number of bytes under 'total_size', got {size!r}; correct or remove it."
            )
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
                f"{self.path} lists {name!r}, which must be a .safetensors file in the same folder; move it there."
            )
        if file.resolve().parent != self.path.parent.resolve():
            raise InvalidValueError(
                f"{self.path} lists {name!r}, a link to {file.resolve()} outside its folder; copy the file into the folder."
            )
        return file

    def _check(self) -> None:
        shard_of = {entry.name: name for name, shard in self.shards.items() for entry in shard.entries}
        count = sum(len(shard.entries) for shard in self.shards.values())
        wrong = sorted(name for name in {*shard_of, *self.places} if shard_of.get(name) != self.places.get(name))
        if wrong or count != len(shard_of):
            raise InvalidValueError(
                f"{self.path} and its shards do not agree about {wrong[:3] or 'a name'}; download them again."
            )

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        return self.shards[entry.part].pieces(entry)

    def close(self) -> None:
        """Close every shard."""
        for shard in self.shards.values():
            shard.close()


class ShardedWriter(Writer):
    """Write the same shards as in the input, each with its metadata, and then the index, which contains the stamp."""

    title = "index"

    def __init__(self, job: Job) -> None:
        if not isinstance(job.reader, ShardedReader):
            raise InvalidValueError(
                "an index can only be written for sharded input; choose a single .safetensors file as the output."
            )
        self._job, self._reader = job, job.reader
        self._paths = {name: job.sibling(name) for name in self._reader.shards}
        self._part = ""
        self._writer: SafetensorsWriter | None = None

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Append the tensor to its shard, which is created at its first tensor."""
        if self._writer is None or entry.part != self._part:
            self.close()
            self._part = entry.part
            entries = tuple(row for row in self._job.entries if row.part == entry.part)
            metadata = self._reader.shards[entry.part].metadata
            self._writer = SafetensorsWriter(Job(self._paths[entry.part], self._job.sibling, entries, metadata, self._reader))
        self._writer.write(entry, pieces)

    def finish(self) -> None:
        """Write the index, with its keys in the order of the input."""
        rows = self._job.entries
        if len(rows) == len(self._reader.entries):
            renamed = {old.name: new for old, new in zip(self._reader.entries, rows)}
            rows = tuple(renamed[old] for old in self._reader.places)
        names = {part: self._job.name_of(path) for part, path in self._paths.items()}
        index = dict(self._reader.index)
        index["weight_map"] = {row.name: names[row.part] for row in rows}
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
        for name in _files_of_this_index_only(self._job.path.with_name(self._job.name_of(self._job.path))) - {*names.values()}:
            self._job.remove_afterwards(name)

    def close(self) -> None:
        """Close the shard that is being written."""
        if self._writer is not None:
            self._writer.close()


def _files_of_this_index_only(path: Path) -> set[str]:
    """Return the files that no other index in the folder lists; an empty set when one of the indices cannot be read."""
    try:
        places = {
            file: set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()) for file in _indices(path.parent)
        }
        alone = places.pop(path, set()).difference(*places.values())
        return {name for name in alone if "/" not in name and "\\" not in name and name.endswith(".safetensors")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


def _indices(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name.endswith(INDEX) and not path.name.startswith("."))
