"""`SequenceShard`: a module that is sharded along its length, as a style of ``parallelize_module``."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import ParallelStyle

from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.shards.module import Sharded, sharded


class SequenceShard(ParallelStyle):
    """Shards a module along its length in ``torch.distributed.tensor.parallel.parallelize_module``.

    The module takes local tensors, or DTensors with the placement ``Shard(2)`` over the mesh. The output is a local tensor, or a DTensor
    if ``use_local_output`` is False.

    Args:
        length: length of the whole input of the module in samples.
        use_local_output: False for DTensors as outputs. They need outputs cut as DTensor cuts them.
    """

    def __init__(self, length: int, *, use_local_output: bool = True) -> None:
        super().__init__()
        self.length = length
        self.use_local_output = use_local_output

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        made: Any = sharded(module, device_mesh, -1, length=self.length)
        if not self.use_local_output:
            _require_even(made, device_mesh)
        made.register_forward_pre_hook(self._to_local)
        made.register_forward_hook(self._to_dtensor)
        self._mesh = device_mesh
        return made  # type: ignore[no-any-return]

    def _to_local(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._local(each) if isinstance(each, DTensor) else each for each in inputs)

    def _local(self, data: DTensor) -> Tensor:
        last = data.dim() - 1
        if list(data.placements) not in ([Shard(last)], [Shard(-1)]):
            raise InvalidValueError(
                f"data must be a DTensor with placements [Shard({last})], got {list(data.placements)}; call "
                f"data.redistribute(mesh, [Shard({last})])."
            )
        if data.shape[-1] != self.length:
            raise InvalidValueError(
                f"data must be a DTensor of length {self.length}, got {data.shape[-1]}; shard the module for this length."
            )
        return data.to_local()

    def _to_dtensor(self, module: Any, _inputs: Any, output: Any) -> Any:
        if self.use_local_output:
            return output
        length = module.output_cuts()[-1][1]
        shape = torch.Size((*output.shape[:-1], length))
        placements = [Shard(output.dim() - 1)]
        return DTensor.from_local(
            output.contiguous(), self._mesh, placements, run_check=False, shape=shape, stride=_strides(shape)
        )


def _strides(shape: torch.Size) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _require_even(module: Sharded, mesh: DeviceMesh) -> None:
    """Refuse outputs that are cut in another way than DTensor cuts them."""
    cuts = module.output_cuts()
    size = -(-cuts[-1][1] // mesh.size())
    if any(each != (min(rank * size, cuts[-1][1]), min((rank + 1) * size, cuts[-1][1])) for rank, each in enumerate(cuts)):
        raise InvalidValueError(
            f"use_local_output must be True for outputs that DTensor would cut in another way, got False for the cuts {cuts}; use local "
            f"outputs, or a length that is a multiple of the strides and the ranks."
        )
