"""Runs files of one framework: ``python running_files.py FRAMEWORK JOBS OUTPUTS``, each framework in its own process.

A file has ``layers()``, a list of layers, and ``function(x, w, b)``, a list of functional convolutions. Each layer gets the weights that
`cp.capture` reads from the layer of the source's file; what comes back is the outputs, (batch, channels, length).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TENSORS = {
    "torch": lambda f, a: f.torch.from_numpy(a), "mindspore": lambda f, a: f.mindspore.Tensor(a), "paddle": lambda f, a: f.paddle.to_tensor(a),
    "keras": lambda f, a: f.keras.ops.convert_to_tensor(a), "flax": lambda f, a: f.jnp.asarray(a),
}  # fmt: skip


def _outputs(framework, name, code, data, weights, tensors):
    """The captured weights of a source, or the outputs with given weights, by number of the layer or function."""
    names: dict = {}
    exec(compile(code, "translated", "exec"), names)
    results: dict = {}
    for number, layer in enumerate(names["layers"]()):
        conv = framework.build(layer, data)
        if weights is None:
            weight, bias = framework.values(conv)
            results |= {f"weight {number}": weight, **({} if bias is None else {f"bias {number}": bias})}
        else:
            framework.give(conv, weights[f"weight {number}"], weights.get(f"bias {number}"))
        results[f"layer {number}"] = framework.run(layer, data)
    tensors = [TENSORS[name](framework, tensor) for tensor in tensors]
    count = len(names["function"](*([None] * 3), length=True))
    for number in range(count):
        results[f"function {number}"] = framework.run(lambda x, n=number: names["function"](x, *tensors)[n](), data)
    return results


def main():
    """Run the files of a framework."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from helpers.translating import FRAMEWORKS

    name, jobs, outputs = sys.argv[1:]
    framework = FRAMEWORKS[name]()
    results: dict = {}
    with np.load(jobs, allow_pickle=False) as arrays:
        for job, code in json.loads(str(arrays["jobs"])).items():
            mine = {key.partition("|")[2]: arrays[key] for key in arrays.files if key.startswith(f"{job}|")}
            data, tensors = mine.pop("data"), (mine.pop("w"), mine.pop("b"))
            found = _outputs(framework, name, code, data, mine or None, tensors)
            results |= {f"{job}|{key}": np.asarray(value) for key, value in found.items()}
    np.savez(outputs, **results)


def run(framework, jobs):
    """Run ``{job: (code, arrays)}`` in a process of a framework; return ``{job: {key: array}}``."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_v": "3", "KERAS_BACKEND": "tensorflow"}
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{part}.npz") for part in ("jobs", "outputs")]
        arrays = {f"{job}|{key}": value for job, (_code, own) in jobs.items() for key, value in own.items()}
        np.savez(paths[0], jobs=np.array(json.dumps({job: code for job, (code, _own) in jobs.items()})), **arrays)
        words = [sys.executable, __file__, framework, *paths]
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-3000:]
        results: dict = {job: {} for job in jobs}
        with np.load(paths[1], allow_pickle=False) as found:
            for key in found.files:
                job, _bar, part = key.partition("|")
                results[job][part] = found[key]
    return results


if __name__ == "__main__":
    main()
