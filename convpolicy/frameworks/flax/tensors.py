"""The tensors of a ``flax.nnx.Module``: its parameters and statistics, under their paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
from flax import nnx

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, count_of, other, stored
from convpolicy.frameworks.flax import tensor_names as names

# Class -> kind and tensors
CLASSES: dict[type, tuple[str, names.Rows]] = {
    nnx.Conv: ("convolution", names.CONVOLUTION),
    nnx.Linear: ("linear", names.LINEAR),
    nnx.BatchNorm: ("batch norm", names.BATCH_NORM),
    nnx.LayerNorm: ("layer norm", (names.SCALE, names.SHIFT)),
    nnx.GroupNorm: ("group norm", (names.SCALE, names.SHIFT)),
    nnx.InstanceNorm: ("group norm", (names.SCALE, names.SHIFT)),
    nnx.RMSNorm: ("rms norm", (names.SCALE,)),
    nnx.Embed: ("embedding", names.EMBEDDING),
    nnx.MultiHeadAttention: ("attention", names.ATTENTION),
    nnx.LSTMCell: ("lstm", names.LSTM),
    nnx.OptimizedLSTMCell: ("lstm", names.OPTIMIZED_LSTM),
    nnx.GRUCell: ("gru", names.GRU),
    nnx.SimpleCell: ("rnn", names.RNN),
    nnx.PReLU: ("prelu", (("negative_slope", "weight", "*"),)),
}
CONTAINERS = (list, tuple, dict)
Values = dict[tuple[str, ...], Any]


def tensors(model: Any, suffix: str) -> ModelTensors | None:
    """Return the tensors of a model; None for an object that is not a ``flax.nnx.Module``.

    Args:
        model: the model.
        suffix: suffix of the file; in ``.msgpack`` the separator of paths is ``/``.
    """
    if not isinstance(model, nnx.Module):
        return None
    separator = "/" if suffix == ".msgpack" else "."
    state = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
    left: Values = {tuple(map(str, path)): _value(value) for path, value in state if _is_array(_value(value))}
    rows = list(_rows(model, (), left, set(), separator, reverse=False))
    rows += [other(separator.join(path), value.shape, str(value.dtype)) for path, value in left.items()]
    return ModelTensors(tuple(rows))


def _value(value: Any) -> Any:
    return value.value if isinstance(value, nnx.Variable) else value


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _rows(
    module: Any, path: tuple[str, ...], left: Values, seen: set[int], separator: str, *, reverse: bool
) -> Iterator[ModelModule]:
    if id(module) in seen:
        return
    seen.add(id(module))
    kind, rows = _kind(module)
    if rows:
        parameters = []
        for name, pieces, axes in rows:
            full = (*path, *name.split("."))
            value = left.pop(full, None)
            if value is not None:
                parameters.append(
                    Parameter(separator.join(full), tuple(value.shape), str(value.dtype), stored(name, pieces, axes))
                )
        if parameters:
            known = {"G": count_of(module, "feature_group_count"), "H": count_of(module, "num_heads")}
            yield ModelModule(separator.join(path), kind, tuple(parameters), known, reverse)
            return
    for name, child in _children(module):
        backward = bool(getattr(child, "reverse", False)) if isinstance(child, nnx.RNN) else False
        yield from _rows(child, (*path, name), left, seen, separator, reverse=reverse or backward or name == "backward_rnn")


def _kind(module: Any) -> tuple[str, names.Rows]:
    if isinstance(module, nnx.ConvTranspose):
        return "transposed convolution", names.TRANSPOSE_KERNEL if module.transpose_kernel else names.TRANSPOSED
    return next((CLASSES[base] for base in type(module).__mro__ if base in CLASSES), ("", ()))


def _children(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a module in the order in which they were made."""
    if isinstance(module, (list, tuple)) or type(module).__name__ == "List":
        items: Any = enumerate(module)
    elif isinstance(module, dict):
        items = module.items()
    else:
        items = vars(module).items() if isinstance(module, nnx.Module) else ()
    return ((str(name), child) for name, child in items if isinstance(child, (nnx.Module, *CONTAINERS)))
