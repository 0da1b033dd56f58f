"""Functions that the checks of every kind of part share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.errors import Flaky

from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.extensions.hooks import KINDS
from convpolicy.extensions.loading import PLUGINS
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl
from convpolicy.testing.ladder import ConformanceError

MAX_EXAMPLES = 100
ON_TRIAL = "convpolicy.testing"  # name of the plugin that registers a part while it is checked
HOOKS = {kind: hook for hook, kind in KINDS.items()}


class Sizes(NamedTuple):
    """Sizes of a convolution and an input length, all in samples; ``str()`` is used in messages."""

    kernel: int
    stride: int
    dilation: int
    length: int

    def __str__(self) -> str:
        return f"kernel_size {self.kernel}, stride {self.stride}, dilation {self.dilation}, length {self.length}"


# hypothesis shrinks each size towards its smallest value
SIZES = some.builds(Sizes, some.integers(1, 7), some.integers(1, 4), some.integers(1, 3), some.integers(1, 24))


def require(condition: bool, message: str) -> None:
    """Raise `ConformanceError` with a message unless a condition is true."""
    if not condition:
        raise ConformanceError(message)


def smallest(
    check: Callable[..., None], max_examples: int = MAX_EXAMPLES, *, line: Callable[..., str] | None = None, **strategies: Any
) -> None:
    """Run a check on many examples, and report the smallest one that fails.

    Args:
        check: function that is called with each example as keyword arguments.
        max_examples: number of examples.
        line: function that turns an example into one line of Python that reproduces the failure.
        **strategies: hypothesis strategy of each keyword argument.

    Raises:
        ConformanceError: an example fails, or the same example fails and passes; the message is that of the smallest failure.
    """
    last: dict[str, Any] = {}

    @settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(some.fixed_dictionaries(strategies))
    def run(example: dict[str, Any]) -> None:
        last.clear()
        last.update(example)
        try:
            check(**example)
        except ConvPolicyError:
            raise
        except Exception as error:  # raised by the code of the part, without the example in its message
            about = ", ".join(f"{name} {value}" if isinstance(value, int) else str(value) for name, value in example.items())
            raise ConformanceError(f"it raises {type(error).__name__}: {error}, for {about}.") from error

    try:
        run()
    except Flaky:
        raise ConformanceError(
            "it fails and passes with the same arguments, so it keeps state between calls or is random; let it depend on its "
            "arguments only."
        ) from None
    except ConvPolicyError as error:
        reproduction = f" To reproduce it: {line(**last)}" if line is not None else ""
        raise ConformanceError(f"{error}{reproduction}") from error.__cause__


def _values(param: Param) -> Any:
    """Return a strategy for the values of a parameter."""
    if param.allowed:
        return some.sampled_from(param.allowed)
    if param.kind == "integer":
        first = math.ceil(param.minimum or 0)
        return some.integers(first, first + 4)
    if param.kind == "offset":
        first = -2 if param.minimum is None else math.ceil(param.minimum)
        return some.integers(first, first + 5)
    if param.kind == "flag":
        return some.booleans()
    if param.kind in ("number", "values"):
        least = -4.0 if param.minimum is None else param.minimum
        return some.integers(0, 16).map(lambda step: least + step / 2)
    return some.just(param.default)  # an array, whose shape only its author knows


def choices(part: Any) -> Any:
    """Return a strategy for a part's name with some of its parameters set."""
    params = {name: some.none() | _values(param) for name, param in part.params.items()}
    return some.fixed_dictionaries(params).map(lambda chosen: Choice(part.name, **chosen))


def check_names(part: Any) -> None:
    """Check the name, the description and the parameters of a part."""
    is_name = isinstance(part.name, str) and part.name.isprintable() and part.name.strip() and len(part.name.split()) == 1
    require(bool(is_name), f"its name must be printable and without spaces, got {part.name!r}.")
    description = part.description
    require(
        isinstance(description, str) and bool(description.strip()) and "\n" not in description,
        f"its description must be one line, got {description!r}; give its function a docstring or pass description=.",
    )
    for name, param in getattr(part, "params", {}).items():
        require(isinstance(param, Param), f"its parameter {name!r} must be a Param, got {type(param).__name__}.")
        require(name.isidentifier() and name != "name", f"its parameter {name!r} must be an identifier, and not 'name'.")
        if param.default is not None and param.kind != "array":
            try:
                param.check(f"{part.name}: {name}", param.default)
            except ConvPolicyError as error:
                raise ConformanceError(f"the default of its parameter {name!r} is not an allowed value: {error}") from None


def check_signature(what: str, function: Any, positional: tuple[str, ...], params: Any = ()) -> None:
    """Check that a function of a part accepts these positional arguments, and the parameters as keywords."""
    require(callable(function), f"{what} must be a function of ({', '.join(positional)}), got {type(function).__name__}.")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some functions written in C have no signature
        return
    try:
        signature.bind(*positional, **dict.fromkeys(params))
    except TypeError as error:
        arguments = ", ".join([*positional, *(f"{name}=" for name in params)])
        raise ConformanceError(f"{what} must take ({arguments}), but has the signature {signature}: {error}.") from None


def refuses(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or None if it raises a `ConvPolicyError` other than `PluginError`."""
    try:
        return call()
    except PluginError:
        raise
    except ConvPolicyError:
        return None


class _OnTrial:
    """A plugin with one part, whose only hook is the one for that kind of part."""


@contextmanager
def offered(part: Any) -> Iterator[str]:
    """Register a part during a ``with`` block, unless it is registered already, and yield its name in the registry."""
    known = PLUGINS.parts(part.kind)
    registered: Any = known.get(part.name)
    if registered is part:
        yield part.name
        return
    name = part.name if part.name not in known else f"{part.name} on trial"
    copy = attrs.evolve(part, name=name)
    plugin = _OnTrial()
    hook: Any = hookimpl(lambda: [copy])
    setattr(plugin, HOOKS[part.kind], hook)
    PLUGINS.register(plugin, ON_TRIAL)
    try:
        yield name
    finally:
        PLUGINS.unregister(ON_TRIAL)
