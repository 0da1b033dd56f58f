"""The check of layers that are cut over ranks passes for NumPy and rejects wrong halos and wrong arrays."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import convpolicy as cp
from convpolicy.core import sharding as integers
from convpolicy.frameworks.numpy.arrays import NumpyArrays
from convpolicy.shards import one_process
from convpolicy.testing import ConformanceError, chunks

NUMPY = cp.backends()["numpy"]


def without_last(shards):
    """Each rank gets one sample less from every other one."""
    return tuple(
        attrs.evolve(
            shard,
            receives=tuple((rank, first, end - 1) for rank, first, end in shard.receives if end - first > 1),
            sends=tuple((rank, first, end - 1) for rank, first, end in shard.sends if end - first > 1),
        )
        for shard in shards
    )


def phase_lost(shards):
    """Each rank but the first reads one sample too late."""
    changed = [
        attrs.evolve(piece, reads=(piece.reads[0] + 1, piece.reads[1] + 1)) for shard in shards[1:] for piece in shard.pieces
    ]
    later = iter(changed)
    return (shards[0], *(attrs.evolve(shard, pieces=tuple(next(later) for _ in shard.pieces)) for shard in shards[1:]))


@pytest.mark.parametrize("transposed", [False, True])
def test_numpy_passes(transposed):
    """Its layers on 3 ranks are those of the reference."""
    chunks.sharding(NUMPY, transposed)


@pytest.mark.parametrize("fault", [without_last, phase_lost])
def test_wrong_integers_are_rejected(fault, monkeypatch):
    """A halo that is one short, and a phase that is lost."""
    monkeypatch.setattr(chunks, "shards_of", lambda *given: fault(integers.shards_of(*given)))
    with pytest.raises(ConformanceError):
        chunks.sharding(NUMPY, False)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("fault", [np.zeros_like, lambda halo: np.roll(halo, 1, -1), lambda halo: halo[:, ::-1]])
def test_wrong_halos_are_rejected(fault, transposed, monkeypatch):
    """Samples that do not arrive, in another order, or with their channels reversed."""
    exchanged = one_process.exchanged
    monkeypatch.setattr(one_process, "exchanged", lambda *given: [[fault(halo) for halo in halos] for halos in exchanged(*given)])
    with pytest.raises(ConformanceError, match="the output differs"):
        chunks.sharding(NUMPY, transposed)


class OnesMissing(NumpyArrays):
    """Outputs that no sample reaches are 1."""

    def zeros(self, shape):
        return super().zeros(shape) + 1


class OrderLost(NumpyArrays):
    """Parts are joined in the order of their lengths."""

    def joined(self, parts, axis):
        return super().joined(sorted(parts, key=lambda part: part.shape[axis]), axis)


@pytest.mark.parametrize(("arrays", "transposed"), [(OnesMissing, True), (OrderLost, False), (OrderLost, True)])
def test_wrong_arrays_are_rejected(arrays, transposed):
    """Zeros that are none, and parts in a wrong order."""
    with pytest.raises(ConformanceError, match="the output differs"):
        chunks.sharding(attrs.evolve(NUMPY, arrays=arrays), transposed)
