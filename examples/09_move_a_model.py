# %% [markdown]
# # How do I move a whole PyTorch model to MindSpore and Keras?
#
# `port_model` builds every Conv1d of a model in another framework, with the same weights. You write the forward pass.
# Needs PyTorch, MindSpore and Keras; Keras runs on PyTorch here, so that one process can load all three.

# %%
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras  # pip install -r requirements/test.txt
import mindspore
import torch
from measured import difference, measured

import convpolicy as cp

model = torch.nn.Sequential(
    torch.nn.Conv1d(4, 6, 5, stride=3, padding=2, padding_mode="reflect"),
    torch.nn.ReLU(),
    torch.nn.Conv1d(6, 8, 3, padding="same"),
    torch.nn.ReLU(),
    torch.nn.Conv1d(8, 2, 1),
)
torch.manual_seed(0)
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.randint(-4, 4, parameter.shape))  # whole numbers: float32 sums them exactly in any order
x = measured("torch")["x"]
by_torch = model(torch.from_numpy(x)).detach().numpy()

# %% [markdown]
# The report has one line for every convolution. Read what was refused first; here nothing is.

# %%
on_mindspore = cp.port_model(model, to="mindspore")
print(on_mindspore)
print("refused:", len(on_mindspore.refused))

# %% [markdown]
# The names and axes of every parameter, for a checkpoint loader of yours.

# %%
for name, renamed in on_mindspore.parameters.items():
    print(f"{name} -> {renamed.name}: {renamed.axes}")

# %% [markdown]
# MindSpore: the ported layers are `mindspore.nn.Cell` objects.

# %%
net = mindspore.nn.SequentialCell(
    on_mindspore.layers["0"], mindspore.nn.ReLU(), on_mindspore.layers["2"], mindspore.nn.ReLU(), on_mindspore.layers["4"]
)
print("largest difference, PyTorch and MindSpore:", difference(net(mindspore.Tensor(x)).asnumpy(), by_torch))

# %% [markdown]
# Keras: the ported layers are `keras.layers.Conv1D`. Keras puts the channels last.

# %%
on_keras = cp.port_model(model, to="keras-torch").layers
net = keras.Sequential([on_keras["0"], keras.layers.ReLU(), on_keras["2"], keras.layers.ReLU(), on_keras["4"]])
output = net(x.transpose(0, 2, 1)).detach().numpy().transpose(0, 2, 1)
print("largest difference, PyTorch and Keras:", difference(output, by_torch))
