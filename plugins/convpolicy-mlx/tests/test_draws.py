"""The random stream against stored draws of MLX; this file needs no MLX."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from draws import DISTRIBUTIONS, LAYERS, SEEDS, cases, digest

import convpolicy as cp
from convpolicy_mlx import bits

HERE = Path(__file__).parent
STORED = {"mlx": "draws-0.32.4.json", "mlx@0.32.3": "draws-0.32.3.json"}


def stored(policy):
    """The stored draws of the version that a policy describes."""
    return json.loads((HERE / STORED[policy]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("policy", STORED)
def test_every_bit_of_the_stored_tensors(policy):
    """12 seeds, 3 dtypes and 21 shapes up to 100 002 values, tensor after tensor."""
    rows = iter(stored(policy)["tensors"])
    started, stream = None, None
    same = cp.policy(policy).evolve(random_stream=cp.Choice("mlx", init_dtype="same"))
    for seed, dtype, distribution, shape in cases():
        if started != (seed, dtype):
            started, stream = (seed, dtype), same.start_stream(seed)
        first, second = DISTRIBUTIONS[distribution]
        # the bounds of MLX's truncated normal distribution are those of the standard one
        arguments = (0.0, 1.0, first, second) if distribution == "truncated_normal" else (first, second)
        drawn = getattr(stream, distribution)(shape, *arguments, dtype)
        assert digest(drawn) == next(rows), (seed, dtype, distribution, shape)
    assert next(rows, None) is None


@pytest.mark.parametrize("policy", STORED)
def test_every_bit_of_the_stored_layers(policy):
    """Layers built one after another start with the weights of ``mlx.nn.Conv1d``, with groups too."""
    rows = iter(stored(policy)["layers"])
    for seed in SEEDS:
        stream = cp.random_stream(policy, seed)
        for inputs, outputs, kernel, groups in LAYERS:
            values = cp.policy(policy).initial(inputs, outputs, kernel, groups, stream=stream)
            assert digest(values["weight"].transpose(0, 2, 1)) == next(rows), (seed, inputs, outputs, kernel, groups)
            assert not values["bias"].any()
    assert next(rows, None) is None


def test_the_two_policies_differ_with_groups_only():
    """What changed in MLX 0.32.4."""
    for inputs, outputs, kernel, groups in LAYERS:
        new, old = (cp.policy(policy).initial(inputs, outputs, kernel, groups, seed=3)["weight"] for policy in STORED)
        assert (new.tobytes() == old.tobytes()) == (groups == 1)


FAULTS = {
    "the keys of a split swapped": ("split", lambda key, split=bits.split: split(key)[::-1]),
    "one rounding instead of two": ("times_plus", lambda values, factor, offset, dtype: bits.fma(values, factor, offset)),
    "the words of an array in another order": ("bits", lambda key, count, words=bits.bits: words(key, count + count % 2)[:count]),
    "a looser bound below one": ("LARGEST_BELOW_ONE", dict.fromkeys(bits.LARGEST_BELOW_ONE, 1 - 2.0**-7)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_changed_stream_is_rejected(fault, monkeypatch):
    """The stored draws fail for each fault."""
    name, wrong = FAULTS[fault]
    monkeypatch.setattr(bits, name, wrong)
    with pytest.raises(AssertionError):
        test_every_bit_of_the_stored_layers("mlx")


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "0", None, True])
def test_seeds_that_are_refused(seed):
    """MLX takes 64 bits."""
    with pytest.raises((cp.InvalidTypeError, cp.InvalidValueError), match=rf"seed must be .*got {re.escape(repr(seed))}"):
        cp.random_stream("mlx", seed)


def test_float64_is_converted_or_refused():
    """``set_dtype`` widens; MLX draws no float64."""
    wide = cp.random_stream("mlx", 0).uniform((9,), 0.0, 1.0, "float64")
    assert wide.dtype == "float64"
    assert (wide == cp.random_stream("mlx", 0).uniform((9,), 0.0, 1.0)).all()
    with pytest.raises(cp.InvalidValueError, match="random stream 'mlx' cannot draw float64 with init_dtype='same'"):
        cp.policy("mlx").evolve(random_stream=cp.Choice("mlx", init_dtype="same")).initial(1, 1, 3, dtype="float64")


def test_no_mlx_is_needed():
    """Drawing imports NumPy and convpolicy only."""
    code = "import sys, convpolicy as cp; cp.policy('mlx').initial(3, 4, 5, seed=0); print('mlx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
