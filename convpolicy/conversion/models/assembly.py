"""`Assembled`: one tensor of the output, made of pieces of tensors of the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import from_bfloat16, to_bfloat16
from convpolicy.conversion.elements import in_dtype
from convpolicy.conversion.folding import folded
from convpolicy.conversion.models.axes import ANY, same_order
from convpolicy.conversion.models.fitting import Source
from convpolicy.conversion.models.kinds import Parameter
from convpolicy.conversion.tensors import HOLDERS, Entry, Piece, Reader, holder
from convpolicy.conversion.transposing import packed_pieces

NO_TENSOR = "(none)"


@attrs.frozen(eq=False)
class Assembled:
    """One tensor of the output.

    Attributes:
        new: entry of the tensor in the output.
        parameter: the parameter of the model.
        sources: for each piece, the pieces of the input whose sum it is; without any, zeros.
        why: how the tensors were matched.
        norm: entry of the lengths of weight normalisation; the source is the entry of the directions.
        dtype: dtype of the tensor before the cast to the dtype of ``new``.
        last: the last tensor of the input that several rows take pieces of, by name; all rows share this dict.
    """

    new: Entry
    parameter: Parameter
    sources: tuple[tuple[Source, ...], ...]
    why: str
    norm: Entry | None = None
    dtype: str = "float32"
    last: dict[str, NDArray[Any]] = attrs.field(factory=dict)

    @property
    def entries(self) -> dict[str, Entry]:
        """The tensors of the input, by name."""
        return {source.entry.name: source.entry for row in self.sources for source in row}

    @property
    def old(self) -> Entry:
        """Entry of the first tensor of the input."""
        return next(iter(self.entries.values()))

    @property
    def old_name(self) -> str:
        """Names of the tensors of the input."""
        return " + ".join(self.entries) or NO_TENSOR

    @property
    def folded(self) -> bool:
        """True if two tensors of weight normalisation become one."""
        return self.norm is not None

    @property
    def axes(self) -> str:
        """Axes before and after, if they differ."""
        forms = dict.fromkeys(source.axes.text for row in self.sources for source in row)
        own = self.parameter.stored.axes.text
        return f"{', '.join(forms)} -> {own}" if not self._keeps_order and forms else ""

    @property
    def _keeps_order(self) -> bool:
        rows = [row[0] if len(row) == 1 else None for row in self.sources]
        first = rows[0]
        if first is None or self.norm is not None or first.count != len(rows):
            return False
        if any(row is None or row.entry is not first.entry or row.number != at for at, row in enumerate(rows)):
            return False
        axes, shape = self.parameter.stored.axes, self.new.shape
        if axes.text == ANY:
            return True
        return same_order(first.axes, len(first.entry.shape), axes, len(shape), first.lengths)

    @property
    def keeps_bytes(self) -> bool:
        """True if the bytes are copied unchanged."""
        return self.dtype == self.new.dtype and self._keeps_order

    def pieces(self, reader: Reader) -> Iterator[Piece]:
        """Yield the bytes of the tensor in the output."""
        pieces = reader.pieces(self.old) if self._keeps_order else packed_pieces(self._view(reader))
        yield from in_dtype(pieces, self.old_name, self.dtype, self.new.dtype)

    def _view(self, reader: Reader) -> NDArray[Any]:
        """Return the numbers of the tensor in its order, without axes of length 1."""
        if not self.entries:
            return np.zeros(self.new.shape, holder(self.new.dtype))
        few = {source.entry.name for row in self.sources for source in row if source.count > len(self.sources)}
        arrays = {
            name: self._shared(reader, entry) if name in few else self._read(reader, entry)
            for name, entry in self.entries.items()
        }
        rows = [self._piece(row, arrays) for row in self.sources]
        axes, ndim = self.parameter.stored.axes, len(self.new.shape)
        if len(rows) == 1:
            view = axes.stored(rows[0], ndim)
        else:
            whole = np.stack([np.broadcast_to(row, np.broadcast_shapes(*(one.shape for one in rows))) for row in rows])
            halves = 2 if "T" in axes.text else 1
            view = axes.stored(whole.reshape(halves, len(rows) // halves, *whole.shape[3:]), ndim)
        return view.squeeze()

    def _read(self, reader: Reader, entry: Entry) -> NDArray[Any]:
        array = reader.array(entry)
        if self.norm is not None:
            return folded(array, reader.array(self.norm), (entry.dtype, self.norm.dtype))
        return array

    def _shared(self, reader: Reader, entry: Entry) -> NDArray[Any]:
        if entry.name not in self.last:
            array = self._read(reader, entry)
            self.last.clear()
            self.last[entry.name] = array
        return self.last[entry.name]

    def _piece(self, row: tuple[Source, ...], arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the sum of pieces, with the axes of ``ORDER`` and 1 for the number of the piece."""
        pieces = []
        for source in row:
            whole = source.axes.restored(arrays[source.entry.name], source.lengths)
            halves, count = whole.shape[:2]
            flat = whole.reshape(1, halves * count, *whole.shape[2:]) if halves > 1 else whole
            pieces.append(flat[:, source.number : source.number + 1])
        if not pieces:
            return np.zeros((1,) * 10, holder(self.dtype))
        return pieces[0] if len(pieces) == 1 else _sum(pieces, self.dtype)


def _sum(pieces: list[NDArray[Any]], dtype: str) -> NDArray[Any]:
    if dtype != "bfloat16":
        return np.add(*pieces)
    total = np.add(*(from_bfloat16(np.ascontiguousarray(piece)) for piece in pieces)).astype(np.float32)
    return to_bfloat16(total).astype(HOLDERS[dtype])


def zero(source: Source, reader: Reader) -> bool:
    """Return whether all numbers of a piece are zero."""
    whole = source.axes.restored(reader.array(source.entry), source.lengths)
    flat = whole.reshape(1, whole.shape[0] * whole.shape[1], *whole.shape[2:])
    return not np.any(flat[:, source.number])
