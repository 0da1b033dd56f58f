"""Twins of torch models in Keras, built."""

from __future__ import annotations

import keras
import numpy as np
from helpers.outlines import Builder, cells, gates
from keras import layers

ZEROS = {"kernel_initializer": "zeros"}
CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
UP = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose}


class Own(layers.Layer):
    """A layer with parts and parameters; a name that Keras needs itself gets an underscore."""

    def __init__(self, parts, values):
        super().__init__()
        for name, part in parts.items():
            setattr(self, f"{name}_" if hasattr(type(self), name) else name, part)
        for name, (shape, dtype) in values.items():
            self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros")
        self.built = True


class KerasBuilder(Builder):
    """Builds layers of Keras."""

    def module(self, parts, values):
        return Own(parts, values)

    def conv(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        more = {"dilation_rate": dilation, "groups": groups, "use_bias": bias, **ZEROS}
        stride = stride if max(dilation) == 1 else 1
        return self.built(CONV[len(kernel)](outputs, kernel, stride, **more), *[64] * len(kernel), inputs)

    def up(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        if groups > 1:
            return None
        return self.built(UP[len(kernel)](outputs, kernel, stride, use_bias=bias, **ZEROS), *[9] * len(kernel), inputs)

    def linear(self, inputs, outputs, bias):
        return self.built(layers.Dense(outputs, use_bias=bias, **ZEROS), inputs)

    def batch_norm(self, channels):
        return self.built(layers.BatchNormalization(), channels)

    def layer_norm(self, channels, affine):
        return self.built(layers.LayerNormalization(center=affine, scale=affine), channels)

    def group_norm(self, groups, channels):
        return self.built(layers.GroupNormalization(groups), 9, channels)

    def rms_norm(self, channels):
        return self.built(layers.RMSNormalization(), channels)

    def embedding(self, number, channels):
        return self.built(layers.Embedding(number, channels, embeddings_initializer="zeros"), 9)

    def prelu(self, number):
        return self.built(layers.PReLU(shared_axes=[1]), 9, number)

    def lstm(self, inputs, outputs, layers, both):
        return self.recurrent(keras.layers.LSTM, inputs, outputs, layers, both)

    def gru(self, inputs, outputs, layers, both):
        return self.recurrent(keras.layers.GRU, inputs, outputs, layers, both)

    def recurrent(self, kind, inputs, outputs, number, both):
        """Return one layer, or a list of several."""
        rows = []
        for at in range(number):
            row = kind(outputs, return_sequences=True, recurrent_initializer="zeros", **ZEROS)
            row = layers.Bidirectional(row) if both else row
            rows.append(self.built(row, 9, outputs * (1 + both) if at else inputs))
        return rows if number > 1 else rows[0]

    def built(self, layer, *shape):
        """Return a layer after building it for inputs of a shape."""
        layer.build((2, *shape))
        return layer

    def rule(self, part, tensors):
        weight, bias = tensors.get("weight"), {"bias": tensors[name] for name in tensors if name == "bias"}
        if part.kind in ("conv", "up"):
            return {"kernel": np.moveaxis(weight, (0, 1), (-1, -2)), **bias}
        if part.kind == "linear":
            return {"kernel": weight if part.by_columns else weight.T, **bias}
        if part.kind == "embedding":
            return {"embeddings": weight}
        if part.kind == "prelu":
            return {"alpha": weight.reshape(1, -1)}
        if part.kind == "rms norm":
            return {"scale": weight}
        if part.kind in ("lstm", "gru"):
            return {name: array for cell in cells(part, tensors) for name, array in self.cell(part, *cell)}
        norm = {"gamma": weight, "beta": tensors["bias"]} if weight is not None else {}
        moving = (
            {"moving_mean": tensors["running_mean"], "moving_variance": tensors["running_var"]}
            if part.kind == "batch norm"
            else {}
        )
        return norm | moving

    def cell(self, part, number, reverse, rows):
        """Yield the tensors of one layer and direction."""
        ih, hh, bias_ih, bias_hh = rows
        direction = ("backward_layer." if reverse else "forward_layer.") if part.sizes["both"] else ""
        if part.kind == "gru":
            ih, hh, bias_ih, bias_hh = (gates(row, "zrn") for row in rows)
        yield f"{number}{direction}cell.kernel", ih.T
        yield f"{number}{direction}cell.recurrent_kernel", hh.T
        yield f"{number}{direction}cell.bias", np.stack([bias_ih, bias_hh]) if part.kind == "gru" else bias_ih + bias_hh

    def value(self, module, name):
        if isinstance(module, Own):
            return self.array(next(value for value in module.weights if value.name == name))
        return super().value(module, name)

    def array(self, value):
        return keras.ops.convert_to_numpy(value)
