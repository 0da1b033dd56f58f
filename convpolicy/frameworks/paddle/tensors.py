"""The tensors of a ``paddle.nn.Layer``, as ``set_state_dict`` names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paddle import nn

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, other, stored
from convpolicy.frameworks.paddle import tensor_names as names

# Class -> kind and tensors
CLASSES: dict[type, tuple[str, names.Rows]] = {
    **dict.fromkeys((nn.Conv1D, nn.Conv2D, nn.Conv3D), ("convolution", names.CONVOLUTION)),
    **dict.fromkeys((nn.Conv1DTranspose, nn.Conv2DTranspose, nn.Conv3DTranspose), ("transposed convolution", names.TRANSPOSED)),
    nn.Linear: ("linear", names.LINEAR),
    **dict.fromkeys((nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.BatchNorm), ("batch norm", names.BATCH_NORM)),
    **dict.fromkeys((nn.InstanceNorm1D, nn.InstanceNorm2D, nn.InstanceNorm3D), ("group norm", names.INSTANCE_NORM)),
    nn.LayerNorm: ("layer norm", names.NORM),
    nn.GroupNorm: ("group norm", names.NORM),
    nn.Embedding: ("embedding", names.EMBEDDING),
    nn.PReLU: ("prelu", names.PRELU),
    nn.MultiHeadAttention: ("attention", names.ATTENTION),
    nn.LSTMCell: ("lstm", tuple(names.recurrent("lstm"))),
    nn.GRUCell: ("gru", tuple(names.recurrent("gru"))),
    nn.SimpleRNNCell: ("rnn", tuple(names.recurrent("rnn"))),
}
STACKS: dict[type, str] = {nn.LSTM: "lstm", nn.GRU: "gru", nn.SimpleRNN: "rnn"}


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a ``paddle.nn.Layer``.

    Args:
        model: the model.
        suffix: suffix of the file, which has no influence on the names.
    """
    del suffix
    if not isinstance(model, nn.Layer):
        return None
    state = dict(model.state_dict())
    first: dict[int, str] = {}
    tied = {}
    for name, value in state.items():  # a recurrent layer has each tensor also under the name of its cell
        known = first.setdefault(id(value), name)
        if known != name:
            tied[name] = known
    left = {name: value for name, value in state.items() if name not in tied}
    rows = [row for path, layer in model.named_sublayers(include_self=True) for row in _layers(path, layer, left)]
    rows += [other(name, value.shape, _dtype(value)) for name, value in left.items()]
    order = {name: at for at, name in enumerate(state)}
    rows.sort(key=lambda row: min(order[one.name] for one in row.parameters))
    return ModelTensors(tuple(rows), tied)


def _dtype(value: Any) -> str:
    return str(value.dtype).rpartition(".")[2]


def _layers(path: str, layer: Any, left: dict[str, Any]) -> Iterator[ModelModule]:
    """Yield the rows of one layer, and take its tensors out of ``left``."""
    stack = next((STACKS[base] for base in type(layer).__mro__ if base in STACKS), "")
    if stack:
        for number in range(layer.num_layers):
            for ending in ("", "_reverse") if layer.num_directions == 2 else ("",):
                name = f"{path}.l{number}" if layer.num_layers > 1 else path
                row = _row(path, name, stack, layer, names.recurrent(stack, f"_l{number}{ending}"), left, reverse=bool(ending))
                if row is not None:
                    yield row
        return
    kind, rows = next((CLASSES[base] for base in type(layer).__mro__ if base in CLASSES), ("", ()))
    row = _row(path, path, kind, layer, rows, left)
    if row is not None:
        yield row


def _row(
    path: str, title: str, kind: str, layer: Any, rows: Any, left: dict[str, Any], *, reverse: bool = False
) -> ModelModule | None:
    start, parameters = f"{path}." if path else "", []
    for name, pieces, axes in rows:
        value = left.pop(f"{start}{name}", None)
        if value is not None:
            parameters.append(Parameter(f"{start}{name}", tuple(value.shape), _dtype(value), stored(name, pieces, axes)))
    known = {"G": int(getattr(layer, "_groups", 1) or 1), "H": int(getattr(layer, "num_heads", 1))}
    return ModelModule(title, kind, tuple(parameters), known, reverse) if parameters else None
