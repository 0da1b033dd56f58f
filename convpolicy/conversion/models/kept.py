"""What a model has no place for, kept in the metadata of the output, so that the way back gives the same bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.models.assembly import NO_TENSOR, Assembled
from convpolicy.conversion.models.kinds import COUNT
from convpolicy.conversion.tensors import HOLDERS, Entry, Piece, Reader, holder

KEPT = "convpolicy-kept"  # key of the metadata
LIMIT = 40_000  # characters; an HDF5 attribute has at most 64 KiB


@attrs.frozen(eq=False)
class Record:
    """The bytes of one tensor of the input."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def array(self) -> NDArray[Any]:
        """Return the tensor, bfloat16 as integers of its bits."""
        return np.frombuffer(self.data, holder(self.dtype)).reshape(self.shape)


@attrs.frozen(eq=False)
class Restored:
    """A tensor of the output that comes from a `Record`; it has the attributes of `Assembled` that are used for writing."""

    new: Entry
    record: Record
    why: str = "kept"
    axes: str = ""
    folded: bool = False
    keeps_bytes: bool = False
    old_name: str = NO_TENSOR

    @property
    def old(self) -> Entry:
        """The entry itself, since the input has no tensor for it."""
        return self.new

    def pieces(self, reader: Reader) -> Iterator[Piece]:
        """Yield the bytes."""
        del reader
        yield self.record.data


def read(metadata: Mapping[str, str]) -> dict[str, Record]:
    """Return the records in the metadata of a file by the name of the tensor; none if they are damaged."""
    try:
        table = json.loads(metadata.get(KEPT, "{}"))
        rows = {
            name: Record(dtype, tuple(shape), base64.b64decode(data, validate=True))
            for name, (dtype, shape, data) in table.items()
        }
        return {
            name: row
            for name, row in rows.items()
            if row.dtype in HOLDERS and all(type(length) is int and length >= 0 for length in row.shape)
            and len(row.data) == int(np.prod(row.shape, dtype=object)) * holder(row.dtype).itemsize
        }  # fmt: skip
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def text(records: Mapping[str, Record]) -> str:
    """Return records as the text of the metadata; empty if there are none or if they are too long."""
    table = {name: (row.dtype, row.shape, base64.b64encode(row.data).decode()) for name, row in records.items()}
    document = json.dumps(table, separators=(",", ":"))
    return document if table and len(document) <= LIMIT else ""


def record(entry: Entry, reader: Reader) -> Record:
    """Return the record of a tensor."""
    return Record(entry.dtype, entry.shape, b"".join(bytes(memoryview(piece).cast("B")) for piece in reader.pieces(entry)))


def restored(rows: Mapping[str, Assembled], records: Mapping[str, Record], reader: Reader) -> dict[str, Restored]:
    """Return the tensors of the output whose record agrees with the input.

    A count of batches always does. Two biases do if their sum is the bias of the input, bit for bit.

    Args:
        rows: the tensors of the output by name.
        records: the records by name.
        reader: reader of the input.
    """
    known = {name: row for name, row in rows.items() if name in records and _alike(row, records[name])}
    counts = {name: row for name, row in known.items() if row.parameter.stored.pieces == (COUNT,) and not row.entries}
    kept = dict(counts)
    for name, row in known.items():
        other = name.replace("bias_hh", "bias_ih")
        is_hidden = row.parameter.stored.pieces[0].startswith("bias_hh.") and other != name and other in known
        if is_hidden and _same(known[other], row, records[other], records[name], reader):
            kept |= {name: row, other: known[other]}
    return {name: Restored(row.new, records[name]) for name, row in kept.items()}


def _alike(row: Assembled, kept: Record) -> bool:
    return (row.new.shape, row.new.dtype) == (kept.shape, kept.dtype)


def _same(ih: Assembled, hh: Assembled, kept_ih: Record, kept_hh: Record, reader: Reader) -> bool:
    """Return whether the input has the numbers of two records, gate for gate, where it has one sum only their sum."""
    if ih.new.dtype not in ("float16", "float32", "float64"):
        return False
    count = len(ih.sources)
    own = [np.frombuffer(b"".join(map(bytes, row.pieces(reader))), holder(row.new.dtype)).reshape(count, -1) for row in (ih, hh)]
    old = [kept.array().reshape(count, -1) for kept in (kept_ih, kept_hh)]
    for gate in range(count):
        if hh.sources[gate]:
            equal = all(np.array_equal(one[gate], other[gate]) for one, other in zip(own, old))
        else:
            equal = np.array_equal(own[0][gate], old[0][gate] + old[1][gate])
        if not equal:
            return False
    return True
