"""Twins of torch models in ``paddle.nn``."""

from __future__ import annotations

import paddle
from helpers.outlines import Builder
from paddle import nn

CONV = {1: nn.Conv1D, 2: nn.Conv2D, 3: nn.Conv3D}
UP = {1: nn.Conv1DTranspose, 2: nn.Conv2DTranspose}


class Own(nn.Layer):
    """A layer with parts and parameters."""

    def __init__(self, parts, values):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        for name, (shape, dtype) in values.items():
            self.register_buffer(name, paddle.zeros(shape, dtype))


class PaddleBuilder(Builder):
    """Builds layers of Paddle, which has no RMSNorm among its layers."""

    def several(self, items):
        return nn.LayerList(items)

    def module(self, parts, values):
        return Own(parts, values)

    def conv(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        more = {} if bias else {"bias_attr": False}
        return CONV[len(kernel)](inputs, outputs, kernel, stride, dilation=dilation, groups=groups, **more)

    def up(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        more = {} if bias else {"bias_attr": False}
        return UP[len(kernel)](inputs, outputs, kernel, stride, groups=groups, **more)

    def linear(self, inputs, outputs, bias):
        return nn.Linear(inputs, outputs, **({} if bias else {"bias_attr": False}))

    def batch_norm(self, channels):
        return nn.BatchNorm2D(channels)

    def layer_norm(self, channels, affine):
        return nn.LayerNorm(channels) if affine else None

    def group_norm(self, groups, channels):
        return nn.GroupNorm(groups, channels)

    def rms_norm(self, channels):
        return None

    def embedding(self, number, channels):
        return nn.Embedding(number, channels)

    def prelu(self, number):
        return nn.PReLU(number)

    def lstm(self, inputs, outputs, layers, both):
        return nn.LSTM(inputs, outputs, layers, "bidirect" if both else "forward")

    def gru(self, inputs, outputs, layers, both):
        return nn.GRU(inputs, outputs, layers, "bidirect" if both else "forward")

    def rule(self, part, tensors):
        bias = {"bias": tensors[name] for name in tensors if name == "bias"}
        if part.kind == "linear":
            return {"weight": tensors["weight"] if part.by_columns else tensors["weight"].T, **bias}
        if part.kind == "prelu":
            return {"_weight": tensors["weight"]}
        if part.kind == "batch norm":
            return {"weight": tensors["weight"], **bias, "_mean": tensors["running_mean"], "_variance": tensors["running_var"]}
        return tensors

    def array(self, value):
        return value.numpy()
