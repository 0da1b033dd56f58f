"""``execution="same-bits"``: every chunking gives the same bits as one chunk of the whole.

A library may sum the terms of an output in another order if a call has more outputs, or arrays with other strides. A stage of this module
therefore calls the layer with one shape and layout only, or as the framework's room found to keep the bits. `convpolicy verify --streaming` measures it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.chunks.arrays import Arrays
from convpolicy.chunks.convolution import ConvolutionStage
from convpolicy.chunks.schedule import Schedule
from convpolicy.chunks.transposed import TransposedStage
from convpolicy.core.spec import ConvSpec

TILES = (16, 4)  # numbers of outputs of one call, tried in this order
TRIALS = 3  # random inputs of each trial


class SameBitsConvolution(ConvolutionStage):
    """A convolution whose outputs are computed in calls of one shape."""

    def __init__(self, arrays: Arrays, schedule: Schedule) -> None:
        super().__init__(arrays, schedule)
        self._tiles: list[int] = []  # the number of outputs of one call, as soon as it was measured

    def with_arrays(self, arrays: Arrays) -> SameBitsConvolution:
        """Return the stage of a layer of the same sizes with other weights. It shares what was measured."""
        stage = type(self)(arrays, self.schedule)
        stage._tiles = self._tiles
        return stage

    def _convolved(self, padded: Any) -> Any:
        arrays, spec = self.arrays, self.schedule.spec
        if (alike := arrays.convolved_alike(padded)) is not None:
            return alike
        if not self._tiles:
            self._tiles.append(tile_size(arrays, spec))
        count = (arrays.length(padded) - spec.effective_kernel) // spec.stride + 1
        rows = [self._row(arrays.rows(padded, np.array([row])), count) for row in range(padded.shape[0])]
        return arrays.joined(rows, 0) if rows else self._zeros(0)

    def _row(self, padded: Any, count: int) -> Any:
        arrays, spec, tile = self.arrays, self.schedule.spec, self._tiles[0]
        hop, span = tile * spec.stride, (tile - 1) * spec.stride + spec.effective_kernel
        last = (-(-count // tile) - 1) * hop + span
        if (missing := last - arrays.length(padded)) > 0:
            zeros = arrays.zeros(arrays.shape(1, spec.in_channels, missing))
            padded = arrays.end_to_end(padded, zeros)
        parts = (
            arrays.owned(arrays.cut(padded, start, start + span)) for start in range(0, count * spec.stride, hop)
        )  # one layout
        return arrays.cut(arrays.end_to_end(*map(arrays.convolved, parts)), 0, count)


def tile_size(arrays: Any, spec: ConvSpec) -> int:
    """Return the number of outputs of one call whose bits do not depend on their place in the call.

    An input whose period is the stride gives every output the same terms. A library for which they differ computes one output per call.
    """
    random = np.random.default_rng(0)
    for tile in TILES:
        length = (tile - 1) * spec.stride + spec.effective_kernel
        for _ in range(TRIALS):
            period = random.standard_normal((1, spec.in_channels, spec.stride))
            data = np.tile(period, -(-length // spec.stride))[..., :length]
            outputs = arrays.to_numpy(arrays.convolved(arrays.of_numpy(data)))
            if not (outputs == outputs[..., :1]).all():
                break
        else:
            return tile
    return 1


class SameBitsTransposed(TransposedStage):
    """A transposed convolution whose samples are added one by one, in the order in which they come."""

    def _overlapped(self, chunk: Any, partial: Any, complete: Any) -> tuple[Any, Any]:
        arrays, spec, overlap = self.arrays, self.schedule.spec, self.schedule.overlap
        rows, rests = [], []
        for row in range(chunk.shape[0]):
            data, total, parts = arrays.rows(chunk, np.array([row])), arrays.rows(partial, np.array([row])), []
            for sample in range(arrays.length(chunk)):
                full = arrays.scattered(arrays.owned(arrays.cut(data, sample, sample + 1)))
                if overlap:
                    full = arrays.end_to_end(arrays.cut(full, 0, overlap) + total, arrays.cut(full, overlap))
                    total = arrays.cut(full, spec.stride)
                parts.append(arrays.cut(full, 0, spec.stride))
                if missing := max(spec.stride - spec.effective_kernel, 0):
                    parts.append(self._zeros(1, missing))
            rows.append(arrays.end_to_end(*parts))
            rests.append(total)
        return arrays.joined(rows, 0), arrays.owned(arrays.joined(rests, 0))
