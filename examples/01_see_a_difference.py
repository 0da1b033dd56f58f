# %% [markdown]
# # What does the same call do in two frameworks?
#
# `Conv1d(4, 6, 4)` in PyTorch and in MindSpore: same sizes, same weights, other output.
# This script needs NumPy only. The real outputs are in `data/`; `data/measure.py` stored them.

# %%
from measured import difference, measured

import convpolicy as cp

print(cp.compare("torch", "mindspore", kernel_size=4, length=22))

# %% [markdown]
# A plan says which samples are added. PyTorch adds none. MindSpore adds one zero on the left and two on the right.

# %%
for name in ("torch", "mindspore"):
    print(f"{name}: {cp.policy(name).plan(4, length=22)}")

# %% [markdown]
# A layer of each policy computes what the real framework computed, to the last bit.

# %%
torch, mindspore = measured("torch"), measured("mindspore")
x, weight, bias = torch["x"], torch["weight4"], torch["bias"]

by_torch = cp.Conv1d(4, 6, 4, policy="torch", weight_init=weight, bias_init=bias)(x)
by_mindspore = cp.Conv1d(4, 6, 4, policy="mindspore", weight_init=weight)(x)
print("largest difference from PyTorch:", difference(by_torch, torch["default"]))
print("largest difference from MindSpore:", difference(by_mindspore, mindspore["default"]))

# %% [markdown]
# Padding and bias are the whole difference: without the padded outputs, and with the bias, MindSpore's output is PyTorch's.

# %%
inside = mindspore["default"][:, :, 1:-2] + bias[:, None]
print("largest difference of the frameworks, without padding and with bias:", difference(inside, torch["default"]))
