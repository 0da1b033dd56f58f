"""Parametrizations, pruning, fusion of weights, distribution over processes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from . import OUTPUTS, Kind, close, data, feature

WEIGHTS, PARALLEL = "Weights", "Several processes"


def trains(layer: nn.Module) -> None:
    """Require that gradients reach every parameter."""
    layer(data()).square().sum().backward()
    assert all(value.grad is not None for value in layer.parameters())


@feature(WEIGHTS, "parametrizations.weight_norm")
def weight_norm(kind: Kind) -> None:
    layer = parametrizations.weight_norm(kind.layer())
    close(layer(data()), kind.layer()(data()))
    trains(layer)


@feature(WEIGHTS, "utils.weight_norm (deprecated)")
def old_weight_norm(kind: Kind) -> None:
    layer = nn.utils.weight_norm(kind.layer())
    close(layer(data()), kind.layer()(data()))
    trains(layer)


@feature(WEIGHTS, "parametrizations.spectral_norm")
def spectral_norm(kind: Kind) -> None:
    layer = parametrizations.spectral_norm(kind.layer())
    assert not torch.equal(layer(data()), kind.layer()(data()))
    trains(layer)


@feature(WEIGHTS, "utils.spectral_norm (deprecated)")
def old_spectral_norm(kind: Kind) -> None:
    trains(nn.utils.spectral_norm(kind.layer()))


@feature(WEIGHTS, "parametrizations.orthogonal")
def orthogonal(kind: Kind) -> None:
    trains(parametrizations.orthogonal(kind.layer()))


class Doubled(nn.Module):
    """A parametrization of one's own."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


@feature(WEIGHTS, "register_parametrization, remove_parametrizations")
def parametrized(kind: Kind) -> None:
    layer = kind.layer(bias=False)
    parametrize.register_parametrization(layer, "weight", Doubled())
    close(layer(data()), 2 * kind.layer(bias=False)(data()))
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is type(kind.layer(bias=False))
    close(layer(data()), 2 * kind.layer(bias=False)(data()))


@feature(WEIGHTS, "prune.l1_unstructured, prune.remove")
def pruned(kind: Kind) -> None:
    layer = prune.l1_unstructured(kind.layer(), "weight", 0.5)
    before = layer(data())
    prune.remove(layer, "weight")
    close(layer(data()), before, 0)
    assert (layer.weight == 0).float().mean() == 0.5


def normalisation() -> nn.BatchNorm1d:
    """A normalisation whose statistics are not trivial."""
    norm = nn.BatchNorm1d(OUTPUTS).eval()
    norm.running_mean.copy_(torch.linspace(-1, 1, OUTPUTS))
    norm.running_var.copy_(torch.linspace(0.5, 2, OUTPUTS))
    return norm


@feature(WEIGHTS, "fuse_conv_bn_eval")
def fused(kind: Kind) -> None:
    norm = normalisation()
    close(nn.utils.fuse_conv_bn_eval(kind.layer(), norm, transpose=kind.transposed)(data()), norm(kind.layer()(data())))


@feature(WEIGHTS, "fuse_modules (convolution, normalisation, ReLU)", transposed=False)
def fused_modules(kind: Kind) -> None:
    from torch.ao.quantization import fuse_modules

    model = nn.Sequential(kind.layer(), normalisation(), nn.ReLU()).eval()
    together = fuse_modules(model, [["0", "1", "2"]])
    assert not any(isinstance(module, nn.BatchNorm1d) for module in together.modules())
    close(together(data()), model(data()))


@feature(WEIGHTS, "fuse_modules (convolution, normalisation)")
def fused_pair(kind: Kind) -> None:
    from torch.ao.quantization import fuse_modules

    model = nn.Sequential(kind.layer(), normalisation()).eval()
    together = fuse_modules(model, [["0", "1"]])
    assert not any(isinstance(module, nn.BatchNorm1d) for module in together.modules())
    close(together(data()), model(data()))


@feature(WEIGHTS, "set_swap_module_params_on_conversion")
def swapped(kind: Kind) -> None:
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        assert kind.layer().double()(data(dtype=torch.float64)).dtype == torch.float64
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@feature(PARALLEL, "DataParallel on the CPU")
def data_parallel(kind: Kind) -> None:
    close(nn.DataParallel(kind.layer())(data()), kind.layer()(data()), 0)


def with_group(function) -> None:
    """Run with a process group of this process alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        function()
    finally:
        torch.distributed.destroy_process_group()


@feature(PARALLEL, "DistributedDataParallel")
def distributed(kind: Kind) -> None:
    def run() -> None:
        layer = nn.parallel.DistributedDataParallel(kind.layer())
        close(layer(data()), kind.layer()(data()))
        trains(layer)

    with_group(run)


@feature(PARALLEL, "fully_shard")
def sharded(kind: Kind) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    def run() -> None:
        layer = kind.layer()
        fully_shard(layer, mesh=init_device_mesh("cpu", (1,)))
        close(layer(data()), kind.layer()(data()))
        trains(layer)

    with_group(run)
