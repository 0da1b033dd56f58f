"""Wrong calls of `convpolicy.shard` and of sharded modules. Runs inside each process of a group."""

from __future__ import annotations

import copy
from datetime import timedelta

import attrs
import torch
import torch.distributed as dist
from helpers.sharded_torch import pooled
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

import convpolicy as cp
from convpolicy.frameworks.torch.shards.layers import WORK

TIMEOUT = 5  # seconds, of a group whose ranks address the wrong process


class Cut(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.layer, self.function = nn.Conv1d(4, 4, 3, padding=1), forward

    def forward(self, data):
        return self.function(self.layer(data))


class Strided(nn.Module):
    """A residual around a layer with a stride and one that undoes it."""

    def __init__(self, kernel=4):
        super().__init__()
        self.down, self.up = nn.Conv1d(4, 4, 4, 2, padding=1), nn.ConvTranspose1d(4, 4, kernel, 2, padding=1)

    def forward(self, data):
        return data + self.up(self.down(data))


def refused(function):
    """Return the message of the error that a function raises."""
    try:
        function()
    except cp.ConvPolicyError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def refusals(here):
    """Return the message of each wrong call, most of them wrong on one rank alone."""
    rank, mesh = here.rank, here.mesh

    def layer(kernel=3):
        return nn.Conv1d(4, 4, kernel, padding=1)

    def model(last):
        return nn.Sequential(layer(), last)

    sharded = cp.shard(layer(), mesh, length=20)

    def call(change):
        data = torch.randn(2, 4, 5)
        return lambda: sharded(change(data) if rank == 1 else data)

    norm = cp.shard(model(nn.BatchNorm1d(4)), mesh, length=20)
    cases = {
        "length": lambda: cp.shard(layer(), mesh, length=24 if rank == 2 else 20),
        "length 0": lambda: cp.shard(layer(), mesh, length=0 if rank == 2 else 20),
        "parts": lambda: cp.shard(layer(), mesh, length=20, parts=[0, 10, 20]),
        "dim": lambda: cp.shard(layer(), mesh, 1, length=20),
        "grid": lambda: cp.shard(layer(), here.grid, length=20),
        "no mesh": lambda: cp.shard(layer(), 4, length=20),
        "kernel": lambda: cp.shard(layer(5 if rank == 3 else 3), mesh, length=20),
        "no module": lambda: cp.shard(cp.Conv1d(4, 4, 3), mesh, length=20),
        "samples": call(lambda data: data[..., :4]),
        "batch": call(lambda data: data[:1]),
        "dtype": call(lambda data: data.double()),
        "device": call(lambda data: data.to("meta")),
        "no tensor": call(lambda data: data.numpy()),
        "requires_grad": call(lambda data: data.requires_grad_()),
        "axes": call(lambda data: data[0, 0]),
        "training": lambda: norm(torch.randn(2, 4, 5)),
        "group norm": lambda: cp.shard(model(nn.GroupNorm(2, 4)), mesh, length=20),
        "recurrent": lambda: cp.shard(model(nn.LSTM(5, 5)), mesh, length=20),
        "slice": lambda: cp.shard(model(Cut(lambda data: data[..., 1:])), mesh, length=20),
        "pad": lambda: cp.shard(model(Cut(lambda data: nn.functional.pad(data, (1, 0)))), mesh, length=20),
        "mean": lambda: cp.shard(model(Cut(lambda data: data - data.mean(-1, keepdim=True))), mesh, length=20),
        "sum": lambda: cp.shard(model(Cut(lambda data: data.cumsum(-1))), mesh, length=20),
        "condition": lambda: cp.shard(model(Cut(lambda data: data if data.sum() > 0 else -data)), mesh, length=20),
        "local condition": lambda: cp.shard(model(Cut(lambda data: data if data.shape[-1] > 10 else -data)), mesh, length=20),
        "short": lambda: cp.shard(model(nn.Conv1d(4, 4, 30)), mesh, length=20),
        "copy": lambda: copy.deepcopy(sharded),
        "strides": lambda: cp.shard(Strided(), mesh, length=20, parts=[0, 3, 9, 15, 20]),
        "lengths": lambda: cp.shard(Strided(3), mesh, length=20),
        "no blocks": lambda: cp.shard(pooled(), mesh, length=20, blocks={"0": 4, "1": 2}),
        "cut block": lambda: cp.shard(pooled(), mesh, length=20, blocks={"1": 2}, parts=[0, 5, 10, 15, 20]),
        "path of blocks": lambda: cp.shard(pooled(), mesh, length=20, blocks={"pool": 2}),
        "other length": lambda: cp.shard(layer(), mesh, length=20, parts=[0, 3, 5, 7, 20]).cuts(24),
    }
    return {name: refused(function) for name, function in cases.items()}


def wrong_process(here):
    """Return what a rank is told if places in the mesh are taken for ranks of the world."""
    group = dist.new_group([1, 2, 3], timeout=timedelta(seconds=TIMEOUT))
    if here.rank == 0:
        return None
    mesh = DeviceMesh.from_group(group, "cpu")
    model = cp.shard(nn.Conv1d(4, 4, 3, padding=1), mesh, length=21)
    exchange = vars(model)[WORK].exchange
    exchange.group = attrs.evolve(exchange.group, world_ranks=(0, 1, 2))
    try:
        model(torch.randn(1, 4, 7))
    except (RuntimeError, ValueError) as error:
        return f"error: {error}"
    return "no error"


def outside(here):
    """Return what a process that is not in the mesh is told."""
    return refused(lambda: cp.shard(nn.Conv1d(4, 4, 3), here.meshes["3"], length=20))


def dead_rank(here):
    """One process ends; the others get an error that names a rank, and do not wait for ever."""
    model = cp.shard(nn.Conv1d(4, 4, 3, padding=1), here.mesh, length=20, check=False)
    dist.barrier()
    if here.rank == 3:
        return "gone"
    try:
        for _ in range(100):
            model(torch.randn(1, 4, 5))
            dist.barrier()
    except RuntimeError as error:
        return str(error)
    return "no error"
