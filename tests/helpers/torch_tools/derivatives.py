"""Gradients, torch.func, per-sample gradients."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, stack_module_state, vmap

from . import CHANNELS, Kind, close, data, feature

GRADIENTS, FUNC = "Gradients", "torch.func"


def tiny(kind: Kind) -> tuple[nn.Module, torch.Tensor]:
    """A float64 layer and a short input that requires gradients."""
    return kind.layer(dtype=torch.float64), data(1, CHANNELS, 8, dtype=torch.float64).requires_grad_()


def values(layer: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in layer.named_parameters()}


@feature(GRADIENTS, "gradcheck")
def checked(kind: Kind) -> None:
    layer, x = tiny(kind)
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)


@feature(GRADIENTS, "gradgradcheck")
def checked_twice(kind: Kind) -> None:
    layer, x = tiny(kind)
    assert torch.autograd.gradgradcheck(layer, x, fast_mode=True)


@feature(GRADIENTS, "no_grad and inference_mode")
def without(kind: Kind) -> None:
    layer = kind.layer()
    with torch.no_grad():
        plain = layer(data())
    with torch.inference_mode():
        close(layer(data()), plain, 0)
    assert not plain.requires_grad


@feature(GRADIENTS, "frozen weights: requires_grad_(False)")
def frozen(kind: Kind) -> None:
    layer, x = kind.layer().requires_grad_(False), data().requires_grad_()
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert layer.weight.grad is None


@feature(GRADIENTS, "backward hooks")
def hooked(kind: Kind) -> None:
    layer, seen = kind.layer(), []
    layer.register_full_backward_hook(lambda _layer, _inputs, outputs: seen.append(outputs[0].shape))
    layer(data().requires_grad_()).sum().backward()
    assert seen == [layer(data()).shape]


@feature(GRADIENTS, "detect_anomaly")
def anomaly(kind: Kind) -> None:
    with torch.autograd.detect_anomaly(check_nan=True):
        kind.layer()(data()).sum().backward()


@feature(GRADIENTS, "activation checkpointing")
def checkpointed(kind: Kind) -> None:
    layer = kind.layer()
    gradients = []
    for call in (layer, lambda x: torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)):
        x = data().requires_grad_()
        call(x).square().sum().backward()
        gradients.append(x.grad)
    close(*gradients)


@feature(GRADIENTS, "per-sample gradients (ExpandedWeights)", transposed=False)
def per_sample(kind: Kind) -> None:
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

    layer, x = kind.layer(), data()
    call_for_per_sample_grads(layer, loss_reduction="sum")(x).square().sum().backward()
    for item, found in zip(x, layer.weight.grad_sample):
        twin = kind.layer()
        twin(item[None]).square().sum().backward()
        close(found, twin.weight.grad, 1e-4)


@feature(FUNC, "vmap over inputs")
def mapped(kind: Kind) -> None:
    layer, x = kind.layer(), data(3, 2, CHANNELS, 20)
    close(vmap(layer)(x)[1], layer(x[1]))


@feature(FUNC, "ensembles: stack_module_state, functional_call")
def ensemble(kind: Kind) -> None:
    layers = [kind.layer(seed=seed) for seed in (0, 1)]
    parameters, buffers = stack_module_state(layers)
    outputs = vmap(lambda p, b, x: functional_call(layers[0], (p, b), (x,)), in_dims=(0, 0, None))(parameters, buffers, data())
    close(outputs[1], layers[1](data()))


@feature(FUNC, "grad")
def gradient(kind: Kind) -> None:
    layer, x = kind.layer(), data().requires_grad_()
    layer(x).square().sum().backward()
    close(grad(lambda value: layer(value).square().sum())(x.detach()), x.grad)


@feature(FUNC, "per-sample gradients (vmap of grad)")
def per_sample_func(kind: Kind) -> None:
    layer, x = kind.layer(), data()
    loss = lambda p, item: functional_call(layer, p, (item[None],)).square().sum()  # noqa: E731
    found = vmap(grad(loss), in_dims=(None, 0))(values(layer), x)
    layer(x[:1]).square().sum().backward()
    close(found["weight"][0], layer.weight.grad, 1e-4)


@feature(FUNC, "jvp")
def forward_mode(kind: Kind) -> None:
    layer = kind.layer(bias=False)
    constant = layer(torch.zeros_like(data()))
    close(jvp(layer, (data(),), (data(seed=2),))[1], layer(data(seed=2)) - constant)


@feature(FUNC, "jacrev, jacfwd")
def jacobians(kind: Kind) -> None:
    layer, x = tiny(kind)
    close(jacrev(layer)(x.detach()), jacfwd(layer)(x.detach()))
