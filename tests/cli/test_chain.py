"""``convpolicy chain``: layers with settings and sizes; `tests/layers/test_chain.py` compares the numbers."""

from __future__ import annotations

from helpers.command_line import json_of

import convpolicy as cp


def test_layers_with_settings():
    """A layer takes settings before its sizes, pads of two sides among them, and kernel size 4 where it has no number."""
    shown = json_of("chain", "keras:same:10:5", "torch:padding=3,1:3", "flax")
    padded = cp.policy("torch").evolve(padding=(3, 1))
    keras = cp.policy("keras").evolve(padding="same")
    expected = cp.chain([(keras, 10, 5), (padded, 3), ("flax", 4)])
    plans = expected.plans(expected.shortest_length())
    pads = [(row["left"], row["right"], row["length_out"]) for row in shown["layers"]]
    assert pads == [(plan.left, plan.right, plan.length_out) for plan in plans]
    assert shown["receptive_field"] == expected.receptive_field
