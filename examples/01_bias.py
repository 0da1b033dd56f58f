"""Code example 1 of the page: torch adds a bias by default, MindSpore does not."""

import mindspore
import torch
from side_by_side import IN, KERNEL, OUT, compare, random_signal, random_weights

import convpolicy as cp

x = random_signal()
weight, bias = random_weights()

# the page's two layers, with the same numbers in both
net = torch.nn.Conv1d(IN, OUT, KERNEL)
net.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
by_torch = net(torch.from_numpy(x)).detach().numpy()

net = mindspore.nn.Conv1d(
    IN, OUT, KERNEL, has_bias=True, pad_mode="valid", weight_init=mindspore.Tensor(weight), bias_init=mindspore.Tensor(bias)
)
by_mindspore = net(mindspore.Tensor(x)).asnumpy()
compare("torch and MindSpore", by_torch, by_mindspore, x, weight)

# convpolicy: the policy knows the default, backend says where it runs
print("bias by default:", {name: cp.policy(name).bias for name in ("torch", "mindspore")})
for backend, run in {
    "numpy": lambda layer: layer(x),
    "torch": lambda layer: layer(torch.from_numpy(x)).detach().numpy(),
    "mindspore": lambda layer: layer(mindspore.Tensor(x)).asnumpy(),
}.items():
    layer = cp.Conv1d(IN, OUT, KERNEL, policy="torch", backend=backend, weight_init=weight, bias_init=bias)
    compare(f"torch and convpolicy on {backend}", by_torch, run(layer), x, weight, exact=backend == "torch")

without = cp.Conv1d(IN, OUT, KERNEL, policy="mindspore", padding="valid", weight_init=weight)
compare("without the bias", by_torch, without(x), x, weight)
compare("with the bias added", by_torch, without(x) + bias[:, None], x, weight)
