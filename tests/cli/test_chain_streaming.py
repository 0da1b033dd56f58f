"""`convpolicy chain --streaming`: what a stack of layers keeps and computes for each chunk."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.cli import group as cli


def run(*arguments):
    return CliRunner().invoke(cli.build(), ["chain", *arguments])


def test_the_numbers_are_those_of_the_layers():
    """Delay, latency and states equal those of a streaming of layers with weights."""
    shown = json.loads(
        run("torch:padding=3:7", "torch:4:2", "torch:transposed,padding=1:4:2", "--streaming", "20", "--json").stdout
    )
    layers = [
        cp.Conv1d(1, 1, 7, padding=3, policy="torch"),
        cp.Conv1d(1, 1, 4, 2, policy="torch"),
        cp.ConvTranspose1d(1, 1, 4, 2, padding=1, policy="torch"),
    ]
    streaming = cp.streaming(layers)
    assert {name: shown[name] for name in ("samples", "delay", "latency", "multiple")} == {
        "samples": 20,
        "delay": streaming.delay,
        "latency": streaming.latency(20),
        "multiple": streaming.multiple,
    }
    assert [row["state"] for row in shown["layers"]] == ["pending 6", "pending 3", "partial 2, cut 1"]
    assert [(row["outputs"], row["products"]) for row in shown["layers"]] == [("20", "140"), ("10", "40"), ("20", "40")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keras:same:3:2", "--streaming", "10"], "layer 0: padding 'same_upper' cannot be streamed"),
        (["torch:3", "--streaming", "0"], "samples must be at least 1, got 0"),
    ],
)
def test_refusals(arguments, message):
    """They have the number of the layer."""
    result = run(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
