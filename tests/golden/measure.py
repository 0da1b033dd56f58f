"""Run one framework and print, as JSON, what its own Conv1d does: the golden values that the core is tested against.

    python tests/golden/measure.py torch > tests/golden/torch-2.13.0.json

Needs that framework and NumPy, not convpolicy; runs on Python 3.8 and later, so that old frameworks can be asked too.
Keras asks for its backend in KERAS_BACKEND.
"""

import hashlib
import json
import os
import sys

import numpy as np

# XLA fuses a * b + c of float16 where the CPU has instructions for it, and rounds twice elsewhere: everywhere the same here
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")

SEEDS = [0, 1, 7, 42, 123456789, 2**31 - 1]  # every framework takes these
WIDE_SEEDS = [-1, 2**32 + 7]  # torch's, JAX's and Paddle's too
# in, out, kernel, groups; 1, 15, 16, 17, 31 and 106 496 elements, odd sizes, groups, depthwise, few outputs
SHAPES = [
    (1, 1, 1, 1), (3, 5, 1, 1), (4, 4, 1, 1), (17, 1, 1, 1), (1, 31, 1, 1), (7, 11, 3, 1), (64, 128, 13, 1), (8, 12, 5, 4),
    (6, 6, 31, 6), (3, 2, 9, 1), (5, 40, 3, 1), (2, 4, 7, 2),
]  # fmt: skip
PADS = [(k, s, d, (k - 1) * d + 1 + more) for k in range(1, 7) for s in (1, 2, 3) for d in (1, 2) for more in (0, 1, 2, 5, 8)]


class Torch:
    name = "torch"
    seeds = SEEDS + WIDE_SEEDS
    dtypes = ["float32", "float64", "float16", "bfloat16"]

    def __init__(self):
        import torch

        self.torch, self.version, self.seed = torch, torch.__version__.partition("+")[0], torch.manual_seed

    def build(self, shape, stride=1, dilation=1, bias=True, dtype="float32", **words):
        ins, outs, kernel, groups = shape
        return self.torch.nn.Conv1d(
            ins, outs, kernel, stride, dilation=dilation, groups=groups, bias=bias, dtype=getattr(self.torch, dtype), **words
        )

    def default(self, ins, outs, kernel):
        return self.torch.nn.Conv1d(ins, outs, kernel)

    def run(self, layer, data):
        return layer(self.torch.from_numpy(data)).detach().numpy()

    def probes(self):
        conv, pad = self.torch.nn.Conv1d, self.torch.nn.functional.pad
        signal = np.arange(1, 6, dtype="float32")[None, None]
        tensor = self.torch.from_numpy(signal)
        yield "padding=(1, 2)", lambda: self.run(conv(1, 1, 2, padding=(1, 2)), signal).shape
        yield "padding='same', stride=2", lambda: conv(1, 1, 2, 2, padding="same")
        for mode in ("zeros", "reflect", "replicate", "circular"):
            one = conv(1, 1, 1, padding=2, padding_mode=mode, bias=False)
            one.weight.data[:] = 1
            yield "padding=2, padding_mode=%r" % mode, lambda one=one: self.run(one, signal)[0, 0].tolist()
            name = "constant" if mode == "zeros" else mode
            yield "functional.pad, mode=%r" % name, lambda name=name: pad(tensor, (2, 2), name)[0, 0].tolist()

    def arrays(self, layer):
        return {name: value.detach().double().numpy() for name, value in layer.named_parameters()}

    def windows(self, kernel, stride, dilation, length):
        if stride > 1:
            return None  # torch's own "same" refuses it
        layer = self.build((1, kernel, kernel, 1), stride, dilation, bias=False, padding="same")
        layer.weight.data[:] = self.torch.eye(kernel)[:, None]
        return layer(self.torch.arange(1.0, length + 1)[None, None]).detach().numpy()[0]


class MindSpore:
    name = "mindspore"
    seeds = SEEDS
    dtypes = ["float32"]

    def __init__(self):
        import mindspore

        self.ms, self.version, self.seed = mindspore, mindspore.__version__, mindspore.set_seed

    def build(self, shape, stride=1, dilation=1, bias=True, dtype="float32", **words):
        ins, outs, kernel, groups = shape
        return self.ms.nn.Conv1d(ins, outs, kernel, stride, dilation=dilation, group=groups, has_bias=bias, **words)

    def default(self, ins, outs, kernel):
        return self.ms.nn.Conv1d(ins, outs, kernel)

    def run(self, layer, data):
        return layer(self.ms.Tensor(data)).asnumpy()

    def probes(self):
        conv = self.ms.nn.Conv1d
        signal = np.arange(1, 6, dtype="float32")[None, None]
        one = self.ms.Tensor(np.ones((1, 1, 1), "float32"))
        yield (
            "pad_mode='pad', padding=2",
            lambda: self.run(conv(1, 1, 1, pad_mode="pad", padding=2, weight_init=one), signal)[0, 0].tolist(),
        )
        yield "pad_mode='pad', padding=(1, 2)", lambda: self.run(conv(1, 1, 1, pad_mode="pad", padding=(1, 2)), signal).shape
        yield "pad_mode='valid', padding=1", lambda: self.run(conv(1, 1, 1, pad_mode="valid", padding=1), signal).shape
        yield "pad_mode='same', padding=1", lambda: self.run(conv(1, 1, 1, pad_mode="same", padding=1), signal).shape
        channels = self.ms.nn.Pad(paddings=((0, 0), (1, 1), (1, 1)), mode="REFLECT")
        both = np.arange(1, 10, dtype="float32").reshape(1, 3, 3)
        yield "Pad(((0,0),(1,1),(1,1)), REFLECT), shape", lambda: list(self.run(channels, both).shape)
        yield "Pad(((0,0),(1,1),(1,1)), REFLECT), channel 0", lambda: self.run(channels, both)[0, 0].tolist()

    def arrays(self, layer):
        return {name: value.asnumpy().astype("float64") for name, value in layer.parameters_dict().items()}

    def windows(self, kernel, stride, dilation, length):
        weight = self.ms.Tensor(np.eye(kernel, dtype="float32")[:, None])
        layer = self.build((1, kernel, kernel, 1), stride, dilation, bias=False, weight_init=weight)
        return layer(self.ms.Tensor(np.arange(1, length + 1, dtype="float32")[None, None])).asnumpy()[0]


class Keras:
    name = "keras"
    seeds = SEEDS
    dtypes = ["float32"]

    def __init__(self):
        import keras

        self.keras, self.version, self.seed = keras, keras.__version__, keras.utils.set_random_seed
        if keras.backend.backend() != "tensorflow":
            self.name += "-" + keras.backend.backend()

    def build(self, shape, stride=1, dilation=1, bias=True, dtype="float32", **words):
        ins, outs, kernel, groups = shape
        layer = self.keras.layers.Conv1D(outs, kernel, stride, dilation_rate=dilation, groups=groups, use_bias=bias, **words)
        layer.build((None, None, ins))
        return layer

    def arrays(self, layer):
        return {weight.name: self.keras.ops.convert_to_numpy(weight.value).astype("float64") for weight in layer.weights}

    def windows(self, kernel, stride, dilation, length):
        if stride > 1 and dilation > 1:
            return None  # refused
        layer = self.build((1, kernel, kernel, 1), stride, dilation, bias=False, padding="same")
        layer.set_weights([np.eye(kernel, dtype="float32")[:, None]])
        samples = np.arange(1, length + 1, dtype="float32")[None, :, None]
        return self.keras.ops.convert_to_numpy(layer(samples))[0].T


class Nnx:
    name = "flax"
    seeds = SEEDS + WIDE_SEEDS[:1]
    dtypes = ["float32"]

    def __init__(self):
        import flax
        from flax import nnx

        self.nnx, self.version = nnx, flax.__version__

    def seed(self, seed):
        self.rngs = self.nnx.Rngs(seed)

    def build(self, shape, stride=1, dilation=1, bias=True, dtype="float32", **words):
        ins, outs, kernel, groups = shape
        return self.nnx.Conv(
            ins, outs, (kernel,), strides=stride, kernel_dilation=dilation, feature_group_count=groups, use_bias=bias,
            rngs=self.rngs, **words,
        )  # fmt: skip

    def arrays(self, layer):
        return {name: np.asarray(getattr(layer, name).value).astype("float64") for name in ("kernel", "bias")}

    def windows(self, kernel, stride, dilation, length):
        self.seed(0)
        layer = self.build((1, kernel, kernel, 1), stride, dilation, bias=False)
        layer.kernel.value = np.eye(kernel, dtype="float32")[:, None]
        return np.asarray(layer(np.arange(1, length + 1, dtype="float32")[None, :, None]))[0].T


class Linen:
    name = "flax-linen"
    seeds = SEEDS + WIDE_SEEDS[:1]
    dtypes = ["float32"]

    def __init__(self):
        import flax
        import jax
        from flax import linen

        self.jax, self.linen, self.version = jax, linen, flax.__version__

    def seed(self, seed):
        self.key = self.jax.random.key(seed)

    def build(self, shape, dtype="float32"):
        ins, outs, kernel, groups = shape
        module = self.linen.Conv(outs, (kernel,), feature_group_count=groups)
        return module.init(self.key, np.zeros((1, kernel, ins), "float32"))["params"]

    def arrays(self, layer):
        return {name: np.asarray(value).astype("float64") for name, value in layer.items()}

    windows = None  # as nnx


class Paddle:
    name = "paddle"
    seeds = SEEDS
    dtypes = ["float32"]

    def __init__(self):
        import paddle

        self.paddle, self.version, self.seed = paddle, paddle.__version__, paddle.seed

    def build(self, shape, stride=1, dilation=1, bias=True, dtype="float32", **words):
        ins, outs, kernel, groups = shape
        return self.paddle.nn.Conv1D(ins, outs, kernel, stride, dilation=dilation, groups=groups, **words)

    def arrays(self, layer):
        return {name: value.numpy().astype("float64") for name, value in layer.state_dict().items()}

    windows = None  # its SAME sets the dilation to 1


FRAMEWORKS = {
    "torch": Torch, "mindspore": MindSpore, "keras": Keras, "flax": Nnx, "flax-linen": Linen, "paddle": Paddle,
}  # fmt: skip


def record(array):
    """A few values and a checksum of all, as float64 in C order."""
    flat = np.ascontiguousarray(array, "<f8")
    return {
        "shape": list(flat.shape),
        "first": flat.reshape(-1)[:3].tolist(),
        "sha256": hashlib.sha256(flat.tobytes()).hexdigest(),
    }


def tried(probe):
    """What a probe gives, or the name of the error it ends in."""
    try:
        found = probe()
    except Exception as error:
        return "refused: " + type(error).__name__
    return found if isinstance(found, (list, str)) else list(found) if isinstance(found, tuple) else "accepted"


def page(framework):
    """What the page of differences speaks of: the layer built with nothing but sizes, and a few calls."""
    if not hasattr(framework, "probes"):
        return {}
    layer = framework.default(120, 240, 4)
    shape = framework.run(layer, np.zeros((1, 120, 640), "float32")).shape
    return {
        "parameters": {name: list(array.shape) for name, array in framework.arrays(layer).items()}, "output": list(shape),
        "probes": {name: tried(probe) for name, probe in framework.probes()},
    }  # fmt: skip


def main():
    framework = FRAMEWORKS[sys.argv[1]]()
    weights = []
    for dtype in framework.dtypes:
        for seed in framework.seeds:
            framework.seed(seed)  # once: the layers are built one after another
            layers = [framework.arrays(framework.build(shape, dtype=dtype)) for shape in SHAPES]
            weights.append({"seed": seed, "dtype": dtype, "layers": [{n: record(a) for n, a in l.items()} for l in layers]})
    same = []
    for sizes in PADS if framework.windows else ():
        windows = framework.windows(*sizes)
        ends = (
            None
            if windows is None
            else {"first": windows[:, 0].tolist(), "last": windows[:, -1].tolist(), "count": windows.shape[1]}
        )
        same.append({"sizes": sizes, "windows": ends})
    print(json.dumps({
        "framework": framework.name, "version": framework.version, "numpy": np.__version__, "python": sys.version.split()[0],
        "command": "python tests/golden/measure.py " + sys.argv[1], "shapes": SHAPES, "page": page(framework), "weights": weights,
        "same": same,
    }))  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
