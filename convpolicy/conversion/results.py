"""The result of `convert`: a report about every tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Converted:
    """Report of one converted tensor.

    Attributes:
        name: name in the output.
        old: name in the input. A folded weight was two tensors there; this is the name of the directions.
        shape: shape in the output.
        dtype: dtype in the output.
        axes: axes of a weight before and after, such as ``"OIW -> OI1W"``, with ``", reversed"`` if the kernel axis changes its
            direction; empty for every other tensor.
        why: how the weight was selected: ``layer``, ``map PATTERN``, ``transposed PATTERN``, ``stamp`` or ``guessed``.
        folded: True when the two tensors of weight normalisation were replaced by the plain weight.
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
    """Report of a conversion; print it for a summary.

    Attributes:
        output: path of the file that was written.
        source, target: names of the policies or layouts of the input and the output.
        tensors: one `Converted` per tensor, in the order of the file.
        notes: warnings about the output, as sentences.
    """

    output: Path
    source: str
    target: str
    tensors: tuple[Converted, ...]
    notes: tuple[str, ...]

    @property
    def weights(self) -> tuple[Converted, ...]:
        """The tensors that were converted as weights of a Conv1d or ConvTranspose1d."""
        return tuple(tensor for tensor in self.tensors if tensor.axes)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary of plain data, for JSON."""
        return attrs.asdict(self) | {"output": str(self.output)}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table, text  # here: only notebooks need it

        rows = [(tensor.old, tensor.name, tensor.axes or "unchanged", tensor.shape, tensor.dtype) for tensor in self.tensors]
        return table(("from", "to", "axes", "shape", "dtype"), rows, repr(self)) + (
            text("\n".join(self.notes)) if self.notes else ""
        )

    def __repr__(self) -> str:
        return f"Conversion({str(self.output)!r}: {len(self.weights)} weights from {self.source} to {self.target}, {len(self.tensors)} tensors)"

    def __str__(self) -> str:
        lines = [f"{tensor.old} -> {tensor.name}: {tensor.axes}, {tensor.shape} ({tensor.why})" for tensor in self.weights]
        return "\n".join([*lines, f"{len(self.tensors) - len(lines)} other tensors copied", *self.notes])
