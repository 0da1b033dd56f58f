"""Flax modules inside a parent: linen's keys go by the path, nnx's by the order; flax runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import convpolicy as cp

PARENTS = """
import json, jax, jax.numpy as jnp, numpy as np
from flax import linen, nnx

class Block(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Conv(6, (5,))(linen.Conv(4, (3,))(x))  # the outer one is made first, and is Conv_0

class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Conv(7, (2,), name="head")(Block()(x))

def flat(value):
    return np.asarray(value, dtype=float).ravel().tolist()

params = Net().init(jax.random.key(11), jnp.zeros((1, 9, 3)))["params"]
rngs = nnx.Rngs(11)
row = [nnx.Conv(a, b, (k,), use_bias=bias, rngs=rngs) for a, b, k, bias in ((3, 4, 3, True), (4, 6, 5, False), (6, 2, 2, True))]
print(json.dumps({
    "Block_0/Conv_0": flat(params["Block_0"]["Conv_0"]["kernel"]), "Block_0/Conv_1": flat(params["Block_0"]["Conv_1"]["kernel"]),
    "head": flat(params["head"]["kernel"]), "nnx": [flat(conv.kernel.value) for conv in row],
}))
"""


@pytest.fixture(scope="module")
def measured():
    """What flax's own modules hold."""
    result = subprocess.run([sys.executable, "-c", PARENTS], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.strip().splitlines()[-1])


def kernel(drawn) -> list[float]:
    """The weight in flax's axes, flat."""
    return cp.layouts()["WIO"].from_oiw(drawn["weight"]).astype(float).ravel().tolist()


@pytest.mark.parametrize(("path", "sizes"), [("Block_0/Conv_0", (4, 6, 5)), ("Block_0/Conv_1", (3, 4, 3)), ("head", (6, 7, 2))])
def test_linen_modules_in_a_parent(measured, path, sizes):
    """Every bit, by ``at`` and by the parameter of the stream in a policy; another path gives other numbers."""
    policy = cp.policy("flax-linen")
    assert kernel(policy.initial(*sizes, stream=cp.random_stream("flax-linen", 11).at(path))) == measured[path]
    assert kernel(policy.evolve(random_stream=cp.Choice("flax-linen", path=path)).initial(*sizes, seed=11)) == measured[path]
    assert kernel(policy.initial(*sizes, seed=11)) != measured[path]


def test_a_second_linen_module_needs_its_path():
    """One stream draws one module; the sentence says how to draw the next."""
    stream = cp.random_stream("flax-linen", 0)
    cp.policy("flax-linen").initial(3, 4, 3, stream=stream)
    with pytest.raises(cp.ConvPolicyError, match=r"use stream.at\('Conv_1'\)"):
        cp.policy("flax-linen").initial(4, 6, 5, stream=stream)


def test_nnx_modules_in_a_row(measured):
    """A bias of zeros takes a number of the counter, no bias takes none."""
    stream = cp.random_stream("flax", 11)
    policy = cp.policy("flax")
    for (ins, outs, size, bias), expected in zip(((3, 4, 3, True), (4, 6, 5, False), (6, 2, 2, True)), measured["nnx"]):
        drawn = policy.evolve(bias=bias).initial(ins, outs, size, stream=stream)
        assert kernel(drawn) == expected
        assert drawn["bias"] is None or not np.any(drawn["bias"])
