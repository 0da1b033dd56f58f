"""Run one framework's own initializers and print, as JSON, what they draw: the golden values of the streams' laws.

    python tests/golden/laws.py torch > tests/golden/laws/torch-2.13.0.json

Needs that framework and NumPy, not convpolicy; runs on Python 3.8 and later. Keras asks for its backend in KERAS_BACKEND.
Every law fills the weights of `measure.SHAPES`, one after another, from one seed.
"""

import hashlib
import json
import os
import sys

import numpy as np
from measure import SEEDS, SHAPES, WIDE_SEEDS

ROOT_5 = 5**0.5
# the name and parameters of a convpolicy initializer; a framework's table says which call of its own that is
UNIFORM, SYMMETRIC = ("uniform", {"low": -0.3, "high": 0.7}), ("uniform", {"low": -0.3, "high": 0.3})
NORMAL = ("normal", {"mean": 0.25, "std": 0.02})
TRUNCATED = ("truncated_normal", {"mean": 0.125, "std": 0.5})
CUT_AT_2 = ("truncated_normal", {"std": 0.75, "lower": -2 / 0.75, "upper": 2 / 0.75})
HE_UNIFORM, HE_NORMAL = ("he_uniform", {}), ("he_normal", {})
LEAKY_UNIFORM, LEAKY_NORMAL = ("he_uniform", {"negative_slope": ROOT_5}), ("he_normal", {"negative_slope": 0.2})
HE_OUT = ("he_normal", {"fan": "fan_out"})
XAVIER_UNIFORM, XAVIER_NORMAL = ("xavier_uniform", {"gain": 1.5}), ("xavier_normal", {})
# truncated at two standard deviations and corrected: *_normal of Keras and Flax
GLOROT_UNIFORM, GLOROT_TRUNCATED = ("glorot_uniform", {}), ("glorot_truncated_normal", {})
HE_TRUNCATED = ("he_truncated_normal", {})
LECUN_UNIFORM, LECUN_TRUNCATED = ("lecun_uniform", {}), ("lecun_truncated_normal", {})
SCALE_OUT = ("variance_scaling", {"gain": 0.1**0.5, "fan": "fan_out", "distribution": "truncated_normal"})


class Torch:
    name = "torch"
    seeds = SEEDS + WIDE_SEEDS
    dtypes = ["float32", "float64", "float16", "bfloat16"]

    def __init__(self):
        import torch

        init = torch.nn.init
        self.torch, self.version, self.seed = torch, torch.__version__.partition("+")[0], torch.manual_seed
        self.laws = [
            (UNIFORM, lambda t: init.uniform_(t, -0.3, 0.7)),
            (NORMAL, lambda t: init.normal_(t, 0.25, 0.02)),
            (TRUNCATED, lambda t: init.trunc_normal_(t, 0.125, 0.5, 0.125 - 1.0, 0.125 + 1.0)),
            (HE_UNIFORM, init.kaiming_uniform_),
            (HE_NORMAL, init.kaiming_normal_),
            (LEAKY_UNIFORM, lambda t: init.kaiming_uniform_(t, a=ROOT_5)),
            (LEAKY_NORMAL, lambda t: init.kaiming_normal_(t, a=0.2)),
            (HE_OUT, lambda t: init.kaiming_normal_(t, mode="fan_out")),
            (XAVIER_UNIFORM, lambda t: init.xavier_uniform_(t, gain=1.5)),
            (XAVIER_NORMAL, init.xavier_normal_),
        ]

    def fill(self, law, shape, dtype):
        ins, outs, kernel, groups = shape
        return law(self.torch.empty(outs, ins // groups, kernel, dtype=getattr(self.torch, dtype))).double().numpy()


class MindSpore:
    name = "mindspore"
    seeds = SEEDS
    dtypes = ["float32", "float64", "float16", "bfloat16"]

    def __init__(self):
        import mindspore
        from mindspore.common import initializer as init

        self.ms, self.version, self.seed, self.draw = mindspore, mindspore.__version__, mindspore.set_seed, init.initializer
        self.laws = [
            (SYMMETRIC, lambda: init.Uniform(0.3)),
            (NORMAL, lambda: init.Normal(0.02, 0.25)),
            (TRUNCATED, lambda: init.TruncatedNormal(0.5, 0.125, 0.125 - 1.0, 0.125 + 1.0)),
            (CUT_AT_2, lambda: init.TruncatedNormal(0.75)),
            (HE_UNIFORM, init.HeUniform),
            (HE_NORMAL, init.HeNormal),
            (LEAKY_UNIFORM, lambda: init.HeUniform(ROOT_5)),
            (LEAKY_NORMAL, lambda: init.HeNormal(0.2)),
            (HE_OUT, lambda: init.HeNormal(mode="fan_out")),
            (XAVIER_UNIFORM, lambda: init.XavierUniform(1.5)),
            (XAVIER_NORMAL, init.XavierNormal),
        ]

    def fill(self, law, shape, dtype):
        ins, outs, kernel, groups = shape
        tensor = self.draw(law(), (outs, ins // groups, 1, kernel), getattr(self.ms, dtype)).init_data()
        return (tensor.float() if dtype == "bfloat16" else tensor).asnumpy().astype("float64")


class Keras:
    seeds = SEEDS
    dtypes = ["float32", "float64", "float16", "bfloat16"]

    def __init__(self):
        import keras
        from keras.initializers import VarianceScaling as Scaling

        init, backend = keras.initializers, keras.backend.backend()
        self.keras, self.version, self.seed = keras, keras.__version__, keras.utils.set_random_seed
        self.name = "keras" if backend == "tensorflow" else "keras-" + backend
        if backend == "jax":
            self.dtypes = [dtype for dtype in self.dtypes if dtype != "float64"]  # JAX draws float32 instead
        self.laws = [  # each makes a fresh initializer: one object gives every tensor the same numbers
            (UNIFORM, lambda: init.RandomUniform(-0.3, 0.7)),
            (NORMAL, lambda: init.RandomNormal(0.25, 0.02)),
            (TRUNCATED, lambda: init.TruncatedNormal(0.125, 0.5)),
            (GLOROT_UNIFORM, init.GlorotUniform),
            (GLOROT_TRUNCATED, init.GlorotNormal),
            (HE_UNIFORM, init.HeUniform),
            (HE_TRUNCATED, init.HeNormal),
            (LECUN_UNIFORM, init.LecunUniform),
            (LECUN_TRUNCATED, init.LecunNormal),
            (HE_NORMAL, lambda: Scaling(2.0, "fan_in", "untruncated_normal")),
            (LEAKY_UNIFORM, lambda: Scaling(1 / 3, "fan_in", "uniform")),
            (LEAKY_NORMAL, lambda: Scaling(2.0 / (1 + 0.2**2), "fan_in", "untruncated_normal")),
            (HE_OUT, lambda: Scaling(2.0, "fan_out", "untruncated_normal")),
            (XAVIER_UNIFORM, lambda: Scaling(1.5**2, "fan_avg", "uniform")),
            (XAVIER_NORMAL, lambda: Scaling(1.0, "fan_avg", "untruncated_normal")),
            (SCALE_OUT, lambda: Scaling(0.1, "fan_out", "truncated_normal")),
        ]

    def fill(self, law, shape, dtype):
        ins, outs, kernel, groups = shape
        layer = self.keras.layers.Conv1D(outs, kernel, groups=groups, use_bias=False, kernel_initializer=law(), dtype=dtype)
        layer.build((None, None, ins))
        return self.keras.ops.convert_to_numpy(layer.kernel.value).astype("float64")


FRAMEWORKS = {"torch": Torch, "mindspore": MindSpore, "keras": Keras}


def filled(framework, own, dtype):
    """The first value of each weight and a checksum of all, or the name of the error."""
    try:
        arrays = [np.ascontiguousarray(framework.fill(own, shape, dtype), "<f8") for shape in SHAPES]
    except (AttributeError, RuntimeError, TypeError) as error:
        return {"refused": type(error).__name__}
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return {"first": [array.reshape(-1)[0] for array in arrays], "sha256": digest}


def main():
    framework = FRAMEWORKS[sys.argv[1]]()
    draws = []
    for (law, params), own in framework.laws:
        for dtype in framework.dtypes:
            for seed in framework.seeds:
                framework.seed(seed)
                draws.append({"law": law, "params": params, "dtype": dtype, "seed": seed, **filled(framework, own, dtype)})
    print(json.dumps({
        "framework": framework.name, "version": framework.version, "numpy": np.__version__, "python": sys.version.split()[0],
        "command": "python tests/golden/laws.py " + sys.argv[1], "shapes": SHAPES, "draws": draws,
    }))  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
