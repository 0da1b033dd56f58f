"""One function for each reference of a decoder: sizes in, the transposed convolution of a package with the call around it out."""

from __future__ import annotations

from typing import Any

import packages  # before transformers
import transformers
from layers import Built
from torch import nn
from transformers.models.dac import modeling_dac
from transformers.models.encodec import modeling_encodec
from transformers.models.fastspeech2_conformer import modeling_fastspeech2_conformer
from transformers.models.mimi import modeling_mimi
from transformers.models.seamless_m4t import modeling_seamless_m4t
from transformers.models.vits import modeling_vits

module = packages.module


def encodec(c: int, causal: bool, kernel: int, stride: int) -> Built:
    norm = "weight_norm" if causal else "none"  # the 48 kHz model's norm is a layer of its own, behind the convolution
    layer = module("encodec.modules.conv").SConvTranspose1d(c, c, kernel, stride, causal=causal, norm=norm)
    return Built(layer.convtr.convtr, layer)


def encodec_transformers(c: int, causal: bool, kernel: int, stride: int, trim_right_ratio: float = 1.0) -> Built:
    norm = "weight_norm" if causal else "time_group_norm"
    config = transformers.EncodecConfig(use_causal_conv=causal, norm_type=norm, trim_right_ratio=trim_right_ratio)
    layer = modeling_encodec.EncodecConvTranspose1d(config, c, c, kernel, stride)
    layer.norm = nn.Identity()
    return Built(layer.conv, layer)


def mimi(c: int, kernel: int, stride: int, **other: Any) -> Built:
    layer = modeling_mimi.MimiConvTranspose1d(transformers.MimiConfig(), c, c, kernel, stride, **other)
    return Built(layer.conv, layer)


def moshi(c: int, kernel: int, stride: int, **other: Any) -> Built:
    layer = module("moshi.modules.conv").StreamingConvTranspose1d(c, c, kernel, stride, causal=True, **other)
    return Built(layer.convtr.convtr, layer)


def dac(c: int, stride: int) -> Built:
    layer = module("dac.model.dac").DecoderBlock(2 * c, c, stride).block[1]
    return Built(layer, layer)


def dac_transformers(c: int, stride: int) -> Built:
    config = transformers.DacConfig(decoder_hidden_size=2 * c, upsampling_ratios=[stride], downsampling_ratios=[stride])
    layer = nn.utils.parametrizations.weight_norm(modeling_dac.DacDecoderBlock(config, stride, 0).conv_t1)
    return Built(layer, layer)


# model -> function of the sizes that builds its generator
VOCODERS: dict[str, Any] = {
    "speecht5": lambda **sizes: transformers.SpeechT5HifiGan(transformers.SpeechT5HifiGanConfig(**sizes)),
    "fastspeech2-conformer": lambda **sizes: modeling_fastspeech2_conformer.FastSpeech2ConformerHifiGan(
        transformers.FastSpeech2ConformerHifiGanConfig(**sizes)
    ),
    "vits": lambda **sizes: modeling_vits.VitsHifiGan(transformers.VitsConfig(**sizes)),
    "seamless-m4t": lambda **sizes: modeling_seamless_m4t.SeamlessM4THifiGan(transformers.SeamlessM4TConfig(**sizes)),
}


def vocoder(c: int, model: str, kernel: int, stride: int) -> Built:
    generator = VOCODERS[model](upsample_initial_channel=4 * c, upsample_rates=[stride], upsample_kernel_sizes=[kernel])
    layer = nn.utils.parametrizations.weight_norm(generator.upsampler[0])
    return Built(layer, layer)


def univnet(c: int, stride: int) -> Built:
    config = transformers.UnivNetConfig(
        model_in_channels=c, model_hidden_channels=c, resblock_stride_sizes=[stride], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
    )  # fmt: skip
    layer = transformers.UnivNetModel(config).resblocks[0].convt_pre
    return Built(nn.utils.parametrizations.weight_norm(layer), layer)


def tasnet_decoder(c: int, kernel: int) -> Built:
    model = module("torchaudio.models.conv_tasnet").ConvTasNet(
        enc_kernel_size=kernel, enc_num_feats=c, msk_num_feats=c, msk_num_hidden_feats=c, msk_num_layers=1, msk_num_stacks=1
    )
    model.decoder.padding = (0,)  # torchaudio's own cuts the stride that its encoder pads too much
    return Built(model.decoder, model.decoder)
