"""Code example 2 of the page: one zero on both sides; and torch's and MindSpore's 'same', which the page says differ."""

import mindspore
import torch
from side_by_side import IN, KERNEL, OUT, compare, random_signal, random_weights

import convpolicy as cp

x = random_signal()
weight, _bias = random_weights()


def by_torch(**padding):
    net = torch.nn.Conv1d(IN, OUT, KERNEL, bias=False, **padding)
    net.load_state_dict({"weight": torch.from_numpy(weight)})
    return net(torch.from_numpy(x)).detach().numpy()


def by_mindspore(**padding):
    net = mindspore.nn.Conv1d(IN, OUT, KERNEL, weight_init=mindspore.Tensor(weight), **padding)
    return net(mindspore.Tensor(x)).asnumpy()


def by_convpolicy(policy, padding):
    layer = cp.Conv1d(IN, OUT, KERNEL, padding=padding, policy=policy, bias=False, weight_init=weight)
    return layer(x)


compare("padding=1, torch and MindSpore", by_torch(padding=1), by_mindspore(padding=1, pad_mode="pad"), x, weight)
compare("padding=1, torch and convpolicy", by_torch(padding=1), by_convpolicy("torch", 1), x, weight)

# The page: torch puts the odd element of 'same' left. Both frameworks put it right.
same = by_torch(padding="same")
compare("'same', torch and MindSpore", same, by_mindspore(), x, weight)
compare("'same', torch and convpolicy", same, by_convpolicy("torch", "same"), x, weight)
compare("'same' as the page says it, odd element left", same, by_convpolicy("torch", "torch-left"), x, weight)
for policy, padding in (("torch", "same"), ("mindspore", "same"), ("torch", "torch-left")):
    plan = cp.policy(policy).evolve(padding=padding).plan(KERNEL, length=640)
    print(f"{policy}, {padding}: left {plan.left}, right {plan.right}")
