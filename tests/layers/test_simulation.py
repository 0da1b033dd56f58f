"""`ChainShards.simulate`: times computed by hand, and bytes that the NumPy test bed moves."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.sharded import cases
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.core.simulation import PathStep, inner
from convpolicy.layers.chain_shards import ONCE
from convpolicy.shards import one_process

SAME = cp.policy("torch").evolve(padding=1)
CAUSAL = cp.policy("torch").evolve(padding="causal")
NETWORK = {"latency": 1.0, "bandwidth": 4.0, "rate": 4.0, "overlap": False}  # one float32 takes 1 s, 4 multiplications take 1 s
SOME_SECONDS = 20  # for 4096 ranks, on a busy machine


def test_equal_parts():
    """Kernel 3 over 2 times 4 samples: 1 s latency and 1 s for one sample, then 4 outputs times 3 weights in 3 s; twice for 2 layers."""
    one, two = (cp.chain([(SAME, 3)] * layers).shard(8, 2, exchange="each").simulate(**NETWORK) for layers in (1, 2))
    assert (one.seconds, one.one_rank, one.exchanging, one.bytes_received, one.messages) == (5.0, 6.0, 2.0, (4, 4), (1, 1))
    assert (two.seconds, two.one_rank, two.bytes_received, two.messages) == (10.0, 12.0, (8, 8), (2, 2))
    assert (one.speedup, one.efficiency) == (1.2, 0.6)


def test_the_critical_path_goes_through_the_slower_rank():
    """Rank 0 has 6 of 8 samples: its two layers take 4.5 s each, and rank 1 ends before, though it waits for rank 0."""
    result = cp.chain([(SAME, 3)] * 2).shard(8, [0, 6, 8], exchange="each").simulate(**NETWORK)
    assert result.path == (
        PathStep("exchange", 0, 0, 1, 2.0),
        PathStep("compute", 0, 0, None, 4.5),
        PathStep("compute", 1, 0, None, 4.5),
    )
    assert result.seconds == 11.0


def test_links_carry_one_message_at_a_time():
    """A causal kernel 5 over shards of 2: rank 0 sends to rank 1, then to rank 2, whose link gets rank 1's message before."""
    result = cp.chain([(CAUSAL, 5)]).shard(6, 3).simulate(**{**NETWORK, "rate": 10.0})
    assert result.bytes_received == (0, 8, 16)
    assert result.path == (PathStep("exchange", 0, 2, 0, 5.0), PathStep("compute", 0, 2, None, 1.0))
    late = cp.chain([(CAUSAL, 5)]).shard(6, 3).simulate(**NETWORK, rows=3)  # 6 s for a message: 7 s, then 13 s
    assert late.path[0].seconds == 13.0


def test_one_exchange_computes_more():
    """With one exchange before both layers, each rank gets 2 samples and computes 5 outputs of the first layer."""
    result = cp.chain([(SAME, 3)] * 2).shard(8, 2, exchange=ONCE).simulate(**NETWORK)
    assert (result.bytes_received, result.messages) == ((8, 8), (1, 1))
    assert result.seconds == 1 + 2 + 5 * 3 / 4 + 4 * 3 / 4


def test_inner_outputs_are_computed_during_the_exchange():
    """Of 4 outputs with 3 weights, 3 need no other rank and take 2.25 s, more than the 2 s of the exchange: nothing is lost."""
    chain = cp.chain([(SAME, 3)])
    slow, fast = (chain.shard(8, 2).simulate(**{**NETWORK, "overlap": True, "rate": rate}) for rate in (4.0, 12.0))
    assert (slow.seconds, slow.exchanging) == (3.0, 0.0)
    assert (fast.seconds, fast.exchanging) == (2.25, 2.0)  # the last output is computed when its sample is there


@settings(max_examples=300, deadline=None, derandomize=True)
@given(cases())
def test_inner_outputs_read_own_samples_alone(case):
    """`inner` never counts an output that the float64 reference computes from another rank's samples, and finds all without gaps and copies."""
    assume(not case.transposed)
    reads = case.reads()
    spec = cp.ConvSpec(1, 1, *case.sizes)
    for shard in case.shards():
        others = np.ones(case.length, bool)
        for first, end in shard.owned:
            others[first:end] = False
        mine = [output for first, end in shard.produced for output in range(first, end)]
        alone = int((~reads[others][:, mine].any(axis=0)).sum())
        assert inner(spec, shard) <= alone
        if case.dilation == 1 and case.policy.padding_mode.name == "zeros":
            assert inner(spec, shard) == alone


def test_transposed_layers_multiply_samples():
    """Kernel 4 with stride 2, torch's crop of 1: 4 samples on each of 2 ranks, and one of the neighbour, times 4 weights."""
    up = cp.policy("torch").half().evolve(padding=(1, 1))
    result = cp.chain([(up, 4, 2)]).shard(8, 2).simulate(**NETWORK)
    assert (result.seconds, result.one_rank) == (2.0 + 5, 8.0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(40, 90), st.integers(1, 6), st.sampled_from(["each", "once", "cheapest"]), st.data())
def test_bytes_are_those_that_the_test_bed_moves(length, ranks, exchange, data):
    """Every array that a rank gets from another one in the NumPy test bed is counted, and one message for each rank that sends."""
    policies = st.sampled_from([SAME, CAUSAL, SAME.evolve(padding_mode="reflect"), SAME.evolve(padding_mode="circular")])
    stack, channels = [], 2
    for _ in range(data.draw(st.integers(1, 3))):
        out = data.draw(st.integers(1, 3)) * 2
        kernel, stride = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 2))
        stack.append(cp.Conv1d(channels, out, kernel, stride, policy=data.draw(policies), seed=0))
        channels = out
    shards = cp.chain(stack).shard(length, ranks, exchange=exchange)
    whole = np.random.default_rng(0).standard_normal((1, 2, length), dtype=np.float32)
    moved, messages, owned = [0] * ranks, [0] * ranks, None
    for layer, step in zip(stack, shards.steps):
        captured = cp.capture(layer)
        arrays = one_process.arrays_of(layer, captured)
        owned = one_process.split(arrays, step, whole) if owned is None else owned
        for rank, received in enumerate(one_process.exchanged(arrays, step, owned)):
            moved[rank] += sum(each.nbytes for each in received)
            messages[rank] += len({sender for sender, _first, _end in step[rank].receives})
        owned = one_process.outputs(arrays, captured.spec, step, owned)
    result = shards.simulate(**NETWORK)
    assert (result.bytes_received, result.messages) == (tuple(moved), tuple(messages))
    assert sum(step.seconds for step in result.path) == pytest.approx(result.seconds)


def test_4096_ranks_take_seconds():
    """Seven layers over 196 608 samples, on 2 and on 4096 ranks."""
    chain = cp.chain([(cp.policy("torch").evolve(padding=2), 5, 2)] * 7)
    start = time.perf_counter()
    few, many = (
        chain.shard(196_608, ranks, exchange="each").simulate(latency=1e-5, bandwidth=1e9, rate=1e6) for ranks in (2, 4096)
    )
    assert time.perf_counter() - start < SOME_SECONDS
    assert few.speedup == pytest.approx(2, rel=0.01)
    assert 100 < many.speedup < 4096


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latency": -1}, "latency must be a finite number of 0 or more, got -1"),
        ({"bandwidth": 0}, "bandwidth must be a finite number of more than 0, got 0"),
        ({"rate": float("nan")}, "rate must be a finite number of more than 0, got nan"),
        ({"rate": "fast"}, "rate must be a number, got 'fast' of type str"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
    ],
)
def test_refusals(arguments, message):
    """They name the argument."""
    with pytest.raises(cp.ConvPolicyError, match=message):
        cp.chain([(SAME, 3)]).shard(8, 2).simulate(**{**NETWORK, **arguments})


def test_the_command_shows_the_growth():
    """`chain --simulate` has the numbers of `simulate` for 2, 4, … ranks."""
    arguments = ["chain", "torch:padding=1:3", "torch:padding=1:3", "--length", "64", "--simulate", "6", "--latency", "1"]
    shown = json.loads(CliRunner().invoke(cli.build(), [*arguments, "--json"]).stdout)
    chain = cp.chain([(SAME, 3)] * 2)
    times = [
        chain.shard(64, ranks, exchange="each").simulate(latency=1e-6, bandwidth=25e9, rate=2e13).seconds for ranks in (2, 4, 6)
    ]
    assert [row["ranks"] for row in shown["ranks"]] == [2, 4, 6]
    assert [row["seconds"] for row in shown["ranks"]] == pytest.approx(times)
    table = CliRunner().invoke(cli.build(), arguments).stdout
    assert "simulated: 1 µs latency, 25 GB/s" in table
    refused = CliRunner().invoke(cli.build(), [*arguments, "--rate", "0"])
    assert (refused.exit_code, "rate must be" in refused.stderr) == (2, True)
