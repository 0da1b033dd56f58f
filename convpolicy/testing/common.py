"""What the checks of every kind of part share: names, signatures, parameters, the smallest failing case, a part on trial."""

from __future__ import annotations

import inspect
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
ON_TRIAL = "convpolicy.testing"  # the plugin that offers a part while it is checked
HOOKS = {kind: hook for hook, kind in KINDS.items()}


class Sizes(NamedTuple):
    """One convolution and one input length, all in samples; prints as a message says it."""

    kernel: int
    stride: int
    dilation: int
    length: int

    def __str__(self) -> str:
        return f"kernel_size {self.kernel}, stride {self.stride}, dilation {self.dilation}, length {self.length}"


# hypothesis shrinks towards the smallest of each
SIZES = some.builds(Sizes, some.integers(1, 7), some.integers(1, 4), some.integers(1, 3), some.integers(1, 24))


def require(holds: bool, message: str) -> None:
    """Raise `ConformanceError` with a message unless something holds."""
    if not holds:
        raise ConformanceError(message)


def smallest(
    check: Callable[..., None], max_examples: int = MAX_EXAMPLES, *, line: Callable[..., str] | None = None, **strategies: Any
) -> None:
    """Call a check with examples of the strategies, by keyword; raise what it raises for the smallest example that fails.

    Args:
        check: what is called.
        max_examples: how often.
        line: the example, by keyword, as one line of Python that shows it again.
        **strategies: of the example.

    Raises:
        ConformanceError: with the message of the smallest failure, or that the same example fails and passes.
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
        except Exception as error:  # of the part's own code, which says nothing of the example
            about = ", ".join(f"{name} {value}" if isinstance(value, int) else str(value) for name, value in example.items())
            raise ConformanceError(f"it raises {type(error).__name__}: {error}, for {about}.") from error

    try:
        run()
    except Flaky:
        raise ConformanceError(
            "it fails and passes with the same arguments, so it keeps state between calls or draws at random; let it depend on its "
            "arguments alone."
        ) from None
    except ConvPolicyError as error:
        again = f" To see it again: {line(**last)}" if line is not None else ""
        raise ConformanceError(f"{error}{again}") from error.__cause__


def _values(param: Param) -> Any:
    """Return a strategy for what a parameter may be."""
    if param.allowed:
        return some.sampled_from(param.allowed)
    if param.kind == "integer":
        return some.integers(0, 4)
    if param.kind == "flag":
        return some.booleans()
    if param.kind in ("number", "values"):
        least = -4.0 if param.minimum is None else param.minimum
        return some.integers(0, 16).map(lambda step: least + step / 2)
    return some.just(param.default)  # an array: only its author knows of which shape


def choices(part: Any) -> Any:
    """Return a strategy for a part's name with some of its parameters set."""
    params = {name: some.none() | _values(param) for name, param in part.params.items()}
    return some.fixed_dictionaries(params).map(lambda chosen: Choice(part.name, **chosen))


def check_names(part: Any) -> None:
    """The part has a name of one word, says in one line what it is, and its parameters have names and fitting defaults."""
    named = isinstance(part.name, str) and part.name.isprintable() and part.name.strip() and len(part.name.split()) == 1
    require(bool(named), f"its name must be one printable word, got {part.name!r}.")
    said = part.description
    require(
        isinstance(said, str) and bool(said.strip()) and "\n" not in said,
        f"its description must be one line, got {said!r}; give its function a docstring or pass description=.",
    )
    for name, param in getattr(part, "params", {}).items():
        require(isinstance(param, Param), f"its parameter {name!r} must be a Param, got {type(param).__name__}.")
        require(name.isidentifier() and name != "name", f"its parameter {name!r} must be an identifier, and not 'name'.")
        if param.default is not None and param.kind != "array":
            try:
                param.check(f"{part.name}: {name}", param.default)
            except ConvPolicyError as error:
                raise ConformanceError(f"the default of its parameter {name!r} is not allowed by itself: {error}") from None


def check_signature(what: str, function: Any, positional: tuple[str, ...], params: Any = ()) -> None:
    """A function of a part takes these positional arguments, and every parameter by keyword."""
    require(callable(function), f"{what} must be a function of ({', '.join(positional)}), got {type(function).__name__}.")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some of C's have none
        return
    try:
        signature.bind(*positional, **dict.fromkeys(params))
    except TypeError as error:
        wanted = ", ".join([*positional, *(f"{name}=" for name in params)])
        raise ConformanceError(f"{what} must take ({wanted}), but has the signature {signature}: {error}.") from None


def refuses(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or None where it refuses in a sentence; a part that breaks its contract is no refusal."""
    try:
        return call()
    except PluginError:
        raise
    except ConvPolicyError:
        return None


class _OnTrial:
    """A plugin of one part; its only hook has the name of the part's kind."""


@contextmanager
def offered(part: Any) -> Iterator[str]:
    """Register a part for a while, unless it is registered, and yield the name under which it is found."""
    known = PLUGINS.parts(part.kind)
    found: Any = known.get(part.name)
    if found is part:
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
