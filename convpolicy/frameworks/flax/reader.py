"""What the modules of a ``flax.nnx.Module`` compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from convpolicy.frameworks.flax import functions
from convpolicy.frameworks.flax.described import base_of, described
from convpolicy.frameworks.flax.models import CONTAINERS, _children
from convpolicy.frameworks.flax.values import as_numpy
from convpolicy.models.description import Description
from convpolicy.models.reader import Reader, Record

# Kind and setting -> what follows the module in the line that changes it; the value is put in.
ATTRIBUTES: dict[tuple[str, str], str] = {
    **{(kind, "eps"): "epsilon = {!r}" for kind in ("batch norm", "layer norm", "rms norm", "group norm")},
    ("batch norm", "momentum"): "momentum = {!r}",
    ("dropout", "rate"): "rate = {!r}",
}
INACTIVE = {("batch norm", "batch_statistics"): "use_running_average", ("dropout", "active"): "deterministic"}
FUNCTIONS = {  # function -> the function of nnx
    "gelu": "lambda x: nnx.gelu(x, approximate=False)",
    "gelu by tanh": "nnx.gelu",
    "relu": "nnx.relu",
    "relu6": "nnx.relu6",
    "silu": "nnx.silu",
    "sigmoid": "nnx.sigmoid",
    "tanh": "nnx.tanh",
    "hard sigmoid": "nnx.hard_sigmoid",
    "hard swish": "nnx.hard_silu",
    "hard tanh": "nnx.hard_tanh",
    "selu": "nnx.selu",
    "softplus": "nnx.softplus",
    "softsign": "nnx.soft_sign",
    "mish": "jax.nn.mish",
    "log sigmoid": "nnx.log_sigmoid",
    "exp": "jnp.exp",
    "softmax": "nnx.softmax",
    "log softmax": "nnx.log_softmax",
    "identity": "nnx.identity",
}
ARRAYS = {
    "weight": "kernel",
    "bias": "bias",
    "scale": "scale",
    "shift": "bias",
    "mean": "mean",
    "variance": "var",
}


class FlaxReader(Reader):
    """Reads a ``flax.nnx.Module``."""

    channels = -1
    fixes_functions = True

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.modules = list(_modules(model))
        classes = {type(module) for module, _prefix in self.modules}
        self.called = [kind for kind in classes if any("__call__" in vars(base) for base in kind.__mro__)]
        self.bases = {kind: base_of(kind) for kind in self.called}
        state = [variable for _path, variable in nnx.iter_graph(model) if isinstance(variable, nnx.Variable)]
        self.state = [variable for variable in state if not isinstance(variable, nnx.Param)]

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield the modules and containers in the order of the model's state."""
        return _children(module)

    def classes(self) -> Iterable[type]:
        """Return the classes of all modules that can be called."""
        return self.called

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a module computes."""
        base = self.bases.get(type(module))
        return None if base is None else described(base, module, args, kwargs)

    def is_tensor(self, value: Any) -> bool:
        """Return True for an array of numbers with values; a function that JAX traces has none."""
        if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
            return False
        return not jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of an array."""
        return np.array(as_numpy(tensor))

    def dtype(self, tensor: Any) -> str:
        """Return the name of the dtype of an array."""
        return str(jnp.dtype(tensor.dtype).name)

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array with the dtype and on the device of another one."""
        return jax.device_put(jnp.asarray(data, like.dtype), like.sharding)

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as an input; floating numbers have the dtype of the first floating parameter."""
        params = (value.dtype for value in jax.tree.leaves(nnx.state(self.model, nnx.Param)))
        first = next((dtype for dtype in params if jnp.issubdtype(dtype, jnp.floating)), jnp.float32)
        return jnp.asarray(data, first if data.dtype.kind == "f" else None)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Statistics, random states and attributes of modules are restored."""
        values = [variable.raw_value for variable in self.state]
        attributes = [(vars(module), dict(vars(module))) for module, _prefix in self.modules]
        try:
            yield
        finally:
            for own, before in attributes:
                if own.keys() != before.keys() or any(own[name] is not value for name, value in before.items()):
                    own.clear()
                    own.update(before)
            for variable, value in zip(self.state, values):
                variable.raw_value = value

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``nnx.gelu``."""
        return functions.recorded(record, self.modules)

    def training(self) -> bool:
        """Return True if a module drops out or uses the statistics of the batch."""
        return any(getattr(module, name, True) is False for module, _prefix in self.modules for name in INACTIVE.values())

    def replacement(self, path: str, code: str) -> str:
        """Return the line that puts another module in the place of one."""
        module, line = _expression(self.model, path)
        return f"{line} = {code}" if module is not None and path else ""

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        module, code = _expression(self.model, path)
        if module is None:
            return ""
        if (kind, setting) in INACTIVE and hasattr(module, INACTIVE[kind, setting]):
            return f"{code}.{INACTIVE[kind, setting]} = {not value}"
        if setting == "function" and value in FUNCTIONS and not isinstance(module, nnx.Module):
            return f"{code} = {FUNCTIONS[value]}"
        if (kind, setting) == ("group norm", "groups") and hasattr(module, "num_groups"):
            size = module.num_groups * module.group_size // value
            return f"{code}.num_groups, {code}.group_size = {value}, {size}"
        if setting in ARRAYS:
            name = "embedding" if kind == "embedding" else ARRAYS[setting]
            return f"{code}.{name}.value = …  # the values of a" if hasattr(module, name) else ""
        line = ATTRIBUTES.get((kind, setting))
        return f"{code}.{line.format(value)}" if line and hasattr(module, line.partition(" ")[0]) else ""


def _modules(model: Any) -> Iterator[tuple[Any, str]]:
    """Yield each module once, with what comes before the names of its attributes in a path from the module that is called."""
    known: set[int] = set()

    def visit(part: Any, prefix: str) -> Iterator[tuple[Any, str]]:
        if id(part) in known:
            return
        known.add(id(part))
        if isinstance(part, nnx.Module):
            yield part, prefix
        for name, child in _children(part):
            called = isinstance(child, nnx.Module) and any("__call__" in vars(kind) for kind in type(child).__mro__)
            yield from visit(child, "" if called else f"{prefix}{name}.")

    yield from visit(model, "")


def _expression(model: Any, path: str) -> tuple[Any, str]:
    """Return what is at a path, and the code that names it; None and an empty text if nothing is."""
    part, code = model, "model"
    for name in path.split(".") if path else ():
        if isinstance(part, (nnx.List, list, tuple)) and name.isdecimal() and int(name) < len(part):
            part, code = part[int(name)], f"{code}[{name}]"
        elif isinstance(part, (nnx.Dict, dict)) and name in part:
            part, code = part[name], f"{code}[{name!r}]"
        elif not isinstance(part, CONTAINERS) and name in vars(part) and name.isidentifier():
            part, code = getattr(part, name), f"{code}.{name}"
        else:
            return None, ""
    return part, code


def reader(model: Any) -> FlaxReader | None:
    """Return the reader of a model; None for an object that is not a ``flax.nnx.Module``."""
    return FlaxReader(model) if isinstance(model, nnx.Module) else None
