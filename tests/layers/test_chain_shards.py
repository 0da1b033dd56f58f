"""`Chain.shard` and `convpolicy chain --shards`: layers that share an exchange, and the bytes that ranks send."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.cli import group as cli

ENCODER = [("torch", 10, 5), ("torch", 3, 2), ("torch", 3, 2)]


def run(*arguments):
    return CliRunner().invoke(cli.build(), ["chain", *arguments])


def test_one_exchange_where_it_is_cheaper():
    """An encoder of 1 channel and then 512 exchanges before the first layer alone: 20 samples instead of 5 and twice 512."""
    chain = cp.chain(ENCODER)
    once, each = (chain.shard(100_000, 4, channels=[1, 512, 512], exchange=name) for name in ("cheapest", "each"))
    assert (once.groups, [once.received(rank) for rank in range(4)]) == (((0, 3),), [80, 80, 80, 0])
    assert each.received(0) == 4 * (5 + 512 + 512)
    assert once.computed(0) > each.computed(0)  # the samples at the border are computed twice


def test_an_exchange_for_each_layer_where_that_is_cheaper():
    """With wide inputs and narrow layers after them, sharing is dearer; starts of messages turn it around."""
    chain = cp.chain([("torch", 3), ("torch", 9)])
    assert chain.shard(1000, 4, channels=[64, 1]).groups == ((0, 1), (1, 2))
    assert chain.shard(1000, 4, channels=[64, 1], message_bytes=10_000).groups == ((0, 2),)


def test_channels_come_from_layers():
    """Native layers have them, sizes alone have 1."""
    chain = cp.chain([cp.Conv1d(3, 8, 3), cp.Conv1d(8, 8, 3)])
    assert chain.shard(100, 2).channels == (3, 8)
    assert cp.chain(ENCODER).shard(1000, 2).channels == (1, 1, 1)


def test_documents_stay_apart_in_every_layer():
    """A border at a cut stops the windows of all layers: nothing is sent."""
    chain = cp.chain([(cp.policy("torch").evolve(padding="causal"), 5, 2)] * 2)
    assert chain.shard(64, 2).received(1) > 0
    assert chain.shard(64, 2, documents=[0, 32, 64]).received(1) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"exchange": "never"}, "exchange must be one of each, once, cheapest, got 'never'"),
        ({"channels": [1, 2]}, "channels must be the input channels of each of the 3 layers, got 2 numbers"),
        ({"channels": 4}, "channels must be a list with the input channels of each layer, got 4"),
        ({"length": 20}, "layer 1 of the chain: input of length 3 is too short|layer 2 of the chain: input of length"),
        ({"itemsize": 0}, "itemsize must be at least 1, got 0"),
        ({"message_bytes": -1}, "message_bytes must be at least 0, got -1"),
    ],
)
def test_refusals(arguments, message):
    """They name the argument or the layer."""
    with pytest.raises(cp.ConvPolicyError, match=message):
        cp.chain(ENCODER).shard(**{"length": 1000, "parts": 2, **arguments})


def test_the_command_prints_bytes_per_rank():
    """The numbers are those of `Chain.shard`, as a table and as JSON."""
    layers = ["torch:10:5", "torch:3:2", "torch:3:2"]
    channels = ["--channels", "1", "--channels", "512", "--channels", "512"]
    arguments = [*layers, "--length", "1000", "--shards", "3", *channels]
    shards = cp.chain(ENCODER).shard(1000, 3, channels=[1, 512, 512])
    shown = json.loads(run(*arguments, "--json").stdout)
    assert [row["bytes_sent"] for row in shown["ranks"]] == [shards.sent(rank) for rank in range(3)]
    assert [row["exchange"] for row in shown["layers"]] == ["yes", "no", "no"]
    table = run(*arguments).stdout
    assert all(f"{first}…{end - 1}" in table for first, end in (step.owns for step in shards.steps[0]))
    refused = run(*arguments[:-6], "--shards", "0")
    assert (refused.exit_code, "parts must be at least 1, got 0" in refused.stderr) == (2, True)
