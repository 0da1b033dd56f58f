"""Whole models of torch, cut over ranks, against the same model on one machine. Runs inside each process of a group."""

from __future__ import annotations

import torch
import torch.distributed as dist
from helpers.sharded_layers import gradients, picked, ranges_of, require_close
from torch import nn
from torch.nn.utils import parametrizations

import convpolicy as cp

# float64; each layer adds up to some hundred products, and the gradients of all positions are summed
RELATIVE = 1e-12


def layer(*sizes, **own):
    return cp.Conv1d(*sizes, backend="torch", seed=sum(sizes), dtype="float64", **own)


class Block(nn.Module):
    """A residual block with a gate, a norm over the channels in another axis order, and weight normalization."""

    def __init__(self, dilation):
        super().__init__()
        self.inner = parametrizations.weight_norm(layer(4, 8, 3, padding="same_upper", dilation=dilation, padding_mode="reflect"))
        self.outer = layer(4, 4, 1)
        self.norm = nn.LayerNorm(4, dtype=torch.float64)

    def forward(self, data):
        gate, value = self.inner(data).chunk(2, dim=1)
        mixed = self.outer(torch.sigmoid(gate) * torch.tanh(value))
        return self.norm((data + mixed).transpose(1, 2)).transpose(1, 2)


class Net(nn.Module):
    """Skips between layers, the second of which has a stride."""

    def __init__(self):
        super().__init__()
        self.first = layer(4, 4, 7, padding="causal")
        self.blocks = nn.ModuleList([Block(1), Block(2), Block(4)])
        self.down = layer(4, 4, 4, 2, padding=(1, 1), groups=2)
        self.up = cp.ConvTranspose1d(4, 4, 4, 2, padding=1, backend="torch", seed=4, dtype="float64")

    def forward(self, data):
        data = self.first(data)
        skips = 0
        for block in self.blocks:
            data = block(data)
            skips = skips + data
        return self.up(nn.functional.gelu(self.down(skips))) + data


class Trimmed(nn.Module):
    """A residual that is cut to the length of its branch, if that is shorter, as in DAC."""

    def __init__(self):
        super().__init__()
        self.first = layer(4, 4, 7, padding=3)
        self.pool = nn.MaxPool1d(3, 1, padding=0)
        self.pad = nn.ConstantPad1d(1, 0.0)

    def forward(self, data):
        branch = self.pad(self.pool(self.first(data)))
        extra = (data.shape[-1] - branch.shape[-1]) // 2
        if extra > 0:
            data = data[..., extra:-extra]
        return data + branch


def norms():
    return nn.Sequential(
        layer(4, 6, 5, padding="same_lower", padding_mode="circular"),
        nn.BatchNorm1d(6, dtype=torch.float64),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        layer(6, 4, 31, padding="same_upper"),
        nn.PReLU(dtype=torch.float64),
    ).eval()


def windows():
    return nn.Sequential(
        nn.ReflectionPad1d((3, 1)),
        layer(4, 4, 3, bias=False),
        nn.MaxPool1d(3, 2),
        nn.AvgPool1d(2, padding=1),
        nn.Upsample(scale_factor=4),
        layer(4, 2, 3, padding=1),
        nn.ConstantPad1d((2, -1), 0.5),
    )


MODELS = {"net": Net, "norms": norms, "windows": windows, "trimmed": Trimmed}


def run_model(mesh, name, length, parts=None, documents=None):
    """Compare outputs, and the gradients of the input and of every parameter, with one machine."""
    torch.manual_seed(0)
    model = MODELS[name]()
    names = list(model.state_dict())
    generator = torch.Generator().manual_seed(length)
    data = torch.randn(2, 4, length, generator=generator, dtype=torch.float64)
    outputs = model(data)
    upstream = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    whole = gradients(model, data, upstream)
    rank = mesh.get_coordinate()[0]
    sharded = cp.shard(model, mesh, length=length, parts=parts)
    assert sharded is model
    assert list(sharded.state_dict()) == names
    mine, out = ranges_of(sharded.cuts(length), rank), ranges_of(sharded.output_cuts(length), rank)
    found = gradients(sharded, picked(data, mine), picked(upstream, out))
    require_close("outputs", found[0], picked(whole[0], out), RELATIVE * whole[0].abs().max())
    require_close("input gradient", found[1], picked(whole[1], mine), RELATIVE * whole[1].abs().max())
    for (parameter, _), local, expected in zip(model.named_parameters(), found[2:], whole[2:]):
        total = local.clone()
        dist.all_reduce(total, group=mesh.get_group())
        require_close(f"gradient of {parameter}", total, expected, RELATIVE * max(expected.abs().max().item(), 1.0))
    return sharded
