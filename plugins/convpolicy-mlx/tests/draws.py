"""Real draws of MLX, measured and read back: ``python tests/draws.py > tests/draws-VERSION.json`` where mlx is installed.

Each case is a digest of all bytes of a tensor, so that a small file proves every bit of two million values.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys

import numpy as np

SEEDS = (0, 1, 7, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40 + 5, 2**63 - 1, 2**63, 2**64 - 1)
SHAPES = (
    (1,), (2,), (3,), (4,), (5,), (7,), (8,), (9,), (16,), (31,), (33, 1, 1), (5, 3, 7), (240, 4, 12), (64, 7, 3), (1000,), (1001,),
    (4, 4, 4), (33, 9, 16), (50001,), (127, 13, 11), (100002,),
)  # fmt: skip
DTYPES = ("float32", "float16", "bfloat16")
DISTRIBUTIONS = {  # name -> arguments of the method of the stream
    "uniform": (-0.1234567, 0.1234567),
    "normal": (0.3, 0.02),
    "truncated_normal": (-0.5, 3.0),
}
LAYERS = ((3, 4, 5, 1), (4, 8, 3, 2), (6, 6, 7, 6), (1, 1, 1, 1), (16, 33, 9, 1), (7, 40, 4, 1))  # in, out, kernel, groups


def digest(array):
    """Return a digest of all bytes; bfloat16 as float32."""
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).hexdigest()[:12]


def cases():
    """Yield (seed, dtype, distribution, shape): each seed goes on from shape to shape."""
    for number, (seed, dtype) in enumerate(itertools.product(SEEDS, DTYPES)):
        for step, shape in enumerate(SHAPES):
            yield seed, dtype, list(DISTRIBUTIONS)[(number + step) % len(DISTRIBUTIONS)], shape


def measured():
    """Return every case as MLX draws it."""
    import mlx.core as mx
    from mlx import nn

    def drawn(distribution, shape, dtype):
        first, second = DISTRIBUTIONS[distribution]
        options = {"dtype": getattr(mx, dtype)}
        if distribution == "normal":
            return mx.random.normal(shape, loc=first, scale=second, **options)
        return getattr(mx.random, distribution)(first, second, shape, **options)

    found = {"version": mx.__version__, "tensors": [], "layers": []}
    seeded = None
    for seed, dtype, distribution, shape in cases():
        if seeded != (seed, dtype):
            mx.random.seed(seed)
        seeded = seed, dtype
        found["tensors"].append(digest(np.array(drawn(distribution, shape, dtype).astype(mx.float32))))
    for seed in SEEDS:
        mx.random.seed(seed)
        for inputs, outputs, kernel, groups in LAYERS:
            found["layers"].append(digest(np.array(nn.Conv1d(inputs, outputs, kernel, groups=groups).weight)))
    return found


if __name__ == "__main__":
    rows = measured()
    body = ",\n".join(
        f' "{name}": [\n'
        + ",\n".join(f"  {json.dumps(rows[name][start : start + 8])[1:-1]}" for start in range(0, len(rows[name]), 8))
        + "\n ]"
        for name in ("tensors", "layers")
    )
    sys.stdout.write(f'{{\n "version": {json.dumps(rows["version"])},\n{body}\n}}\n')
