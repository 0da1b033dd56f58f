"""Calls of a torch model on example inputs: the inputs that reach its layers, and its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.frameworks.torch.values import as_tensor

DROPOUT_SEED = 0  # every call of the model has the same dropout
Call: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"


def calls_of(example_inputs: Any) -> list[Call]:
    """Return positional and keyword arguments of every call; arrays become tensors.

    Raises:
        InvalidTypeError: an example is not a tensor, an array, a tuple or a mapping.
        InvalidValueError: the list is empty.
    """
    examples = example_inputs if isinstance(example_inputs, list) else [example_inputs]
    calls: list[Call] = []
    for example in examples:
        if isinstance(example, (Tensor, np.ndarray)):
            calls.append(((_tensor(example),), {}))
        elif isinstance(example, tuple):
            calls.append((tuple(map(_tensor, example)), {}))
        elif isinstance(example, Mapping):
            calls.append(((), {name: _tensor(value) for name, value in example.items()}))
        else:
            raise InvalidTypeError(
                f"example_inputs must be a tensor, a tuple, a mapping, or a list of these, got {type(example).__name__}; pass "
                f"the arguments of one call of the model."
            )
    if not calls:
        raise InvalidValueError(
            "example_inputs must contain at least one call, got an empty list; pass the arguments of one call of the model."
        )
    return calls


def _tensor(value: Any) -> Any:
    return as_tensor(value) if isinstance(value, np.ndarray) else value


def observed(model: nn.Module, layers: list[nn.Module], calls: list[Call]) -> tuple[list[list[Tensor]], list[dict[Any, Tensor]]]:
    """Call the model on every example.

    Returns:
        The outputs of each call, and for each layer one input of every shape that reached it.

    Raises:
        InvalidValueError: the model raised an error; the message contains its first line.
    """
    reached: list[dict[Any, Tensor]] = [{} for _ in layers]
    handles = []
    for layer, inputs in zip(layers, reached):

        def keep(_layer: nn.Module, args: Any, kwargs: Any, inputs: dict[Any, Tensor] = inputs) -> None:
            data = args[0] if args else kwargs["input"]
            if tuple(data.shape) not in inputs:
                inputs[tuple(data.shape)] = data.detach().clone()

        handles.append(layer.register_forward_pre_hook(keep, with_kwargs=True))
    try:
        return [outputs(model, call) for call in calls], reached
    except Exception as error:  # a model may raise anything for unsuitable inputs
        raise InvalidValueError(
            f"example_inputs must be accepted by the model, which raised: {first_line(error)}; pass other inputs."
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class name."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def outputs(model: nn.Module, call: Call) -> list[Tensor]:
    """Return the model's floating-point outputs in eval mode; its training modes and the random state do not change."""
    training = [module for module in model.modules() if module.training]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(DROPOUT_SEED)
        model.eval()
        try:
            return list(_floating_tensors(model(*call[0], **call[1])))
        finally:
            for module in training:
                module.training = True


def _floating_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach().clone()
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _floating_tensors(item)
    elif isinstance(value, Mapping):
        yield from _floating_tensors(tuple(value.values()))


def difference(before: list[Tensor], after: list[Tensor]) -> float:
    """Return the largest absolute difference between two lists of outputs."""
    return max((float((a.double() - b.double()).abs().max()) for a, b in zip(before, after) if a.numel()), default=0.0)
