"""Runs layers that are written as code, each framework in a process of its own: ``python translating.py FRAMEWORK JOBS RESULTS``.

A job is code that binds ``layer``, with weights and inputs in convpolicy's axes, or without, when the initial values are asked for.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import convpolicy as cp
from convpolicy import reference

CUSTOMARY = {  # what a user's file has above the call
    "mlx": "import mlx.core as mx\nimport mlx.nn as nn\n",
    "torch": "import torch\nfrom torch import nn\n",
    "mindspore": "from mindspore import nn\nfrom mindspore.common import initializer\n",
    "keras": "import keras\nfrom keras import layers\n",
    "flax": "from flax import nnx\n",
    "paddle": "import paddle\nfrom paddle import nn\n",
}
CHANNELS_LAST = ("mlx", "keras", "flax")


def tensors(framework):
    """How a framework makes a tensor of an array, and an array of a tensor."""
    if framework == "torch":
        import torch

        return torch.from_numpy, lambda tensor: tensor.detach().numpy()
    if framework == "mindspore":
        import mindspore

        return mindspore.Tensor, lambda tensor: tensor.asnumpy()
    if framework == "paddle":
        import paddle

        return paddle.to_tensor, lambda tensor: tensor.numpy()
    if framework == "mlx":
        import mlx.core as mx

        return mx.array, np.array
    return np.asarray, np.asarray


def output_of(framework, layer, data):
    """The output (batch, channels, length) of a layer or a sequence of layers."""
    tensor, array = tensors(framework)
    if framework in CHANNELS_LAST:
        return array(layer(tensor(np.ascontiguousarray(data.transpose(0, 2, 1))))).transpose(0, 2, 1)
    return array(layer(tensor(data)))


def run(framework, job):
    """The outputs for each input, or weight and bias as drawn; the text of an error where there is one."""
    names: dict = {}
    backend = cp.backends()[framework]
    try:
        exec(compile(job["code"], "translated", "exec"), names)
        layer = names["layer"]
        output_of(framework, layer, job["inputs"][0])  # a layer of Keras has no weights before
        convolution = next(iter(backend.convolutions(layer, False))).module
        values = backend.parameters(convolution)
        if job["weights"] is None:
            return values
        bias = None if values["bias"] is None else job["weights"]["bias"]
        backend.assign(convolution, {"weight": job["weights"]["weight"], "bias": bias})
        return [output_of(framework, layer, data) for data in job["inputs"]]
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:500]


class Batch:
    """Jobs of every framework, collected first and then run, one process for each framework."""

    def __init__(self):
        self.jobs: dict = {}
        self.results: dict = {}

    def add(self, framework, code, weights, inputs):
        """Queue code; return the key of its result."""
        jobs = self.jobs.setdefault(framework, [])
        jobs.append({"code": code, "weights": weights, "inputs": inputs})
        return framework, len(jobs) - 1

    def run(self):
        """Run everything."""
        environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_v": "3"}
        with tempfile.TemporaryDirectory() as folder:
            for framework, jobs in self.jobs.items():
                paths = [Path(folder) / f"{framework}-{part}" for part in ("jobs", "results")]
                paths[0].write_bytes(pickle.dumps(jobs))
                words = [sys.executable, __file__, framework, *map(str, paths)]
                process = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
                assert process.returncode == 0, process.stderr[-2000:]
                self.results[framework] = pickle.loads(paths[1].read_bytes())

    def __getitem__(self, key):
        framework, number = key
        return self.results[framework][number]

    def alike(self, source, target, *, transposed=False):
        """True when both jobs have outputs of the same shapes that are equal up to rounding; transposed weights are (in, out, kernel)."""
        there, here = self[source], self[target]
        if isinstance(there, str) or isinstance(here, str):
            return False
        job = self.jobs[source[0]][source[1]]
        weight, bias = job["weights"]["weight"], job["weights"]["bias"]
        weight = weight.swapaxes(0, 1) if transposed else weight
        for data, a, b in zip(job["inputs"], there, here):
            magnitude = np.abs(weight).sum((1, 2)) * np.abs(data).max() + np.abs(bias)
            bound = 2 * reference.tolerance("float32", weight[0].size + 1, magnitude)[:, None]
            if a.shape != b.shape or not a.size or not (np.abs(a - b) <= bound).all():
                return False
        return True


def main():
    """Run the jobs of one framework."""
    framework, jobs, results = sys.argv[1:]
    Path(results).write_bytes(pickle.dumps([run(framework, job) for job in pickle.loads(Path(jobs).read_bytes())]))


if __name__ == "__main__":
    main()
