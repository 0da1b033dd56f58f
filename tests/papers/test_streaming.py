"""Streams that Moshi and NeMo start are continued by convpolicy, and the other way round."""

from __future__ import annotations

import pytest
import torch
from packages import module

import convpolicy as cp

TOLERANCE = 64 * torch.finfo(torch.float64).eps  # a sum of 16 products or fewer, in any order; outputs are below 4


def halves(data, at):
    """The chunks before and after a place."""
    return data[..., :at].split(6, -1), data[..., at:].split(6, -1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@torch.no_grad()
def test_cache_of_nemo(stride):
    """A CausalConv1D that is called with a cache. With a stride, its last output of each call is a window over the added zeros."""
    torch.manual_seed(0)
    theirs = module("nemo.collections.asr.parts.submodules.causal_convs").CausalConv1D(2, 3, 5, stride, padding=None).double()
    theirs.cache_drop_size = stride - 1
    ours = cp.Conv1d(2, 3, 5, stride, padding=(4, stride - 1), backend="torch", dtype="float64")
    ours.load_state_dict(theirs.state_dict())
    streaming, x = cp.streaming(ours), torch.randn(2, 2, 24, dtype=torch.float64)

    def called(chunk, cache):
        outputs, cache = theirs(chunk, cache=cache)
        return outputs[..., : chunk.shape[-1] // stride], cache

    whole, (before, after) = theirs(x), halves(x, 12)
    cache, outputs = torch.zeros(2, 2, 4, dtype=torch.float64), []
    for chunk in before:
        output, cache = called(chunk, cache)
        outputs.append(output)
    state = streaming.state_from(cache, "nemo", samples=12)
    for chunk in after:
        output, state = streaming.step(chunk, state)
        outputs.append(output)
    joined = torch.cat([*outputs, streaming.flush(state)], -1)
    torch.testing.assert_close(joined, whole, rtol=0, atol=TOLERANCE)
    state = streaming.initial_state(2)
    for chunk in before:
        _output, state = streaming.step(chunk, state)
    assert torch.equal(streaming.columns(state, convention="nemo"), cache)


@pytest.mark.parametrize("mode", ["constant", "replicate"])
@torch.no_grad()
def test_state_of_moshi(mode):
    """A StreamingConv1d keeps as many columns as a padding cache of transformers."""
    torch.manual_seed(0)
    theirs = module("moshi.modules.conv").StreamingConv1d(2, 3, 4, 2, causal=True, pad_mode=mode).double()
    streaming, x = cp.streaming(theirs), torch.randn(1, 2, 24, dtype=torch.float64)
    whole, (before, after) = theirs(x), halves(x, 12)
    with theirs.streaming(1):
        outputs = [theirs(chunk) for chunk in before]
        previous = theirs._streaming_state.previous.clone()
    state = streaming.state_from(previous, "transformers", samples=12)
    for chunk in after:
        output, state = streaming.step(chunk, state)
        outputs.append(output)
    joined = torch.cat([*outputs, streaming.flush(state)], -1)
    torch.testing.assert_close(joined, whole, rtol=0, atol=TOLERANCE)
    live = streaming.initial_state()
    for chunk in before:
        _output, live = streaming.step(chunk, live)
    assert torch.equal(streaming.columns(live, convention="transformers"), previous)
