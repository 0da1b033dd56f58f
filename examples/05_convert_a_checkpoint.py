# %% [markdown]
# # How do I move a checkpoint file to another framework?
#
# `data/torch_model.safetensors` is the state of a PyTorch model: two Conv1d and a Linear.
# Keras stores a convolution's weight under another name, with its axes reversed. NumPy only.

# %%
import tempfile
from pathlib import Path

import numpy as np
from measured import DATA, difference, measured

import convpolicy as cp

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
checkpoint = DATA / "torch_model.safetensors"
layers = {"encoder.0": cp.Conv1d(4, 6, 4), "encoder.1": cp.Conv1d(6, 2, 3)}  # the model's convolutions and their sizes

print(cp.convert(checkpoint, folder / "keras.npz", source="torch", target="keras", layers=layers))

# %% [markdown]
# The converted kernels, in layers that behave as Keras's, compute what the real Keras model computed from them.

# %%
keras = measured("keras")
with np.load(folder / "keras.npz") as file:
    weights = dict(file)

output = keras["x"]
for path in layers:
    stored = {name: weights[f"{path}.{name}"] for name in ("kernel", "bias")}
    kernel_size, in_channels, out_channels = stored["kernel"].shape
    values = cp.layouts()["WIO"].unpack(stored)
    options = {"weight_init": values["weight"], "bias_init": values["bias"]}
    output = cp.Conv1d(in_channels, out_channels, kernel_size, policy="keras", **options)(output)
print("largest difference from Keras:", difference(output, keras["model"]))

# %% [markdown]
# A file remembers where it came from, so the way back gives the same bytes.

# %%
cp.convert(checkpoint, folder / "mindspore.safetensors", source="torch", target="mindspore", layers=layers)
cp.convert(folder / "mindspore.safetensors", folder / "back.safetensors", source="mindspore", target="torch")
print("the same bytes after the way back:", (folder / "back.safetensors").read_bytes() == checkpoint.read_bytes())
temporary.cleanup()
