"""Torch's global random state as a stream, and tensors as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convpolicy.bits.pieces import Shape
from convpolicy.frameworks.torch.stream import TorchStream


class GlobalStream(TorchStream):
    """Torch's global CPU random state, for layers that are built without a seed."""

    def __init__(self) -> None:
        pass  # torch keeps the state

    def uniform(self, shape: Shape, low: float, high: float, dtype: str = "float32") -> Any:
        """Call ``Tensor.uniform_``."""
        return as_numpy(_empty(shape, dtype).uniform_(low, high))

    def normal(self, shape: Shape, mean: float, std: float, dtype: str = "float32") -> Any:
        """Call ``Tensor.normal_``."""
        return as_numpy(_empty(shape, dtype).normal_(mean, std))

    def truncated_normal(self, shape: Shape, mean: float, std: float, lower: float, upper: float, dtype: str = "float32") -> Any:
        """Call ``torch.nn.init.trunc_normal_``."""
        return as_numpy(nn.init.trunc_normal_(_empty(shape, dtype), mean, std, mean + lower * std, mean + upper * std))


@lru_cache
def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without ``torch.``."""
    return str(dtype).removeprefix("torch.")


def _empty(shape: Shape, dtype: str) -> Tensor:
    return torch.empty(shape, dtype=getattr(torch, dtype), device="cpu")


def as_tensor(array: Any) -> Tensor:
    """Return an array as a CPU tensor in the same memory, or in a copy where torch cannot use it.

    Torch has no tensors that are reversed, read-only or of another byte order.
    """
    array = np.asarray(array)
    is_native, is_reversed = array.dtype.isnative, min(array.strides, default=0) < 0
    if is_reversed or not (is_native and array.flags.writeable):
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array)


def as_numpy(values: Tensor) -> Any:
    """Return a CPU tensor as an array; bfloat16 becomes float32, since NumPy has no bfloat16."""
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


@contextmanager
def outlasting() -> Iterator[None]:
    """Create tensors that can be cached and used by later calls.

    Tensors from inside inference mode cannot be used by a backward pass, and tensors from inside a trace belong to it. This context
    leaves both.
    """
    trace = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        with torch.inference_mode(False):
            yield
    finally:
        torch._C._set_tracing_state(trace)  # type: ignore[attr-defined]
