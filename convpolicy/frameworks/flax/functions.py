"""Functions of JAX and Flax that a model calls without a module, such as ``nnx.gelu``, as descriptions."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.nnx.transforms.compilation import JitWrapped

from convpolicy.models.description import Description
from convpolicy.models.reader import Record

Describer = Callable[[Any, Mapping[str, Any]], Description | None]  # of the input and the other arguments, with their defaults
NAMESPACES = (jax.nn, jax.numpy, jax.image, nnx, linen)


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def _plain(name: str) -> Describer:
    return lambda _data, _arguments: function(name)


def _gelu(_data: Any, arguments: Mapping[str, Any]) -> Description:
    return function("gelu by tanh" if arguments["approximate"] else "gelu")


def _sloped(name: str, argument: str) -> Describer:
    return lambda _data, arguments: function(name, slope=float(arguments[argument]))


def _along(name: str) -> Describer:
    def describe(data: Any, arguments: Mapping[str, Any]) -> Description | None:
        axis = arguments["axis"]
        if not isinstance(axis, int) or arguments.get("where") is not None:
            return None
        return function(name, axis=axis - data.ndim if axis >= 0 and data is not None else axis)

    return describe


def _pooling(name: str) -> Describer:
    def describe(data: Any, arguments: Mapping[str, Any]) -> Description | None:
        if data.ndim != 3 or len(arguments["window_shape"]) != 1:
            return None
        kernel, stride = int(arguments["window_shape"][0]), int((arguments["strides"] or (1,))[0])
        pads = jax.lax.padtype_to_pads(data.shape[1:2], (kernel,), (stride,), arguments["padding"]) if isinstance(
            arguments["padding"], str
        ) else arguments["padding"]  # fmt: skip
        settings = {
            "function": name,
            "kernel_size": kernel,
            "stride": stride,
            "padding": tuple(map(int, pads[0])),
            "ceil_mode": False,
            "count_padding": bool(arguments.get("count_include_pad", False)),
        }
        return Description("pooling", settings, axis=-1)

    return describe


def _global(name: str) -> Describer:
    def describe(data: Any, arguments: Mapping[str, Any]) -> Description | None:
        axis = arguments["axis"]
        axes = sorted(number % data.ndim for number in (axis if isinstance(axis, tuple) else (axis,)))
        is_global = data.ndim > 2 and axes == list(range(1, data.ndim - 1)) and arguments.get("where") is None
        return Description("global pooling", {"function": name}, axis=-1) if is_global else None

    return describe


def _pad(data: Any, arguments: Mapping[str, Any]) -> Description | None:
    widths = [tuple(map(int, pair)) for pair in arguments["pad_width"]]
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if data.ndim != 3 or len(widths) != 3 or widths[0] != (0, 0) or widths[2] != (0, 0) or arguments["mode"] not in modes:
        return None
    left, right = widths[1]
    value = float(arguments["kwargs"].get("constant_values", 0.0))
    return Description("padding", {"left": left, "right": right, "mode": modes[arguments["mode"]], "value": value}, axis=-1)


def _repeat(data: Any, arguments: Mapping[str, Any]) -> Description | None:
    if data.ndim != 3 or arguments["axis"] not in (1, -2) or not isinstance(arguments["repeats"], int):
        return None
    return _upsampling("nearest", arguments["repeats"])


def _resize(data: Any, arguments: Mapping[str, Any]) -> Description | None:
    batch, length, channels = data.shape
    wide = tuple(arguments["shape"])
    if (wide[0], wide[2]) != (batch, channels) or wide[1] % length or arguments["method"] not in ("nearest", "linear"):
        return None
    return _upsampling(arguments["method"], wide[1] // length)


def _upsampling(name: str, factor: int) -> Description:
    return Description("upsampling", {"function": name, "factor": factor, "align_corners": False}, axis=-1)


# Function -> its name and what it computes.
FUNCTIONS: list[tuple[Any, str, Describer]] = [
    (jax.nn.relu, "relu", _plain("relu")),
    (jax.nn.relu6, "relu6", _plain("relu6")),
    (jax.nn.gelu, "gelu", _gelu),
    (jax.nn.silu, "silu", _plain("silu")),
    (jax.nn.sigmoid, "sigmoid", _plain("sigmoid")),
    (jax.nn.hard_sigmoid, "hard_sigmoid", _plain("hard sigmoid")),
    (jax.nn.hard_silu, "hard_silu", _plain("hard swish")),
    (jax.nn.hard_tanh, "hard_tanh", _plain("hard tanh")),
    (jax.nn.leaky_relu, "leaky_relu", _sloped("leaky relu", "negative_slope")),
    (jax.nn.elu, "elu", _sloped("elu", "alpha")),
    (jax.nn.selu, "selu", _plain("selu")),
    (jax.nn.softplus, "softplus", _plain("softplus")),
    (jax.nn.soft_sign, "soft_sign", _plain("softsign")),
    (jax.nn.mish, "mish", _plain("mish")),
    (jax.nn.log_sigmoid, "log_sigmoid", _plain("log sigmoid")),
    (jax.nn.softmax, "softmax", _along("softmax")),
    (jax.nn.log_softmax, "log_softmax", _along("log softmax")),
    (jax.nn.identity, "identity", lambda _data, _arguments: Description("identity")),
    (jnp.tanh, "tanh", _plain("tanh")),
    (jnp.exp, "exp", _plain("exp")),
    (jnp.pad, "pad", _pad),
    (jnp.repeat, "repeat", _repeat),
    (jnp.mean, "mean", _global("average")),
    (jnp.max, "max", _global("max")),
    (jax.image.resize, "resize", _resize),
    (linen.max_pool, "max_pool", _pooling("max")),
    (linen.avg_pool, "avg_pool", _pooling("average")),
]
KNOWN = {id(called): (called, name, describe) for called, name, describe in FUNCTIONS}


def described(called: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
    """Return what a call of a function computes; None for one that is not known, or a form of the call that is not."""
    try:
        bound = inspect.signature(called).bind(*args, **kwargs)
        bound.apply_defaults()
        data = next(iter(bound.arguments.values()))
        return KNOWN[id(called)][2](data, bound.arguments)
    except Exception:
        return None


def _is_known(value: Any) -> bool:
    """Return True for a known function, or a ``functools.partial`` of one."""
    return id(value.func if isinstance(value, functools.partial) else value) in KNOWN


def _recording(record: Record, value: Any, name: str) -> Any:
    """Return a function that records the calls of a known one."""
    called, more, keywords = (value.func, value.args, value.keywords) if isinstance(value, functools.partial) else (value, (), {})

    def run(*args: Any, **kwargs: Any) -> Any:
        description = described(called, (*more, *args), {**keywords, **kwargs})
        if description is None:
            return value(*args, **kwargs)
        return record(name, value, args, kwargs, description)

    return run


@contextmanager
def recorded(record: Record, modules: Iterable[tuple[Any, Any]]) -> Iterator[None]:
    """Record known functions wherever a model reaches them, and run what ``nnx.jit`` compiles without compiling it.

    These are names in JAX and Flax, names in the Python files of the model's classes, and attributes of its modules, such as the
    functions in an ``nnx.Sequential``.

    Args:
        record: see `convpolicy.models.reader.Reader.functions`.
        modules: (module, the nearest module around it that is called) for each module of the model.
    """
    with ExitStack() as stack:
        spaces = {id(vars(space)): vars(space) for space in NAMESPACES}
        listed = list(modules)
        for module, _owner in listed:
            for kind in type(module).__mro__:
                space = sys.modules.get(kind.__module__)
                if space is not None and not kind.__module__.startswith(("flax.", "jax.")):
                    spaces[id(vars(space))] = vars(space)
        for space in spaces.values():
            for key, value in list(space.items()):
                if _is_known(value):
                    stack.callback(space.__setitem__, key, value)
                    space[key] = _recording(record, value, _name(value))
        for module, prefix in listed:
            _swap(vars(module), prefix, record, stack)
        stack.callback(setattr, JitWrapped, "__call__", JitWrapped.__call__)
        JitWrapped.__call__ = _not_compiled(JitWrapped.__call__)
        yield


def _name(value: Any) -> str:
    return KNOWN[id(value.func if isinstance(value, functools.partial) else value)][1]


def _swap(values: Any, prefix: str, record: Record, stack: ExitStack) -> None:
    """Replace known functions in a dict or a list by ones that record, until the stack closes."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        name = f"{prefix}{key}"
        if _is_known(value):
            new: Any = _recording(record, value, name)
        elif isinstance(value, tuple) and any(map(_is_known, value)):
            new = tuple(_recording(record, item, f"{name}.{at}") if _is_known(item) else item for at, item in enumerate(value))
        else:
            if type(value) in (list, dict) and not str(key).startswith("_"):
                _swap(value, f"{name}.", record, stack)
            elif isinstance(value, types.FunctionType):
                _swap_cells(value, record, stack)
            continue
        stack.callback(values.__setitem__, key, value)
        values[key] = new


def _swap_cells(function: types.FunctionType, record: Record, stack: ExitStack) -> None:
    """Replace known functions in the closure of a function."""
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not set yet
            continue
        if _is_known(value):
            stack.callback(setattr, cell, "cell_contents", value)
            cell.cell_contents = _recording(record, value, _name(value))


def _not_compiled(original: Callable[..., Any]) -> Callable[..., Any]:
    thread = threading.get_ident()

    def run(compiled: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return original(compiled, *args, **kwargs)
        return compiled.fun(*args, **kwargs)

    return run
