"""Twins of torch models in ``mindspore.nn``."""

from __future__ import annotations

import mindspore
from helpers.outlines import Builder
from mindspore import Parameter, nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
UP = {1: nn.Conv1dTranspose, 2: nn.Conv2dTranspose}


class Own(nn.Cell):
    """A cell with parts and parameters."""

    def __init__(self, parts, values):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        for name, (shape, dtype) in values.items():
            setattr(self, name, Parameter(mindspore.ops.zeros(shape, getattr(mindspore, dtype)), name=name))


class MindsporeBuilder(Builder):
    """Builds cells of MindSpore, which has no RMSNorm in ``mindspore.nn``."""

    def several(self, items):
        return nn.CellList(items)

    def module(self, parts, values):
        return Own(parts, values)

    def conv(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        one = len(kernel) == 1
        kernel, stride, dilation = (row[0] if one else row for row in (kernel, stride, dilation))
        more = {"pad_mode": "valid", "group": groups, "has_bias": bias, "weight_init": "zeros", "bias_init": "zeros"}
        return CONV[1 if one else len(kernel)](inputs, outputs, kernel, stride, dilation=dilation, **more)

    def up(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        one = len(kernel) == 1
        kernel, stride = (row[0] if one else row for row in (kernel, stride))
        more = {"pad_mode": "valid", "group": groups, "has_bias": bias, "weight_init": "zeros", "bias_init": "zeros"}
        return UP[1 if one else len(kernel)](inputs, outputs, kernel, stride, **more)

    def linear(self, inputs, outputs, bias):
        return nn.Dense(inputs, outputs, weight_init="zeros", bias_init="zeros", has_bias=bias)

    def batch_norm(self, channels):
        return nn.BatchNorm2d(channels)

    def layer_norm(self, channels, affine):
        return nn.LayerNorm((channels,)) if affine else None

    def group_norm(self, groups, channels):
        return nn.GroupNorm(groups, channels)

    def rms_norm(self, channels):
        return None

    def embedding(self, number, channels):
        return nn.Embedding(number, channels, embedding_table="zeros")

    def prelu(self, number):
        return nn.PReLU(number)

    def lstm(self, inputs, outputs, layers, both):
        return nn.LSTM(inputs, outputs, layers, bidirectional=both)

    def gru(self, inputs, outputs, layers, both):
        return nn.GRU(inputs, outputs, layers, bidirectional=both)

    def rule(self, part, tensors):
        weight, bias = tensors.get("weight"), {"bias": tensors[name] for name in tensors if name == "bias"}
        if part.kind in ("conv", "up"):  # convolutions of one axis have another of length 1
            return {"weight": weight[:, :, None] if weight.ndim == 3 else weight, **bias}
        if part.kind == "linear":
            return {"weight": weight.T if part.by_columns else weight, **bias}
        if part.kind == "embedding":
            return {"embedding_table": weight}
        if part.kind == "prelu":
            return {"w": weight}
        if part.kind in ("lstm", "gru"):
            return tensors
        moving = {"moving_mean": "running_mean", "moving_variance": "running_var"} if part.kind == "batch norm" else {}
        return {"gamma": weight, "beta": tensors["bias"]} | {name: tensors[old] for name, old in moving.items()}

    def array(self, value):
        return value.asnumpy()
