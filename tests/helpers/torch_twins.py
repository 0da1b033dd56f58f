"""Torch modules with the weights of modules of other frameworks, whose channels are on the last axis."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class Last(nn.Module):
    """A module that has its channels on the last axis, in a model that has them on axis 1."""

    def __init__(self, inner, back=True):
        super().__init__()
        self.inner, self.back = inner, back

    def forward(self, x):
        y = self.inner(x.transpose(1, 2))
        y = y[0] if isinstance(y, tuple) else y
        return y.transpose(1, 2) if self.back else y


def _gates(array, order):
    """Reorder the blocks of the last axis."""
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[at] for at in order], axis=-1)


def _recurrent(module, arrays):
    order = (1, 0, 2) if isinstance(module, nn.GRU) else (0, 1, 2, 3)  # Keras's GRU has update, reset, new
    bias = np.atleast_2d(arrays["bias"])
    bias = bias if len(bias) == 2 else np.concatenate([bias, 0 * bias])
    return {
        "weight_ih_l0": _gates(arrays["kernel"], order).T,
        "weight_hh_l0": _gates(arrays["recurrent_kernel"], order).T,
        **{f"bias_{name}_l0": _gates(row, order) for name, row in zip(("ih", "hh"), bias, strict=True)},
    }


def _normal(arrays):
    names = {"weight": ("gamma", "scale"), "bias": ("beta", "bias"), "running_mean": ("moving_mean", "mean"),
             "running_var": ("moving_variance", "var")}  # fmt: skip
    return {name: arrays[other] for name, others in names.items() for other in others if other in arrays}


def _arrays(module, arrays):
    """Return the parameters of a torch module, by their names."""
    if isinstance(module, (nn.LSTM, nn.GRU)):
        return _recurrent(module, arrays)
    if isinstance(module, nn.Linear):
        return {"weight": arrays["kernel"].T, "bias": arrays["bias"]}
    if isinstance(module, nn.modules.conv._ConvNd):
        kernel = arrays["kernel"]
        if getattr(module, "groups", 1) == module.in_channels > 1:  # (kernel, in, multiplier)
            return {"weight": kernel.transpose(1, 2, 0).reshape(module.weight.shape), "bias": arrays["bias"]}
        turned = kernel.transpose(-1, -2, *range(kernel.ndim - 2))
        return {"weight": turned, "bias": arrays["bias"]}
    if isinstance(module, nn.Embedding):
        return {"weight": arrays["embeddings"] if "embeddings" in arrays else arrays["embedding"]}
    if isinstance(module, nn.PReLU):
        return {"weight": np.reshape(arrays["alpha"] if "alpha" in arrays else arrays["negative_slope"], -1)}
    return _normal(arrays)


def load(module, arrays):
    """Write the arrays of a layer, by their names in its framework, into a torch module."""
    inner = module.inner if isinstance(module, Last) else module
    own = {**dict(inner.named_parameters()), **dict(inner.named_buffers())}
    values = _arrays(inner, arrays) if own else {}
    assert set(values) == set(own) - {"num_batches_tracked"}, (sorted(values), sorted(own))
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(torch.from_numpy(np.array(value, dtype=np.float32)))
    return module


def network():
    """A model that Keras and Flax can hold as well; the others load its parts from it by `load`."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.GELU(), nn.Conv1d(8, 8, 3, padding=1),
        Last(nn.LayerNorm(8)), nn.ReLU(), nn.Dropout(0.2), nn.MaxPool1d(2), nn.GroupNorm(2, 8), nn.AvgPool1d(3, 1, 1),
        nn.LeakyReLU(0.1), Last(nn.Flatten(), back=False), nn.Linear(8 * 16, 10), nn.Softmax(-1), nn.Linear(10, 10),
    ).eval()  # fmt: skip


SHAPE = (3, 4, 64)


def numbers(shape=SHAPE, seed=0):
    """Return a random input."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def weights(shape, name, seed=0):
    """Return random values of a variable; scales, slopes and variances are positive."""
    random = np.random.default_rng([seed, *name.encode()])
    if any(word in name for word in ("gamma", "scale", "var", "alpha", "slope")):
        return random.random(shape, dtype=np.float32) + 0.5
    return random.standard_normal(shape, dtype=np.float32) * 0.3
