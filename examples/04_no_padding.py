"""Code example 4 of the page: torch does not pad by default, MindSpore does; and the weight has one more axis there."""

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

padded = mindspore.nn.Conv1d(IN, OUT, KERNEL, weight_init=mindspore.Tensor(weight))
valid = mindspore.nn.Conv1d(IN, OUT, KERNEL, pad_mode="valid", weight_init=mindspore.Tensor(weight))
compare("torch and MindSpore by default", by_torch, padded(mindspore.Tensor(x)).asnumpy(), x, weight)
compare("torch and MindSpore, pad_mode='valid'", by_torch, valid(mindspore.Tensor(x)).asnumpy(), x, weight)
compare("inside, where no window reaches a pad", by_torch, padded(mindspore.Tensor(x)).asnumpy()[..., 1:-2], x, weight)

# convpolicy: what each does by default, on either framework
on_mindspore = cp.Conv1d(IN, OUT, KERNEL, policy="torch", bias=False, weight_init=weight, backend="mindspore")
on_torch = cp.Conv1d(IN, OUT, KERNEL, policy="mindspore", weight_init=weight, backend="torch")
compare("torch and policy torch on MindSpore", by_torch, on_mindspore(mindspore.Tensor(x)).asnumpy(), x, weight)
compare(
    "MindSpore and policy mindspore on torch",
    padded(mindspore.Tensor(x)).asnumpy(),
    on_torch(torch.from_numpy(x)).detach().numpy(),
    x,
    weight,
)

# moving weights: the layout adapters know the axes and the names
stored = {name: value.asnumpy() for name, value in valid.parameters_dict().items()}
print({name: array.shape for name, array in stored.items()})
moved = cp.layouts()["OI1W"].unpack(stored)
print("moved to", moved["weight"].shape, "unchanged:", np.array_equal(moved["weight"], weight))
