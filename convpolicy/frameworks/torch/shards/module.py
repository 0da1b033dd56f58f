"""`sharded`: a module of torch takes and returns the part of its rank, over a process group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

import attrs
from torch import Tensor, nn

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.core.cuts import CONTIGUOUS, Cuts, cuts_of
from convpolicy.core.ranges import count
from convpolicy.core.sharding import exchanged
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown
from convpolicy.frameworks.torch.shards.agreement import planned, require_alike
from convpolicy.frameworks.torch.shards.graph import Layout, layout_of
from convpolicy.frameworks.torch.shards.group import Group
from convpolicy.frameworks.torch.shards.layers import WORK, ShardedLayer, Work, add_base, remove_bases
from convpolicy.layers.capture import backends_of

AXES = (-1, 2)  # the axis of the length that ``dim`` may name
PLAN = "_shard_plan"  # attribute of a sharded module


@attrs.frozen(eq=False)
class Plan:
    """How a module is sharded.

    Args:
        module_of: function that returns the layout for cuts and documents.
        group: the processes.
        length: length of the whole input.
        parts, order, documents: see `Policy.shard`.
        check: True if every call compares the inputs of the ranks.
        cuts: cuts of the input.
        layout: the layers and their cuts.
    """

    module_of: Callable[[Cuts, Any], Layout]
    group: Group
    length: int
    parts: Any
    order: str
    documents: Any
    check: bool
    cuts: Cuts
    layout: Layout

    @cached_property
    def lengths(self) -> list[int]:
        """The number of samples of each rank."""
        return [count(ranges) for ranges in self.cuts.by_rank()]

    def at(self, length: Any) -> tuple[Cuts, Cuts]:
        """Return the cuts of the input and the output for a length, None for the length of the module."""
        if length is None or length == self.length:
            return self.cuts, self.layout.cuts
        if not isinstance(self.parts, int) or self.documents is not None:
            raise InvalidValueError(
                f"length must be {self.length}, for which the module was cut by borders, got {shown(length)}; shard it for that length."
            )
        cuts = cuts_of(integer("length", length, 1, LARGEST), self.parts, self.order)
        return cuts, self.module_of(cuts, None).cuts


class Sharded:
    """A module that takes and returns the part of one rank. `convpolicy.shard` gives a module this class before its own."""

    def cuts(self, length: int | None = None) -> list[Any]:
        """Return the range of input samples (first, end) of each rank; in zigzag order, the ranges of each rank.

        Args:
            length: length of the whole input. None for the length that the module was sharded for.
        """
        return _ranges(_plan(self).at(length)[0])

    def output_cuts(self, length: int | None = None) -> list[Any]:
        """Return the range of outputs (first, end) of each rank; in zigzag order, the ranges of each rank.

        Args:
            length: length of the whole input. None for the length that the module was sharded for.
        """
        return _ranges(_plan(self).at(length)[1])

    def forward(self, data: Any, *positional: Any, **keywords: Any) -> Any:
        """Compute the part of this rank.

        Args:
            data: the samples of the rank, (batch, channels, samples), on a device of the mesh.
            positional, keywords: the other arguments of the module.

        Raises:
            InvalidValueError: the inputs of the ranks do not fit together. Every rank raises the same error.
        """
        plan: Plan = self.__dict__[PLAN]
        if plan.group.size == 1 and type(data) is Tensor and data.shape[-1:] == (plan.length,):
            return super().forward(data, *positional, **keywords)  # type: ignore[misc]
        training = next((norm for norm in plan.layout.norms if norm.training), None)
        if training is not None and plan.group.size > 1:
            raise InvalidValueError(
                f"module must have no {type(training).__name__} in training mode, which normalizes over the samples of one rank alone; "
                f"call eval() on it, or use torch.nn.SyncBatchNorm outside."
            )
        if plan.check:
            require_alike(plan.group, data, plan.lengths)
        return super().forward(data, *positional, **keywords)  # type: ignore[misc]


def _plan(module: Any) -> Plan:
    return cast("Plan", vars(module)[PLAN])


def _ranges(cuts: Cuts) -> list[Any]:
    ranges = cuts.by_rank()
    return [each[0] for each in ranges] if all(len(each) == 1 for each in ranges) else ranges


def sharded(
    module: Any,
    mesh: Any,
    dim: Any,
    *,
    length: Any,
    parts: Any = None,
    order: Any = CONTIGUOUS,
    documents: Any = None,
    blocks: Any = None,
    check: bool = True,
    overlap: bool = True,
) -> Any:
    """Shard a module over a mesh; see `convpolicy.shard`."""
    group = Group.of(mesh)
    unshard(module)

    def prepared() -> tuple[dict[str, Any], Plan]:
        if isinstance(dim, bool) or dim not in AXES:
            raise InvalidValueError(
                f"dim must be {AXES[0]} or {AXES[1]}, the last axis of (batch, channels, length), got {shown(dim)}; transpose the input."
            )
        checked = integer("length", length, 1, LARGEST)
        chunks = group.size if parts is None else parts
        cuts = cuts_of(checked, chunks, order)
        if cuts.count != group.size:
            raise InvalidValueError(
                f"parts must cut the input for the {group.size} ranks of the mesh, got cuts for {cuts.count}; pass other borders, or "
                f"leave it out."
            )

        lone = _blocks(module, blocks)

        def layout(cuts: Cuts, documents: Any) -> Layout:
            return layout_of(module, cuts, documents, lone, group.rank)

        borders = None if documents is None else tuple(documents)
        plan = Plan(
            layout,
            group,
            checked,
            chunks,
            order,
            borders,
            check,
            cuts,
            layout(cuts, borders),
        )
        same = {"length": checked, "parts": cuts.borders, "order": order, "documents": borders, "check": check}
        layers = {f"layer {path!r}": f"{place.layer.documents[0].plan}" for path, place in plan.layout.places.items()}
        return {**same, **layers}, plan

    plan = planned(group, prepared)
    for place in plan.layout.places.values():
        shard = exchanged(place.layer, place.cuts)[group.rank]
        if plan.group.size > 1 or len(shard.pieces) > 1:  # else the layer itself computes the whole
            vars(place.module)[WORK] = Work(place.arrays, place.layer, shard, group, overlap=overlap)
            add_base(place.module, ShardedLayer)
    vars(module)[PLAN] = plan
    add_base(module, Sharded)
    return module


def _blocks(module: nn.Module, blocks: Any) -> dict[str, int]:
    """Check the argument ``blocks``."""
    if blocks is None:
        return {}
    if not isinstance(blocks, Mapping):
        raise InvalidTypeError(
            f"blocks must map paths of modules to samples, got {shown(blocks)}; pass for example {{'pool': 2}}."
        )
    paths = dict(module.named_modules())
    for path in blocks:
        if path not in paths or path == "":
            raise InvalidValueError(
                f"blocks must have paths of modules, got {shown(path)}.{nearest(path, paths)} Print module to see its paths."
            )
    return {path: integer(f"blocks[{path!r}]", samples, 1) for path, samples in blocks.items()}


def unshard(module: Any) -> None:
    """Give a sharded module and its layers their own classes back."""
    if not isinstance(module, nn.Module) or not backends_of(module):
        raise InvalidTypeError(f"module must be a torch.nn.Module, got {shown(module)}; pass a layer or a model.")
    for each in module.modules():
        remove_bases(each, (Sharded, ShardedLayer))
        for name in (WORK, PLAN):
            vars(each).pop(name, None)
