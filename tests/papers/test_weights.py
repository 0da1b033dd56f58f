"""What a layer of each policy starts with, against what the reference code constructs: bits for a seed, else moments."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from packages import module
from test_bits import effective
from torch import nn
from transformers.models.wav2vec2 import modeling_wav2vec2

import convpolicy as cp

STANDARD_ERRORS = 6  # of a standard deviation estimated from n independent numbers; a true distribution exceeds it once in 10^9


def hifi_gan(*sizes):
    """jik876/hifi-gan: torch's layer, weight normalisation, then a draw into what the next call overwrites."""
    layer = nn.utils.weight_norm(nn.Conv1d(*sizes))
    layer.weight.data.normal_(0.0, 0.01)
    return layer


def drawn_first(*sizes):
    """What the same code would build if it drew before weight normalisation: its initialization as written."""
    layer = nn.Conv1d(*sizes)
    layer.weight.data.normal_(0.0, 0.01)
    return nn.utils.weight_norm(layer)


def dac(*sizes):
    """WNConv1d and init_weights of descript-audio-codec."""
    build = module("dac.model.dac")
    return build.WNConv1d(*sizes).apply(build.init_weights)


def dac_drawn_first(*sizes):
    """The same two in the other order."""
    return nn.utils.weight_norm(nn.Conv1d(*sizes).apply(module("dac.model.dac").init_weights))


def nemo(*sizes):
    """MaskedConv1d and init_weights of NeMo."""
    jasper = module("nemo.collections.asr.parts.submodules.jasper")
    layer = jasper.MaskedConv1d(*sizes)
    jasper.init_weights(layer, "xavier_uniform")
    return layer.conv


def fairseq(channels, _out, kernel):
    """make_conv_pos of fairseq with dropout 0, by its formula."""
    layer = nn.Conv1d(channels, channels, kernel)
    nn.init.normal_(layer.weight, mean=0, std=math.sqrt(4 / (kernel * channels)))
    nn.init.constant_(layer.bias, 0)
    return nn.utils.weight_norm(layer, name="weight", dim=2)


def hifi_gan_up(*sizes):
    """jik876/hifi-gan, Generator.ups: torch's layer, weight normalisation, then a draw into what the next call overwrites."""
    layer = nn.utils.weight_norm(nn.ConvTranspose1d(*sizes))
    layer.weight.data.normal_(0.0, 0.01)
    return layer


def hifi_gan_up_drawn_first(*sizes):
    """The same two in the other order."""
    layer = nn.ConvTranspose1d(*sizes)
    layer.weight.data.normal_(0.0, 0.01)
    return nn.utils.weight_norm(layer)


def dac_up(*sizes):
    """WNConvTranspose1d of descript-audio-codec; init_weights does nothing to it."""
    build = module("dac.model.dac")
    return build.WNConvTranspose1d(*sizes).apply(build.init_weights)


SIZES = (24, 24, 5)
UPSAMPLING = {  # wide in, narrow out: the fans differ
    "hifi-gan": (hifi_gan_up, {}),
    "hifi-gan as written": (hifi_gan_up_drawn_first, {"weight_init": "as_written"}),
    "dac": (dac_up, {}),
    "encodec": (lambda *sizes: module("encodec.modules.conv").SConvTranspose1d(*sizes, norm="weight_norm").convtr.convtr, {}),
    "encodec-48khz": (lambda *sizes: module("encodec.modules.conv").SConvTranspose1d(*sizes).convtr.convtr, {}),
    "mimi": (lambda *sizes: module("moshi.modules.conv").StreamingConvTranspose1d(*sizes, causal=True).convtr.convtr, {}),
    "univnet": (lambda *sizes: nn.utils.weight_norm(nn.ConvTranspose1d(*sizes)), {}),
    "conv-tasnet": (lambda *sizes: nn.ConvTranspose1d(*sizes, bias=False), {}),
}
BUILDS = {
    "bytenet": (lambda *sizes: module("sequence_models.convolutional").MaskedConv1d(*sizes), {}),
    "tcn": (hifi_gan, {}),
    "tcn as written": (drawn_first, {"weight_init": "as_written"}),
    "hifi-gan": (hifi_gan, {}),
    "hifi-gan as written": (drawn_first, {"weight_init": "as_written"}),
    "hifi-gan as trained": (hifi_gan, {"weight_init": "as_trained"}),
    "dac": (dac, {}),
    "dac as written": (dac_drawn_first, {"weight_init": "as_written"}),
    "wav2vec2-pos": (fairseq, {}),
    "encodec": (lambda *sizes: module("encodec.modules.conv").SConv1d(*sizes, norm="weight_norm").conv.conv, {}),
    "encodec-48khz": (lambda *sizes: module("encodec.modules.conv").SConv1d(*sizes, norm="time_group_norm").conv.conv, {}),
    "mimi": (lambda *sizes: module("moshi.modules.conv").StreamingConv1d(*sizes, causal=True).conv.conv, {}),
    "ecapa-tdnn": (lambda a, b, k: module("speechbrain.nnet.CNN").Conv1d(b, k, in_channels=a).conv, {}),
    "quartznet": (nemo, {}),
    "tacotron2": (lambda *sizes: module("torchaudio.models.tacotron2")._get_conv1d_layer(*sizes, w_init_gain="linear"), {}),
    "tacotron2 postnet": (
        lambda *sizes: module("torchaudio.models.tacotron2")._get_conv1d_layer(*sizes, w_init_gain="tanh"),
        {"weight_init": cp.policy("paper/tacotron2").paper.layer("postnet")["weight_init"]},
    ),
    "tacotron2 encoder": (
        lambda *sizes: module("torchaudio.models.tacotron2")._get_conv1d_layer(*sizes, w_init_gain="relu"),
        {"weight_init": cp.policy("paper/tacotron2").paper.layer("encoder")["weight_init"]},
    ),
    "whisper": (nn.Conv1d, {}),
    "conv-tasnet": (nn.Conv1d, {}),
    "mamba": (nn.Conv1d, {}),
}


def same(build, sizes=SIZES, ours=cp.Conv1d, **arguments):
    """Whether a seed gives a torch layer the weight and bias, to the bit, that the reference's construction has."""
    torch.manual_seed(5)
    weight, bias = effective(build(*sizes))
    layers = [ours(*sizes, **arguments, backend="torch", seed=5)]
    torch.manual_seed(5)
    layers.append(ours(*sizes, **arguments, backend="torch"))
    found = [effective(layer) for layer in layers]
    return all(
        np.array_equal(weight, ours) and (bias is None if theirs is None else np.array_equal(bias, theirs))
        for ours, theirs in found
    )


@pytest.mark.parametrize("name", BUILDS)
def test_a_seed_gives_the_bits_of_the_reference(name):
    """After torch.manual_seed and with seed=, the effective weight and the bias are those that the reference code builds."""
    build, changes = BUILDS[name]
    assert same(build, policy=f"paper/{name.split()[0]}", **changes)


@pytest.mark.parametrize("name", UPSAMPLING)
def test_a_seed_gives_the_bits_of_the_decoder(name):
    """The same for transposed convolutions; another law of the weights is seen."""
    build, changes = UPSAMPLING[name]
    same_up = partial(same, build, (24, 10, 6, 3), cp.ConvTranspose1d, policy=f"paper/{name.split()[0]}")
    assert same_up(**changes)
    assert not same_up(weight_init=cp.Choice("he_uniform", negative_slope=5**0.5, fan="fan_out"))


@pytest.mark.parametrize("name", ["hifi-gan", "tcn", "dac"])
def test_the_law_as_written_is_not_the_one_as_trained(name):
    """The judge above rejects as_written where the reference trains from another initialization."""
    assert not same(BUILDS[name][0], policy=f"paper/{name}", weight_init="as_written")
    assert not same(BUILDS[f"{name} as written"][0], policy=f"paper/{name}")


def is_std(values, expected):
    """Whether independent numbers have this standard deviation, by its sampling error for a distribution with no heavier tails than normal."""
    return abs(values.std() - expected) <= STANDARD_ERRORS * expected / math.sqrt(2 * values.size)


def weight_of(policy, *sizes, **changes):
    return cp.Conv1d(*sizes, policy=policy, seed=1, **changes).weight


def test_moments_of_the_models():
    """wav2vec 2.0 from transformers starts from torch's initialization, fairseq and the policy from .00638; the test tells them apart."""
    config = transformers.Wav2Vec2Config()
    torch.manual_seed(1)
    theirs = modeling_wav2vec2.Wav2Vec2PositionalConvEmbedding(config)
    theirs = effective(theirs.conv)[0]
    ours = weight_of("paper/wav2vec2-pos", 768, 768, 128, groups=16)
    default, formula = 1 / math.sqrt(3 * 48 * 128), math.sqrt(4 / (128 * 768))
    assert (round(default, 5), round(formula, 5)) == (0.00737, 0.00638)
    assert is_std(theirs, default)
    assert is_std(ours, formula)
    assert not is_std(theirs, formula)
    assert not is_std(ours, default)


def test_moments_of_hifi_gan():
    """SpeechT5HifiGan draws N(0, .01²) without weight normalisation, which is as_written; as trained the initialization is torch's, .0272."""
    torch.manual_seed(1)
    theirs = transformers.SpeechT5HifiGan(transformers.SpeechT5HifiGanConfig()).conv_pre.weight.detach().numpy()
    sizes = (80, 512, 7)
    assert is_std(theirs, 0.01)
    assert is_std(weight_of("paper/hifi-gan", *sizes, weight_init="as_written"), 0.01)
    trained = weight_of("paper/hifi-gan", 64, 64, 7)
    assert is_std(trained, 1 / math.sqrt(3 * 64 * 7))
    assert round(1 / math.sqrt(3 * 64 * 7), 4) == 0.0273
    assert not is_std(trained, 0.01)


def test_moments_of_dac():
    """DacModel draws the truncated normal distribution of .02 without weight normalisation, which is as_written."""
    torch.manual_seed(1)
    config = transformers.DacConfig(encoder_hidden_size=16, downsampling_ratios=[2, 4])
    theirs = transformers.DacModel(config).encoder.block[1].conv1.weight.detach().numpy()
    sizes = theirs.shape[1], theirs.shape[0], theirs.shape[2]
    assert is_std(theirs, 0.02)
    assert is_std(weight_of("paper/dac", *sizes, weight_init="as_written"), 0.02)
    assert not is_std(weight_of("paper/dac", *sizes), 0.02)


def test_moments_of_the_rest():
    """Whisper's, Mimi's and Enformer's initialization from transformers and Sonnet's formula, told apart from torch's default where they differ."""
    assert is_std(weight_of("paper/enformer", 64, 64, 5), 0.8796256610342398 / math.sqrt(64 * 5))
    assert np.abs(weight_of("paper/enformer", 64, 64, 5)).max() <= 2 / math.sqrt(64 * 5)
    torch.manual_seed(1)
    config = transformers.WhisperConfig(d_model=64, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=8, vocab_size=9,
        decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=2)  # fmt: skip
    theirs = transformers.WhisperModel(config).encoder.conv2.weight.detach().numpy()
    assert is_std(theirs, 0.02)
    assert not is_std(weight_of("paper/whisper", 64, 64, 3), 0.02)
