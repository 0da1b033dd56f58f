# %% [markdown]
# # Which side gets the extra sample of "same"?
#
# Code example 2 of MindSpore's page: one zero on both sides. The page also says that PyTorch's "same" puts the extra sample
# left and MindSpore's puts it right. Both frameworks put it right.

# %%
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


def by_convpolicy(padding):
    return cp.Conv1d(IN, OUT, KERNEL, padding=padding, policy="torch", bias=False, weight_init=weight)(x)


# %% [markdown]
# The page's example.

# %%
compare("padding=1, PyTorch and MindSpore", by_torch(padding=1), by_mindspore(padding=1, pad_mode="pad"))
compare("padding=1, PyTorch and convpolicy", by_torch(padding=1), by_convpolicy(1))

# %% [markdown]
# "same", as the page describes it and as the frameworks compute it.

# %%
for policy, padding in (("torch", "torch-left"), ("torch", "same"), ("mindspore", "same")):
    plan = cp.policy(policy).evolve(padding=padding).plan(KERNEL, length=640)
    print(f"{policy}, {padding}: left {plan.left}, right {plan.right}")

same = by_torch(padding="same")
compare("same, PyTorch and the page's description", same, by_convpolicy("torch-left"))
compare("same, PyTorch and convpolicy", same, by_convpolicy("same"))
compare("same, PyTorch and MindSpore", same, by_mindspore())
