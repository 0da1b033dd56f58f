"""Models of packages with their published weights, and the same models in MLX and Flax."""

from __future__ import annotations

import collections
import importlib.util
import itertools
from pathlib import Path

import mlx.core as mx
import mlx.nn as mlx
import torch
from flax import nnx
from packages import module


def folder(package):
    """Return the folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is not installed; see requirements/papers.txt"
    return Path(spec.submodule_search_locations[0])


# -- FCPE: a conformer of convolutions, in MLX -----------------------------------------------------------------------------------

FCPE = folder("torchfcpe") / "assets" / "fcpe_c_v001.pt"


def fcpe():
    """Return torchfcpe's model with its weights, and the file's state dict."""
    checkpoint = torch.load(FCPE, weights_only=True, map_location="cpu")
    config = checkpoint["config_dict"]
    settings = {
        name: config["model"][name]
        for name in ("out_dims", "hidden_dims", "n_layers", "n_heads", "f0_max", "f0_min", "conv_only")
    }
    model = module("torchfcpe.models").CFNaiveMelPE(
        config["mel"]["num_mels"], use_fa_norm=config["model"]["use_fa_norm"], **settings
    )
    model.load_state_dict(checkpoint["model"])
    return model.eval(), checkpoint["model"]


class WeightNormLinear(mlx.Module):
    """A linear layer under weight normalization, which MLX does not have: directions and lengths."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight_v, self.weight_g, self.bias = mx.zeros((outputs, inputs)), mx.ones((outputs, 1)), mx.zeros(outputs)

    def __call__(self, x):
        norm = mx.sqrt(mx.square(self.weight_v).sum(axis=1, keepdims=True))
        return x @ (self.weight_v * (self.weight_g / norm)).T + self.bias


class DepthWise(mlx.Module):
    """torchfcpe's DepthWiseConv1d."""

    def __init__(self, channels, kernel):
        super().__init__()
        self.conv = mlx.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def __call__(self, x):
        return self.conv(x)


class ConformerConv(mlx.Module):
    """torchfcpe's ConformerConvModule; MLX convolves (batch, length, channels) and transposes nothing."""

    def __init__(self, channels):
        super().__init__()
        inner = 2 * channels
        expand, reduce = mlx.Conv1d(channels, 2 * inner, 1), mlx.Conv1d(inner, channels, 1)
        transpose = mlx.Identity()
        self.net = [mlx.LayerNorm(channels), transpose, expand, mlx.GLU(), DepthWise(inner, 31), mlx.SiLU(), reduce, transpose]

    def __call__(self, x):
        for layer in self.net:
            x = layer(x)
        return x


class EncoderLayer(mlx.Module):
    """torchfcpe's CFNEncoderLayer without attention, whose norm is stored and not run."""

    def __init__(self, channels):
        super().__init__()
        self.conformer, self.norm = ConformerConv(channels), mlx.LayerNorm(channels)

    def __call__(self, x):
        return x + self.conformer(x)


class Encoder(mlx.Module):
    """torchfcpe's ConformerNaiveEncoder."""

    def __init__(self, channels, layers):
        super().__init__()
        self.encoder_layers = [EncoderLayer(channels) for _ in range(layers)]

    def __call__(self, x):
        for layer in self.encoder_layers:
            x = layer(x)
        return x


class MlxFcpe(mlx.Module):
    """torchfcpe's CFNaiveMelPE of the published configuration."""

    def __init__(self, mels=128, outputs=360, channels=512, layers=6):
        super().__init__()
        norm = mlx.GroupNorm(4, channels, pytorch_compatible=True)
        conv = mlx.Conv1d(mels, channels, 3, padding=1), mlx.Conv1d(channels, channels, 3, padding=1)
        self.input_stack = [conv[0], norm, mlx.LeakyReLU(), conv[1]]
        self.net = Encoder(channels, layers)
        self.norm, self.output_proj = mlx.LayerNorm(channels), WeightNormLinear(channels, outputs)
        self.cent_table, self.gaussian_blurred_cent_mask = mx.zeros(outputs), mx.zeros(())

    def __call__(self, x):
        for layer in self.input_stack:
            x = layer(x)
        return mx.sigmoid(self.output_proj(self.norm(self.net(x))))


# -- PESTO: a residual network over the frequencies of one frame, in Flax -----------------------------------------------------

PESTO = folder("pesto") / "weights" / "mir-1k_g7.ckpt"
PLAIN = (int, list, dict, collections.defaultdict)


def pesto():
    """Return PESTO's encoder with its weights, and the file's state dict of the encoder.

    The file also contains settings in omegaconf's classes; empty classes of these names stand in for them.
    """
    plain = {f"{kind.__module__}.{kind.__name__}": kind for kind in PLAIN}
    names = torch.serialization.get_unsafe_globals_in_checkpoint(PESTO)
    classes = [(plain.get(name) or type(name.rpartition(".")[2], (), {}), name) for name in names]
    with torch.serialization.safe_globals(classes):
        checkpoint = torch.load(PESTO, weights_only=True, map_location="cpu")
    settings = checkpoint["hparams"]["encoder"]
    channels = [vars(node)["_val"] for node in vars(settings["n_chan_layers"])["_content"]]
    model = module("pesto.model").Resnet1d(**settings | {"n_chan_layers": channels})
    state = {
        name.removeprefix("encoder."): value for name, value in checkpoint["state_dict"].items() if name.startswith("encoder.")
    }
    model.load_state_dict(state)
    return model.eval(), state


class ToeplitzLinear(nnx.Module):
    """PESTO's layer: a convolution of one channel over all frequencies."""

    def __init__(self, inputs, outputs, rngs):
        self.conv = nnx.Conv(1, 1, (inputs + outputs - 1,), padding=outputs - 1, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return self.conv(x[..., None])[..., 0]


class FlaxPesto(nnx.Module):
    """PESTO's Resnet1d of the published configuration; data is (batch, frequency, channels)."""

    def __init__(self, channels=(40, 30, 30, 10, 3), bins=219, outputs=384, kernel=39):
        rngs = nnx.Rngs(0)
        self.layernorm = nnx.LayerNorm(bins, epsilon=1e-5, use_fast_variance=False, rngs=rngs)
        self.conv1 = nnx.Conv(1, channels[0], (kernel,), padding=kernel // 2, rngs=rngs)
        self.prefilt_layers = nnx.List(
            [nnx.Conv(channels[0], channels[0], (kernel,), padding=kernel // 2, rngs=rngs) for _ in range(2)]
        )
        pairs = itertools.pairwise(channels)
        self.conv_layers = nnx.List([nnx.Conv(inputs, outputs, (1,), padding=0, rngs=rngs) for inputs, outputs in pairs])
        self.fc = ToeplitzLinear(bins * channels[-1], outputs, rngs)

    def __call__(self, x):
        x = self.layernorm(x.swapaxes(1, 2)).swapaxes(1, 2)
        x = self._active(self.conv1(x))
        for layer in self.prefilt_layers:
            x = x + self._active(layer(x))
        for layer in self.conv_layers:
            x = self._active(layer(x))
        return nnx.softmax(self.fc(x.swapaxes(1, 2).reshape(len(x), -1)))  # torch flattens (channels, frequency)

    @staticmethod
    def _active(x):
        return nnx.leaky_relu(x, 0.3)
