"""Shards: with their integers alone, all ranks together compute the layer, and no rank receives what it does not need."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from helpers.sharded import cases
from hypothesis import given, settings

import convpolicy as cp
from convpolicy import reference
from convpolicy.core.ranges import count, union
from convpolicy.errors import ConvPolicyError
from convpolicy.shards import local, one_process

BOTH_SIDES = 2  # the ranks and the reference each have one rounding bound


def worst(case, shards):
    """Return the largest error of the ranks' joined outputs, in rounding bounds, or infinity if they do not fit together."""
    capture = case.capture()
    data = np.random.default_rng(2).standard_normal((2, 2, case.length))
    expected = case.reference(data, capture.weight, capture.bias)
    arrays = one_process.arrays_of(capture, capture)
    try:
        outputs = one_process.outputs(arrays, capture.spec, shards, one_process.split(arrays, shards, data))
    except (ConvPolicyError, IndexError, ValueError):
        return np.inf
    joined = one_process.joined(arrays, shards, outputs)
    if joined.shape != expected.output.shape:
        return np.inf
    bound = BOTH_SIDES * reference.tolerance("float64", expected.terms, expected.magnitude)
    return float((np.abs(joined - expected.output) / bound).max(initial=0))


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(cases())
def test_all_ranks_together_compute_the_layer(case):
    """Any rule, mode, stride, dilation, cut, order and documents: the joined outputs are those of the float64 reference."""
    assert worst(case, case.shards()) <= 1


@settings(max_examples=600, deadline=None, derandomize=True)
@given(cases(longest=16))
def test_a_rank_receives_what_it_reads_and_does_not_own(case):
    """Each sample that the reference's outputs of a rank depend on and the rank does not own arrives once, and nothing else."""
    shards, reads = case.shards(), case.reads()
    for shard in shards:
        own = {position for first, end in shard.owned for position in range(first, end)}
        mine = [output for first, end in shard.produced for output in range(first, end)]
        needed = set(np.flatnonzero(reads[:, mine].any(axis=1)).tolist()) - own
        arrived = [position for _rank, first, end in shard.receives for position in range(first, end)]
        assert sorted(arrived) == sorted(needed)
        assert all(
            first >= low and end <= high for rank, first, end in shard.receives for low, high in [_chunk(shards, rank, first)]
        )
        assert sorted(shard.sends) == sorted(
            (other.rank, first, end) for other in shards for rank, first, end in other.receives if rank == shard.rank
        )


def _chunk(shards, rank, position):
    return next(chunk for chunk in shards[rank].owned if chunk[0] <= position < chunk[1])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(cases())
def test_every_sample_and_output_has_one_owner(case):
    """The ranges of all ranks are the whole input and the whole output, and in contiguous order they follow one another."""
    shards = case.shards()
    outputs = sum(
        case.policy.plan(*case.sizes, length=end - first, transposed=case.transposed).length_out
        for first, end in zip(case.borders, case.borders[1:])
    )
    for ranges, length in (("owned", case.length), ("produced", outputs)):
        own = [each for shard in shards for each in getattr(shard, ranges)]
        assert (union(own), count(own)) == ([(0, length)], length)
        if case.order == "contiguous":
            assert own == sorted(own)


def _shorter(shard):
    rank, first, end = shard.receives[-1]
    return (*shard.receives[:-1], *([(rank, first, end - 1)] if end - first > 1 else []))


def _moved(shard, step):
    return tuple(attrs.evolve(piece, reads=(piece.reads[0] + step, piece.reads[1] + step)) for piece in shard.pieces)


def _neighbour(shard, shards):
    return tuple(((rank + 1) % len(shards), first, end) for rank, first, end in shard.receives)


WRONG = {
    "one short": lambda shard, shards: attrs.evolve(shard, receives=_shorter(shard)),
    "wrong neighbour": lambda shard, shards: attrs.evolve(shard, receives=_neighbour(shard, shards)),
    "stride phase lost": lambda shard, shards: attrs.evolve(shard, pieces=_moved(shard, -1)),
    "one late": lambda shard, shards: attrs.evolve(shard, pieces=_moved(shard, 1)),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_shards_are_rejected(fault):
    """The comparison above fails for a halo that is one short, from another neighbour, or at another phase of the stride."""
    rejected = []

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(cases().filter(lambda case: not case.transposed and any(shard.receives for shard in case.shards())))
    def run(case):
        shards = list(case.shards())
        place = next(number for number, shard in enumerate(shards) if shard.receives)
        shards[place] = WRONG[fault](shards[place], shards)
        rejected.append(worst(case, shards) > 1)

    run()
    assert np.mean(rejected) > 0.8  # in some cases the other samples are not read


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.needs("torch"))])
def test_a_row_of_layers_of_any_framework(backend):
    """`local` runs layers of a framework on every rank, with one exchange for each layer or for all, in the axes of the framework."""
    layers = [
        cp.Conv1d(2, 4, 7, 2, padding="same_upper", padding_mode="reflect", backend=backend, seed=1),
        cp.ConvTranspose1d(4, 4, 4, 2, padding=1, groups=2, backend=backend, seed=2),
        cp.Conv1d(4, 3, 3, padding=(4, 0), dilation=2, padding_mode="replicate", backend=backend, seed=3),
    ]
    data = np.random.default_rng(0).standard_normal((2, 2, 41)).astype(np.float32)
    if backend == "torch":
        import torch

        data = torch.from_numpy(data)
    whole = data
    for layer in layers:
        whole = layer(whole)
    whole = np.asarray(whole if backend == "numpy" else whole.detach())
    terms = sum(cp.capture(layer).weight[0].size + 1 for layer in layers)
    for exchange in ("each", "once", "cheapest"):
        outputs = local(layers, data, [0, 3, 3, 20, 41], exchange=exchange)
        joined = np.concatenate([np.asarray(each if backend == "numpy" else each.detach()) for each in outputs], -1)
        assert np.abs(joined - whole).max() <= 2 * terms * 2.0**-24 * np.abs(whole).max()


@pytest.mark.needs("torch")
def test_a_capture_with_a_learned_constant():
    """`local` runs a capture in NumPy, with the value that the layer has learned."""
    import torch

    mode = cp.Choice("constant", value=0.25, learned=True)
    layer = cp.Conv1d(2, 3, 5, padding="same_upper", padding_mode=mode, backend="torch", seed=1, dtype="float64")
    with torch.no_grad():
        layer.padding_value.fill_(1.5)
    data = np.random.default_rng(0).standard_normal((2, 2, 12))
    joined = np.concatenate(local(cp.capture(layer), data, 3), -1)
    expected = layer(torch.from_numpy(data)).detach().numpy()
    assert np.abs(joined - expected).max() <= BOTH_SIDES * 11 * 2.0**-53 * np.abs(expected).max()
