"""`sharded`: a convolution of Flax on one long input that is cut over the devices of a mesh."""

from __future__ import annotations

import functools
import types
from typing import Any, cast

import attrs
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from convpolicy.arithmetic import LARGEST, integer
from convpolicy.core.cuts import CONTIGUOUS, cuts_of
from convpolicy.core.shard import Shard
from convpolicy.core.sharding import Layer, documents_of, exchanged
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.frameworks.flax.arrays import FlaxArrays
from convpolicy.frameworks.flax.capture import capture_linen, capture_nnx
from convpolicy.frameworks.flax.linen_layer import LinenConv1d
from convpolicy.frameworks.flax.shards.computing import HeldArrays, outputs
from convpolicy.frameworks.flax.shards.tables import Program, program_of
from convpolicy.layers.backend import LEARNED

DIMS = (-2, 1)  # the axis of the length that ``dim`` may name
PLAN = "_shard_plan"  # attribute of a sharded layer


class _Weights(FlaxArrays):
    """Reads the weights of a layer."""

    def weights(self) -> dict[str, Any]:
        """Return the weights by name, the kernel times its mask."""
        named = {"kernel": self._kernel, **{name: self._weight(name) for name in ("bias", LEARNED)}}
        return {name: value for name, value in named.items() if value is not None}


@attrs.frozen(eq=False)
class Plan:
    """How a layer is sharded. JAX compares plans by identity.

    Args:
        spec: sizes of the layer.
        mesh: the mesh.
        axis: name of the axis that cuts the length.
        batch_axis: name of the axis that cuts the batch, or None.
        shards: the shard of each device.
        program: what all devices do.
    """

    spec: ConvSpec
    mesh: Mesh
    axis: str
    batch_axis: str | None
    shards: tuple[Shard, ...]
    program: Program

    @property
    def placement(self) -> PartitionSpec:
        """How data (batch, length, channels) is cut over the mesh."""
        return PartitionSpec(self.batch_axis, self.axis, None)

    def run(self, layer: Any, data: Any) -> Any:
        """Return the outputs of all devices."""
        expected = (len(self.shards) * self.program.length, self.spec.in_channels)
        data = jnp.asarray(data)
        if data.ndim != 3 or data.shape[1:] != expected:
            raise InvalidValueError(
                f"data must have shape (batch, {expected[0]}, {expected[1]}), got {data.shape}; pass sharded.split(data) of the whole input."
            )

        def local(weights: dict[str, Any], part: Any) -> Any:
            return outputs(self.program, HeldArrays(layer, self.spec, weights), self.spec, part, self.axis)

        run = jax.shard_map(
            local,
            mesh=self.mesh,
            in_specs=(PartitionSpec(), self.placement),
            out_specs=self.placement,
            axis_names={self.axis, self.batch_axis} - {None},
        )
        return run(_Weights(layer, self.spec).weights(), data)


class Sharded:
    """A layer that takes and returns data that is cut over the devices of a mesh.

    The part of each device is padded to that of the device with most samples. What is after its own samples is not read, and is 0 in
    the outputs.
    """

    __slots__ = ()  # so that an object can change between its own class and one with this base

    def __call__(self, data: Any) -> Any:
        """Convolve data (batch, devices · samples, channels)."""
        return _plan(self).run(self, data)

    def cuts(self) -> list[Any]:
        """Return the range of input samples (first, end) of each device; in zigzag order, the ranges of each device."""
        return _ranges([shard.owned for shard in _plan(self).shards])

    def output_cuts(self) -> list[Any]:
        """Return the range of outputs (first, end) of each device; in zigzag order, the ranges of each device."""
        return _ranges([shard.produced for shard in _plan(self).shards])

    def split(self, data: Any) -> Any:
        """Return the whole input (batch, length, channels), cut over the devices and padded with zeros where parts are uneven."""
        plan = _plan(self)
        places, _inverse = _places([shard.owned for shard in plan.shards], plan.program.length)
        data = jnp.asarray(data)
        if data.ndim != 3 or data.shape[1] != (length := int(places.max()) + 1):
            raise InvalidValueError(f"data must have shape (batch, {length}, channels), got {data.shape}; pass the whole input.")
        if not np.array_equal(places, np.arange(data.shape[1])):
            data = jnp.take(data, jnp.asarray(np.where(places < 0, data.shape[1], places)), axis=1, mode="fill", fill_value=0)
        return jax.device_put(data, NamedSharding(plan.mesh, plan.placement))

    def join(self, outputs: Any) -> Any:
        """Return the whole output (batch, length, channels) from the outputs of all devices, which are gathered."""
        plan = _plan(self)
        places, inverse = _places([shard.produced for shard in plan.shards], plan.program.length_out)
        return outputs if np.array_equal(places, np.arange(outputs.shape[1])) else jnp.take(outputs, jnp.asarray(inverse), axis=1)


class ShardedLinenConv1d(Sharded, LinenConv1d):
    """A `LinenConv1d` that is sharded. It is a pytree whose leaves are the variables.

    Args:
        module, variables: see `LinenConv1d`.
        plan: how it is sharded.
    """

    def __init__(self, module: Any, variables: dict[str, Any], plan: Plan) -> None:
        super().__init__(module, variables)
        vars(self)[PLAN] = plan


jax.tree_util.register_pytree_node(
    ShardedLinenConv1d,
    lambda layer: ((layer.variables,), (layer.module, _plan(layer))),
    lambda fixed, leaves: ShardedLinenConv1d(fixed[0], leaves[0], fixed[1]),
)


def _plan(layer: Any) -> Plan:
    return cast("Plan", vars(layer)[PLAN])


def _ranges(ranges: list[Any]) -> list[Any]:
    return [each[0] for each in ranges] if all(len(each) == 1 for each in ranges) else ranges


def _places(ranges: list[Any], size: int) -> tuple[Any, Any]:
    """Return the position of each place of padded data, -1 for padding, and the place of each position."""
    places = np.full(len(ranges) * size, -1)
    for rank, each in enumerate(ranges):
        positions = np.concatenate([np.arange(first, end) for first, end in each])
        places[rank * size : rank * size + len(positions)] = positions
    inverse = np.zeros(int(places.max()) + 1, np.int64)
    inverse[places[places >= 0]] = np.flatnonzero(places >= 0)
    return places, inverse


@functools.cache
def _derived(kind: Any) -> type:
    """Return the class of a sharded layer. The layer's own class is the first base: an object can change between the two."""
    body = {"__module__": __name__, "__slots__": (), "__call__": Sharded.__call__}
    return types.new_class(f"Sharded{kind.__name__}", (kind, Sharded), exec_body=lambda names: names.update(body))


def sharded(
    layer: Any,
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
    """Shard a convolution of Flax over a mesh; see `convpolicy.shard`.

    All devices run one program, so that there is nothing to check. XLA decides what overlaps.
    """
    if blocks is not None:
        raise InvalidValueError(f"blocks must be None for one convolution of Flax, got {shown(blocks)}; leave it out.")
    mesh, axis, batch_axis = _axes(mesh)
    if isinstance(dim, bool) or dim not in DIMS:
        raise InvalidValueError(
            f"dim must be {DIMS[0]} or {DIMS[1]}, the axis of the length in (batch, length, channels), got {shown(dim)}; pass dim={DIMS[0]}."
        )
    layer = _unsharded(layer)
    is_linen = isinstance(layer, LinenConv1d)
    captured = (capture_linen if is_linen else capture_nnx)(layer)
    if captured is None:
        raise InvalidTypeError(f"module must be one convolution of Flax, got {shown(layer)}; shard each convolution of a model.")
    spec = captured.spec
    ranks = mesh.shape[axis]
    checked = integer("length", length, 1, LARGEST)
    cuts = cuts_of(checked, ranks if parts is None else parts, order)
    if cuts.count != ranks:
        raise InvalidValueError(
            f"parts must cut the input for the {ranks} devices of the mesh, got cuts for {cuts.count}; pass other borders, or leave it out."
        )
    found = documents_of(functools.partial(captured.policy.planned, spec), checked, documents)
    shards = exchanged(Layer(spec, found), cuts)
    plan = Plan(spec, mesh, axis, batch_axis, shards, program_of(spec, shards))
    place = functools.partial(_placed, mesh)
    if is_linen:
        return ShardedLinenConv1d(layer.module, jax.tree.map(place, layer.variables), plan)
    nnx.update(layer, jax.tree.map(place, nnx.state(layer)))
    layer.__class__ = _derived(cast("Any", type(layer)))
    vars(layer)[PLAN] = plan
    return layer


def _placed(mesh: Mesh, weight: Any) -> Any:
    """Return a weight on all devices of a mesh: a copy on each if it is on other devices."""
    on_mesh = isinstance(weight, jax.Array) and weight.sharding.device_set == set(mesh.devices.flat)
    return weight if on_mesh else jax.device_put(weight, NamedSharding(mesh, PartitionSpec()))


def _unsharded(layer: Any) -> Any:
    if isinstance(layer, ShardedLinenConv1d):
        return LinenConv1d(layer.module, layer.variables)
    if isinstance(layer, Sharded):
        cast("Any", layer).__class__ = type(layer).__bases__[0]
        del vars(layer)[PLAN]
    return layer


def _axes(mesh: Any) -> tuple[Mesh, str, str | None]:
    """Return a mesh, the name of the axis over which the length is cut, and that of the batch or None."""
    mesh, *names = mesh if isinstance(mesh, tuple) else (mesh,)
    if not isinstance(mesh, Mesh):
        raise InvalidTypeError(
            f"mesh must be a jax.sharding.Mesh, got {shown(mesh)} of type {type(mesh).__name__}; call jax.make_mesh."
        )
    own = ", ".join(map(repr, mesh.axis_names))
    if not names and len(mesh.axis_names) > 1:
        length, *others = reversed(mesh.axis_names)
        raise InvalidValueError(
            f"mesh must have one axis, got {own}; pass (mesh, {length!r}, {others[0]!r}) for the axes of the length and of the batch."
        )
    names = names or list(mesh.axis_names)
    if len(names) > 2 or not set(names) <= set(mesh.axis_names) or len(set(names)) < len(names):
        raise InvalidValueError(
            f"mesh must name different axes of the mesh, {own}, got {', '.join(map(repr, names))}; pass (mesh, length axis, batch axis)."
        )
    return mesh, names[0], names[1] if len(names) > 1 else None
