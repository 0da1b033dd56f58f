"""The core's integers against torch's own."""

from __future__ import annotations

import itertools

import torch

import convpolicy as cp
from convpolicy import arithmetic


def test_fans_are_torchs():
    """torch.nn.init counts the same fans on a weight of the same shape, with groups too."""
    for ins, outs, groups, kernel in itertools.product(range(1, 7), range(1, 7), range(1, 7), (1, 2, 5)):
        if ins % groups == outs % groups == 0:
            weight = torch.empty(outs, ins // groups, kernel)
            fans = arithmetic.fans(ins, outs, kernel, groups)
            assert (fans.fan_in, fans.fan_out) == torch.nn.init._calculate_fan_in_and_fan_out(weight)


def test_modes_are_torchs():
    """torch.nn.functional.pad gives the same samples, and refuses the same widths."""
    refused = dict.fromkeys(("zeros", "reflect", "replicate", "circular"), 0)
    for mode, length, pads in itertools.product(refused, range(1, 7), ((0, 1), (2, 1), (3, 3), (5, 0), (6, 2))):
        signal = torch.arange(1.0, length + 1)[None, None]
        policy = cp.policy("torch").evolve(padding=pads, padding_mode=mode)
        try:
            by_torch = torch.nn.functional.pad(signal, pads, "constant" if mode == "zeros" else mode)[0, 0].tolist()
        except RuntimeError:
            by_torch = None
        try:
            plan = policy.plan(1, length=length)
            sources = [*plan.left_sources, *range(length), *plan.right_sources]
            ours = [0.0 if source < 0 else source + 1.0 for source in sources]
        except cp.ConvPolicyError:
            ours = None
        assert ours == by_torch, (mode, length, pads)
        refused[mode] += ours is None
    assert [mode for mode, count in refused.items() if count] == ["reflect", "circular"]
