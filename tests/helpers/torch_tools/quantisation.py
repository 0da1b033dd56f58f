"""Eager and FX quantisation, after training and in training."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.ao import quantization
from torch.ao.quantization import quantize_fx

from . import OUTPUTS, Kind, close, data, feature
from .weights import normalisation

QUANTISATION = "Quantisation"
COARSE = 0.15  # of outputs up to 3, in 8 bits
BACKEND = "x86"
TRANSPOSED = "qnnpack"  # the other engines of torch 2.13 take no channel of its own or, with AVX-512 VNNI, give other numbers


def engine(kind: Kind) -> str:
    """Choose the engine of a kind of layer, and return its name."""
    torch.backends.quantized.engine = TRANSPOSED if kind.transposed else BACKEND
    return torch.backends.quantized.engine


def model(kind: Kind) -> nn.Module:
    return nn.Sequential(kind.layer(), nn.ReLU()).eval()


def quantised(network: nn.Module) -> int:
    """The number of quantised convolutions."""
    return sum(
        module.__class__.__module__.startswith("torch.ao.nn") and "Conv" in type(module).__name__ for module in network.modules()
    )


@feature(QUANTISATION, "eager, after training")
def eager(kind: Kind) -> None:
    network = quantization.QuantWrapper(model(kind)).eval()
    network.qconfig = quantization.default_qconfig if engine(kind) == TRANSPOSED else quantization.get_default_qconfig(BACKEND)
    prepared = quantization.prepare(network)
    prepared(data())
    converted = quantization.convert(prepared)
    assert quantised(converted) == 1
    close(converted(data()), model(kind)(data()), COARSE)


@feature(QUANTISATION, "eager, fused first", transposed=False)
def eager_fused(kind: Kind) -> None:
    float_model = nn.Sequential(kind.layer(), normalisation(), nn.ReLU()).eval()
    network = quantization.QuantWrapper(quantization.fuse_modules(copy.deepcopy(float_model), [["0", "1", "2"]])).eval()
    network.qconfig = quantization.get_default_qconfig(BACKEND)
    prepared = quantization.prepare(network)
    prepared(data())
    close(quantization.convert(prepared)(data()), float_model(data()), COARSE)


@feature(QUANTISATION, "eager, in training")
def eager_training(kind: Kind) -> None:
    network = quantization.QuantWrapper(model(kind)).train()
    transposed = engine(kind) == TRANSPOSED
    network.qconfig = quantization.default_qat_qconfig if transposed else quantization.get_default_qat_qconfig(BACKEND)
    prepared = quantization.prepare_qat(network)
    prepared(data()).sum().backward()
    converted = quantization.convert(prepared.eval())
    assert quantised(converted) == 1
    close(converted(data()), model(kind)(data()), COARSE)


@feature(QUANTISATION, "eager, in training, fused first (fuse_modules_qat)", transposed=False)
def eager_training_fused(kind: Kind) -> None:
    network = nn.Sequential(kind.layer(), nn.BatchNorm1d(OUTPUTS), nn.ReLU()).train()
    network = quantization.QuantWrapper(quantization.fuse_modules_qat(network, [["0", "1", "2"]]))
    network.qconfig = quantization.get_default_qat_qconfig(BACKEND)
    prepared = quantization.prepare_qat(network)
    prepared(data()).sum().backward()
    prepared.eval()
    assert quantised(quantization.convert(prepared)) == 1


@feature(QUANTISATION, "eager, fused with a normalisation first")
def eager_fused_pair(kind: Kind) -> None:
    float_model = nn.Sequential(kind.layer(), normalisation()).eval()
    network = quantization.QuantWrapper(quantization.fuse_modules(copy.deepcopy(float_model), [["0", "1"]])).eval()
    network.qconfig = quantization.default_qconfig if engine(kind) == TRANSPOSED else quantization.get_default_qconfig(BACKEND)
    prepared = quantization.prepare(network)
    prepared(data())
    converted = quantization.convert(prepared)
    assert quantised(converted) == 1
    close(converted(data()), float_model(data()), COARSE)


@feature(QUANTISATION, "FX, after training")
def fx(kind: Kind) -> None:
    mapping = quantization.get_default_qconfig_mapping(engine(kind))
    prepared = quantize_fx.prepare_fx(model(kind), mapping, (data(),))
    prepared(data())
    converted = quantize_fx.convert_fx(prepared)
    assert quantised(converted) == 1
    close(converted(data()), model(kind)(data()), COARSE)


@feature(QUANTISATION, "FX, in training")
def fx_training(kind: Kind) -> None:
    mapping = quantization.get_default_qat_qconfig_mapping(engine(kind))
    prepared = quantize_fx.prepare_qat_fx(model(kind).train(), mapping, (data(),))
    prepared(data()).sum().backward()
    converted = quantize_fx.convert_fx(prepared.eval())
    assert quantised(converted) == 1
    close(converted(data()), model(kind)(data()), COARSE)
