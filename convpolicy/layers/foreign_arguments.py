"""Errors for argument names of other frameworks, which name the right argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from convpolicy import registry
from convpolicy.errors import InvalidTypeError, nearest, with_hint

Arguments = ParamSpec("Arguments")
Layer = TypeVar("Layer")
# name elsewhere -> argument of Conv1d, for names that are not in the tables of any dialect
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pad_mode": "padding",
        "pad": "padding",
        "pads": "padding",
        "auto_pad": "padding",
        "kernel": "kernel_size",
        "kernel_shape": "kernel_size",
        "dilations": "dilation",
        "rhs_dilation": "dilation",
        "window_strides": "stride",
        "rngs": "seed",
        "framework": "policy",
    }
)


def refusing_foreign(function: Callable[Arguments, Layer]) -> Callable[Arguments, Layer]:
    """Make a layer factory suggest the right argument when it gets the name that another framework uses.

    Args:
        function: the factory.

    Returns:
        The factory. For an unknown argument it raises an `InvalidTypeError` that suggests the right one, or lists all.
    """
    own = tuple(inspect.signature(function).parameters)

    @wraps(function)
    def build(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Layer:
        if not keywords.keys() <= known:
            name = next(keyword for keyword in keywords if keyword not in known)
            raise _unknown(function.__name__, name, own)
        return function(*arguments, **keywords)

    known = frozenset(own)
    return build


def _unknown(function: str, name: str, own: tuple[str, ...]) -> InvalidTypeError:
    """Return the error for an unknown argument of a function."""
    classes = [
        (dialect.name, source)
        for dialect in registry.current().working("dialect").values()
        for source in dialect.source_classes
        if name in source.parameters
    ]
    names = {framework: source.names[name] for framework, source in classes if source.names.get(name) in own}
    fault = f"{function} has no argument {name!r}"
    if names:
        meant = next(iter(names.values()))
        frameworks = " and ".join(framework for framework, other in names.items() if other == meant)
        return InvalidTypeError(f"{fault}, which is the name in {frameworks}; pass {meant}=.")
    if name in NAMES:
        return InvalidTypeError(f"{fault}; pass {NAMES[name]}=.")
    return InvalidTypeError(with_hint(fault, "it has", own, "" if classes else nearest(name, own)))
