"""`Group`: the processes of a mesh. Their order in the mesh may differ from that in its process group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import attrs
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh

from convpolicy.errors import InvalidTypeError, InvalidValueError, shown

Value = TypeVar("Value")


@attrs.frozen(eq=False)
class Group:
    """The processes of a mesh of one dimension.

    Args:
        process_group: the process group.
        device_type: type of the devices of the mesh.
        rank: place of this process in the mesh, which is its rank in a shard.
        world_ranks: for each place, the rank of the process among all processes.
        group_ranks: for each place, the rank of the process in the process group.
    """

    process_group: Any
    device_type: str
    rank: int
    world_ranks: tuple[int, ...]
    group_ranks: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of processes."""
        return len(self.world_ranks)

    def by_place(self, values: Sequence[Value]) -> list[Value]:
        """Return values that are in the order of the process group in the order of the mesh."""
        return [values[rank] for rank in self.group_ranks]

    @classmethod
    def of(cls, mesh: Any) -> Group:
        """Return the processes of a mesh.

        Raises:
            InvalidTypeError, InvalidValueError: it is no mesh of one dimension that contains this process.
        """
        if not isinstance(mesh, DeviceMesh):
            raise InvalidTypeError(
                f"mesh must be a DeviceMesh, got {shown(mesh)} of type {type(mesh).__name__}; call "
                f"torch.distributed.init_device_mesh."
            )
        if mesh.ndim != 1:
            names: Sequence[str] = mesh.mesh_dim_names or ()
            fix = f"pass mesh[{names[-1]!r}]" if names else "give its dimensions names and pass one of them"
            raise InvalidValueError(f"mesh must have one dimension, got {mesh.ndim}; {fix}.")
        ranks = tuple(mesh.mesh.tolist())
        coordinate = mesh.get_coordinate()
        if coordinate is None:
            raise InvalidValueError(
                f"mesh must contain this process, got ranks {list(ranks)} on rank {dist.get_rank()}; call shard on the ranks of the "
                f"mesh alone."
            )
        group = mesh.get_group()
        return cls(group, mesh.device_type, coordinate[0], ranks, tuple(dist.get_group_rank(group, rank) for rank in ranks))
