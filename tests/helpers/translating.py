"""Runs layers written as code in one framework: ``python translating.py FRAMEWORK JOBS OUTPUTS``, each framework in its own process.

A job is code that binds ``layer``, a weight (out, in/groups, kernel), of a transposed convolution (in, out/groups, kernel), a bias or none,
and inputs (batch, channels, length) by length.
It is executed in a namespace with nothing in it; what comes back is the outputs in the same axes, or the initial values as drawn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

CUSTOMARY = {  # what a user's file has above the call
    "torch": "import torch\nfrom torch import nn\n",
    "mindspore": "import mindspore\nfrom mindspore import nn\nfrom mindspore.common import initializer\n",
    "keras": "import keras\nfrom keras import layers\n",
    "flax": "import jax.numpy as jnp\nfrom flax import linen, nnx\n",
    "paddle": "import paddle\nfrom paddle import nn\n",
}


class Torch:
    """``torch.nn.Conv1d`` or ``ConvTranspose1d`` anywhere in a module."""

    def __init__(self):
        import torch

        self.torch = torch

    def conv(self, layer):
        return next(part for part in layer.modules() if isinstance(part, (self.torch.nn.Conv1d, self.torch.nn.ConvTranspose1d)))

    def values(self, conv):
        return conv.weight.detach().numpy(), None if conv.bias is None else conv.bias.detach().numpy()

    def give(self, conv, weight, bias):
        with self.torch.no_grad():
            conv.weight.copy_(self.torch.from_numpy(weight))
            if conv.bias is not None:
                conv.bias.copy_(self.torch.from_numpy(bias))

    def run(self, layer, data):
        return layer(self.torch.from_numpy(data)).detach().numpy()

    def build(self, layer, data):
        return self.conv(layer)


class MindSpore(Torch):
    """``mindspore.nn.Conv1d`` or ``Conv1dTranspose`` anywhere in a cell."""

    def __init__(self):
        import mindspore

        self.mindspore = mindspore

    def conv(self, layer):
        nn = self.mindspore.nn
        return next(part for _name, part in layer.cells_and_names() if isinstance(part, (nn.Conv1d, nn.Conv1dTranspose)))

    def values(self, conv):
        return conv.weight.asnumpy()[:, :, 0], conv.bias.asnumpy() if conv.has_bias else None

    def give(self, conv, weight, bias):
        conv.weight.set_data(self.mindspore.Tensor(weight[:, :, None]))
        if conv.has_bias:
            conv.bias.set_data(self.mindspore.Tensor(bias))

    def run(self, layer, data):
        return layer(self.mindspore.Tensor(data)).asnumpy()


class Keras(Torch):
    """``keras.layers.Conv1D`` or ``Conv1DTranspose``, alone or in a Sequential; both kernels have the axes in reverse."""

    def __init__(self):
        import keras

        self.keras = keras

    def build(self, layer, data):
        layer(data.transpose(0, 2, 1))
        kinds = self.keras.layers.Conv1D, self.keras.layers.Conv1DTranspose
        return next(part for part in getattr(layer, "layers", [layer]) if isinstance(part, kinds))

    def values(self, conv):
        weights = [self.keras.ops.convert_to_numpy(weight.value) for weight in conv.weights]
        return weights[0].transpose(2, 1, 0), weights[1] if conv.use_bias else None

    def give(self, conv, weight, bias):
        conv.set_weights([weight.transpose(2, 1, 0), *([bias] if conv.use_bias else [])])

    def run(self, layer, data):
        return self.keras.ops.convert_to_numpy(layer(data.transpose(0, 2, 1))).transpose(0, 2, 1)


class Flax(Torch):
    """``flax.nnx.Conv`` or ``ConvTranspose``, alone or in a Sequential, and the latter of linen."""

    def __init__(self):
        import jax.numpy
        from flax import linen, nnx

        self.jnp, self.nnx, self.linen = jax.numpy, nnx, linen

    def build(self, layer, data):
        if not isinstance(layer, (self.linen.Conv, self.linen.ConvTranspose)):
            kinds = self.nnx.Conv, self.nnx.ConvTranspose
            return next(part for part in getattr(layer, "layers", [layer]) if isinstance(part, kinds))
        import jax

        object.__setattr__(layer, "variables_of_test", layer.init(jax.random.key(0), self.jnp.asarray(data.transpose(0, 2, 1))))
        return layer

    def values(self, conv):
        if isinstance(conv, (self.linen.Conv, self.linen.ConvTranspose)):
            kernel, bias = (conv.variables_of_test["params"].get(name) for name in ("kernel", "bias"))
        else:
            kernel, bias = conv.kernel.value, None if conv.bias is None else conv.bias.value
        return self.axes(conv, np.asarray(kernel)), None if bias is None else np.asarray(bias)

    def axes(self, conv, kernel):
        """A kernel in the axes of a job, or back: a transposed convolution has (kernel, in, out) in reverse unless told otherwise."""
        if isinstance(conv, (self.nnx.Conv, self.linen.Conv)) or conv.transpose_kernel:
            return kernel.transpose(2, 1, 0)
        return kernel[::-1].transpose(1, 2, 0)

    def give(self, conv, weight, bias):
        plain = isinstance(conv, (self.nnx.Conv, self.linen.Conv)) or conv.transpose_kernel
        kernel = self.jnp.asarray(weight.transpose(2, 1, 0) if plain else weight.transpose(2, 0, 1)[::-1])
        if isinstance(conv, (self.linen.Conv, self.linen.ConvTranspose)):
            parameters = {"kernel": kernel, **({"bias": self.jnp.asarray(bias)} if conv.use_bias else {})}
            object.__setattr__(conv, "variables_of_test", {"params": parameters})
            return
        conv.kernel.value = kernel
        if conv.bias is not None:
            conv.bias.value = self.jnp.asarray(bias)

    def run(self, layer, data):
        inputs = self.jnp.asarray(data.transpose(0, 2, 1))
        outputs = layer.apply(layer.variables_of_test, inputs) if isinstance(layer, self.linen.Module) else layer(inputs)
        return np.asarray(outputs).transpose(0, 2, 1)


class Paddle(Torch):
    """``paddle.nn.Conv1D`` or ``Conv1DTranspose`` anywhere in a layer."""

    def __init__(self):
        import paddle

        self.paddle = paddle

    def conv(self, layer):
        kinds = self.paddle.nn.Conv1D, self.paddle.nn.Conv1DTranspose
        return next(part for part in layer.sublayers(include_self=True) if isinstance(part, kinds))

    def values(self, conv):
        return conv.weight.numpy(), None if conv.bias is None else conv.bias.numpy()

    def give(self, conv, weight, bias):
        conv.weight.set_value(weight)
        if conv.bias is not None:
            conv.bias.set_value(bias)

    def run(self, layer, data):
        return layer(self.paddle.to_tensor(data)).numpy()


FRAMEWORKS = {  # keras runs on TensorFlow
    "torch": Torch, "mindspore": MindSpore, "keras": Keras, "keras-torch": Keras, "flax": Flax, "paddle": Paddle,
}  # fmt: skip


def carry_out(framework, code, weight, bias, inputs, *, initial):
    """Return {name: array} of one job; an error is the array of its text."""
    names: dict = {}
    try:
        exec(compile(code, "translated", "exec"), names)
        layer = names["layer"]
        conv = framework.build(layer, inputs[0])
        if initial:
            weight, bias = framework.values(conv)
            return {"weight": weight, "bias": np.array([]) if bias is None else bias}
        has_bias = framework.values(conv)[1] is not None
        framework.give(conv, weight, bias)
        return {"bias": np.array(has_bias), **{str(n): framework.run(layer, data) for n, data in enumerate(inputs)}}
    except Exception as error:
        return {"error": np.array(f"{type(error).__name__}: {error}"[:500])}


def main():
    name, jobs, outputs = sys.argv[1:]
    framework = FRAMEWORKS[name]()
    found = {}
    with np.load(jobs, allow_pickle=False) as arrays:
        for job in json.loads(str(arrays["jobs"])):
            weight, bias, *inputs = (arrays[f"{job['sizes']} {part}"] for part in ("weight", "bias", *job["inputs"]))
            result = carry_out(framework, job["code"], weight, bias, inputs, initial=job["initial"])
            found |= {f"{job['id']} {part}": value for part, value in result.items()}
    np.savez(outputs, **found)


def _key(sizes, transposed):
    return ("transposed-" if transposed else "") + "-".join(map(str, sizes))


class Batch:
    """Jobs for every framework, collected first and then run, one process for each framework."""

    def __init__(self):
        self._jobs: dict = {name: [] for name in FRAMEWORKS}
        self._arrays: dict = {}
        self._results: dict = {}

    def add(self, framework, code, sizes, lengths, *, initial=False, transposed=False):
        """Queue code for layers of (in, out, kernel, groups); return the job's id. Equal sizes get equal weights and inputs."""
        key = _key(sizes, transposed)
        inputs, outputs, kernel, groups = sizes
        draw = np.random.default_rng([*sizes])
        if f"{key} weight" not in self._arrays:
            shape = (inputs, outputs // groups, kernel) if transposed else (outputs, inputs // groups, kernel)
            self._arrays[f"{key} weight"] = draw.standard_normal(shape).astype("float32")
            self._arrays[f"{key} bias"] = draw.standard_normal(outputs).astype("float32")
        for length in lengths:
            self._arrays.setdefault(
                f"{key} {length}", np.random.default_rng([length, inputs]).standard_normal((2, inputs, length)).astype("float32")
            )
        job = f"{framework}{len(self._jobs[framework])}"
        self._jobs[framework].append(
            {"id": job, "code": code, "sizes": key, "inputs": [str(n) for n in lengths], "initial": initial}
        )
        return job

    def run(self):
        """Run everything, the frameworks side by side; `result` then has it."""
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_v": "3"}
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            names = [
                name for name in ("flax", "keras", "keras-torch", "mindspore", "torch", "paddle") if self._jobs[name]
            ]  # the slowest first
            for results in pool.map(lambda framework: self._process(framework, Path(folder), environment), names):
                self._results |= results

    def _process(self, framework, folder, environment):
        """Run the jobs of a framework; return job -> {part: array}."""
        jobs = self._jobs[framework]
        needed = {f"{job['sizes']} {part}" for job in jobs for part in ("weight", "bias", *job["inputs"])}
        paths = [str(folder / f"{framework}-{part}.npz") for part in ("jobs", "outputs")]
        np.savez(paths[0], jobs=np.array(json.dumps(jobs)), **{name: self._arrays[name] for name in needed})
        words = [sys.executable, __file__, framework, *paths]
        environment = environment | {"KERAS_BACKEND": framework.partition("-")[2] or "tensorflow"}
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        results: dict = {}
        with np.load(paths[1], allow_pickle=False) as arrays:
            for name in arrays.files:
                job, part = name.split(" ")
                results.setdefault(job, {})[part] = arrays[name]
        return results

    def result(self, job):
        """What came of a job."""
        return self._results[job]

    def bound(self, sizes, length, tolerance, *, transposed=False):
        """How far two float32 results of these weights and inputs may be apart, (out, 1): padded elements are inputs or zeros."""
        key = _key(sizes, transposed)
        weight, bias, data = (self._arrays[f"{key} {part}"] for part in ("weight", "bias", length))
        if transposed:  # (in, out/groups, kernel) as (out, in/groups, kernel)
            inputs, outputs, kernel, groups = sizes
            weight = weight.reshape(groups, inputs // groups, outputs // groups, kernel).swapaxes(1, 2)
            weight = weight.reshape(outputs, inputs // groups, kernel)
        magnitude = np.abs(weight).sum((1, 2)) * np.abs(data).max() + np.abs(bias)
        return 2 * tolerance("float32", weight[0].size + 1, magnitude)[:, None]


if __name__ == "__main__":
    main()
