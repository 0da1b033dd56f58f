# %% [markdown]
# # Does the layer have a bias?
#
# Code example 1 of MindSpore's page: PyTorch adds a bias by default, MindSpore does not.

# %%
import mindspore
import torch
from side_by_side import IN, KERNEL, OUT, compare, random_signal, random_weights

import convpolicy as cp

x = random_signal()
weight, bias = random_weights()

# %% [markdown]
# The page's two layers, with the same numbers in both.

# %%
net = torch.nn.Conv1d(IN, OUT, KERNEL)
net.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
by_torch = net(torch.from_numpy(x)).detach().numpy()

net = mindspore.nn.Conv1d(
    IN, OUT, KERNEL, has_bias=True, pad_mode="valid", weight_init=mindspore.Tensor(weight), bias_init=mindspore.Tensor(bias)
)
by_mindspore = net(mindspore.Tensor(x)).asnumpy()
compare("PyTorch and MindSpore", by_torch, by_mindspore)

# %% [markdown]
# convpolicy: a policy knows the default, and `backend` says where the layer runs.

# %%
for name in ("torch", "mindspore"):
    print(f"bias by default, {name}: {cp.policy(name).bias}")
for name in ("numpy", "torch", "mindspore"):
    layer = cp.Conv1d(IN, OUT, KERNEL, policy="torch", backend=name, weight_init=weight, bias_init=bias)
    compare(f"PyTorch and convpolicy on {name}", by_torch, cp.backends()[name].run(layer, x))

# %% [markdown]
# Without the bias the outputs differ, by the bias.

# %%
without = cp.Conv1d(IN, OUT, KERNEL, policy="mindspore", padding="valid", weight_init=weight)
compare("without the bias", by_torch, without(x))
compare("with the bias added", by_torch, without(x) + bias[:, None])
