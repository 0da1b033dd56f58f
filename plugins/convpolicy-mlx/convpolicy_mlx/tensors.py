"""The tensors of a ``mlx.nn.Module``, as ``load_weights`` names them."""

from __future__ import annotations

from typing import Any

from mlx import nn
from mlx.utils import tree_flatten

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, count_of, other, stored
from convpolicy_mlx import tensor_names as names

# Class -> kind and tensors
CLASSES: dict[type, tuple[str, names.Rows]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), ("convolution", names.CONVOLUTION)),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), ("transposed convolution", names.CONVOLUTION)),
    nn.Linear: ("linear", names.LINEAR),
    nn.BatchNorm: ("batch norm", names.BATCH_NORM),
    nn.LayerNorm: ("layer norm", names.NORM),
    nn.GroupNorm: ("group norm", names.NORM),
    nn.InstanceNorm: ("group norm", names.NORM),
    nn.RMSNorm: ("rms norm", names.NORM[:1]),
    nn.Embedding: ("embedding", names.EMBEDDING),
    nn.PReLU: ("prelu", (("weight", "weight", "O"),)),
    nn.MultiHeadAttention: ("attention", names.ATTENTION),
    nn.LSTM: ("lstm", names.LSTM),
    nn.GRU: ("gru", names.GRU),
    nn.RNN: ("rnn", names.RNN),
}


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a ``mlx.nn.Module``.

    Args:
        model: the model.
        suffix: suffix of the file, which has no influence on the names.
    """
    del suffix
    if not isinstance(model, nn.Module):
        return None
    state = dict(tree_flatten(model.parameters()))
    first: dict[int, str] = {}
    tied = {name: first[id(value)] for name, value in state.items() if first.setdefault(id(value), name) != name}
    left = {name: value for name, value in state.items() if name not in tied}
    rows, seen = [], set()
    for path, module in sorted(model.named_modules(), key=lambda row: row[0].count(".")):
        kind, tensor_rows = next((CLASSES[base] for base in type(module).__mro__ if base in CLASSES), ("", ()))
        if id(module) in seen or not kind:
            continue
        seen.add(id(module))
        start, parameters = f"{path}." if path else "", []
        for name, pieces, axes in tensor_rows:
            value = left.pop(f"{start}{name}", None)
            if value is not None:
                parameters.append(Parameter(f"{start}{name}", tuple(value.shape), _dtype(value), stored(name, pieces, axes)))
        if parameters:
            known = {"G": count_of(module, "groups"), "H": count_of(module, "num_heads")}
            rows.append(ModelModule(path, kind, tuple(parameters), known))
    order = {name: at for at, name in enumerate(state)}
    rows += [other(name, value.shape, _dtype(value)) for name, value in left.items()]
    rows.sort(key=lambda row: min(order[one.name] for one in row.parameters))
    return ModelTensors(tuple(rows), tied)


def _dtype(value: Any) -> str:
    return str(value.dtype).rpartition(".")[2]
