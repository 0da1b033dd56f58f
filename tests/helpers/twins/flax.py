"""Twins of torch models in ``flax.nnx``."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from helpers.outlines import Builder, cells

RNGS = nnx.Rngs(0)


def zeros(_key, shape, dtype=jnp.float32):
    """Return zeros without compiling a function for each shape."""
    return jnp.asarray(np.zeros(shape, dtype))


KERNEL = {"kernel_init": zeros, "rngs": RNGS}


class Own(nnx.Module):
    """A module with parts and parameters."""

    def __init__(self, parts, values):
        for name, part in parts.items():
            setattr(self, name, part)
        for name, (shape, dtype) in values.items():
            setattr(self, name, nnx.Param(jnp.asarray(np.zeros(shape, dtype))))


class FlaxBuilder(Builder):
    """Builds modules of nnx, which has no transposed convolutions with groups and no bias of the hidden state in GRUs."""

    def several(self, items):
        return nnx.List(items)

    def module(self, parts, values):
        return Own(parts, values)

    def conv(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        more = {"kernel_dilation": dilation, "feature_group_count": groups, "use_bias": bias, **KERNEL}
        return nnx.Conv(inputs, outputs, kernel, stride, padding="VALID", **more)

    def up(self, inputs, outputs, kernel, stride, dilation, groups, bias):
        return None if groups > 1 else nnx.ConvTranspose(inputs, outputs, kernel, stride, use_bias=bias, **KERNEL)

    def linear(self, inputs, outputs, bias):
        return nnx.Linear(inputs, outputs, use_bias=bias, **KERNEL)

    def batch_norm(self, channels):
        return nnx.BatchNorm(channels, rngs=RNGS)

    def layer_norm(self, channels, affine):
        return nnx.LayerNorm(channels, use_bias=affine, use_scale=affine, rngs=RNGS)

    def group_norm(self, groups, channels):
        return nnx.GroupNorm(channels, groups, rngs=RNGS)

    def rms_norm(self, channels):
        return nnx.RMSNorm(channels, rngs=RNGS)

    def embedding(self, number, channels):
        return nnx.Embed(number, channels, embedding_init=zeros, rngs=RNGS)

    def prelu(self, number):
        return nnx.PReLU() if number == 1 else None

    def gru(self, **_sizes):
        return None

    def lstm(self, inputs, outputs, layers, both):
        rows = []
        for number in range(layers):
            width = outputs * (1 + both) if number else inputs
            one, other = (
                nnx.RNN(nnx.OptimizedLSTMCell(width, outputs, kernel_init=zeros, recurrent_kernel_init=zeros, rngs=RNGS))
                for _ in range(2)
            )
            rows.append(nnx.Bidirectional(one, other) if both else one)
        return rows[0] if layers == 1 else nnx.List(rows)

    def rule(self, part, tensors):
        weight, bias = tensors.get("weight"), {"bias": tensors[name] for name in tensors if name == "bias"}
        if part.kind == "conv":
            return {"kernel": np.moveaxis(weight, (0, 1), (-1, -2)), **bias}
        if part.kind == "up":  # from the input to the output, reversed
            return {"kernel": np.moveaxis(np.flip(weight, tuple(range(2, weight.ndim))), (0, 1), (-2, -1)), **bias}
        if part.kind == "linear":
            return {"kernel": weight if part.by_columns else weight.T, **bias}
        if part.kind == "embedding":
            return {"embedding": weight}
        if part.kind == "prelu":
            return {"negative_slope": weight.reshape(())}
        if part.kind == "lstm":
            return {name: array for cell in cells(part, tensors) for name, array in self.cell(part, *cell)}
        norm = {"scale": weight, **bias} if weight is not None else {}
        return norm | ({"mean": tensors["running_mean"], "var": tensors["running_var"]} if part.kind == "batch norm" else {})

    def cell(self, part, number, reverse, rows):
        """Yield the tensors of one layer and direction."""
        ih, hh, bias_ih, bias_hh = rows
        direction = ("backward_rnn." if reverse else "forward_rnn.") if part.sizes["both"] else ""
        yield f"{number}{direction}cell.dense_i.kernel", ih.T
        yield f"{number}{direction}cell.dense_h.kernel", hh.T
        yield f"{number}{direction}cell.dense_h.bias", bias_ih + bias_hh

    def array(self, value):
        return np.asarray(value.value)
