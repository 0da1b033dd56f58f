"""Flax's kernels in 16 bits against what its own Conv held, as checksums: no framework is imported.

Measured with flax 0.12.0 and jax 0.7.1 under ``XLA_FLAGS=--xla_cpu_max_isa=AVX2``: ``nnx.Conv(..., param_dtype=...)`` of all shapes
in a row from one ``nnx.Rngs(seed)``, and ``linen.Conv(..., param_dtype=...)`` of each from ``jax.random.key(seed)``.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import convpolicy as cp

SHAPES = [
    (1, 1, 1, 1),
    (1, 15, 1, 1),
    (4, 4, 1, 1),
    (1, 17, 1, 1),
    (31, 1, 1, 1),
    (3, 5, 1, 1),
    (5, 3, 7, 1),
    (8, 12, 5, 4),
    (6, 12, 3, 6),
    (333, 101, 3, 1),
    (2, 2, 2, 2),
    (1, 8, 2, 1),
    (1, 16, 1, 1),
    (7, 20, 1, 1),
    (7, 24, 2, 1),
    (7, 28, 1, 1),
    (1, 64, 64, 1),
    (16, 6, 3, 2),
]  # in, out, kernel, groups
MEASURED = [
    ("flax", "float16", 0, "308126097f12634542c8bda246ff8c8a3f7533a78f89ff1f73b9eb9027077299"),
    ("flax", "float16", -7, "5acb5e2f5221222f5693a1b06f74407076111d397eabbd45463c98dbc9286d79"),
    ("flax", "float16", 1099511627793, "a13d2caaa8884e058ef60bcaa1ac080c761b3f12fed9698e21a5b4f978cb841a"),
    ("flax", "bfloat16", 0, "573cdadcfc1eef00106154f45ed27c078fd0f7fdf477cb3353171678a7e7c5f2"),
    ("flax", "bfloat16", -7, "67d8ad944cf897354fbbf859a79feb44f2173d48f81ec714ab4266f71be7735e"),
    ("flax", "bfloat16", 1099511627793, "fc7b99215d507abae63d20acc51ce8017f14fded40817aa17536739ee8881bcf"),
    ("flax-linen", "float16", 0, "1990565ef22f01cd6914e5cd97ddec3b0d36fda76289bf8c92f33b5e8fc92dfd"),
    ("flax-linen", "float16", -7, "e0ea8b3988422c7e783865943b6850a37a761b44abdd72ea2275114c3a110f09"),
    ("flax-linen", "float16", 1099511627793, "869039eb4ce5d4d4935354224bfd8c84bb715d3be55ef49fff53ed72954206e4"),
    ("flax-linen", "bfloat16", 0, "787d5c2525c7bd6ee1867e05c4da301ada8fb4483ba4ee857952b8dd0bdd182c"),
    ("flax-linen", "bfloat16", -7, "44d6e64021cc32042b7bff6b7a5928c9ff611841959cda0dfe832c34fee4ba42"),
    ("flax-linen", "bfloat16", 1099511627793, "b0ed156326f9c15d328f114ed6eadc9776c5bc72c5067caf09e7f5422a0c7b51"),
]


def checksum(name, dtype, seed, **changes):
    """Draw every shape in the framework's axes; linen's modules each start afresh."""
    policy = cp.policy(name).evolve(**changes)
    layout, stream, found = policy.part("layout")[0], policy.start_stream(seed), hashlib.sha256()
    for ins, outs, kernel, groups in SHAPES:
        stream = policy.start_stream(seed) if name == "flax-linen" else stream
        weight = policy.initial(ins, outs, kernel, groups, stream=stream, dtype=dtype)["weight"]
        found.update(np.ascontiguousarray(layout.from_oiw(weight, groups), "<f8").tobytes())
    return found.hexdigest()


@pytest.mark.parametrize(("name", "dtype", "seed", "sha256"), MEASURED)
def test_narrow_kernels_are_flax_own(name, dtype, seed, sha256):
    """Every bit of eighteen kernels, 1 to 100 899 elements; another scale is noticed."""
    assert checksum(name, dtype, seed) == sha256
    assert checksum(name, dtype, seed, weight_init="lecun_uniform") != sha256
