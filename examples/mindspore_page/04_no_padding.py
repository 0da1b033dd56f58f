# %% [markdown]
# # Does the layer pad by default?
#
# Code example 4 of MindSpore's page: PyTorch does not pad by default, MindSpore does. MindSpore's weight has one more axis.

# %%
import mindspore
import numpy as np
import torch
from side_by_side import IN, KERNEL, OUT, compare, random_signal, random_weights

import convpolicy as cp

x = random_signal()
weight, _bias = random_weights()

net = torch.nn.Conv1d(IN, OUT, KERNEL, bias=False)
net.load_state_dict({"weight": torch.from_numpy(weight)})
by_torch = net(torch.from_numpy(x)).detach().numpy()

# %% [markdown]
# The defaults, and MindSpore without padding.

# %%
padded = mindspore.nn.Conv1d(IN, OUT, KERNEL, weight_init=mindspore.Tensor(weight))
valid = mindspore.nn.Conv1d(IN, OUT, KERNEL, pad_mode="valid", weight_init=mindspore.Tensor(weight))
by_mindspore = padded(mindspore.Tensor(x)).asnumpy()
compare("PyTorch and MindSpore by default", by_torch, by_mindspore)
compare("PyTorch and MindSpore, pad_mode='valid'", by_torch, valid(mindspore.Tensor(x)).asnumpy())
compare("inside, where no padding is read", by_torch, by_mindspore[..., 1:-2])

# %% [markdown]
# convpolicy: each framework's default on the other framework.

# %%
on_mindspore = cp.Conv1d(IN, OUT, KERNEL, policy="torch", bias=False, weight_init=weight, backend="mindspore")
on_torch = cp.Conv1d(IN, OUT, KERNEL, policy="mindspore", weight_init=weight, backend="torch")
compare("PyTorch and policy torch on MindSpore", by_torch, on_mindspore(mindspore.Tensor(x)).asnumpy())
compare("MindSpore and policy mindspore on PyTorch", by_mindspore, on_torch(torch.from_numpy(x)).detach().numpy())

# %% [markdown]
# A layout moves weights between the axes and the names of two frameworks.

# %%
stored = {name: value.asnumpy() for name, value in valid.parameters_dict().items()}
print({name: array.shape for name, array in stored.items()})
moved = cp.layouts()["OI1W"].unpack(stored)
print("moved to", moved["weight"].shape, "and unchanged:", np.array_equal(moved["weight"], weight))
