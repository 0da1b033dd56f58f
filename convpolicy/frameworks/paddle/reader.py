"""What the layers of a ``paddle.nn.Layer`` compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from convpolicy.frameworks.paddle.described import described, numbers
from convpolicy.frameworks.paddle.functions import KNOWN, SPACES
from convpolicy.models.description import Description
from convpolicy.models.functions import modules_of, place, recorded_functions
from convpolicy.models.reader import Reader, Record
from convpolicy.models.recording import paths_of

# Kind and setting -> the attribute of the layer and its value.
ATTRIBUTES: dict[tuple[str, str], str] = {
    **{(f"{kind} norm", "eps"): "_epsilon = {!r}" for kind in ("batch", "layer", "group")},
    ("batch norm", "momentum"): "_momentum = {!r}",
    ("group norm", "groups"): "_num_groups = {!r}",
    ("activation", "axis"): "_axis = {!r}",
    ("pooling", "kernel_size"): "kernel_size = {!r}",
    ("pooling", "stride"): "stride = {!r}",
    ("pooling", "padding"): "padding = list({!r})",
    ("pooling", "ceil_mode"): "ceil_mode = {!r}",
    ("pooling", "count_padding"): "exclusive = not {!r}",
    ("upsampling", "factor"): "scale_factor = [{!r}]",
    ("upsampling", "align_corners"): "align_corners = {!r}",
    ("padding", "mode"): "_mode = {!r}",
    ("padding", "value"): "value = {!r}",
    ("dropout", "rate"): "p = {!r}",
}
SLOPES = {nn.LeakyReLU: "_negative_slope", nn.ELU: "_alpha"}
FUNCTIONS = {  # function -> its layer
    "gelu": "GELU()",
    "gelu by tanh": "GELU(True)",
    "relu": "ReLU()",
    "relu6": "ReLU6()",
    "silu": "Silu()",
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "hard tanh": "Hardtanh()",
    "hard sigmoid": "Hardsigmoid()",
    "hard swish": "Hardswish()",
    "elu": "ELU()",
    "selu": "SELU()",
    "leaky relu": "LeakyReLU()",
    "softplus": "Softplus()",
    "softsign": "Softsign()",
    "mish": "Mish()",
    "log sigmoid": "LogSigmoid()",
    "identity": "Identity()",
}
ARRAYS = {"scale": "weight", "shift": "bias", "mean": "_mean", "variance": "_variance", "weight": "weight", "bias": "bias"}


class PaddleReader(Reader):
    """Reads a ``paddle.nn.Layer``."""

    channels = 1

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield the named children."""
        return ((name, child) for name, child in module._sub_layers.items() if child is not None)

    def classes(self) -> Iterable[type]:
        """Return the base class, whose ``__call__`` runs every layer, and classes with one of their own."""
        own = (type(layer) for layer in self.model.sublayers(include_self=True) if "__call__" in vars(type(layer)))
        return dict.fromkeys((nn.Layer, *own))

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a layer computes."""
        return described(module, (*args, *kwargs.values()))

    def is_tensor(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, paddle.Tensor)

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of a tensor."""
        return numbers(tensor.detach())

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array as a tensor like another one."""
        return paddle.to_tensor(np.array(data), place=like.place).astype(like.dtype)

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as an input; floating numbers have the dtype of the first floating parameter."""
        if data.dtype.kind != "f":
            return paddle.to_tensor(np.array(data))
        dtypes = (value.dtype for value in self.model.parameters() if value.is_floating_point())
        return paddle.to_tensor(np.array(data)).astype(next(dtypes, paddle.float32))

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Without gradients; random state, buffers and parameters that are not trained, such as running statistics, are restored."""
        state = paddle.get_rng_state()
        values = [*self.model.buffers(), *(value for value in self.model.parameters() if value.stop_gradient)]
        with paddle.no_grad():
            saved = [(value, value.clone()) for value in values if value._is_initialized()]
            try:
                yield
            finally:
                for value, copy in saved:
                    paddle.assign(copy, value)
                paddle.set_rng_state(state)

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``paddle.nn.functional.gelu``."""
        kinds = dict.fromkeys(map(type, self.model.sublayers(include_self=True)))
        return recorded_functions(KNOWN, dict.fromkeys([*SPACES, *modules_of(kinds)]), record)

    def training(self) -> bool:
        """Return the model's mode."""
        return bool(self.model.training)

    def replacement(self, path: str, code: str) -> str:
        """Return a line that assigns another layer to an attribute or an item."""
        return f"{place(path)} = {code}" if path else ""

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        paths = paths_of(self)
        layer = next((one for one in self.model.sublayers(include_self=True) if paths.get(id(one)) == path), None)
        if layer is None:  # a function
            return ""
        where = place(path)
        if setting in ARRAYS:
            name = "scale" if setting == "scale" and hasattr(layer, "scale") else ARRAYS[setting]
            return f"{where}.{name}.set_value(…)  # the values of a"
        if value is None:
            return ""
        if (kind, setting) == ("batch norm", "batch_statistics"):
            return _statistics(where, layer, value)
        if (kind, setting) == ("dropout", "active"):
            return f"{where}.{'train' if value else 'eval'}()"
        if setting == "dtype":
            dtypes = {value.dtype for value in self.model.parameters() if value.is_floating_point()}
            return f"{place('' if len(dtypes) == 1 else path)}.to(dtype={value!r})"
        if (kind, setting) == ("activation", "function"):
            return f"from paddle import nn; {where} = nn.{FUNCTIONS[value]}" if value in FUNCTIONS and path else ""
        if (kind, setting) == ("activation", "slope"):
            name = next((name for base, name in SLOPES.items() if isinstance(layer, base)), "")
            return f"{where}.{name} = {value!r}" if name else ""
        if (kind, setting) == ("pooling", "function"):
            return _other_pooling(where, layer, value) if path else ""
        if kind == "padding" and setting in ("left", "right"):
            return f"{where}.padding = {[value, layer.padding[1]] if setting == 'left' else [layer.padding[0], value]}"
        line = ATTRIBUTES.get((kind, setting))
        return f"{where}.{line.format(value)}" if line else ""


def _statistics(where: str, layer: Any, value: bool) -> str:
    if layer._use_global_stats is None:
        return f"{where}.{'train' if value else 'eval'}()"
    return f"{where}._use_global_stats = {not value}"


def _other_pooling(where: str, layer: Any, name: str) -> str:
    kind = {"max": "MaxPool1D", "average": "AvgPool1D"}.get(name)
    sizes = f"{layer.kernel_size!r}, {layer.stride!r}, {layer.padding!r}, ceil_mode={layer.ceil_mode!r}"
    return f"from paddle import nn; {where} = nn.{kind}({sizes})" if kind else ""


def reader(model: Any) -> PaddleReader | None:
    """Return the reader of a model; None for an object that is not a ``paddle.nn.Layer``."""
    return PaddleReader(model) if isinstance(model, nn.Layer) else None
