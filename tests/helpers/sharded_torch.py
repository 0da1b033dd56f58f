"""Sharded modules with the rest of torch: other kinds of parallelism, compilation, checkpoints. Runs inside each process of a group."""

from __future__ import annotations

import copy
import sys
from itertools import pairwise
from pathlib import Path

import torch
import torch.distributed as dist
from helpers import sharded_layers
from helpers.sharded_layers import picked, ranges_of, require_close
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import convpolicy as cp

LENGTH = 40
RELATIVE = 1e-12  # float64, sums of some hundred products


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv1d(4, 8, 7, padding=3),
        nn.GELU(),
        nn.Conv1d(8, 8, 4, 2, padding=1),
        nn.Tanh(),
        nn.ConvTranspose1d(8, 4, 4, 2, padding=1),
    ).double()


def samples():
    return torch.randn(4, 4, LENGTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(here, wrap, call=lambda model, data: model(data), averages=True):
    """Compare the gradients of a step with one machine: rows over the axis ``data`` of the grid, samples over ``sequence``."""
    data, sequence = here.grid["data"], here.grid["sequence"]
    whole = network()
    (whole(samples()).pow(2).sum() / 4).backward()
    model = cp.shard(network(), sequence, length=LENGTH)
    first, end = model.cuts()[sequence.get_local_rank()]
    row = 2 * data.get_local_rank()
    model = wrap(model, data)
    (call(model, samples()[row : row + 2, :, first:end]).pow(2).sum() / 2).backward()
    for (name, parameter), expected in zip(model.named_parameters(), whole.parameters()):
        gradient = parameter.grad.full_tensor() if hasattr(parameter.grad, "full_tensor") else parameter.grad
        gradient = gradient.clone()
        dist.all_reduce(gradient, group=sequence.get_group())
        if averages:
            dist.all_reduce(gradient, group=data.get_group())
            gradient /= 2
        require_close(name, gradient, expected.grad, RELATIVE * expected.grad.abs().max())
    return "equal"


def ddp(here):
    wrap = torch.nn.parallel.DistributedDataParallel
    return trained(here, lambda model, data: wrap(model, process_group=data.get_group()), averages=False)


def fsdp(here):
    from torch.distributed.fsdp import fully_shard

    def wrap(model, data):
        for layer in model:
            if list(layer.parameters()):
                fully_shard(layer, mesh=data)
        return fully_shard(model, mesh=data)

    return trained(here, wrap, averages=False)


def activation_checkpoint(here):
    from torch.utils.checkpoint import checkpoint

    return trained(here, lambda model, _data: model, lambda model, data: checkpoint(model, data, use_reentrant=False))


def compiled(here):
    """On two processes, since the compiler takes seconds to import."""
    mesh = here.meshes["2"]
    if mesh.get_coordinate() is None:
        return None
    model = cp.shard(network(), mesh, length=LENGTH)
    mine, out = model.cuts()[here.rank], model.output_cuts()[here.rank]
    upstream = torch.randn(4, 4, LENGTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = sharded_layers.gradients(network(), samples(), upstream)
    found = sharded_layers.gradients(Compiled(model), samples()[..., slice(*mine)], upstream[..., slice(*out)])
    require_close("outputs", found[0], whole[0][..., slice(*out)], RELATIVE)
    require_close("input gradient", found[1], whole[1][..., slice(*mine)], RELATIVE * whole[1].abs().max())
    return "equal"


class Compiled(nn.Module):
    """A model that torch.compile compiled."""

    def __init__(self, model):
        super().__init__()
        self.call = torch.compile(model, backend="aot_eager")

    def forward(self, data):
        return self.call(data)


def mixed_precision(here):
    """Under autocast, also on a rank whose outputs are none, the outputs are those of one machine."""
    whole = network().float()
    model = cp.shard(copy.deepcopy(whole), here.mesh, length=LENGTH, parts=[0, 1, 1, 20, LENGTH])
    mine, out = model.cuts()[here.rank], model.output_cuts()[here.rank]
    data = samples().float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, found = whole(data)[..., slice(*out)], model(data[..., slice(*mine)])
    with torch.no_grad():
        scale = whole(data).abs().max()
    assert found.dtype == expected.dtype
    require_close("outputs", found.float(), expected.float(), 2**-7 * scale)
    return "equal"


def other_mesh(here):
    """A state that was saved on the mesh of 4 loads on the mesh of 3, and on one machine."""
    path = Path(sys.argv[2]) / "state.pt"
    saved = cp.shard(network(), here.mesh, length=LENGTH)
    if here.rank == 0:
        torch.save(saved.state_dict(), path)
    dist.barrier()
    mesh = here.meshes["3"]
    if mesh.get_coordinate() is None:
        return None
    model = network()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model = cp.shard(model, mesh, length=LENGTH)
    model.load_state_dict(torch.load(path))
    rank = mesh.get_coordinate()[0]
    with torch.no_grad():
        expected, found = network()(samples()), model(picked(samples(), ranges_of(model.cuts(), rank)))
    require_close("outputs", found, picked(expected, ranges_of(model.output_cuts(), rank)), RELATIVE)
    return "equal"


def parallel_style(here):
    """`parallelize_module` shards a part of a model, which takes and returns DTensors."""
    from torch.distributed.tensor import Shard, distribute_tensor
    from torch.distributed.tensor.parallel import parallelize_module

    from convpolicy.frameworks.torch.shards.style import SequenceShard

    whole = network()
    data = samples().requires_grad_()
    expected = whole(data)
    expected.pow(2).sum().backward()
    model = nn.ModuleDict({"tower": network()})
    model = parallelize_module(model, here.mesh, {"tower": SequenceShard(LENGTH, use_local_output=False)})
    given = distribute_tensor(samples(), here.mesh, [Shard(2)]).requires_grad_()
    found = model["tower"](given)
    require_close("outputs", found.full_tensor(), expected, RELATIVE)
    found.to_local().pow(2).sum().backward()
    gradient = given.grad.full_tensor()
    require_close("input gradient", gradient, data.grad, RELATIVE * data.grad.abs().max())
    return "equal"


def second_derivatives(here):
    """Without overlap, a gradient can be differentiated: its exchange is the transposed one, and back."""
    whole = network()
    model = cp.shard(copy.deepcopy(whole), here.mesh, length=LENGTH, overlap=False)
    first, end = model.cuts()[here.rank]

    def penalty(function, data):
        data = data.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(data).pow(3).sum(), data, create_graph=True)
        return torch.autograd.grad(gradient.pow(2).sum(), data)[0]

    expected = penalty(whole, samples())
    require_close("second derivative", penalty(model, samples()[..., first:end]), expected[..., first:end], 1e-9)
    return "equal"


def order_of_events(here):
    """Return what a rank does: the inner convolution runs between the start of the exchange and its end, backward too."""
    from convpolicy.frameworks.torch.shards import exchange

    model = cp.shard(nn.Conv1d(4, 4, 5, padding=2), here.mesh, length=400)
    events, started, convolution = [], exchange.Exchange._started, nn.functional.conv1d

    def recorded_start(self, *arguments):
        events.append("start")
        finish = started(self, *arguments)
        return lambda: (events.append("end"), finish())[1]

    def recorded_convolution(data, *arguments):
        events.append(f"convolution of {data.shape[-1]}")
        return convolution(data, *arguments)

    exchange.Exchange._started, nn.functional.conv1d = recorded_start, recorded_convolution
    try:
        data = torch.randn(1, 4, 100, requires_grad=True)
        model(data).sum().backward()
    finally:
        exchange.Exchange._started, nn.functional.conv1d = started, convolution
    return events


def documents(here):
    """Packed documents are convolved one by one, in a layer and in a row of them."""
    borders = [0, 7, 20, 33, LENGTH]
    torch.manual_seed(0)
    whole = nn.Sequential(
        nn.Conv1d(4, 4, 7, padding=3, padding_mode="reflect"), nn.ReLU(), nn.Conv1d(4, 4, 3, padding=1)
    ).double()
    expected = torch.cat([whole(samples()[..., a:b]) for a, b in pairwise(borders)], -1)
    model = cp.shard(copy.deepcopy(whole), here.mesh, length=LENGTH, documents=borders)
    first, end = model.cuts()[here.rank]
    require_close("outputs", model(samples()[..., first:end]), expected[..., first:end], RELATIVE)
    return "equal"


class LearnedPool(nn.Module):
    """A mean of two samples with learned weights, whose forward method reads the length."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, data):
        batch, channels, length = data.shape
        if length % 2:
            raise ValueError("the length must be even")
        pairs = data.reshape(batch, channels, length // 2, 2)
        return (pairs * self.scores(pairs).softmax(-1)).sum(-1)


def pooled():
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv1d(4, 4, 5, padding=2), LearnedPool(), nn.Conv1d(4, 4, 3, padding=1)).double()


def blocks(here):
    """A module that computes each output from two samples needs no exchange."""
    model = cp.shard(pooled(), here.mesh, length=LENGTH, blocks={"1": 2})
    mine, out = model.cuts()[here.rank], model.output_cuts()[here.rank]
    require_close("outputs", model(samples()[..., slice(*mine)]), pooled()(samples())[..., slice(*out)], RELATIVE)
    return "equal"


class Operations(TorchDispatchMode):
    """Records the operations that torch runs."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.found.append(operation)
        return operation(*args, **(kwargs or {}))


def alone(here):
    """Compare a sharded layer with the layer on one process: the bits, and the operations that torch runs."""
    if here.rank:
        return None
    layer = nn.Conv1d(64, 64, 7, padding=3)
    sharded, data = cp.shard(copy.deepcopy(layer), here.meshes["1"], length=4096), torch.randn(1, 64, 4096)
    with torch.no_grad():
        assert torch.equal(sharded(data), layer(data))
        with Operations() as ours:
            sharded(data)
        with Operations() as theirs:
            layer(data)
    assert ours.found == theirs.found == [torch.ops.aten.convolution.default]
    return "equal"
