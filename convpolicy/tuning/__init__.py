"""`tune`: the Conv1d layers of a model measured on this machine, and carried out in the way that is fastest here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.layers.backend import EXECUTIONS, Backend
from convpolicy.layers.capture import backends_of

HEAD = ("layer", "lowering", "before µs", "after µs", "ratio", "difference")


@attrs.frozen
class TunedLayer:
    """What became of one layer.

    Attributes:
        path: its name in the model, e.g. ``"encoder.conv1"``.
        class_name: of the layer.
        lowering: how it is carried out now; empty when it was left as it was.
        before, after: microseconds of one call, median over the rounds, summed over the example inputs' shapes; of forward and
            backward pass in a model that is training. 0 when it was not measured.
        ratio: median ratio of after to before within the rounds; 1 when it was left as it was.
        difference: largest absolute difference of an output on the example inputs.
        reason: why it was left as it was; empty when it was not.
    """

    path: str
    class_name: str
    lowering: str = ""
    before: float = 0.0
    after: float = 0.0
    ratio: float = 1.0
    difference: float = 0.0
    reason: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the row under `HEAD`; in place of the numbers the reason."""
        if not self.lowering:
            return self.path or self.class_name, "", f"{self.before:.0f}" if self.before else "", "", "", self.reason
        numbers = f"{self.before:.0f}", f"{self.after:.0f}", f"{self.ratio:.2f}", f"{self.difference:.1e}"
        return self.path or self.class_name, self.lowering, *numbers


@attrs.frozen(repr=False)
class Tuning:
    """What `tune` found.

    Attributes:
        layers: one `TunedLayer` for every module that is a Conv1d or is called one, in the model's order.
        difference: largest absolute difference of an output of the model on the example inputs.
    """

    layers: tuple[TunedLayer, ...]
    difference: float = 0.0

    @property
    def replaced(self) -> tuple[TunedLayer, ...]:
        """The layers that are carried out in another way now."""
        return tuple(row for row in self.layers if row.lowering)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return attrs.asdict(self)

    @property
    def summary(self) -> str:
        """How many layers were replaced, what they gain together, and what it does to the outputs."""
        if not self.layers:
            return "the model has no Conv1d; nothing was changed"
        before, after = (sum(getattr(row, side) for row in self.replaced) for side in ("before", "after"))
        gain = f", {before:.0f} µs -> {after:.0f} µs" if self.replaced else ""
        return f"{len(self.replaced)} of {len(self.layers)} layers replaced{gain}; outputs differ by up to {self.difference:.1e}"

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        return table(HEAD, [row.cells() for row in self.layers], self.summary)

    def __repr__(self) -> str:
        return f"Tuning({self.summary!r})"

    def __str__(self) -> str:
        rows = [HEAD, *(row.cells() for row in self.layers)] if self.layers else []
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))] if rows else []
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, self.summary])


def tune(model: Any, example_inputs: Any, *, execution: str = "fast", rounds: int = 15, verbose: bool = True) -> Tuning:
    """Measure the lowerings of every Conv1d of a model and put the fastest in place, where it gains on all example inputs.

    The model is called once in eval mode to see what reaches each layer. A model that is training is measured with its backward
    pass, and what is put in place holds while it trains; else it holds while it does not. A call that was not measured so, of
    another dtype, device or number of axes, under autocast or while traced, takes the layer's own way. Modules, parameters and the
    state dict stay what they are; `untune` takes everything back.

    Args:
        model: of a backend that can be tuned, not compiled yet; changed in place.
        example_inputs: what one call of the model takes: a tensor or array, a tuple of positional arguments, or a mapping of
            keyword arguments; a list of such for several calls, e.g. of several lengths. Arrays become tensors.
        execution: ``"exact"`` to keep every bit of the outputs; ``"fast"`` for what differs by rounding alone, within the bound
            2 · γ(terms + 1) · Σ|weight · input|.
        rounds: timings of each lowering, 3 or more, taken in turn.
        verbose: show a progress bar on stderr while measuring, and print the table.

    Returns:
        A printable `Tuning`. What cannot be replaced (scripted, quantised, hooked, shared, parametrized by a class of its own, on
        another device, never called) is left alone, with the reason.

    Raises:
        InvalidTypeError: not a model of a backend that can be tuned; holds its class.
        InvalidValueError: an unknown execution, or inputs that the model does not take; holds what the model said. After any error,
            and after Ctrl-C, the model is as it was.
    """
    with _bar() if verbose else nullcontext(_silent) as progress:
        found = measure(model, example_inputs, execution, rounds, progress)
    if verbose:
        try:
            print(found)  # noqa: T201 - what was asked for
        except BaseException:
            untune(model)
            raise
    return found


def measure(model: Any, example_inputs: Any, execution: str, rounds: int, progress: Callable[[str, int, int], None]) -> Tuning:
    """Do what `tune` says; ``progress`` is called with every layer's path, how many are done and all."""
    if execution not in EXECUTIONS:
        raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
    integer("rounds", rounds, 3)
    backend = _backend_of(model)
    assert backend.tune is not None
    found: Tuning = backend.tune(model, example_inputs, execution, rounds, progress)
    return found


def untune(model: Any) -> tuple[str, ...]:
    """Take back everything that `tune` put in place.

    Args:
        model: changed in place.

    Returns:
        The paths of the layers that were carried out in another way.

    Raises:
        InvalidTypeError: see `tune`.
    """
    backend = _backend_of(model)
    assert backend.untune is not None
    return backend.untune(model)


def _backend_of(model: Any) -> Backend:
    for backend in backends_of(model):
        if backend.tune is not None:
            return backend
    raise no_model(model)


def no_model(thing: Any) -> InvalidTypeError:
    """Return the error for what is no model of a backend that can be tuned."""
    able = sorted(backend.name for backend in registry.current().parts("backend").values() if backend.tune is not None)
    kind = type(thing)
    return InvalidTypeError(
        f"model must be a model of one of the backends {', '.join(able)}, got an object of class "
        f"{kind.__module__}.{kind.__qualname__}; pass for example a torch.nn.Module."
    )


def _silent(path: str, done: int, total: int) -> None:
    """Show nothing."""


def _bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    from convpolicy.progress import count_bar  # here: rich is loaded when a bar is shown

    return count_bar()
