"""Twins of torch models in ``mlx.nn``."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
from helpers.outlines import Builder, cells
from mlx import nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
UP = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}


class Own(nn.Module):
    """A module with parts and parameters."""

    def __init__(self, parts, values):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        for name, (shape, dtype) in values.items():
            setattr(self, name, mx.zeros(shape, getattr(mx, dtype)))


class MlxBuilder(Builder):
    """Builds modules of MLX, which has convolutions of three axes and transposed ones without groups only."""

    def module(self, parts, values):
        return Own(parts, values)

    def conv(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        count = len(kernel)
        if count == 3 and groups > 1:
            return None
        kernel, stride, dilation = (row[0] if count == 1 else row for row in (kernel, stride, dilation))
        more = {"dilation": dilation, "bias": bias} | ({} if count == 3 else {"groups": groups})
        return CONV[count](inputs, outputs, kernel, stride, **more)

    def up(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        count = len(kernel)
        kernel, stride = (row[0] if count == 1 else row for row in (kernel, stride))
        return None if groups > 1 else UP[count](inputs, outputs, kernel, stride, bias=bias)

    def linear(self, inputs, outputs, bias):
        return nn.Linear(inputs, outputs, bias)

    def batch_norm(self, channels):
        return nn.BatchNorm(channels)

    def layer_norm(self, channels, affine):
        return nn.LayerNorm(channels, affine=affine)

    def group_norm(self, groups, channels):
        return nn.GroupNorm(groups, channels)

    def rms_norm(self, channels):
        return nn.RMSNorm(channels)

    def embedding(self, number, channels):
        return nn.Embedding(number, channels)

    def prelu(self, number):
        return nn.PReLU(number)

    def lstm(self, inputs, outputs, layers, both):
        return self.recurrent(nn.LSTM, "lstm", inputs, outputs, layers, both)

    def gru(self, inputs, outputs, layers, both):
        return self.recurrent(nn.GRU, "gru", inputs, outputs, layers, both)

    def recurrent(self, kind, name, inputs, outputs, number, both):
        """Return one module, or a list of several; a pair for two directions."""
        rows = []
        for at in range(number):
            sizes = outputs * (1 + both) if at else inputs, outputs
            pair = {f"{direction}_{name}": kind(*sizes) for direction in ("forward", "backward")} if both else {}
            rows.append(Own(pair, {}) if both else kind(*sizes))
        return rows if number > 1 else rows[0]

    def rule(self, part, tensors):
        weight, bias = tensors.get("weight"), {"bias": tensors[name] for name in tensors if name == "bias"}
        if part.kind == "conv":
            return {"weight": np.moveaxis(weight, 1, -1), **bias}
        if part.kind == "up":  # as for a convolution: outputs first
            return {"weight": np.moveaxis(weight, 0, -1), **bias}
        if part.kind == "linear":
            return {"weight": weight.T if part.by_columns else weight, **bias}
        if part.kind in ("lstm", "gru"):
            return {name: array for cell in cells(part, tensors) for name, array in self.cell(part, *cell)}
        return {name: array for name, array in tensors.items() if name != "num_batches_tracked"}

    def cell(self, part, number, reverse, rows):
        """Yield the tensors of one layer and direction."""
        ih, hh, bias_ih, bias_hh = rows
        start = f"{number}{'backward' if reverse else 'forward'}_{part.kind}." if part.sizes["both"] else number
        yield f"{start}Wx", ih
        yield f"{start}Wh", hh
        if part.kind == "lstm":
            yield f"{start}bias", bias_ih + bias_hh
        else:  # only the last gate has a bias of the hidden state
            width = len(bias_hh) // 3
            yield f"{start}b", np.concatenate([(bias_ih + bias_hh)[: 2 * width], bias_ih[2 * width :]])
            yield f"{start}bhn", bias_hh[2 * width :]

    def array(self, value):
        return np.array(value)
