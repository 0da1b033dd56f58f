"""What `convert` returns: what became of every tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Converted:
    """What became of one tensor.

    Attributes:
        name, old: new and old name; of a folded weight the directions' old one.
        shape, dtype: new ones.
        axes: e.g. ``"OIW -> OI1W"``; empty for what is no weight of a Conv1d.
        why: how a weight was found: ``layer``, ``map PATTERN``, ``stamp`` or ``guessed``.
        folded: True when weight normalisation was multiplied out.
    """

    name: str
    old: str
    shape: tuple[int, ...]
    dtype: str
    axes: str = ""
    why: str = ""
    folded: bool = False


@attrs.frozen(repr=False)
class Conversion:
    """What `convert` did.

    Attributes:
        output: the file written.
        source, target: names of the policies or layouts.
        tensors: one `Converted` for each, in the order of the file.
        notes: what the result lacks or holds unexpectedly, as sentences.
    """

    output: Path
    source: str
    target: str
    tensors: tuple[Converted, ...]
    notes: tuple[str, ...]

    @property
    def weights(self) -> tuple[Converted, ...]:
        """The tensors that were selected as weights of a Conv1d."""
        return tuple(tensor for tensor in self.tensors if tensor.axes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return attrs.asdict(self) | {"output": str(self.output)}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only to show it

        rows = [(tensor.old, tensor.name, tensor.axes or "as it is", tensor.shape, tensor.dtype) for tensor in self.tensors]
        return table(("from", "to", "axes", "shape", "dtype"), rows, repr(self)) + (
            text("\n".join(self.notes)) if self.notes else ""
        )

    def __repr__(self) -> str:
        return f"Conversion({str(self.output)!r}: {len(self.weights)} weights from {self.source} to {self.target}, {len(self.tensors)} tensors)"

    def __str__(self) -> str:
        lines = [f"{tensor.old} -> {tensor.name}: {tensor.axes}, {tensor.shape} ({tensor.why})" for tensor in self.weights]
        return "\n".join([*lines, f"{len(self.tensors) - len(lines)} other tensors copied", *self.notes])
