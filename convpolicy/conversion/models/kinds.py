"""How the frameworks name and store the tensors of each kind of module: `Stored` and `Scheme`; and a model's: `ModelTensors`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from convpolicy.conversion.models.axes import ANY, Axes

# The kinds, those first whose tensors contain tensors that look like another kind's.
KINDS = (
    "attention",
    "lstm",
    "gru",
    "rnn",
    "convolution",
    "transposed convolution",
    "batch norm",
    "group norm",
    "layer norm",
    "rms norm",
    "linear",
    "embedding",
    "prelu",
)
COUNT = "count"  # role of the number of batches that torch's BatchNorm has seen
GATES = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}


@attrs.frozen
class Stored:
    """How a framework stores one tensor of a module.

    Args:
        name: name in the module. ``#`` stands for a number.
        pieces: roles of the pieces of which the tensor consists, e.g. ``("weight",)``, or the gates of a recurrent module in their
            order.
        axes: its `Axes`.
    """

    name: str
    pieces: tuple[str, ...]
    axes: Axes


@attrs.frozen
class Scheme:
    """The tensors of one kind of module in one framework.

    Args:
        kind: one of `KINDS`.
        tensors: every tensor that a module of this kind may have.
        required: number of tensors at the start of ``tensors`` that each module of this kind has.
        reverse: True if the names say that a recurrent module reads its input from the end.
        known: lengths of letters that the scheme implies.
    """

    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    tensors: tuple[Stored, ...]
    required: int = 1
    reverse: bool = False


def stored(name: str, pieces: str, axes: str) -> Stored:
    """Return a `Stored` whose pieces are given as words, separated by spaces."""
    return Stored(name, tuple(pieces.split()), Axes(axes))


def scheme(kind: str, *tensors: tuple[str, str, str], required: int = 1, reverse: bool = False) -> Scheme:
    """Return a `Scheme`; each tensor is a tuple of name, pieces and axes."""
    return Scheme(kind, tuple(stored(*tensor) for tensor in tensors), required, reverse)


def gates(role: str, order: Iterable[str]) -> str:
    """Return the pieces of a recurrent tensor: ``gates("bias", "if")`` is ``"bias.i bias.f"``."""
    return " ".join(f"{role}.{gate}" for gate in order)


@attrs.frozen
class Parameter:
    """One tensor of the target model.

    Attributes:
        name: name under which the framework loads it.
        shape: its shape.
        dtype: canonical name of its dtype.
        stored: pieces and axes; its name is not used.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: Stored


@attrs.frozen
class ModelModule:
    """The tensors of one module of the target model.

    Attributes:
        path: path of the module.
        kind: one of `KINDS`; empty for a parameter of another module.
        parameters: its tensors.
        known: lengths of letters, e.g. ``{"G": 4}`` for 4 groups.
        reverse: True for a recurrent module that reads its input from the end.
    """

    path: str
    kind: str
    parameters: tuple[Parameter, ...]
    known: Mapping[str, int] = attrs.field(factory=dict)
    reverse: bool = False


@attrs.frozen
class ModelTensors:
    """The tensors of a model.

    Attributes:
        modules: the modules in the order of the model.
        tied: name of a tensor -> name of the tensor that it is, for tensors with several names.
        keeps_paths: False if names of tensors do not contain the paths of their modules.
    """

    modules: tuple[ModelModule, ...]
    tied: Mapping[str, str] = attrs.field(factory=dict)
    keeps_paths: bool = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every tensor, in the order of the model."""
        return tuple(parameter for module in self.modules for parameter in module.parameters)


def other(name: str, shape: Iterable[int], dtype: str) -> ModelModule:
    """Return a parameter of a module of no known kind, as a `ModelModule`."""
    return ModelModule(name, "", (Parameter(name, tuple(shape), dtype, Stored(name, ("value",), Axes(ANY))),))


def count_of(module: Any, *names: str) -> int:
    """Return the first of some attributes that is a positive integer, such as the number of groups; 1 without one."""
    values = (getattr(module, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), 1)
