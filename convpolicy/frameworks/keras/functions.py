"""Functions of Keras that a model calls without a layer, such as ``keras.ops.gelu``, as descriptions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras.src import backend

from convpolicy.models.description import Description
from convpolicy.models.reader import Record

Describer = Callable[[Any, Mapping[str, Any]], Description | None]  # of the input and the other arguments, with their defaults


def function(name: str, **settings: Any) -> Description:
    """Return the description of an activation."""
    return Description("activation", {"function": name, **settings})


def from_the_end(axis: Any, data: Any) -> Any:
    """Return an axis as a negative number, which is the same for every number of leading axes."""
    return axis - len(data.shape) if isinstance(axis, int) and axis >= 0 and data is not None else axis


def _plain(name: str) -> Describer:
    return lambda _data, _arguments: function(name)


def _gelu(_data: Any, arguments: Mapping[str, Any]) -> Description:
    return function("gelu by tanh" if arguments.get("approximate") else "gelu")


def _relu(_data: Any, arguments: Mapping[str, Any]) -> Description | None:
    return rectified(*(arguments.get(name) for name in ("negative_slope", "max_value", "threshold")))


def rectified(slope: Any, most: Any, threshold: Any) -> Description | None:
    """Return the description of Keras's ``ReLU`` with all its parameters; None for a form that no other framework has."""
    if threshold or (most is not None and (most != 6 or slope)):
        return None
    if slope:
        return function("leaky relu", slope=float(slope))
    return function("relu" if most is None else "relu6")


def _sloped(name: str, argument: str) -> Describer:
    return lambda _data, arguments: function(name, slope=float(arguments[argument]))


def _along(name: str) -> Describer:
    def describe(data: Any, arguments: Mapping[str, Any]) -> Description | None:
        axis = from_the_end(arguments["axis"], data)
        return function(name, axis=axis) if isinstance(axis, int) else None

    return describe


def _pooling(name: str) -> Describer:
    def describe(data: Any, arguments: Mapping[str, Any]) -> Description | None:
        return pooling(name, data, *(arguments[key] for key in ("pool_size", "strides", "padding", "data_format")))

    return describe


def pooling(name: str, data: Any, size: Any, strides: Any, padding: Any, data_format: Any) -> Description | None:
    """Return the description of a pooling over one axis; None for more axes. The padding of ``"same"`` is that of this length."""
    if len(data.shape) != 3:
        return None
    axis = channels_axis(data_format)
    kernel, stride = one(size), one(size if strides is None else strides)
    length = int(data.shape[1 if axis == -1 else 2])
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0) if padding == "same" else 0
    settings = {
        "function": name,
        "kernel_size": kernel,
        "stride": stride,
        "padding": (total // 2, total - total // 2),
        "ceil_mode": False,
        "count_padding": False,
    }
    return Description("pooling", settings, axis=axis)


def channels_axis(data_format: Any) -> int:
    """Return the axis of the channels, 1 or -1."""
    return 1 if (data_format or keras.config.image_data_format()) == "channels_first" else -1


def one(size: Any) -> Any:
    """Return a size of one axis as a number."""
    return size[0] if isinstance(size, (tuple, list)) and len(size) == 1 else size


# Name of the function in Keras -> what it computes.
KNOWN: dict[str, Describer] = {
    "linear": lambda _data, _arguments: Description("identity"),
    "relu": _relu,
    "relu6": _plain("relu6"),
    "leaky_relu": _sloped("leaky relu", "negative_slope"),
    "gelu": _gelu,
    "silu": _plain("silu"),
    "sigmoid": _plain("sigmoid"),
    "hard_sigmoid": _plain("hard sigmoid"),
    "hard_silu": _plain("hard swish"),
    "hard_tanh": _plain("hard tanh"),
    "elu": _sloped("elu", "alpha"),
    "selu": _plain("selu"),
    "softplus": _plain("softplus"),
    "softsign": _plain("softsign"),
    "mish": _plain("mish"),
    "log_sigmoid": _plain("log sigmoid"),
    "tanh": _plain("tanh"),
    "exponential": _plain("exp"),
    "exp": _plain("exp"),
    "softmax": _along("softmax"),
    "log_softmax": _along("log softmax"),
    "max_pool": _pooling("max"),
    "average_pool": _pooling("average"),
}


def described(called: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
    """Return what a call of a function of Keras computes, or what it does when a layer calls it with its result alone.

    Args:
        called: the function, or a ``functools.partial`` of one.
        args, kwargs: arguments of the call; without any, its defaults describe it.
    """
    while isinstance(called, functools.partial):
        args, kwargs, called = (*called.args, *args), {**called.keywords, **kwargs}, called.func
    name = getattr(called, "__name__", "")
    if name not in KNOWN or not str(getattr(called, "__module__", "")).startswith("keras."):
        return None
    try:
        bound = inspect.signature(called).bind(*(args or (None,)), **kwargs)
        bound.apply_defaults()
        data = next(iter(bound.arguments.values()))
        return KNOWN[name](data, bound.arguments)
    except Exception:  # a form of the call that is not known here
        return None


@contextmanager
def recorded(record: Record) -> Iterator[None]:
    """Record the functions of the framework that Keras runs on: what all names of a function in Keras end in."""
    originals: list[tuple[Any, str, Any]] = []
    try:
        for module in (backend.nn, backend.numpy):
            for name in KNOWN:
                original = getattr(module, name, None)
                if callable(original):
                    originals.append((module, name, original))
                    setattr(module, name, _recording(record, name, original))
        yield
    finally:
        for module, name, original in reversed(originals):
            setattr(module, name, original)


def _recording(record: Record, name: str, original: Any) -> Any:
    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        description = described(original, args, kwargs)
        if description is None:
            return original(*args, **kwargs)
        return record(name, original, args, kwargs, description)

    return run
