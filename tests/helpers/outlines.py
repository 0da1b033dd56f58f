"""A torch model without its arithmetic: the layers under their paths, from which its twin in another framework is built.

A twin has the same layers under the same paths, in containers of its framework. A layer that the framework lacks is a module of the
user's own there: it has torch's parameters, under torch's names and in torch's axes. So have modules that no framework has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

LISTS = (nn.Sequential, nn.ModuleList)
Values = dict[str, tuple[tuple[int, ...], str]]  # name -> shape and dtype


@attrs.frozen(eq=False)
class Part:
    """A module.

    Attributes:
        kind: kind of layer, such as ``"conv"``; empty for a module that contains others, ``"list"`` for a list of modules.
        sizes: what the layer is built with.
        parts: the modules inside, by name.
        values: the parameters and persistent buffers that are directly inside.
        by_columns: True for a linear module whose weight is (in, out) in torch.
    """

    kind: str
    sizes: dict[str, Any]
    parts: dict[str, Part]
    values: Values
    by_columns: bool = False


def outline(model: nn.Module) -> Part:
    """Return the parts of a torch model, one object for a module that is in two places."""
    return _part(model, {})


def _part(module: nn.Module, seen: dict[int, Part]) -> Part:
    if id(module) in seen:
        return seen[id(module)]
    values = {
        name: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in module.state_dict(keep_vars=True).items()
        if "." not in name and isinstance(value, torch.Tensor)
    }
    kind, sizes = next(((kind, read(module)) for base, kind, read in KINDS if isinstance(module, base)), ("", {}))
    by_columns = type(module).__name__ == "Conv1D"  # of GPT-2
    if by_columns:
        kind, sizes = "linear", {"inputs": module.nx, "outputs": module.nf, "bias": True}
    if type(module).__name__.endswith("RMSNorm"):
        kind, sizes = "rms norm", {"channels": len(module.weight)}
    parts = {} if kind not in ("", "list") else {name: _part(child, seen) for name, child in module.named_children()}
    seen[id(module)] = Part(kind, sizes, parts, values, by_columns)
    return seen[id(module)]


def _conv(module: Any) -> dict[str, Any]:
    return {
        "inputs": module.in_channels, "outputs": module.out_channels, "kernel": tuple(module.kernel_size),
        "stride": tuple(module.stride), "dilation": tuple(module.dilation), "groups": module.groups, "bias": module.bias is not None,
    }  # fmt: skip


def _recurrent(module: Any) -> dict[str, Any]:
    return {
        "inputs": module.input_size, "outputs": module.hidden_size, "layers": module.num_layers, "both": module.bidirectional,
    }  # fmt: skip


KINDS: tuple[tuple[Any, str, Callable[[Any], dict[str, Any]]], ...] = (
    (LISTS, "list", lambda module: {}),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv", _conv),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d), "up", _conv),
    (nn.Linear, "linear", lambda module: {"inputs": module.in_features, "outputs": module.out_features, "bias": module.bias is not None}),
    (nn.modules.batchnorm._BatchNorm, "batch norm", lambda module: {"channels": module.num_features}),
    (nn.LayerNorm, "layer norm", lambda module: {"channels": module.normalized_shape[-1], "affine": module.weight is not None}),
    (nn.GroupNorm, "group norm", lambda module: {"groups": module.num_groups, "channels": module.num_channels}),
    (nn.Embedding, "embedding", lambda module: {"number": module.num_embeddings, "channels": module.embedding_dim}),
    (nn.PReLU, "prelu", lambda module: {"number": module.num_parameters}),
    (nn.LSTM, "lstm", _recurrent),
    (nn.GRU, "gru", _recurrent),
)  # fmt: skip


class Builder:
    """Builds the twin of an outline; a subclass for each framework has a method for each kind of layer.

    Attributes:
        layers: path -> the part, and the framework's own layer.
        own: paths of layers that are modules of the user's own, because the framework lacks them.
        others: path -> the part and the module, for modules of the user's own with parameters.
    """

    def __init__(self) -> None:
        self.layers: dict[str, tuple[Part, Any]] = {}
        self.others: dict[str, tuple[Part, Any]] = {}
        self.own: list[str] = []
        self._made: dict[int, Any] = {}

    def build(self, part: Part, path: str = "") -> Any:
        """Return the twin of a part."""
        if id(part) not in self._made:
            self._made[id(part)] = self._layer(part, path)
        return self._made[id(part)]

    def _layer(self, part: Part, path: str) -> Any:
        inner = {name: self.build(child, f"{path}.{name}" if path else name) for name, child in part.parts.items()}
        if part.kind == "list":
            return self.several(list(inner.values()))
        layer = getattr(self, part.kind.replace(" ", "_"))(**part.sizes) if part.kind else None
        if layer is not None:
            self.layers[path] = part, layer
            return layer
        if part.kind:
            self.own.append(path)
        module = self.module(inner, part.values)
        if part.values:
            self.others[path] = part, module
        return module

    def several(self, items: list[Any]) -> Any:
        """Return a list of modules, as the framework has them."""
        return items

    def module(self, parts: dict[str, Any], values: Values) -> Any:
        """Return a module with parts and parameters."""
        raise NotImplementedError

    def rule(self, part: Part, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the arrays that a layer must have: attribute, with parts separated by dots -> array.

        Args:
            part: the layer.
            tensors: torch's tensors of the layer.
        """
        raise NotImplementedError

    def array(self, value: Any) -> NDArray[Any]:
        """Return a parameter of the framework as a NumPy array."""
        return np.asarray(value)

    def value(self, module: Any, name: str) -> NDArray[Any]:
        """Return a parameter of a module by its attribute, with parts separated by dots."""
        for part in name.split("."):
            module = module[int(part)] if part.isdigit() else getattr(module, part)
        return self.array(module)


def gates(array: NDArray[Any], order: str) -> NDArray[Any]:
    """Return a tensor of a GRU, whose gates torch has in the order r, z, n, with another order."""
    rows = dict(zip("rzn", np.split(array, 3)))
    return np.concatenate([rows[gate] for gate in order])


def cells(part: Part, tensors: dict[str, NDArray[Any]]) -> Iterator[tuple[str, bool, tuple[NDArray[Any], ...]]]:
    """Yield each layer and direction of a recurrent module.

    Yields:
        The number and a dot if there are several layers, whether it reads from the end, and torch's two weights and two biases.
    """
    for number in range(part.sizes["layers"]):
        for reverse in (False, True)[: 1 + part.sizes["both"]]:
            ending = f"_l{number}{'_reverse' * reverse}"
            rows = tuple(tensors[f"{kind}_{side}{ending}"] for kind in ("weight", "bias") for side in ("ih", "hh"))
            yield f"{number}." if part.sizes["layers"] > 1 else "", reverse, rows
