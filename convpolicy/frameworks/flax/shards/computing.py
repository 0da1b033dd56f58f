"""The outputs of one device, inside ``jax.shard_map``: exchange by ``ppermute``, then the convolution of its samples."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.arrays import FlaxArrays
from convpolicy.frameworks.flax.shards.tables import Call, Canvas, Program


class HeldArrays(FlaxArrays):
    """The arrays of a layer whose weights are passed beside it, as JAX traces them.

    Args:
        layer: the layer.
        spec: its sizes.
        weights: its weights by name, the kernel times its mask.
    """

    def __init__(self, layer: Any, spec: ConvSpec, weights: dict[str, Any]) -> None:
        super().__init__(layer, spec)
        self._weights = weights

    def _weight(self, name: str) -> Any:
        return self._weights.get(name)

    @property
    def _kernel(self) -> Any:
        return self._weights["kernel"]


def outputs(program: Program, arrays: FlaxArrays, spec: ConvSpec, data: Any, axis: str) -> Any:
    """Return the outputs of a device (batch, length_out, out_channels), zeros after its own ones.

    Args:
        program: the program of all ranks.
        arrays: the arrays of the layer.
        spec: its sizes.
        data: the samples of the device (batch, length, channels). What is after its own ones is not read.
        axis: name of the axis of the mesh.
    """
    rank = lax.axis_index(axis)
    pool = data
    for message in program.messages:
        samples = jnp.take(data, jnp.asarray(message.places)[rank], axis=1)
        pool = jnp.concatenate([pool, lax.ppermute(samples, axis, message.pairs)], axis=1)
    total: Any = None
    for call in program.calls:
        part = _transposed(program, arrays, spec, call, data, pool, rank) if spec.transposed else None
        if part is None:
            part = arrays.convolved(_canvas(program, arrays, call.canvases[0], data, pool, rank))
        part = jnp.where((jnp.arange(part.shape[1]) < jnp.asarray(call.count)[rank])[:, None], part, 0)
        part = _window(part, -call.place, program.length_out, rank)
        total = part if total is None else total + part
    return total


def _window(data: Any, starts: Any, length: int, rank: Any) -> Any:
    """Return ``length`` samples from the place ``starts[rank]`` on, with zeros outside the data."""
    before = max(0, -int(starts.min()))
    after = max(0, int(starts.max()) + length - data.shape[1])
    wide = jnp.pad(data, ((0, 0), (before, after), (0, 0))) if before or after else data
    if wide.shape[1] == length:
        return wide
    return lax.dynamic_slice_in_dim(wide, jnp.asarray(starts + before)[rank], length, 1)


def _canvas(program: Program, arrays: FlaxArrays, canvas: Canvas, data: Any, pool: Any, rank: Any) -> Any:
    """Return the input of one call (batch, canvas.length, channels)."""
    places = jnp.arange(canvas.length)
    is_own = (places >= jnp.asarray(canvas.first)[rank]) & (places < jnp.asarray(canvas.end)[rank])
    samples = jnp.where(is_own[:, None], _window(data, canvas.start, canvas.length, rank), 0)
    if not canvas.places.shape[1]:
        return samples
    others: Any = 0
    for term in range(canvas.reads.shape[1]):
        coefficients = jnp.asarray(canvas.coefficients[:, term], data.dtype)[rank][:, None]
        read = jnp.take(pool, jnp.asarray(canvas.reads[:, term])[rank], axis=1)
        others = others + jnp.where(coefficients != 0, coefficients * read, 0)
    for side, (value, learned) in enumerate(zip(program.values, program.learned)):
        if canvas.shares[:, side].any() and (learned or np.any(np.asarray(value) != 0)):
            shares = jnp.asarray(canvas.shares[:, side], data.dtype)[rank][:, None]
            constant = arrays.learned if learned else jnp.asarray(value, data.dtype).reshape(1, -1)
            others = others + jnp.where(shares != 0, shares * constant, 0)
    return samples.at[:, jnp.asarray(canvas.places)[rank]].add(others, mode="drop", unique_indices=True)


def _transposed(program: Program, arrays: FlaxArrays, spec: ConvSpec, call: Call, data: Any, pool: Any, rank: Any) -> Any:
    """Return the outputs of one call of a transposed convolution: the sum of its turns and the bias."""
    most = max(1, int(call.count.max()))
    total: Any = None
    for canvas, cuts in zip(call.canvases, call.cuts):
        full = arrays.scattered(_canvas(program, arrays, canvas, data, pool, rank))
        part = _window(full, cuts, most, rank)
        total = part if total is None else total + part
    return arrays.biased(total)
