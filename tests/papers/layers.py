"""One function for each reference: sizes in, the convolution of a package with the call around it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import packages  # before transformers
import torch
import transformers
from torch import nn
from transformers.models.dac import modeling_dac
from transformers.models.encodec import modeling_encodec
from transformers.models.mamba import modeling_mamba
from transformers.models.mimi import modeling_mimi
from transformers.models.wav2vec2 import modeling_wav2vec2
from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer
from transformers.models.whisper import modeling_whisper

module = packages.module


class Built(NamedTuple):
    """A reference: the convolution that holds the weights, and the call that pads around it."""

    conv: nn.Conv1d
    call: Callable[[torch.Tensor], torch.Tensor]


def _of(conv: nn.Conv1d, call: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Built:
    return Built(conv, call or conv)


def _channels_last(layer: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: layer(x.transpose(1, 2)).transpose(1, 2)


# -- one function for each reference: sizes -> Built ---------------------------------------------------------------------------


def bytenet(c: int, kernel: int, stride: int, dilation: int) -> Built:
    layer = module("sequence_models.convolutional").MaskedConv1d(c, c, kernel, stride, dilation)
    return _of(layer, _channels_last(layer))


def bytenet_decoder(c: int, kernel: int, dilation: int) -> Built:
    layer = module("sequence_models.convolutional").MaskedCausalConv1d(c, c, kernel, dilation)
    return _of(layer.conv, _channels_last(layer))


def tcn(c: int, kernel: int, dilation: int) -> Built:
    layer = module("pytorch_tcn.conv").TemporalConv1d(c, c, kernel, dilation=dilation, causal=True)
    nn.utils.parametrizations.weight_norm(layer)
    return _of(layer)


def tcn_formula(c: int, kernel: int, stride: int, dilation: int) -> Built:
    """locuslab's file: pad both sides, convolve under weight normalisation, drop what (kernel - 1) * dilation added too much."""
    dropped = (kernel - 1) * dilation
    conv = nn.utils.weight_norm(nn.Conv1d(c, c, kernel, stride, dropped, dilation))
    return _of(conv, lambda x: conv(x)[:, :, :-dropped].contiguous())


def tasnet(c: int, kernel: int, dilation: int, causal: bool) -> Built:
    padding = (kernel - 1) * dilation // (1 if causal else 2)  # as TDConvNet passes it
    block = module("asteroid.masknn.convolutional").Conv1DBlock(c, c, c, kernel, padding, dilation, causal=causal)
    depthwise = block.shared_block[3]
    return _of(depthwise[0] if causal else depthwise, depthwise)


def tasnet_torchaudio(c: int, kernel: int, dilation: int) -> Built:
    block = module("torchaudio.models.conv_tasnet").ConvBlock(c, c, kernel, (kernel - 1) * dilation // 2, dilation)
    return _of(block.conv_layers[3])


def tasnet_encoder(c: int, kernel: int) -> Built:
    model = module("torchaudio.models.conv_tasnet").ConvTasNet(
        enc_kernel_size=kernel, enc_num_feats=c, msk_num_feats=c, msk_num_hidden_feats=c, msk_num_layers=1, msk_num_stacks=1
    )
    model.encoder.padding = (0,)  # torchaudio's own pads a stride more on both sides
    return _of(model.encoder)


def wav2vec2(c: int, kernel: int, groups: int) -> Built:
    config = transformers.Wav2Vec2Config(hidden_size=2 * c, num_conv_pos_embeddings=kernel, num_conv_pos_embedding_groups=groups)
    layer = modeling_wav2vec2.Wav2Vec2PositionalConvEmbedding(config)
    return _of(layer.conv, lambda x: layer.padding(layer.conv(x)))


def whisper(c: int, number: int) -> Built:
    config = transformers.WhisperConfig(
        d_model=2 * c, num_mel_bins=c, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=c
    )
    encoder = modeling_whisper.WhisperEncoder(config)
    return _of(encoder.conv1 if number == 1 else encoder.conv2)


def tacotron2(c: int, kernel: int, stride: int, dilation: int) -> Built:
    build = module("torchaudio.models.tacotron2")._get_conv1d_layer
    return _of(build(c, c, kernel, stride, dilation=dilation))


def hifi_gan(c: int) -> Any:
    config = transformers.SpeechT5HifiGanConfig(
        model_in_dim=c, upsample_initial_channel=4 * c, upsample_rates=[2], upsample_kernel_sizes=[4],
    )  # fmt: skip
    return transformers.SpeechT5HifiGan(config)


def hifi_gan_layer(c: int, pick: Callable[[Any], nn.Conv1d]) -> Built:
    model = hifi_gan(c)
    model.apply_weight_norm()
    return _of(pick(model))


def residual_layer(model: Any, block: int, number: int) -> nn.Conv1d:
    return model.resblocks[block].convs1[number]


def univnet(c: int, number: int) -> Built:
    """The first layer, or the residual layer of that number in the first block."""
    config = transformers.UnivNetConfig(
        model_in_channels=c, model_hidden_channels=c, resblock_stride_sizes=[2], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3, 27]],
    )  # fmt: skip
    model = transformers.UnivNetModel(config)
    model.apply_weight_norm()
    return _of(model.resblocks[0].resblocks[number - 1].conv if number else model.conv_pre)


def encodec(c: int, causal: bool, kernel: int, stride: int, dilation: int) -> Built:
    norm = "weight_norm" if causal else "none"  # the 48 kHz model's norm is a layer of its own, behind the convolution
    layer = module("encodec.modules.conv").SConv1d(c, c, kernel, stride, dilation, causal=causal, norm=norm)
    return _of(layer.conv.conv, layer)


def encodec_transformers(c: int, causal: bool, kernel: int, stride: int, dilation: int) -> Built:
    norm = "weight_norm" if causal else "time_group_norm"
    config = transformers.EncodecConfig(use_causal_conv=causal, norm_type=norm)
    layer = modeling_encodec.EncodecConv1d(config, c, c, kernel, stride, dilation)
    layer.norm = nn.Identity()
    return _of(layer.conv, layer)


def dac_residual(c: int, dilation: int) -> Built:
    return _of(module("dac.model.dac").ResidualUnit(c, dilation).block[1])


def dac_down(c: int, stride: int) -> Built:
    return _of(module("dac.model.dac").EncoderBlock(2 * c, stride).block[4])


def dac_transformers(c: int, stride: int) -> Built:
    config = transformers.DacConfig(encoder_hidden_size=c, downsampling_ratios=[stride], decoder_hidden_size=2 * c)
    layer = modeling_dac.DacEncoder(config).block[0].conv1
    return _of(nn.utils.parametrizations.weight_norm(layer))


def enformer(c: int, kernel: int) -> Built:
    build = module("enformer_pytorch.modeling_enformer")
    model = build.Enformer.from_hparams(dim=2 * c, depth=1, heads=1, num_downsamples=3, dim_divisible_by=2, attn_dim_key=4)
    return _of({15: model.stem[0], 5: model.conv_tower[0][0][2], 1: model.conv_tower[0][1].fn[2]}[kernel])


def mamba(c: int, kernel: int) -> Built:
    config = transformers.MambaConfig(hidden_size=c, intermediate_size=c, expand=1, conv_kernel=kernel, state_size=2)
    conv = modeling_mamba.MambaMixer(config, 0).conv1d
    return _of(conv, lambda x: conv(x)[..., : x.shape[-1]])


def mambapy(c: int, kernel: int) -> Built:
    build = module("mambapy.mamba")
    conv = build.MambaBlock(build.MambaConfig(d_model=c, n_layers=1, d_conv=kernel, expand_factor=1)).conv1d
    return _of(conv, lambda x: conv(x)[:, :, : x.shape[-1]])


def quartznet(c: int, kernel: int, stride: int, dilation: int) -> Built:
    jasper = module("nemo.collections.asr.parts.submodules.jasper")
    padding = jasper.get_same_padding(kernel, stride, dilation)
    layer = jasper.MaskedConv1d(c, c, kernel, stride, padding, dilation, groups=c, bias=False)
    return _of(layer.conv, lambda x: layer(x, torch.full((x.shape[0],), x.shape[-1]))[0])


def ecapa(c: int, kernel: int, stride: int, dilation: int) -> Built:
    layer = module("speechbrain.nnet.CNN").Conv1d(c, kernel, in_channels=c, stride=stride, dilation=dilation, skip_transpose=True)
    return _of(layer.conv, layer)


def mimi(c: int, kernel: int, stride: int, dilation: int, **other: Any) -> Built:
    layer = modeling_mimi.MimiConv1d(transformers.MimiConfig(), c, c, kernel, stride, dilation, **other)
    return _of(layer.conv, layer)


def moshi(c: int, kernel: int, stride: int, dilation: int, **other: Any) -> Built:
    layer = module("moshi.modules.conv").StreamingConv1d(c, c, kernel, stride, dilation, causal=True, **other)
    return _of(layer.conv.conv, layer)


def conformer(c: int, kernel: int) -> Built:
    config = transformers.Wav2Vec2ConformerConfig(hidden_size=c, conv_depthwise_kernel_size=kernel)
    build = modeling_wav2vec2_conformer.Wav2Vec2ConformerConvolutionModule
    return _of(build(config).depthwise_conv)


def conformer_torchaudio(c: int, kernel: int) -> Built:
    build = module("torchaudio.models.conformer")._ConvolutionModule
    return _of(build(c, c, kernel, bias=True).sequential[2])


def nemo_causal(c: int, kernel: int, stride: int, dilation: int) -> Built:
    layer = module("nemo.collections.asr.parts.submodules.causal_convs").CausalConv1D(
        c, c, kernel, stride, padding=None, dilation=dilation
    )
    return _of(layer)
