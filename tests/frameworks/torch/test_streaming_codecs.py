"""Encoders and decoders of EnCodec and Mimi in transformers, whose input comes in chunks."""

from __future__ import annotations

import pytest
import torch
from helpers.streamed_models import assert_streams, bound, data, streamed
from torch import nn

import convpolicy as cp

pytestmark = [pytest.mark.needs("transformers"), pytest.mark.usefixtures("one_thread")]

SMALL = {"num_filters": 4, "codebook_dim": 8, "codebook_size": 16, "upsampling_ratios": [4, 3, 2]}
ATTENTION = {"head_dim": 8, "num_key_value_heads": 2, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 2}


def encodec(**changes):
    """EnCodec with random weights."""
    import transformers

    torch.manual_seed(0)
    return transformers.EncodecModel(transformers.EncodecConfig(hidden_size=8, **SMALL, **changes)).double().eval()


def mimi(**changes):
    """Mimi with random weights."""
    import transformers

    torch.manual_seed(0)
    more = {"upsample_groups": 16, "vector_quantization_hidden_dimension": 8, "hidden_size": 16}
    return transformers.MimiModel(transformers.MimiConfig(**SMALL, **ATTENTION, **more, **changes)).double().eval()


CHUNKS = [[], [1, 24, 25, 60], [48, 96], [5, 5, 130]]
FRAMES = [list(range(1, 7)), [], [2, 5]]


def test_encodec():
    """Encoder and decoder of the 24 kHz model, with LSTM and weight normalization, at a length that is no multiple of the hop."""
    model = encodec()
    streaming = assert_streams(model.encoder, data(2, 1, 149), CHUNKS)
    assert streaming.multiple == 24
    assert {"layers.0.pending", "layers.1.block.1.pending", "layers.10.lstm.hidden"} <= streaming.state_shapes.keys()
    assert_streams(model.decoder, data(2, 8, 7), FRAMES)


def test_encodec_without_causal_padding():
    """Padding on both sides: the encoder waits, and gives the outputs of the whole."""
    model = encodec(use_causal_conv=False, pad_mode="constant")
    assert assert_streams(model.encoder, data(1, 1, 144), CHUNKS).delay > 0
    assert_streams(model.decoder, data(1, 8, 7), FRAMES)


def test_encodec_with_the_same_bits():
    """Encoder and decoder in single precision: every chunking has the bits of one chunk. Without it, some differ."""
    model, differs = encodec().float(), []
    for part, channels, length, cuts_list in ((model.encoder, 1, 149, CHUNKS), (model.decoder, 8, 7, FRAMES)):
        x = data(2, channels, length, torch.float32)
        with torch.no_grad():
            streaming, fast = cp.streaming(part, execution="same-bits"), cp.streaming(part)
            whole, other = streamed(streaming, x, [])[0], streamed(fast, x, [])[0]
            assert float((whole - part(x)).abs().max()) <= bound(part, whole)
            for cuts in cuts_list:
                assert torch.equal(streamed(streaming, x, cuts)[0], whole)
                differs.append(not torch.equal(streamed(fast, x, cuts)[0], other))
    assert any(differs)


def test_encodec_with_group_normalization():
    """The 48 kHz model normalizes over the time: refused, with the path of the normalization, the reason and the class for a form."""
    model = encodec(norm_type="time_group_norm")
    reason = r"GroupNorm at 'layers\.0\.norm', .* since it normalizes over the whole time axis; .*EncodecConv1d with the hook"
    for part in (model.encoder, model.decoder):
        with pytest.raises(cp.InvalidValueError, match=reason):
            cp.streaming(part)


def test_mimi_without_attention():
    """The convolutions before and after the transformers."""
    model = mimi()
    assert assert_streams(model.encoder.encoder_seanet, data(2, 1, 149), CHUNKS).delay == 0
    assert assert_streams(model.decoder.decoder_seanet, data(2, 16, 7), FRAMES).delay == 0


class Encoder(nn.Module):
    """Mimi's encoder, without what depends on conditions."""

    def __init__(self, encoder):
        super().__init__()
        self.convolutions, self.attention, self.downsample = (
            encoder.encoder_seanet,
            encoder.encoder_transformer,
            encoder.downsample,
        )

    def forward(self, x):
        x = self.convolutions(x).transpose(1, 2)
        return self.downsample(self.attention(x).last_hidden_state.transpose(1, 2))


class Decoder(nn.Module):
    """Mimi's decoder."""

    def __init__(self, decoder):
        super().__init__()
        self.upsample, self.attention, self.convolutions = decoder.upsample, decoder.decoder_transformer, decoder.decoder_seanet

    def forward(self, x):
        return self.convolutions(self.attention(self.upsample(x).transpose(1, 2)).last_hidden_state.transpose(1, 2))


class CachedTransformer:
    """Mimi's transformer with all keys and values so far, for inputs shorter than its window."""

    axes = ("batch", "time", "channels")

    def __init__(self, module):
        self.module = module

    def initial(self, batch):
        config, dtype = self.module.config, next(self.module.parameters()).dtype
        empty = torch.zeros(batch, config.num_key_value_heads, 0, config.head_dim, dtype=dtype)
        return {f"{layer}.{name}": empty for layer in range(config.num_hidden_layers) for name in ("keys", "values")}

    def step(self, chunk, state):
        from transformers import DynamicCache

        if not chunk.shape[1]:
            return {"last_hidden_state": chunk}, state
        cache = DynamicCache()
        for layer in range(self.module.config.num_hidden_layers):
            cache.update(state[f"{layer}.keys"], state[f"{layer}.values"], layer)
        output = self.module(chunk, past_key_values=cache, use_cache=True).last_hidden_state
        new = {f"{layer}.{name}": getattr(each, name) for layer, each in enumerate(cache.layers) for name in ("keys", "values")}
        return {"last_hidden_state": output}, new

    def end(self, state):
        batch, config = state["0.keys"].shape[0], self.module.config
        return {"last_hidden_state": state["0.keys"].new_zeros(batch, 0, config.hidden_size)}


def test_mimi_with_attention():
    """Its transformer is refused by its path; with a streaming form, the whole encoder and decoder are streamed."""
    model = mimi()
    encoder, decoder = Encoder(model.encoder), Decoder(model.decoder)
    with pytest.raises(
        cp.InvalidValueError, match=r"at 'attention.*', which cannot be streamed.* with the hook convpolicy_streaming_forms"
    ):
        cp.streaming(encoder)

    class Plugin:
        @cp.hookimpl
        def convpolicy_streaming_forms(self):
            name = "transformers.models.mimi.modeling_mimi.MimiTransformerModel"
            return [cp.StreamingForm(name, CachedTransformer, description="Mimi's transformer.")]

    cp.register(Plugin(), "mimi")
    try:
        with torch.no_grad():
            x = data(1, 1, 149)
            assert torch.equal(encoder(x), model.encoder(x).latents)
        assert_streams(encoder, x, CHUNKS)
        assert_streams(decoder, data(1, 16, 7), FRAMES)
    finally:
        cp.unregister("mimi")
