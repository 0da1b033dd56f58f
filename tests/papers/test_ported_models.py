"""Whole models of real packages: a layer that the report calls "ported" computes what the module computes, every bit."""

from __future__ import annotations

import functools

import pytest
import torch
import transformers
from ported import assert_is_module
from test_wrappers import randomized
from torch import nn
from wrapper_modules import normed

import convpolicy as cp


class Chomp1d(nn.Module):
    """As in locuslab's file."""

    def __init__(self, chomp_size):
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, :-self.chomp_size].contiguous()  # fmt: skip


class TemporalBlock(nn.Module):
    """As in locuslab's file."""

    def __init__(self, inputs, outputs, kernel, dilation):
        super().__init__()
        padding = (kernel - 1) * dilation
        self.conv1 = normed(nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation))
        self.chomp1 = Chomp1d(padding)
        self.relu1 = nn.ReLU()
        self.conv2 = normed(nn.Conv1d(outputs, outputs, kernel, padding=padding, dilation=dilation))
        self.chomp2 = Chomp1d(padding)
        self.relu2 = nn.ReLU()
        self.net = nn.Sequential(self.conv1, self.chomp1, self.relu1, self.conv2, self.chomp2, self.relu2)
        self.downsample = nn.Conv1d(inputs, outputs, 1)

    def forward(self, x):
        return torch.relu(self.net(x) + self.downsample(x))


def temporal_network():
    """Two blocks of a TCN."""
    return nn.Sequential(TemporalBlock(1, 8, 3, 1), TemporalBlock(8, 8, 3, 2))


SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
MODELS = {
    "encodec": lambda: transformers.EncodecModel(
        transformers.EncodecConfig(num_filters=4, hidden_size=8, codebook_dim=8, codebook_size=16)
    ),
    "encodec-48khz": lambda: transformers.EncodecModel(
        transformers.EncodecConfig(num_filters=4, hidden_size=8, codebook_dim=8, codebook_size=16, use_causal_conv=False, norm_type="time_group_norm")
    ),
    "mimi": lambda: transformers.MimiModel(
        transformers.MimiConfig(num_filters=4, codebook_dim=8, codebook_size=16, head_dim=8, num_key_value_heads=2, upsample_groups=16,
                                vector_quantization_hidden_dimension=8, **SMALL)
    ),
    "wav2vec2": lambda: transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, **SMALL)
    ),
    "dac": lambda: transformers.DacModel(
        transformers.DacConfig(encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[2, 4], upsampling_ratios=[4, 2],
                               codebook_dim=4, codebook_size=16, n_codebooks=2)
    ),
    "hifi-gan": lambda: transformers.SpeechT5HifiGan(
        transformers.SpeechT5HifiGanConfig(model_in_dim=8, upsample_initial_channel=32, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4])
    ),
    "tcn": temporal_network,
}  # fmt: skip
PORTED = {"encodec": (36, 0), "encodec-48khz": (36, 36), "mimi": (34, 1), "wav2vec2": (8, 1), "dac": (36, 0), "hifi-gan": (40, 0),
          "tcn": (6, 4)}  # name -> layers, and how many of them have a note  # fmt: skip


def forward(name, model, length):
    """Run a model on random data."""
    data = torch.randn(1, 1, length, generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        if name == "hifi-gan":
            return model(torch.randn(1, length // 40, 8))
        return model(data[0] if name == "wav2vec2" else data)


@pytest.mark.parametrize("name", MODELS)
def test_every_ported_layer_of_a_model_is_the_module_it_stands_for(name):
    """Inputs and outputs of each module are recorded while the model runs; a layer that is plain "ported" gives every bit of them."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    ported = cp.port_model(model, to="torch")
    assert (len(ported.layers), len(ported.noted), len(ported.refused)) == (*PORTED[name], 0)
    plain = [row.path for row in ported.report if row.state == "ported"]
    runs = [functools.partial(forward, name, model, length) for length in (1600, 2400, 1777)]
    assert_is_module(model, {path: ported.layers[path] for path in plain}, runs)


def test_a_chomp_is_part_of_the_layer():
    """A convolution of a TCN block, padded on both sides, and the module that drops the end become one causal layer."""
    model = randomized(temporal_network())
    ported = cp.port_model(model, to="torch")
    states = {row.path: row.state for row in ported.report}
    text = "ported, with what its Chomp1d drops, which you leave out"
    assert states == {f"{block}.conv{number}": text for block in (0, 1) for number in (1, 2)} | {
        "0.downsample": "ported", "1.downsample": "ported",
    }  # fmt: skip
    for block, channels in ((0, 1), (1, 8)):
        own, layer = model[block], ported.layers[f"{block}.conv1"]
        for length in (1, 2, 7, 30):
            data = torch.randn(2, channels, length, generator=torch.Generator().manual_seed(length))
            with torch.no_grad():
                assert torch.equal(layer(data), own.chomp1(own.conv1(data)))
