"""The tensors of a ``torch.nn.Module``, as ``load_state_dict`` names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from convpolicy.conversion.models.kinds import COUNT, GATES, ModelModule, ModelTensors, Parameter, count_of, other, stored
from convpolicy.frameworks.torch.tensor_names import (
    BIAS,
    BY_COLUMNS,
    NORMALIZED,
    SCALE,
    SHIFT,
    STATISTICS,
    TRANSPOSED,
    WEIGHT,
    recurrent,
)
from convpolicy.frameworks.torch.values import dtype_name

Rows = tuple[tuple[str, str, str], ...]
BATCH_NORM: Rows = (SCALE, SHIFT, *STATISTICS, ("num_batches_tracked", COUNT, "*"))
LINEAR: Rows = (("weight", "weight", "O I"), BIAS)
# Class -> kind and tensors
CLASSES: dict[type, tuple[str, Rows]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), ("convolution", (WEIGHT, BIAS))),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), ("transposed convolution", (TRANSPOSED, BIAS))),
    nn.Linear: ("linear", LINEAR),
    nn.modules.batchnorm._BatchNorm: ("batch norm", BATCH_NORM),
    nn.modules.instancenorm._InstanceNorm: ("group norm", (SCALE, SHIFT)),
    nn.GroupNorm: ("group norm", (SCALE, SHIFT)),
    nn.LayerNorm: ("layer norm", (SCALE, SHIFT)),
    nn.RMSNorm: ("rms norm", (SCALE,)),
    nn.Embedding: ("embedding", (("weight", "weight", "*"),)),
    nn.PReLU: ("prelu", (("weight", "weight", "O"),)),
    nn.MultiheadAttention: (
        "attention",
        (
            ("in_proj_weight", "weight_q weight_k weight_v", "SHD I"),
            ("in_proj_bias", "bias_q bias_k bias_v", "SHD"),
            ("out_proj.weight", "weight_o", "O HD"),
            ("out_proj.bias", "bias_o", "O"),
        ),
    ),
    nn.LSTMCell: ("lstm", tuple(recurrent("lstm"))),
    nn.GRUCell: ("gru", tuple(recurrent("gru"))),
    nn.RNNCell: ("rnn", tuple(recurrent("rnn"))),
}
CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn", "RNN_RELU": "rnn"}


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a ``torch.nn.Module``.

    Args:
        model: the model.
        suffix: suffix of the file, which has no influence on the names.
    """
    del suffix
    if not isinstance(model, nn.Module):
        return None
    state = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, torch.Tensor)}
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, value in state.items():
        known = first.setdefault(id(value), name)
        if known != name:
            tied[name] = known
    left = {name: value for name, value in state.items() if name not in tied}
    modules = [row for path, module in model.named_modules() for row in _modules(path, module, left)]
    rows = [*modules, *(other(name, value.shape, dtype_name(value.dtype)) for name, value in left.items())]
    order = {name: at for at, name in enumerate(state)}
    rows.sort(key=lambda row: min(order[one.name] for one in row.parameters))
    return ModelTensors(tuple(rows), tied)


def _modules(path: str, module: nn.Module, left: dict[str, torch.Tensor]) -> Iterator[ModelModule]:
    """Yield the rows of one module, and take its tensors out of ``left``."""
    start = f"{path}." if path else ""
    if isinstance(module, nn.RNNBase):
        if not getattr(module, "proj_size", 0):
            yield from _recurrent(path, start, module, left)
        return
    kind, rows = next((CLASSES[base] for base in type(module).__mro__ if base in CLASSES), ("", ()))
    if type(module).__name__ == "Conv1D" and type(module).__module__.startswith("transformers."):
        kind, rows = "linear", BY_COLUMNS
    if not kind and type(module).__name__.endswith("RMSNorm"):  # of transformers, for example
        kind, rows = "rms norm", (SCALE,)
    for lengths, directions in NORMALIZED:
        if f"{start}{directions}" not in left:
            continue
        if kind == "linear":  # other frameworks normalize no linear weight, so its tensors are matched by name
            return
        if rows[:1] in ((WEIGHT,), (TRANSPOSED,)):
            axes = rows[0][2]
            rows = ((lengths, "lengths", "*"), (directions, "directions", axes), BIAS)
    known = {"G": count_of(module, "groups"), "H": count_of(module, "num_heads")}
    row = _row(path, kind, start, rows, left, known)
    if row is not None:
        yield row


def _row(
    path: str, kind: str, start: str, rows: Rows, left: dict[str, torch.Tensor], known: dict[str, int], *, reverse: bool = False
) -> ModelModule | None:
    parameters = []
    for name, pieces, axes in rows:
        value = left.pop(f"{start}{name}", None)
        if value is not None:
            parameters.append(
                Parameter(f"{start}{name}", tuple(value.shape), dtype_name(value.dtype), stored(name, pieces, axes))
            )
    return ModelModule(path, kind, tuple(parameters), known, reverse) if parameters else None


def _recurrent(path: str, start: str, module: nn.RNNBase, left: dict[str, torch.Tensor]) -> Iterator[ModelModule]:
    cell = CELLS[module.mode]
    assert cell in GATES
    for number in range(module.num_layers):
        for ending in ("", "_reverse") if module.bidirectional else ("",):
            layer = f"{start}l{number}" if module.num_layers > 1 else path
            rows = tuple(recurrent(cell, f"_l{number}{ending}"))
            row = _row(layer, cell, start, rows, left, {}, reverse=bool(ending))
            if row is not None:
                yield row
