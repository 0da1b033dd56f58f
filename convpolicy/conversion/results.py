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


@attrs.frozen
class Loading:
    """What a model finds in the output.

    Attributes:
        loaded: names of the tensors of the output; the model has each of them in the same shape.
        missing: names of tensors of the model that the output does not have.
        unexpected: names of tensors of the input that the model does not have; the output does not have them either.
        shape: tensors of the model whose shape disagrees with the input: name in the model, name in the input, shape in the input in its
            own axes, shape in the model. The output does not have them.
    """

    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shape: tuple[tuple[str, str, tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def complete(self) -> bool:
        """True if the model finds every tensor and the input has no other."""
        return not (self.missing or self.unexpected or self.shape)

    def __str__(self) -> str:
        lines = [
            f"{len(self.loaded)} loaded, {len(self.missing)} missing, {len(self.unexpected)} unexpected, {len(self.shape)} of another shape"
        ]
        lines += [f"missing: {name}" for name in self.missing]
        lines += [f"unexpected: {name}" for name in self.unexpected]
        lines += [f"shape: {old} {shape} does not fit {name} {own}" for name, old, shape, own in self.shape]
        return "\n".join(lines)


@attrs.frozen(repr=False)
class Conversion:
    """Report of a conversion; print it for a summary.

    Attributes:
        output: path of the file that was written.
        source, target: names of the policies or layouts of the input and the output.
        tensors: one `Converted` per tensor, in the order of the file.
        notes: warnings about the output, as sentences.
        loading: what the model that was passed as ``model`` finds in the output; None without a model.
    """

    output: Path
    source: str
    target: str
    tensors: tuple[Converted, ...]
    notes: tuple[str, ...]
    loading: Loading | None = None

    @property
    def loaded(self) -> tuple[str, ...]:
        """`Loading.loaded`; empty without a model."""
        return () if self.loading is None else self.loading.loaded

    @property
    def missing(self) -> tuple[str, ...]:
        """`Loading.missing`; empty without a model."""
        return () if self.loading is None else self.loading.missing

    @property
    def unexpected(self) -> tuple[str, ...]:
        """`Loading.unexpected`; empty without a model."""
        return () if self.loading is None else self.loading.unexpected

    @property
    def shape(self) -> tuple[tuple[str, str, tuple[int, ...], tuple[int, ...]], ...]:
        """`Loading.shape`; empty without a model."""
        return () if self.loading is None else self.loading.shape

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
        if self.loading is not None:
            moved = [f"{tensor.old} -> {tensor.name}: {tensor.axes or 'unchanged'}, {tensor.shape}" for tensor in self.tensors]
            return "\n".join([*moved, str(self.loading), *self.notes])
        lines = [f"{tensor.old} -> {tensor.name}: {tensor.axes}, {tensor.shape} ({tensor.why})" for tensor in self.weights]
        return "\n".join([*lines, f"{len(self.tensors) - len(lines)} other tensors copied", *self.notes])
