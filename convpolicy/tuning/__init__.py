"""`tune`: time the Conv1d layers of a model on this machine and install the fastest implementation of each."""

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

HEAD = ("layer", "implementation", "before µs", "after µs", "ratio", "difference")


@attrs.frozen
class TunedLayer:
    """Result of `tune` for one layer.

    Attributes:
        path: name of the layer in the model, e.g. ``"encoder.conv1"``.
        class_name: class of the layer.
        lowering: name of the new implementation. Empty if the layer is unchanged.
        before, after: time of one call in microseconds. It is the median over the rounds, summed over the shapes of the example
            inputs. In training mode, the time includes the backward pass. 0 if the layer was not timed.
        ratio: median of ``after / before``. 1 if the layer is unchanged.
        difference: largest absolute difference of the layer's output on the example inputs.
        reason: why the layer is unchanged. Empty if the layer has a new implementation.
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
        """Return the row of the printed table. For an unchanged layer, the row contains the reason instead of numbers."""
        if not self.lowering:
            return self.path or self.class_name, "", f"{self.before:.0f}" if self.before else "", "", "", self.reason
        numbers = f"{self.before:.0f}", f"{self.after:.0f}", f"{self.ratio:.2f}", f"{self.difference:.1e}"
        return self.path or self.class_name, self.lowering, *numbers


@attrs.frozen(repr=False)
class Tuning:
    """Report of `tune`.

    Print the object to see a table of the layers.

    Attributes:
        layers: one `TunedLayer` for every module that is a Conv1d or has Conv1d in its class name, in the order of the model.
        difference: largest absolute difference of the model's outputs on the example inputs.
    """

    layers: tuple[TunedLayer, ...]
    difference: float = 0.0

    @property
    def replaced(self) -> tuple[TunedLayer, ...]:
        """The layers with a new implementation."""
        return tuple(row for row in self.layers if row.lowering)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self)

    @property
    def summary(self) -> str:
        """One line of text: the number of replaced layers, their total time and the largest output difference."""
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


def tune(
    model: Any, example_inputs: Any, *, execution: str = "fast", rounds: int = 15, verbose: bool = True, freeze: bool = False
) -> Tuning:
    """Time the implementations of every Conv1d of a model and install the fastest.

    `tune` installs an implementation if it is faster on all example inputs. Modules, parameters and the state dict stay the same.
    `untune` reverts the change.

    An installed implementation runs under the conditions of the timing:

    - A model in training mode is timed with its backward pass. The implementation then runs in training mode only.
    - A model in eval mode is timed without a backward pass. The implementation then runs in eval mode only.
    - A call with another dtype, device or number of axes runs the layer's original code.
    - A call under autocast or during tracing runs the layer's original code.

    Args:
        model: an uncompiled model of a backend that supports tuning. The model is changed in place.
        example_inputs: the inputs of one call: a tensor or array, a tuple of positional arguments, or a mapping of keyword arguments.
            For several calls, e.g. with several lengths, pass a list of such inputs. Arrays are converted to tensors.
        execution: ``"exact"`` requires bit-identical outputs. ``"fast"`` allows outputs that differ by rounding, up to the bound
            2 · γ(terms + 1) · Σ|weight · input|. ``"auto"`` is the same as ``"fast"`` here.
        rounds: how often each implementation that is close to the fastest is timed, 3 or more.
        verbose: True shows a progress bar on stderr and prints the report.
        freeze: True also measures implementations that pack the weight once, for float32 models in eval mode. Such a layer uses the
            packed weight while no gradients are recorded and the weight does not change. It notices a change by the version counter,
            the memory and 64 elements of the weight. Then it runs its original code, and packs the weight again after 8 calls.

    Returns:
        A `Tuning`. Some layers cannot be tuned, e.g. scripted, quantized or shared layers, layers with hooks, and layers that the
        example inputs never call. They stay unchanged. The report contains the reason.

    Raises:
        InvalidTypeError: the object is not a model of a backend that supports tuning.
        InvalidValueError: ``execution`` is unknown, the model fails on the inputs, or it is in training mode under
            ``torch.inference_mode``. After any error, and after Ctrl-C, the model is unchanged.
    """
    with _bar() if verbose else nullcontext(_silent) as progress:
        result = measure(model, example_inputs, execution, rounds, progress, freeze=freeze)
    if verbose:
        try:
            print(result)  # noqa: T201 - requested by verbose
        except BaseException:
            untune(model)
            raise
    return result


def measure(
    model: Any,
    example_inputs: Any,
    execution: str,
    rounds: int,
    progress: Callable[[str, int, int], None],
    *,
    freeze: bool = False,
) -> Tuning:
    """Tune a model as `tune` does; ``progress(path, done, total)`` is called for every layer."""
    if execution not in EXECUTIONS:
        raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
    integer("rounds", rounds, 3)
    backend = _backend_of(model)
    assert backend.tune is not None
    result: Tuning = backend.tune(model, example_inputs, execution, rounds, progress, freeze)
    return result


def untune(model: Any) -> tuple[str, ...]:
    """Revert `tune`: restore the original implementation of every layer.

    Args:
        model: a tuned model. The model is changed in place.

    Returns:
        The paths of the layers that were replaced.

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
    """Return the error for an object that is not a model of a backend that can be tuned."""
    able = sorted(backend.name for backend in registry.current().parts("backend").values() if backend.tune is not None)
    kind = type(thing)
    return InvalidTypeError(
        f"model must be a model of one of the backends {', '.join(able)}, got an object of class "
        f"{kind.__module__}.{kind.__qualname__}; pass for example a torch.nn.Module."
    )


def _silent(path: str, done: int, total: int) -> None:
    """Show no progress."""


def _bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    from convpolicy.progress import count_bar  # imported here, so that rich is loaded only for a progress bar

    return count_bar()
