# %% [markdown]
# # How does MindSpore pad by reflection?
#
# Code example 3 of MindSpore's page. Its recipe also pads the channel axis, so it computes another function.

# %%
import mindspore
import numpy as np
import torch
from side_by_side import IN, KERNEL, OUT, compare, random_signal, random_weights

import convpolicy as cp

x = random_signal()
weight, _bias = random_weights()

net = torch.nn.Conv1d(IN, OUT, KERNEL, padding=1, padding_mode="reflect", bias=False)
net.load_state_dict({"weight": torch.from_numpy(weight)})
by_torch = net(torch.from_numpy(x)).detach().numpy()


def mindspore_conv(data, in_channels, weights):
    return mindspore.nn.Conv1d(in_channels, OUT, KERNEL, pad_mode="valid", weight_init=mindspore.Tensor(weights))(data).asnumpy()


# %% [markdown]
# The page's recipe needs 122 input channels, because `nn.Pad` also reflects axis 1, the channels.

# %%
pad = mindspore.nn.Pad(paddings=((0, 0), (1, 1), (1, 1)), mode="REFLECT")
padded = pad(mindspore.Tensor(x)).asnumpy()
print("the page pads", x.shape, "to", padded.shape)
print("its channel 0 is channel 1 of the signal:", np.array_equal(padded[:, 0, 1:-1], x[:, 1]))
print("its channel 121 is channel 118 of the signal:", np.array_equal(padded[:, 121, 1:-1], x[:, 118]))

# %% [markdown]
# The shape is PyTorch's, the values are not. PyTorch's weights on the 120 true channels do not help: two more channels are summed.

# %%
wider, _bias = random_weights(IN + 2)
wider[:, 1:-1] = weight
by_page = mindspore_conv(mindspore.Tensor(padded), IN + 2, wider)
compare("PyTorch and the page's recipe", by_torch, by_page)

# %% [markdown]
# The same function: reflect the length axis only.

# %%
pad = mindspore.nn.Pad(paddings=((0, 0), (0, 0), (1, 1)), mode="REFLECT")
compare("PyTorch and the length axis alone", by_torch, mindspore_conv(pad(mindspore.Tensor(x)), IN, weight))

# %% [markdown]
# convpolicy: rule and mode are two arguments, on any backend.

# %%
for name in ("numpy", "torch", "mindspore"):
    options = {"padding": 1, "padding_mode": "reflect", "policy": "mindspore", "weight_init": weight}
    layer = cp.Conv1d(IN, OUT, KERNEL, backend=name, **options)
    compare(f"PyTorch and convpolicy on {name}", by_torch, cp.backends()[name].run(layer, x))
