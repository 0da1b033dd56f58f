"""`recorded_functions`: record the functions of a framework that a model calls without a module."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from convpolicy.models.description import Description
from convpolicy.models.reader import Record

Describer = Callable[..., Description | None]
Known = Mapping[str, tuple[tuple[Any, ...], Describer]]  # name -> its functions, and what describes a call


@contextmanager
def recorded_functions(known: Known, spaces: Iterable[Any], record: Record) -> Iterator[None]:
    """Replace functions in modules and classes by ones that record their calls, and put them back, whatever happens.

    Args:
        known: name -> the functions and the describer of a call. The describer has the arguments of the function. It returns None, or
            raises, for a call that is not supported.
        spaces: the modules and classes whose attributes are replaced.
        record: see `Reader.functions`.
    """
    replacements = {
        id(function): _recorded(name, function, describe, record)
        for name, (functions, describe) in known.items()
        for function in functions
    }
    with ExitStack() as stack:
        for space in spaces:
            for name, value in list(vars(space).items()):
                replacement = replacements.get(id(value))
                if replacement is not None:
                    stack.callback(setattr, space, name, value)
                    setattr(space, name, replacement)
        yield


def _recorded(name: str, function: Callable[..., Any], describe: Describer, record: Record) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        description = described_call(describe, args, kwargs)
        return function(*args, **kwargs) if description is None else record(name, function, args, kwargs, description)

    return wrapper


def described_call(describe: Describer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
    """Return what a call computes; keywords that the describer does not have are left out."""
    parameters = inspect.signature(describe).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    more = {key: value for key, value in kwargs.items() if takes_all or key in parameters}
    try:
        return describe(*args, **more)
    except Exception:  # a form of the call that is not known
        return None


def modules_of(classes: Iterable[type]) -> list[Any]:
    """Return the Python modules that define some classes and their bases; a model may have imported functions into them."""
    names = {base.__module__ for kind in classes for base in kind.__mro__} - {"builtins"}
    return [sys.modules[name] for name in sorted(names) if name in sys.modules]


def place(path: str) -> str:
    """Return the expression of the submodule at a path of ``model``, e.g. ``"model.layers[0].norm"`` for ``"layers.0.norm"``."""
    steps = (f"[{step}]" if step.isdigit() else f".{step}" if step.isidentifier() else f"[{step!r}]" for step in path.split("."))
    return "model" + ("".join(steps) if path else "")
