"""The tensors of a ``mindspore.nn.Cell``, as ``load_param_into_net`` names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mindspore import mint, nn

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, count_of, other, stored
from convpolicy.frameworks.mindspore import tensor_names as names

# Class -> kind and tensors
CLASSES: dict[type, tuple[str, names.Rows]] = {
    nn.Conv1d: ("convolution", names.CONV1D),
    **dict.fromkeys((nn.Conv2d, nn.Conv3d, mint.nn.Conv1d, mint.nn.Conv2d, mint.nn.Conv3d), ("convolution", names.CONVOLUTION)),
    nn.Conv1dTranspose: ("transposed convolution", names.TRANSPOSED1D),
    **dict.fromkeys(
        (nn.Conv2dTranspose, nn.Conv3dTranspose, mint.nn.ConvTranspose2d), ("transposed convolution", names.TRANSPOSED)
    ),
    nn.Dense: ("linear", names.LINEAR),
    mint.nn.Linear: ("linear", names.LINEAR),
    nn.BatchNorm1d: ("batch norm", names.BATCH_NORM),
    nn.BatchNorm2d: ("batch norm", names.BATCH_NORM),
    nn.BatchNorm3d: ("batch norm", names.BATCH_NORM),
    mint.nn.BatchNorm1d: ("batch norm", names.MINT_BATCH_NORM),
    mint.nn.BatchNorm2d: ("batch norm", names.MINT_BATCH_NORM),
    mint.nn.BatchNorm3d: ("batch norm", names.MINT_BATCH_NORM),
    nn.LayerNorm: ("layer norm", (names.SCALE, names.SHIFT)),
    mint.nn.LayerNorm: ("layer norm", (names.MINT_SCALE, names.MINT_SHIFT)),
    nn.GroupNorm: ("group norm", (names.SCALE, names.SHIFT)),
    mint.nn.GroupNorm: ("group norm", (names.MINT_SCALE, names.MINT_SHIFT)),
    nn.Embedding: ("embedding", names.EMBEDDING),
    mint.nn.Embedding: ("embedding", names.MINT_EMBEDDING),
    nn.PReLU: ("prelu", (("w", "weight", "O"), ("a", "weight", "O"))),
    nn.MultiheadAttention: ("attention", names.ATTENTION),
    nn.LSTMCell: ("lstm", tuple(names.recurrent("lstm"))),
    nn.GRUCell: ("gru", tuple(names.recurrent("gru"))),
    nn.RNNCell: ("rnn", tuple(names.recurrent("rnn"))),
}
STACKS: dict[type, str] = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn"}


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a Cell.

    Args:
        model: the model.
        suffix: suffix of the file, which has no influence on the names.
    """
    del suffix
    if not isinstance(model, nn.Cell):
        return None
    left = model.parameters_dict()
    order = {name: at for at, name in enumerate(left)}
    rows = [row for path, cell in model.cells_and_names() for row in _cells(path, cell, left)]
    rows += [other(name, value.shape, _dtype(value)) for name, value in left.items()]
    rows.sort(key=lambda row: min(order[one.name] for one in row.parameters))
    return ModelTensors(tuple(rows))


def _dtype(value: Any) -> str:
    return str(value.dtype).lower()


def _cells(path: str, cell: Any, left: dict[str, Any]) -> Iterator[ModelModule]:
    """Yield the rows of one cell, and take its tensors out of ``left``."""
    stack = next((STACKS[base] for base in type(cell).__mro__ if base in STACKS), "")
    if stack:
        for number in range(cell.num_layers):
            for ending in ("", "_reverse") if cell.bidirectional else ("",):
                layer = f"{path}.l{number}" if cell.num_layers > 1 else path
                row = _row(layer, stack, cell, names.recurrent(stack, f"_l{number}{ending}"), left, reverse=bool(ending))
                if row is not None:
                    yield row
        return
    kind, rows = next((CLASSES[base] for base in type(cell).__mro__ if base in CLASSES), ("", ()))
    row = _row(path, kind, cell, rows, left)
    if row is not None:
        yield row


def _row(path: str, kind: str, cell: Any, rows: Any, left: dict[str, Any], *, reverse: bool = False) -> ModelModule | None:
    inside = {id(value): name for name, value in left.items()}
    parameters = []
    for name, pieces, axes in rows:
        value = _value(cell, name)
        found = inside.get(id(value)) if value is not None else None
        if found is not None:
            parameters.append(Parameter(found, tuple(left.pop(found).shape), _dtype(value), stored(name, pieces, axes)))
    known = {"G": count_of(cell, "group", "groups"), "H": count_of(cell, "num_heads")}
    return ModelModule(path, kind, tuple(parameters), known, reverse) if parameters else None


def _value(cell: Any, name: str) -> Any:
    for part in name.split("."):
        cell = getattr(cell, part, None)
    return cell
