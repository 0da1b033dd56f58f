"""Published architectures in small sizes, built offline with random weights: most from transformers, some written out here."""

from __future__ import annotations

import torch
import transformers as t
from torch import nn

TEXT = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 2}
SPEECH = {
    **TEXT, "vocab_size": 11, "conv_dim": (6, 6, 6), "conv_kernel": (4, 3, 2), "conv_stride": (2, 2, 2),
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
CODES = {"codebook_dim": 4, "codebook_size": 8}


def encodec():
    """The codec: convolutions, transposed ones, LSTMs; codebooks are buffers."""
    return t.EncodecModel(t.EncodecConfig(num_filters=2, hidden_size=4, upsampling_ratios=[2, 2], **CODES))


def dac():
    """The codec with the activations Snake, whose parameters no known kind of module has."""
    sizes = {"encoder_hidden_size": 4, "decoder_hidden_size": 8, "downsampling_ratios": [2, 4], "upsampling_ratios": [4, 2]}
    return t.DacModel(t.DacConfig(n_codebooks=2, **sizes, **CODES))


def mimi():
    """The codec with a transformer between the convolutions."""
    sizes = {
        "num_filters": 2,
        "head_dim": 4,
        "num_key_value_heads": 2,
        "upsample_groups": 8,
        "vector_quantization_hidden_dimension": 4,
    }
    return t.MimiModel(t.MimiConfig(num_quantizers=3, upsampling_ratios=[2, 2], **sizes, **TEXT, **CODES))


def hifi_gan():
    """The vocoder of SpeechT5."""
    sizes = {"model_in_dim": 4, "upsample_initial_channel": 8, "upsample_rates": [4, 2], "upsample_kernel_sizes": [8, 4]}
    return t.SpeechT5HifiGan(
        t.SpeechT5HifiGanConfig(resblock_kernel_sizes=[3, 5], resblock_dilation_sizes=[[1, 3], [1, 3]], **sizes)
    )


def wav2vec2():
    """Convolutions and a transformer; one convolution has weight normalization over its kernel axis."""
    return t.Wav2Vec2ForCTC(t.Wav2Vec2Config(**SPEECH))


def hubert():
    """The same layers under names of another model."""
    return t.HubertModel(t.HubertConfig(feat_extract_norm="layer", do_stable_layer_norm=True, **SPEECH))


def wavlm():
    """Attention with a parameter and an embedding for relative positions."""
    return t.WavLMModel(t.WavLMConfig(num_buckets=8, max_bucket_distance=16, **SPEECH))


def whisper():
    """An encoder and a decoder with tied embeddings."""
    sizes = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    sizes |= {f"{side}_ffn_dim": 12 for side in ("encoder", "decoder")}
    places = {"max_source_positions": 10, "max_target_positions": 10, "pad_token_id": 0, "decoder_start_token_id": 1}
    return t.WhisperForConditionalGeneration(t.WhisperConfig(vocab_size=11, num_mel_bins=4, d_model=8, **sizes, **places))


def unispeech():
    """wav2vec 2.0's layers with a quantizer for the loss."""
    sizes = {"num_codevectors_per_group": 4, "num_codevector_groups": 2, "codevector_dim": 8, "proj_codevector_dim": 8}
    return t.UniSpeechForPreTraining(t.UniSpeechConfig(num_ctc_classes=11, **sizes, **SPEECH))


def sew():
    """Squeezed: a convolution in front of the transformer."""
    return t.SEWModel(t.SEWConfig(squeeze_factor=2, **SPEECH))


def data2vec():
    """Five convolutions for the positions."""
    sizes = {**SPEECH, "num_conv_pos_embeddings": 2}
    return t.Data2VecAudioModel(t.Data2VecAudioConfig(conv_pos_kernel_size=3, **sizes))


def speech_to_text():
    """Convolutions in front of an encoder and a decoder."""
    sizes = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    sizes |= {f"{side}_ffn_dim": 12 for side in ("encoder", "decoder")}
    more = {"input_feat_per_channel": 4, "max_source_positions": 10, "max_target_positions": 10, "conv_channels": 6}
    return t.Speech2TextForConditionalGeneration(t.Speech2TextConfig(vocab_size=11, d_model=8, **sizes, **more))


def vits():
    """Text to speech with flows, WaveNet blocks, a duration predictor and HiFi-GAN."""
    sizes = {"ffn_dim": 12, "flow_size": 8, "spectrogram_bins": 5, "upsample_initial_channel": 8, "wavenet_dilation_rate": 1}
    ups = {
        "upsample_rates": [4, 2],
        "upsample_kernel_sizes": [8, 4],
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
    }
    layers = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "prior_encoder_num_flows": 2,
        "prior_encoder_num_wavenet_layers": 2,
    }
    more = {"posterior_encoder_num_wavenet_layers": 2, "duration_predictor_num_flows": 2, "duration_predictor_filter_channels": 8}
    return t.VitsModel(t.VitsConfig(vocab_size=11, hidden_size=8, **sizes, **ups, **layers, **more))


def univnet():
    """A vocoder whose kernels are predicted by convolutions."""
    sizes = {"model_in_channels": 4, "model_hidden_channels": 4, "num_mel_bins": 5, "kernel_predictor_hidden_channels": 4}
    sizes |= {"resblock_kernel_sizes": [3, 3], "resblock_stride_sizes": [4, 2], "resblock_dilation_sizes": [[1, 3], [1, 3]]}
    return t.UnivNetModel(t.UnivNetConfig(kernel_predictor_num_blocks=2, **sizes))


def mamba():
    """A state space model with depthwise convolutions and parameters of its own."""
    return t.MambaForCausalLM(t.MambaConfig(vocab_size=11, hidden_size=8, state_size=3, num_hidden_layers=2, time_step_rank=2))


def bert():
    """Text, with a head whose weight is that of the embedding."""
    return t.BertForMaskedLM(t.BertConfig(vocab_size=11, max_position_embeddings=9, **TEXT))


def gpt2():
    """Text; its linear modules are transformers' Conv1D, with the weight (in, out)."""
    return t.GPT2LMHeadModel(t.GPT2Config(vocab_size=11, n_positions=9, n_embd=8, n_layer=2, n_head=2))


def vit():
    """Images as tokens, with a class token."""
    return t.ViTForImageClassification(t.ViTConfig(image_size=8, patch_size=4, num_labels=3, **TEXT))


def resnet():
    """Images, with BatchNorm."""
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 2]}
    return t.ResNetForImageClassification(t.ResNetConfig(num_labels=3, **sizes))


def convnext():
    """Images, with depthwise convolutions, LayerNorm and parameters for the scale of a layer."""
    return t.ConvNextForImageClassification(t.ConvNextConfig(num_labels=3, num_stages=2, hidden_sizes=[4, 8], depths=[1, 2]))


def videomae():
    """Video: a convolution of three axes."""
    sizes = {"image_size": 8, "patch_size": 4, "num_frames": 4, "tubelet_size": 2}
    return t.VideoMAEModel(t.VideoMAEConfig(**sizes, **TEXT))


class TemporalBlock(nn.Module):
    """A block of locuslab's TCN, whose convolutions are also in a Sequential."""

    def __init__(self, inputs, outputs, kernel, dilation):
        super().__init__()
        padding = (kernel - 1) * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=padding, dilation=dilation)
        self.net = nn.Sequential(self.conv1, nn.ReLU(), self.conv2, nn.ReLU())
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None


class TCN(nn.Module):
    """The temporal convolutional network: most tensors have two names in the checkpoint."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(TemporalBlock(2, 4, 3, 1), TemporalBlock(4, 4, 3, 2), TemporalBlock(4, 6, 3, 4))


class WaveNet(nn.Module):
    """Dilated convolutions with gates, residual and skip connections; every block has the same shapes."""

    def __init__(self, channels=4, skips=6, blocks=2, layers=3):
        super().__init__()
        self.start = nn.Conv1d(1, channels, 1)
        dilations = [2**power for _block in range(blocks) for power in range(layers)]
        self.filter_convs = nn.ModuleList(nn.Conv1d(channels, channels, 2, dilation=by) for by in dilations)
        self.gate_convs = nn.ModuleList(nn.Conv1d(channels, channels, 2, dilation=by) for by in dilations)
        self.residual_convs = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in dilations)
        self.skip_convs = nn.ModuleList(nn.Conv1d(channels, skips, 1) for _ in dilations)
        self.end_conv_1, self.end_conv_2 = nn.Conv1d(skips, skips, 1), nn.Conv1d(skips, 5, 1)


class DeepSpeech(nn.Module):
    """Convolutions over time and frequency, and recurrent layers in both directions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 3, (5, 3)), nn.BatchNorm2d(3), nn.Hardtanh(), nn.Conv2d(3, 3, (3, 3)), nn.BatchNorm2d(3)
        )
        self.lstm = nn.LSTM(6, 5, bidirectional=True)
        self.norm = nn.BatchNorm1d(10)
        self.gru = nn.GRU(10, 5)
        self.fc = nn.Linear(5, 7, bias=False)


class ConvTasNet(nn.Module):
    """A learned filter bank, blocks with depthwise convolutions and PReLU, and its inverse."""

    def __init__(self, filters=6, channels=4, blocks=3):
        super().__init__()
        self.encoder = nn.Conv1d(1, filters, 4, stride=2, bias=False)
        self.norm = nn.GroupNorm(1, filters)
        self.bottleneck = nn.Conv1d(filters, channels, 1)
        self.blocks = nn.ModuleList(self._block(channels, 2**number) for number in range(blocks))
        self.mask = nn.Sequential(nn.PReLU(), nn.Conv1d(channels, 2 * filters, 1))
        self.decoder = nn.ConvTranspose1d(filters, 1, 4, stride=2, bias=False)

    @staticmethod
    def _block(channels, dilation):
        wide = 2 * channels
        return nn.Sequential(
            nn.Conv1d(channels, wide, 1), nn.PReLU(), nn.GroupNorm(1, wide),
            nn.Conv1d(wide, wide, 3, dilation=dilation, padding=dilation, groups=wide), nn.PReLU(), nn.GroupNorm(1, wide),
            nn.Conv1d(wide, channels, 1),
        )  # fmt: skip


class UNet(nn.Module):
    """Images: down with Conv2d and BatchNorm, up with ConvTranspose2d."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(one, two, 3), nn.BatchNorm2d(two)) for one, two in ((1, 3), (3, 6)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(one, two, 2, stride=2) for one, two in ((6, 3), (6, 3)))
        self.out = nn.Conv2d(3, 2, 1)


ARCHITECTURES = {
    "encodec": encodec, "dac": dac, "mimi": mimi, "hifi-gan": hifi_gan, "wav2vec2": wav2vec2, "hubert": hubert, "wavlm": wavlm,
    "whisper": whisper, "unispeech": unispeech, "sew": sew, "data2vec": data2vec, "speech-to-text": speech_to_text, "vits": vits,
    "univnet": univnet, "mamba": mamba, "bert": bert, "gpt2": gpt2, "vit": vit, "resnet": resnet, "convnext": convnext,
    "videomae": videomae, "tcn": TCN, "wavenet": WaveNet, "deep-speech": DeepSpeech, "conv-tasnet": ConvTasNet, "unet": UNet,
}  # fmt: skip


def architecture(name):
    """Return a model whose numbers are all random and different, its counts of batches too."""
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(torch.rand_like(value) + 0.5 if value.is_floating_point() else torch.randint(1, 9, value.shape))
    return model
