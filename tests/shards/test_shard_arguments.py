"""`policy.shard`: what it prints, and what it refuses."""

from __future__ import annotations

import pytest

import convpolicy as cp
from convpolicy.shards import local

SAME = cp.policy("torch").evolve(padding="same_upper")


def test_a_shard_says_what_it_does():
    """The middle rank of three gets one sample from each side, and only the ends have padding."""
    shards = SAME.shard(12, 3, 3)
    assert [(shard.owns, shard.outputs, shard.left, shard.right) for shard in shards] == [
        ((0, 4), (0, 4), 1, 0),
        ((4, 8), (4, 8), 0, 0),
        ((8, 12), (8, 12), 0, 1),
    ]
    assert (shards[1].receives, shards[1].sends) == (((0, 3, 4), (2, 8, 9)), ((0, 4, 5), (2, 7, 8)))
    assert (shards[1].received, shards[1].sent, shards[1].length, shards[1].length_out) == (2, 2, 4, 4)
    assert str(shards[0]) == "rank 0: owns 0…3, outputs 0…3, receives 4…4 from rank 1, sends 3…3 to rank 1"


def test_a_number_cuts_as_torch_chunk():
    """Every rank has ceil(length / ranks) samples, the last ones what is left."""
    assert [shard.owns for shard in SAME.shard(9, 4, 3)] == [(0, 3), (3, 6), (6, 9), (9, 9)]


def test_circular_padding_goes_around():
    """The first rank gets its left padding from the last one."""
    shards = SAME.evolve(padding_mode="circular").shard(9, 3, 3)
    assert shards[0].receives == ((1, 3, 4), (2, 8, 9))


def test_a_halo_over_several_ranks():
    """A kernel wider than the shards reads those of several ranks, and an empty shard has no part in it."""
    shards = cp.policy("torch").evolve(padding="causal").shard(6, [0, 2, 3, 3, 6], 5)
    assert [shard.receives for shard in shards] == [(), ((0, 0, 2),), (), ((0, 0, 2), (1, 2, 3))]


def test_documents_stop_the_window():
    """At a border, the outputs read padding instead of samples of the other document."""
    shards = SAME.shard(12, [0, 6, 12], 3, documents=[0, 6, 12])
    assert [(shard.receives, shard.left, shard.right) for shard in shards] == [((), 1, 1), ((), 1, 1)]
    assert len(SAME.shard(12, 1, 3, documents=[0, 5, 12])[0].pieces) == 2


def test_zigzag_gives_each_rank_an_early_and_a_late_chunk():
    """Rank r of n owns chunks r and 2n-1-r."""
    shards = SAME.shard(16, 2, 3, order="zigzag")
    assert [shard.owned for shard in shards] == [((0, 4), (12, 16)), ((4, 8), (8, 12))]
    assert shards[1].receives == ((0, 3, 4), (0, 12, 13))
    with pytest.raises(
        cp.InvalidValueError, match=r"owns must be read from a shard with one range, got 2 on rank 0; read shard\.owned"
    ):
        _ = shards[0].owns


def test_a_transposed_shard_cuts_its_own_result():
    """The numbers on the left and on the right are what the rank cuts from the full result of its samples."""
    policy = cp.policy("torch").evolve(transposed={"padding": 1})
    shards = policy.shard(8, 2, 4, 2, transposed=True)
    assert [(shard.outputs, shard.receives, shard.left, shard.right) for shard in shards] == [
        ((0, 8), ((1, 4, 5),), 1, 3),
        ((8, 16), ((0, 3, 4),), 3, 1),
    ]
    assert policy.transposed.shard(8, 2, 4, 2) == shards


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"parts": 0}, ValueError, "parts must be at least 1, got 0"),
        ({"parts": 2.5}, TypeError, "parts must be an integer, got 2.5 of type float"),
        ({"parts": "2"}, TypeError, "parts must be an integer, got '2' of type str"),
        ({"parts": [0, 8, 4, 12]}, ValueError, "parts must be borders that do not decrease, got 4 after 8; sort them"),
        ({"parts": [0, 4, 11]}, ValueError, r"parts must be borders from 0 to the length 12, got \[0, 4, 11\]"),
        ({"parts": [0, 4.0, 12]}, TypeError, r"parts\[1\] must be an integer, got 4.0"),
        ({"parts": [12]}, ValueError, "parts must be borders from 0 to the length 12"),
        ({"parts": [0, 1, 2, 12], "order": "zigzag"}, ValueError, "the borders of 2 chunks for each rank in zigzag order, got 3"),
        ({"order": "ring"}, ValueError, "order must be one of contiguous, zigzag, got 'ring'"),
        ({"documents": [0, 5, 5, 12]}, ValueError, "documents must be borders that increase, got 5 after 5"),
        ({"documents": 3}, TypeError, "documents must be a list of borders from 0 to the length 12, got 3"),
        ({"length": 0}, ValueError, "length must be at least 1, got 0"),
        ({"length": None}, TypeError, "length must be an integer, got None"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, got 0"),
    ],
)
def test_refusals(arguments, error, message):
    """They name the argument, what came and what is allowed."""
    with pytest.raises(error, match=message) as caught:
        SAME.shard(**{"length": 12, "parts": 2, "kernel_size": 3, **arguments})
    assert isinstance(caught.value, cp.ConvPolicyError)


def test_inputs_without_outputs_are_refused():
    """An input or a document that is shorter than one window is refused as the layer refuses it."""
    policy = cp.policy("torch")
    with pytest.raises(cp.InvalidValueError, match="input of length 3 is too short"):
        policy.shard(3, 2, 5)
    with pytest.raises(cp.InvalidValueError, match="document 1: input of length 2 is too short"):
        policy.shard(8, 2, 5, documents=[0, 6, 8])
    with pytest.raises(cp.InvalidValueError, match=r"data must have shape \(batch, 2, length\)"):
        import numpy as np

        local(cp.Conv1d(2, 2, 3), np.zeros((2, 8), np.float32), 2)
