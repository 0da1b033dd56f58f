"""Code example 3 of the page: reflection. The page's recipe for MindSpore pads the channel axis as well: another function."""

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


# the page's recipe: it needs 122 input channels, because nn.Pad reflects axis 1, the channels, too
pad = mindspore.nn.Pad(paddings=((0, 0), (1, 1), (1, 1)), mode="REFLECT")
padded = pad(mindspore.Tensor(x)).asnumpy()
print("the page pads", x.shape, "to", padded.shape)
print("its channel 0 is channel 1 of the signal:", np.array_equal(padded[:, 0, 1:-1], x[:, 1]))
print("its channel 121 is channel 118 of the signal:", np.array_equal(padded[:, 121, 1:-1], x[:, 118]))
# its shape is torch's, its values are not: even with torch's weights on the 120 true channels, two more are summed
wider, _bias = random_weights(IN + 2)
wider[:, 1:-1] = weight
by_page = mindspore_conv(mindspore.Tensor(padded), IN + 2, wider)
compare("torch and the page's recipe", by_torch, by_page, x, weight)

# the same function: reflect the length axis only
pad = mindspore.nn.Pad(paddings=((0, 0), (0, 0), (1, 1)), mode="REFLECT")
compare("torch and the length axis alone", by_torch, mindspore_conv(pad(mindspore.Tensor(x)), IN, weight), x, weight)

# convpolicy: rule and mode are two words, on any backend
for backend, run in {
    "numpy": lambda layer: layer(x),
    "torch": lambda layer: layer(torch.from_numpy(x)).detach().numpy(),
    "mindspore": lambda layer: layer(mindspore.Tensor(x)).asnumpy(),
}.items():
    layer = cp.Conv1d(IN, OUT, KERNEL, padding=1, padding_mode="reflect", policy="mindspore", backend=backend, weight_init=weight)
    compare(f"torch and convpolicy on {backend}", by_torch, run(layer), x, weight, exact=backend == "torch")
