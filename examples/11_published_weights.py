# %% [markdown]
# # How do I move a model with published weights to PyTorch and Flax?
#
# SpliceAI finds the borders of exons in a DNA sequence (Jaganathan et al., Cell 176, 2019). Its five models are Keras 2 files in the
# package `spliceai`, free for academic and non-commercial use. Here each of them goes from its file to a PyTorch model and a Flax model,
# both written by hand from the blocks of the paper. Needs `requirements/papers.txt`; Keras runs on JAX.

# %%
import importlib.util
import os
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
import torch
from flax import nnx
from measured import DATA
from safetensors.torch import load_file
from torch import nn

import convpolicy as cp

PACKAGE = Path(importlib.util.find_spec("spliceai").submodule_search_locations[0])
FILES = [PACKAGE / "models" / f"spliceai{number}.h5" for number in range(1, 6)]
GROUPS = [(11, 1), (11, 4), (21, 10), (41, 25)]  # kernel size and dilation
CONTEXT = 10000  # samples: half of them are cut from each end

# %% [markdown]
# ## The model in PyTorch
#
# Four groups of four residual blocks, and a skip connection after each group. Keras's BatchNormalization has an epsilon of 1e-3, PyTorch's
# 1e-5. The policy `keras` pads "same" as Keras does.


# %%
class Block(nn.Sequential):
    def __init__(self, kernel_size, dilation):
        super().__init__()
        for _ in range(2):
            conv = cp.Conv1d(32, 32, kernel_size, dilation=dilation, padding="same", policy="keras", backend="torch")
            self.extend([nn.BatchNorm1d(32, eps=1e-3), nn.ReLU(), conv])

    def forward(self, x):
        return x + super().forward(x)


class SpliceAI(nn.Module):
    def __init__(self, context=CONTEXT):
        super().__init__()
        self.cut = context // 2
        self.first = nn.Conv1d(4, 32, 1)
        self.groups = nn.ModuleList(nn.Sequential(*(Block(*sizes) for _ in range(4))) for sizes in GROUPS)
        self.skips = nn.ModuleList(nn.Conv1d(32, 32, 1) for _ in range(5))
        self.last = nn.Conv1d(32, 3, 1)

    def forward(self, x):
        x = self.first(x)
        total = self.skips[0](x)
        for group, skip in zip(self.groups, self.skips[1:]):
            x = group(x)
            total = total + skip(x)
        return self.last(total[..., self.cut : total.shape[-1] - self.cut]).softmax(1)


# %% [markdown]
# ## The model in Flax
#
# The same blocks. Flax has the channels on the last axis.


# %%
class FlaxBlock(nnx.Module):
    def __init__(self, kernel_size, dilation, rngs):
        sizes = {"kernel_size": kernel_size, "dilation": dilation, "padding": "same"}
        self.norms = nnx.List(nnx.BatchNorm(32, epsilon=1e-3, use_running_average=True, rngs=rngs) for _ in range(2))
        self.convs = nnx.List(cp.Conv1d(32, 32, **sizes, policy="keras", backend="flax") for _ in range(2))

    def __call__(self, x):
        y = x
        for norm, conv in zip(self.norms, self.convs):
            y = conv(nnx.relu(norm(y)))
        return x + y


class FlaxSpliceAI(nnx.Module):
    def __init__(self, context=CONTEXT):
        rngs = nnx.Rngs(0)
        self.cut = context // 2
        self.first = nnx.Conv(4, 32, 1, rngs=rngs)
        self.groups = nnx.List(nnx.List(FlaxBlock(*sizes, rngs) for _ in range(4)) for sizes in GROUPS)
        self.skips = nnx.List(nnx.Conv(32, 32, 1, rngs=rngs) for _ in range(5))
        self.last = nnx.Conv(32, 3, 1, rngs=rngs)

    def __call__(self, x):
        x = self.first(x)
        total = self.skips[0](x)
        for group, skip in zip(self.groups, self.skips[1:]):
            for block in group:
                x = block(x)
            total = total + skip(x)
        return nnx.softmax(self.last(total[:, self.cut : total.shape[1] - self.cut]))


# %% [markdown]
# ## The weights
#
# `convert` gives every tensor the name, the shape and the axes that the model loads.


# %%
def in_torch(file, context=CONTEXT):
    model = SpliceAI(context)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "spliceai.safetensors"
        report = cp.convert(file, target, source="keras", target="torch", model=model)
        model.load_state_dict(load_file(target))
    return model.eval(), report.loading


def in_flax(file, context=CONTEXT):
    model = FlaxSpliceAI(context)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "spliceai.npz"
        report = cp.convert(file, target, source="keras", target="flax", model=model)
        with np.load(target) as arrays:
            state = nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat)))
            nnx.update(model, nnx.from_flat_state({path: arrays[".".join(map(str, path))] for path, _ in state}))
    return model, report.loading


# %% [markdown]
# ## A real sequence
#
# TUBB8 is a human gene with four exons, on the reverse strand of chromosome 10. `data/tubb8.fa` is the sequence of this place, and the package
# lists the exons.

# %%
title, *lines = (DATA / "tubb8.fa").read_text().splitlines()
sequence = "".join(lines)[::-1].translate(str.maketrans("ACGT", "TGCA"))  # as the gene is read
x = np.stack([[base == letter for base in sequence] for letter in "ACGT"]).astype(np.float32)[None]  # (batch, channels, length)

rows = (PACKAGE / "annotations" / "grch37.txt").read_text().splitlines()
_name, _chromosome, strand, start, end, starts, ends = next(row.split("\t") for row in rows if row.startswith("TUBB8\t"))
borders = [(int(one) + 1, int(last)) for one, last in zip(starts.split(",")[:-1], ends.split(",")[:-1])][::-1]
exons = {"acceptor": [last for _, last in borders[1:]], "donor": [one for one, _ in borders[:-1]]}
print(title.removeprefix(">"))
print(f"gene {start}-{end}, strand {strand}, annotated: {exons}")

# %% [markdown]
# ## The outputs
#
# Each model returns three probabilities for each base: neither, acceptor and donor. SpliceAI's prediction is the mean of the five models.

# %%
outputs = {"Keras": [], "PyTorch": [], "Flax": []}
for file in FILES:
    published = keras.models.load_model(file, compile=False)
    by_torch, torch_report = in_torch(file)
    by_flax, flax_report = in_flax(file)
    print(f"{file.name}, PyTorch: {torch_report}; Flax: {flax_report}")
    outputs["Keras"].append(np.asarray(published([x.transpose(0, 2, 1)])).transpose(0, 2, 1))
    with torch.no_grad():
        outputs["PyTorch"].append(by_torch(torch.from_numpy(x)).numpy())
    outputs["Flax"].append(np.asarray(by_flax(x.transpose(0, 2, 1))).transpose(0, 2, 1))

# %%
means = {name: np.mean(arrays, 0)[0] for name, arrays in outputs.items()}
print("           position ", *(f"{name:8}" for name in means), "annotated")
for channel, kind in enumerate(exons, 1):
    for at in np.flatnonzero(means["Keras"][channel] > 0.5):
        position = int(end) - at
        print(f"{kind:10} {position:8} ", *(f"{mean[channel, at]:<8.3f}" for mean in means.values()), position in exons[kind])

# %%
for name in ("PyTorch", "Flax"):
    largest = max(np.abs(one - other).max() for one, other in zip(outputs[name], outputs["Keras"]))
    print(f"largest difference of {5 * outputs[name][0].size} outputs, {name} and Keras, below 1e-5: {largest < 1e-5}")
