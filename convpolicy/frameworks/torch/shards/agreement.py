"""Checks that all ranks of a group call a sharded module alike. If one does not, every rank raises the same error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.frameworks.torch.shards.group import Group

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
Result = TypeVar("Result")


def planned(group: Group, fingerprint: Callable[[], tuple[Any, Result]]) -> Result:
    """Run a function on every rank of a group, and check that it returned the same everywhere.

    Args:
        group: the processes.
        fingerprint: function that returns named values which must be equal, as a dictionary, and its result.

    Raises:
        ConvPolicyError: the function failed on this rank, on another one, or the values differ. Then every rank raises an error.
    """
    error: ConvPolicyError | None = None
    values, result = None, None
    try:
        values, result = fingerprint()
    except ConvPolicyError as refusal:
        error = refusal
    everything: list[Any] = [None] * group.size
    if group.size > 1:
        dist.all_gather_object(everything, (values, str(error) if error else None), group=group.process_group)
    if error is not None:
        raise error
    if group.size > 1:
        for rank, (_values, message) in enumerate(group.by_place(everything)):
            if message is not None:
                raise InvalidValueError(f"rank {rank}: {message}")
        _require_equal([each[0] for each in group.by_place(everything)])
    return result  # type: ignore[return-value]


def _require_equal(everywhere: Sequence[dict[str, Any]]) -> None:
    for name, first in everywhere[0].items():
        for rank, values in enumerate(everywhere):
            if values.get(name) != first:
                raise InvalidValueError(
                    f"{name} must be the same on every rank, got {first} on rank 0 and {values.get(name)} on rank {rank}; pass the same."
                )


class Fact(NamedTuple):
    """One number that describes the input of a rank.

    Attributes:
        name: what an error calls it.
        read: function that returns it for a tensor.
        shown: function that returns what an error shows of it.
        fix: what to do.
    """

    name: str
    read: Callable[[Tensor], int]
    shown: Callable[[int], Any]
    fix: str


def _dtype(data: Tensor) -> int:
    return DTYPES.index(data.dtype) if data.dtype in DTYPES else -1


FACTS = (
    Fact("number of axes", lambda data: data.dim(), int, "pass (batch, channels, length)"),
    Fact("batch", lambda data: data.shape[0], int, "pass the same rows on every rank"),
    Fact("number of channels", lambda data: data.shape[1], int, "pass all channels on every rank"),
    Fact("dtype", _dtype, lambda number: DTYPES[number] if number >= 0 else "another one", "convert it"),
    Fact(
        "requires_grad",
        lambda data: int(data.requires_grad and torch.is_grad_enabled()),
        bool,
        "set it on every rank, since the gradients of the samples at the borders are exchanged too",
    ),
)


def require_alike(group: Group, data: Any, lengths: Sequence[int]) -> None:
    """Check the input of every rank of a group.

    Args:
        group: the processes.
        data: the input of this rank.
        lengths: number of samples of each rank.

    Raises:
        InvalidValueError: the input of a rank is no tensor, or on another device, or has another length than the rank owns, or other
            axes, batch, channels or dtype than that of rank 0. The message contains the rank; every rank raises it.
    """
    own, kind = _described(group.device_type, data), group.device_type
    rows = [own]
    if group.size > 1:
        device = "cpu" if kind == "cpu" else torch.device(kind, torch.get_device_module(kind).current_device())
        numbers = torch.tensor(own, dtype=torch.int64, device=device)
        gathered = numbers.new_empty((group.size, len(own)))
        dist.all_gather_into_tensor(gathered.view(-1), numbers, group=group.process_group)
        rows = group.by_place(gathered.tolist())
    fault = _fault(rows, lengths, kind)
    if fault:
        raise InvalidValueError(f"data {fault}.")


def _described(device_type: str, data: Any) -> list[int]:
    """Return whether the data is a tensor, on a device of this type, of 3 axes; the length; and each of the facts."""
    if not isinstance(data, Tensor):
        return [0] * (4 + len(FACTS))
    if data.dim() < 2:
        return [1, int(data.device.type == device_type), 0, 0, *[0] * len(FACTS)]
    return [1, int(data.device.type == device_type), 1, data.shape[-1], *(fact.read(data) for fact in FACTS)]


def _fault(rows: Sequence[Sequence[int]], lengths: Sequence[int], device_type: str) -> str:
    for rank, (is_tensor, on_device, has_axes, length, *facts) in enumerate(rows):
        if not is_tensor:
            return f"must be a tensor, got another object on rank {rank}; convert it"
        if not on_device:
            return f"must be on a device of the mesh, {device_type}, got a tensor on another device on rank {rank}; move it"
        if not has_axes:
            return f"must have shape (batch, channels, length), got a tensor with fewer axes on rank {rank}; reshape it"
        if length != lengths[rank]:
            return (
                f"must have {lengths[rank]} samples on rank {rank}, got {length}; pass the samples of sharded.cuts()[{rank}], or "
                f"shard the module for another length"
            )
        for fact, number, first in zip(FACTS, facts, rows[0][4:]):
            if number != first:
                shown = fact.shown(first), fact.shown(number)
                return f"must have the same {fact.name} on every rank, got {shown[0]} on rank 0 and {shown[1]} on rank {rank}; {fact.fix}"
    return ""
