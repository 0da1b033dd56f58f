"""Run MindSpore and print, as JSON, what its own Conv1dTranspose does: initial weights, and which samples its outputs are.

    python tests/golden/transposed/measure.py > tests/golden/transposed/mindspore-2.10.0.json

Needs MindSpore and NumPy, not convpolicy; runs on Python 3.8 and later, so that old versions can be asked too.
"""

import hashlib
import itertools
import json
import sys

import mindspore
import numpy as np
from mindspore import Tensor, nn

SEEDS = [0, 1, 42, 2**31 - 1]
# in, out, kernel, groups
SHAPES = [(1, 1, 1, 1), (3, 5, 1, 1), (7, 11, 3, 1), (64, 128, 13, 1), (8, 12, 5, 4), (6, 6, 31, 6), (5, 40, 3, 1)]
SIZES = list(itertools.product((1, 2, 3, 4, 7), (1, 2, 3, 5), (1, 2), (1, 4)))  # kernel, stride, dilation, length
PADDINGS = [("same", 0), ("valid", 0), ("pad", 0), ("pad", 1), ("pad", 3)]


def checksum(array):
    """A checksum over float64 in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def weights(seed):
    """Checksums of layers with a bias, built one after another."""
    mindspore.set_seed(seed)
    layers = [nn.Conv1dTranspose(ins, outs, kernel, group=groups, has_bias=True) for ins, outs, kernel, groups in SHAPES]
    return [{name: checksum(value.asnumpy()) for name, value in layer.parameters_dict().items()} for layer in layers]


def outputs(sizes, pad_mode, padding):
    """The outputs for the samples 1, 2, 3, … and one unit kernel per tap, or None where nothing is left of the full result."""
    kernel, stride, dilation, length = sizes
    if pad_mode == "pad" and (length - 1) * stride + (kernel - 1) * dilation + 1 <= 2 * padding:
        return None
    taps = Tensor(np.eye(kernel, dtype="float32")[None])
    layer = nn.Conv1dTranspose(1, kernel, kernel, stride, pad_mode, padding, dilation, weight_init=taps)
    return layer(Tensor(np.arange(1, length + 1, dtype="float32")[None, None])).asnumpy()[0].tolist()


def main():
    default = nn.Conv1dTranspose(120, 240, 4, 2)
    cuts = []
    for sizes, (pad_mode, padding) in itertools.product(SIZES, PADDINGS):
        found = outputs(sizes, pad_mode, padding)
        if found is not None:
            cuts.append({"sizes": sizes, "padding": padding if pad_mode == "pad" else pad_mode, "outputs": found})
    print(json.dumps({
        "framework": "mindspore", "version": mindspore.__version__, "numpy": np.__version__, "python": sys.version.split()[0],
        "default": {
            **{name: list(value.shape) for name, value in default.parameters_dict().items()},
            "output": list(default(Tensor(np.zeros((1, 120, 640), "float32"))).shape),
        },
        "shapes": SHAPES, "weights": [{"seed": seed, "layers": weights(seed)} for seed in SEEDS], "cuts": cuts,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
