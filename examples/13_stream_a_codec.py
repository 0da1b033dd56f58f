# %% [markdown]
# # How do I run a whole codec while the sound arrives?
#
# The encoder and decoder of EnCodec and of Mimi in `transformers`, packet by packet. The models are not changed. They are
# small, so that the example takes seconds, and have random weights: nothing is downloaded. Needs PyTorch and transformers.

# %%
import torch
import transformers
from torch import nn

import convpolicy as cp

torch.manual_seed(0)
torch.set_grad_enabled(False)
torch.set_num_threads(1)  # packets are small: a second thread would wait most of the time
sound = torch.rand(1, 1, 12000) - 0.5  # half a second


def in_packets(live, data, length):
    """Return the outputs of a stream that gets packets of one length, and how many outputs each packet returned."""
    outputs = [*map(live, data.split(length, -1)), live.flush()]
    return torch.cat(outputs, -1), [output.shape[-1] for output in outputs]


def report(live, data, length, whole):
    outputs, counts = in_packets(live, data, length)
    print(
        "  outputs of the first packets:",
        *counts[:-1][:8],
        "| at the end:",
        counts[-1],
        "| together:",
        *outputs.shape[-1:],
        "of",
        *whole.shape[-1:],
    )
    difference = float((outputs - whole).abs().max() / whole.abs().max())
    print("  largest difference from the whole, relative to the largest output, below 1e-5:", difference < 1e-5)


# %% [markdown]
# ## EnCodec
#
# `cp.streaming` finds the convolutions, the residual connections and the LSTM of the model. EnCodec pads by reflection: the first outputs
# wait until the samples that the padding mirrors have come. Later packets return their frames at once.

# %%
codec = transformers.EncodecModel(transformers.EncodecConfig(num_filters=8)).eval()
encoder, decoder = cp.streaming(codec.encoder), cp.streaming(codec.decoder)
print(f"EnCodec's encoder: a frame every {encoder.multiple} samples, delay {encoder.delay} samples")
frames = codec.encoder(sound)
report(encoder.start(), sound, 480, frames)  # packets of 20 ms
print(f"EnCodec's decoder: delay {decoder.delay} frames")
report(decoder.start(), frames, 1, codec.decoder(frames))

# %% [markdown]
# The 48 kHz model normalizes over the whole time. No output is known before the end, so that it is refused.

# %%
stereo = transformers.EncodecConfig(norm_type="time_group_norm", use_causal_conv=False, audio_channels=2, num_filters=4)
try:
    cp.streaming(transformers.EncodecModel(stereo).encoder)
except cp.InvalidValueError as error:
    print(error)

# %% [markdown]
# ## Mimi
#
# Its convolutions are causal. Between them is a transformer, whose attention mixes all earlier frames. convpolicy cannot know that, and
# refuses the module by its path.

# %%
attention = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 32, "intermediate_size": 256}
codec = transformers.MimiModel(transformers.MimiConfig(num_filters=16, hidden_size=128, upsample_groups=128, **attention)).eval()


class Encoder(nn.Module):
    """Mimi's encoder, without the conditions on its caches."""

    def __init__(self, encoder):
        super().__init__()
        self.convolutions, self.attention, self.downsample = (
            encoder.encoder_seanet,
            encoder.encoder_transformer,
            encoder.downsample,
        )

    def forward(self, x):
        frames = self.attention(self.convolutions(x).transpose(1, 2)).last_hidden_state
        return self.downsample(frames.transpose(1, 2))


class Decoder(nn.Module):
    """Mimi's decoder."""

    def __init__(self, decoder):
        super().__init__()
        self.upsample, self.attention, self.convolutions = decoder.upsample, decoder.decoder_transformer, decoder.decoder_seanet

    def forward(self, frames):
        frames = self.attention(self.upsample(frames).transpose(1, 2)).last_hidden_state
        return self.convolutions(frames.transpose(1, 2))


try:
    cp.streaming(Encoder(codec.encoder))
except cp.InvalidValueError as error:
    print(error)

# %% [markdown]
# A streaming form says how the module takes chunks: the state is its keys and values so far. This one is for streams shorter than the
# window of the attention, 10 seconds.


# %%
class CachedAttention:
    axes = ("batch", "time", "channels")

    def __init__(self, module):
        self.module = module

    def initial(self, batch):
        config = self.module.config
        empty = torch.zeros(batch, config.num_key_value_heads, 0, config.head_dim)
        return {f"{layer}.{name}": empty for layer in range(config.num_hidden_layers) for name in ("keys", "values")}

    def step(self, chunk, state):
        if not chunk.shape[1]:
            return {"last_hidden_state": chunk}, state
        cache = transformers.DynamicCache()
        for layer in range(self.module.config.num_hidden_layers):
            cache.update(state[f"{layer}.keys"], state[f"{layer}.values"], layer)
        outputs = self.module(chunk, past_key_values=cache, use_cache=True).last_hidden_state
        state = {
            f"{number}.{name}": getattr(layer, name) for number, layer in enumerate(cache.layers) for name in ("keys", "values")
        }
        return {"last_hidden_state": outputs}, state

    def end(self, state):
        return {"last_hidden_state": torch.zeros(state["0.keys"].shape[0], 0, self.module.config.hidden_size)}


class Plugin:
    @cp.hookimpl
    def convpolicy_streaming_forms(self):
        name = "transformers.models.mimi.modeling_mimi.MimiTransformerModel"
        return [cp.StreamingForm(name, CachedAttention, description="Mimi's transformer, up to its window.")]


cp.register(Plugin(), "mimi")
encoder, decoder = cp.streaming(Encoder(codec.encoder)), cp.streaming(Decoder(codec.decoder))
print(f"Mimi's encoder: a frame every {encoder.multiple} samples, delay {encoder.delay} samples")
frames = codec.encoder(sound).latents
report(encoder.start(), sound, 480, frames)
print(f"Mimi's decoder: delay {decoder.delay} frames")
report(decoder.start(), frames, 1, codec.decoder(frames).audio_values)

# %% [markdown]
# ## Equal bits
#
# The differences above are rounding: a library sums in another order if a call has more outputs. A quantizer can turn that into another
# code. With `execution="same-bits"` the bits do not depend on the packets.

# %%
for name, model, data, lengths in (
    ("encoder", Encoder(codec.encoder), sound, (480, 1000, 7777)),
    ("decoder", Decoder(codec.decoder), frames, (1, 2, 3)),
):
    same = cp.streaming(model, execution="same-bits")
    whole = in_packets(same.start(), data, data.shape[-1])[0]
    differences = [float((in_packets(same.start(), data, length)[0] - whole).abs().max()) for length in lengths]
    print(f"{name}, packets of {', '.join(map(str, lengths))}: largest difference {max(differences)}")
