"""The core's integers, modes and constants against torch's own."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers.padding_modes import COPYING, MIRRORS, VALUE, choice_of, numbered, padded

from convpolicy import arithmetic, reference


def test_fans_are_torchs():
    """torch.nn.init counts the same fans on a weight of the same shape, with groups too."""
    for ins, outs, groups, kernel in itertools.product(range(1, 7), range(1, 7), range(1, 7), (1, 2, 5)):
        if ins % groups == outs % groups == 0:
            weight = torch.empty(outs, ins // groups, kernel)
            fans = arithmetic.fans(ins, outs, kernel, groups)
            assert (fans.fan_in, fans.fan_out) == torch.nn.init._calculate_fan_in_and_fan_out(weight)


@pytest.mark.parametrize("mode", [mode for mode in COPYING if mode != "symmetric"])  # torch has no symmetric
def test_torch_pads_and_refuses_alike(mode):
    """torch.nn.functional.pad gives the same samples, and refuses exactly the pads that ``overflow="error"`` refuses."""
    native, value = ("constant", VALUE if mode == "constant" else 0.0) if mode in ("zeros", "constant") else (mode, None)
    refused = 0
    for length, left, right in itertools.product(range(1, 6), range(8), range(8)):
        signal = torch.tensor([[numbered(length)]])
        try:
            expected = torch.nn.functional.pad(signal, (left, right), native, value)[0, 0].tolist()
        except RuntimeError:
            refused += 1
            with pytest.raises(ValueError, match=f"padding mode '{mode}' reaches at most"):
                padded(choice_of(mode), numbered(length), left, right)
        else:
            assert padded(choice_of(mode), numbered(length), left, right) == expected
    assert bool(refused) == (mode in MIRRORS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_constants_of_each_dtype(dtype):
    """Unit roundoff is half of torch's eps; the underflow step half the smallest subnormal, as far as a float holds it."""
    info = torch.finfo(getattr(torch, dtype))
    assert reference.UNIT_ROUNDOFF[dtype] == info.eps / 2
    smallest = info.tiny * info.eps
    assert reference.UNDERFLOW_STEP[dtype] == (smallest / 2 or smallest)
    assert reference.UNDERFLOW_STEP[dtype] > 0
