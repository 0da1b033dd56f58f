"""A stranger's file format that keeps what the kit asks: a line of JSON, the bytes of every tensor, an end mark."""

from __future__ import annotations

import json

import convpolicy as cp
from convpolicy.conversion import Reader, Writer, entry

END = b"end"
DTYPES = ("float32", "float64", "int64", "bool", "bfloat16")


class PlainReader(Reader):
    """Reads the whole file at once; the end mark says that it is whole."""

    title = "plain"

    def __init__(self, path):
        super().__init__(path)
        head, _line, self.data = path.read_bytes().partition(b"\n")
        try:
            content = json.loads(head)
            self.metadata = content["metadata"]
            self.entries = tuple(entry(*row) for row in content["tensors"])
        except (ValueError, TypeError, KeyError) as error:
            raise cp.InvalidValueError(f"{path} is not a whole plain file: {error}; save it anew.") from error
        size = sum(row.size for row in self.entries)
        if self.data[size:] != END:
            raise cp.InvalidValueError(f"{path} is not a whole plain file: it has no end; save it anew.")

    def pieces(self, entry):
        """Yield the bytes of a tensor, 1000 at a time."""
        names = [row.name for row in self.entries]
        start = sum(row.size for row in self.entries[: names.index(entry.name)])
        for at in range(start, start + entry.size, 1000):
            yield self.data[at : min(at + 1000, start + entry.size)]


class PlainWriter(Writer):
    """The same, written."""

    title = "plain"

    def __init__(self, job):
        self.check(job)
        self.file = job.path.open("xb")
        self.file.write(self.head(job) + b"\n")

    def check(self, job):
        """Refuse dtypes that are not listed."""
        for row in job.entries:
            if row.dtype not in DTYPES:
                raise cp.InvalidValueError(f"a plain file has no dtype {row.dtype}, which {row.name!r} is; choose another.")

    def head(self, job):
        """The line of JSON."""
        tensors = [(row.name, row.shape, row.dtype) for row in job.entries]
        return json.dumps({"metadata": dict(job.metadata), "tensors": tensors}).encode()

    def write(self, entry, pieces):
        """Append a tensor."""
        for piece in pieces:
            self.file.write(bytes(piece))

    def finish(self):
        """Write the end mark."""
        self.file.write(END)

    def close(self):
        """Close the file."""
        self.file.close()


PLAIN = cp.FileFormat(".plain", PlainReader, PlainWriter, description="A plain file.")
