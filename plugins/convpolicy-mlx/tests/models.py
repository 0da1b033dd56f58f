"""One model in MLX and in torch, with the same names: lists, dicts, a shared layer, groups, strides and a layer of another kind."""

from __future__ import annotations

import mlx.core as mx
import torch
from mlx import nn

PATHS = ("layers.0", "layers.2.convs.0", "layers.2.convs.1", "layers.2.named.down", "layers.2.nested.0.0")
SHARED = "layers.2.again"  # layers.2.named.down under another name


class Block(nn.Module):
    """Convolutions in a list, in a dict, in a list of lists, one of them twice."""

    def __init__(self):
        super().__init__()
        self.convs = [nn.Conv1d(8, 8, 3, padding=2, groups=4), nn.Conv1d(8, 12, 5, dilation=2, padding=4, bias=False)]
        self.named = {"down": nn.Conv1d(12, 12, 4, stride=2)}
        self.nested = [[nn.Conv1d(12, 6, 1)]]
        self.again = self.named["down"]
        self._hidden = nn.Conv1d(1, 1, 1)

    def __call__(self, x):
        for conv in self.convs:
            x = nn.relu(conv(x))
        return self.nested[0][0](self.again(self.named["down"](x)))


def mlx_model(dtype=mx.float32, seed=0):
    """The model in MLX, with a bias that is not zero."""
    mx.random.seed(seed)
    model = nn.Sequential(nn.Conv1d(3, 8, 7, padding=3), nn.ReLU(), Block(), nn.Linear(6, 2))
    model.apply(lambda array: mx.random.uniform(-0.5, 0.5, array.shape))
    model.set_dtype(dtype)
    return model


class TorchBlock(torch.nn.Module):
    """`Block` in torch."""

    def __init__(self):
        super().__init__()
        conv = torch.nn.Conv1d
        self.convs = torch.nn.ModuleList([conv(8, 8, 3, padding=2, groups=4), conv(8, 12, 5, dilation=2, padding=4, bias=False)])
        self.named = torch.nn.ModuleDict({"down": conv(12, 12, 4, stride=2)})
        self.nested = torch.nn.ModuleList([torch.nn.ModuleList([conv(12, 6, 1)])])
        self.again = self.named["down"]

    def forward(self, x):
        for conv in self.convs:
            x = torch.relu(conv(x))
        return self.nested[0][0](self.again(self.named["down"](x)))


class TorchModel(torch.nn.Module):
    """`mlx_model` in torch; data is (batch, channels, length) until the last layer."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(
            [torch.nn.Conv1d(3, 8, 7, padding=3), torch.nn.ReLU(), TorchBlock(), torch.nn.Linear(6, 2)]
        )

    def forward(self, x):
        for layer in list(self.layers)[:3]:
            x = layer(x)
        return self.layers[3](x.transpose(1, 2))
