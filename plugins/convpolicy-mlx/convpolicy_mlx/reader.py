"""What the modules of a ``mlx.nn.Module`` compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from convpolicy.models.description import Description
from convpolicy.models.functions import modules_of, place, recorded_functions
from convpolicy.models.reader import Reader, Record
from convpolicy.models.recording import paths_of
from convpolicy_mlx.arrays import DTYPES, as_numpy
from convpolicy_mlx.described import CLASSES, known_class
from convpolicy_mlx.functions import KNOWN, SPACES
from convpolicy_mlx.models import children

# Kind and setting -> the attribute of the module and its value.
ATTRIBUTES: dict[tuple[str, str], str] = {
    **{(f"{kind} norm", "eps"): "eps = {}" for kind in ("batch", "layer", "rms", "group")},
    ("batch norm", "momentum"): "momentum = 1 - {}",
    ("group norm", "groups"): "num_groups = {}",
    ("pooling", "kernel_size"): "_kernel_size = [{}]",
    ("pooling", "stride"): "_stride = [{}]",
    ("pooling", "padding"): "_padding = [{}]",
    ("upsampling", "factor"): "scale_factor = {}",
    ("upsampling", "align_corners"): "align_corners = {}",
    ("dropout", "rate"): "_p_1 = 1 - {}",
}
SLOPES = {nn.LeakyReLU: "_negative_slope", nn.ELU: "_alpha"}
FUNCTIONS = {  # function -> its module
    "gelu": "GELU()",
    "gelu by tanh": "GELU('tanh')",
    "gelu by sigmoid": "GELU('fast')",
    "relu": "ReLU()",
    "relu6": "ReLU6()",
    "silu": "SiLU()",
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "hard tanh": "HardTanh()",
    "hard swish": "Hardswish()",
    "elu": "ELU()",
    "leaky relu": "LeakyReLU()",
    "softplus": "Softplus()",
    "softsign": "Softsign()",
    "mish": "Mish()",
    "log sigmoid": "LogSigmoid()",
    "identity": "Identity()",
}
ARRAYS = {
    "scale": "weight",
    "shift": "bias",
    "mean": "running_mean",
    "variance": "running_var",
    "weight": "weight",
    "bias": "bias",
}


class MlxReader(Reader):
    """Reads a ``mlx.nn.Module``."""

    channels = -1

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._modules = [module for _path, module in model.named_modules()]
        self._known = {kind: known_class(kind) for kind in dict.fromkeys(map(type, self._modules))}

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield what MLX itself looks into: attributes that are modules, lists or dicts."""
        return children(module)

    def classes(self) -> Iterable[type]:
        """Return the classes of all modules; each has its own ``__call__``."""
        return (kind for kind in self._known if any("__call__" in vars(base) for base in kind.__mro__))

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a module computes."""
        del args, kwargs
        base = self._known.get(type(module))
        return None if base is None else CLASSES[base](module)

    def is_tensor(self, value: Any) -> bool:
        """Return True for an array of MLX."""
        return isinstance(value, mx.array)

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of an array."""
        return np.array(as_numpy(tensor))

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array as one of MLX with the dtype of another one."""
        return mx.array(data).astype(like.dtype)

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as an input; floating numbers have the dtype of the first floating parameter."""
        array = mx.array(np.ascontiguousarray(data))
        if data.dtype.kind != "f":
            return array
        return array.astype(next((value.dtype for value in self._floating()), mx.float32))

    def _floating(self) -> Iterator[Any]:
        """Yield the floating arrays of all modules."""
        for module in self._modules:
            for value in module.values():
                if isinstance(value, mx.array) and mx.issubdtype(value.dtype, mx.floating):
                    yield value

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Random state and arrays of all modules are restored. ``mx.compile`` is off, so that compiled functions can be seen."""
        high, low = mx.random.state[0].tolist()  # type: ignore[attr-defined, index]
        compiles = _compiles()
        saved = [(module, dict(module)) for module in self._modules]
        changing = [(array, mx.stop_gradient(array)) for array in _changing(self._modules)]
        mx.disable_compile()
        try:
            yield
        finally:
            if compiles:
                mx.enable_compile()
            for array, values in changing:
                array[...] = values
            for module, items in saved:
                if any(module.get(name) is not item for name, item in items.items()) or len(module) != len(items):
                    dict.clear(module)
                    dict.update(module, items)  # a module's own update is another one
            mx.random.seed(high << 32 | low)  # a 64-bit seed is a key

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``mlx.nn.gelu``."""
        spaces = dict.fromkeys([*SPACES, *modules_of(self._known)])
        return recorded_functions(KNOWN, spaces, record)

    def training(self) -> bool:
        """Return the model's mode."""
        return bool(self.model.training)

    def replacement(self, path: str, code: str) -> str:
        """Return a line that assigns another module to an attribute or an item."""
        return f"{place(path)} = {code}" if path else ""

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        numbers = paths_of(self)
        module = next((module for module in self._modules if numbers.get(id(module)) == path), None)
        if module is None:  # a function
            return ""
        where = place(path)
        if setting in ARRAYS:
            name = {("recurrent", "bias"): "bias"}.get((kind, setting), ARRAYS[setting])
            return f"{where}.{name} = …  # the values of a"
        if value is None:
            return ""
        if (kind, setting) == ("batch norm", "batch_statistics"):
            return f"{where}.train({value})" if value or module.training else ""
        if (kind, setting) == ("dropout", "active"):
            return f"{where}.train({value})"
        if setting == "dtype":
            whole = place("" if len({array.dtype for array in self._floating()}) == 1 else path)
            return f"import mlx.core as mx; {whole}.set_dtype(mx.{value})" if value in DTYPES else ""
        if (kind, setting) == ("activation", "function"):
            return f"from mlx import nn; {where} = nn.{FUNCTIONS[value]}" if value in FUNCTIONS and path else ""
        if (kind, setting) == ("activation", "slope"):
            name = next((name for base, name in SLOPES.items() if isinstance(module, base)), "")
            return f"{where}.{name} = {value}" if name else ""
        if (kind, setting) == ("group norm", "interleaved"):
            return f"{where}.pytorch_compatible = {not value}"
        if (kind, setting) == ("upsampling", "function"):
            return f"{where}.mode = {value!r}" if value in ("nearest", "linear") else ""
        if (kind, setting) == ("pooling", "function"):
            return _other_pooling(where, module, value) if path else ""
        if (kind, setting) == ("pooling", "padding") and value[0] == 0 < value[1]:
            return ""  # which MLX ignores
        line = ATTRIBUTES.get((kind, setting))
        return f"{where}.{line.format(value)}" if line else ""


def _other_pooling(where: str, module: Any, name: str) -> str:
    kind = {"max": "MaxPool1d", "average": "AvgPool1d"}.get(name)
    sizes = (*module._kernel_size, *module._stride, module._padding[0][0])
    return f"from mlx import nn; {where} = nn.{kind}{sizes}" if kind else ""


def _compiles() -> bool:
    """Return True if ``mx.compile`` is on, which only a function shows that is called twice."""
    calls: list[int] = []

    def count(x: Any) -> Any:
        calls.append(1)
        return x

    compiled = mx.compile(count)
    compiled(mx.zeros(1))
    compiled(mx.zeros(1))
    return len(calls) == 1


def _changing(modules: Iterable[Any]) -> Iterator[Any]:
    """Yield arrays that a call may change in place: those that are not trained."""
    for module in modules:
        for name, value in module.items():
            if isinstance(value, mx.array) and (name in module._no_grad or not mx.issubdtype(value.dtype, mx.floating)):
                yield value


def reader(model: Any) -> MlxReader | None:
    """Return the reader of a model; None for an object that is not a ``mlx.nn.Module``."""
    return MlxReader(model) if isinstance(model, nn.Module) else None
