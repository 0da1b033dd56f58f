"""What the modules of a ``torch.nn.Module`` compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convpolicy.frameworks.torch.described import described
from convpolicy.frameworks.torch.functions import Functions
from convpolicy.frameworks.torch.values import as_numpy, as_tensor
from convpolicy.models.description import Description
from convpolicy.models.reader import Reader, Record

# Kind and setting -> attribute of the module and, where the two have other values, a function from the setting to the attribute.
ATTRIBUTES: dict[tuple[str, str], str] = {
    ("batch norm", "eps"): "eps = {}",
    ("batch norm", "momentum"): "momentum = 1 - {}",
    ("layer norm", "eps"): "eps = {}",
    ("rms norm", "eps"): "eps = {}",
    ("group norm", "eps"): "eps = {}",
    ("group norm", "groups"): "num_groups = {}",
    ("activation", "slope"): "negative_slope = {}",
    ("activation", "axis"): "dim = {}",
    ("pooling", "ceil_mode"): "ceil_mode = {}",
    ("pooling", "count_padding"): "count_include_pad = {}",
    ("pooling", "kernel_size"): "kernel_size = {}",
    ("pooling", "stride"): "stride = {}",
    ("upsampling", "align_corners"): "align_corners = {}",
    ("dropout", "rate"): "p = {}",
}
FUNCTIONS = {  # function -> its module
    "gelu": "nn.GELU()",
    "gelu by tanh": "nn.GELU('tanh')",
    "relu": "nn.ReLU()",
    "relu6": "nn.ReLU6()",
    "silu": "nn.SiLU()",
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "hard sigmoid": "nn.Hardsigmoid()",
    "hard swish": "nn.Hardswish()",
    "elu": "nn.ELU()",
    "selu": "nn.SELU()",
    "softplus": "nn.Softplus()",
    "softsign": "nn.Softsign()",
    "mish": "nn.Mish()",
    "leaky relu": "nn.LeakyReLU()",
    "identity": "nn.Identity()",
    "gelu by sigmoid": "transformers.activations.QuickGELUActivation()",
}
INACTIVE = {("batch norm", "batch_statistics"), ("dropout", "active")}


class TorchReader(Reader):
    """Reads a ``torch.nn.Module``."""

    channels = 1

    def children(self, module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
        """Yield the named children."""
        return module.named_children()

    def classes(self) -> Iterable[type]:
        """Return the base class, whose ``__call__`` runs every module."""
        return (nn.Module,)

    def describe(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a module computes; None for a convolution whose forward was replaced by one that takes other data."""
        del kwargs
        description = described(module)
        data = args[0] if args and isinstance(args[0], Tensor) and isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)) else None
        fits = data is None or (data.dim() in (2, 3) and data.shape[-2] == module.in_channels)
        return description if fits else None

    def is_tensor(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, Tensor)

    def numbers(self, tensor: Tensor) -> NDArray[Any]:
        """Return a copy of a tensor."""
        return np.array(as_numpy(tensor.detach().cpu()))

    def tensor(self, data: NDArray[Any], like: Tensor) -> Tensor:
        """Return an array as a tensor like another one."""
        return as_tensor(np.array(data)).to(like.device, like.dtype)

    def inputs(self, data: NDArray[Any]) -> Tensor:
        """Return an array as an input; floating numbers have the dtype and the device of the first floating parameter."""
        first = next((p for p in self.model.parameters() if p.is_floating_point()), torch.empty(0))
        dtype = first.dtype if data.dtype.kind == "f" else torch.long if data.dtype.kind in "iu" else None
        return as_tensor(np.array(data)).to(first.device, dtype)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Without gradients; random state and buffers are restored."""
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        with torch.random.fork_rng(devices=()), torch.no_grad():
            try:
                yield
            finally:
                for buffer, value in buffers:
                    buffer.copy_(value)

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``torch.nn.functional.gelu``."""
        return Functions(record)

    def training(self) -> bool:
        """Return the model's mode."""
        return bool(self.model.training)

    def replacement(self, path: str, code: str) -> str:
        """Return the line that replaces a module."""
        return f"model.set_submodule({path!r}, {code})"

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        module = f"model.get_submodule({path!r})"
        if (kind, setting) in INACTIVE:
            return f"{module}.{'train' if value else 'eval'}()"
        if setting == "function" and value in FUNCTIONS:
            return self.replacement(path, FUNCTIONS[value])
        if setting in ("weight", "bias", "scale", "shift", "mean", "variance"):
            return f"{module}.{ARRAYS.get((kind, setting), setting)}.data.copy_(…)  # the values of a"
        line = ATTRIBUTES.get((kind, setting))
        return f"{module}.{line.format(value)}" if line else ""


ARRAYS = {
    ("batch norm", "mean"): "running_mean",
    ("batch norm", "variance"): "running_var",
    **{(kind, "scale"): "weight" for kind in ("batch norm", "layer norm", "rms norm", "group norm")},
    **{(kind, "shift"): "bias" for kind in ("batch norm", "layer norm", "group norm")},
}


def reader(model: Any) -> TorchReader | None:
    """Return the reader of a model; None for an object that is not a ``torch.nn.Module``."""
    return TorchReader(model) if isinstance(model, nn.Module) else None
