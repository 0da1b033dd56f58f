# %% [markdown]
# # How do I filter a signal while it is recorded?
#
# An electrocardiogram arrives in packets of 10 samples. Each packet alone, padded at both ends, gives other outputs at every border.
# `cp.streaming` keeps the samples that the next outputs need. NumPy only: the signal is synthetic, whole numbers, so that sums are exact.

# %%
import numpy as np
from measured import difference

import convpolicy as cp

time = np.arange(1020) / 256  # four seconds
ecg = 12 * np.sin(2 * time) - 90  # a baseline that breathing moves
for beat in (0.3, 1.2, 2.1, 3.0, 3.9):
    for at, height, width in ((-0.20, 18, 0.025), (0.00, 160, 0.011), (0.05, -25, 0.010), (0.28, 40, 0.040)):
        ecg += height * np.exp(-(((time - beat - at) / width) ** 2) / 2)
ecg = np.round(ecg).astype(np.float32)[None, None]  # (batch, channels, length)
packets = np.split(ecg, range(10, 1020, 10), axis=-1)

kernel = np.minimum(np.arange(1, 10), np.arange(9, 0, -1)).astype(np.float32)  # a triangle


def smoother(**options):
    """A convolution with 9 taps, whole numbers too."""
    return cp.Conv1d(1, 1, 9, weight_init=kernel[None, None], bias=False, **options)


# %% [markdown]
# Packets that are filtered one by one jump at their borders.

# %%
layer = smoother(padding=(4, 4), padding_mode="reflect")
apart = np.concatenate([layer(packet) for packet in packets], axis=-1)
print("packet by packet, largest difference from the whole:", difference(apart, layer(ecg)) / kernel.sum())

# %% [markdown]
# A stream gives the outputs of the whole. Each waits for the four samples after it, and the first ones for the samples that the padding
# mirrors.

# %%
streaming = cp.streaming(layer)
live = streaming.start()
outputs = [live(packet) for packet in packets]
print("outputs of the first packets:", [output.shape[-1] for output in outputs[:4]])
outputs.append(live.flush())
print("outputs at the end:", outputs[-1].shape[-1])
print(f"an output waits {streaming.delay} samples, {streaming.delay / 256 * 1000:.0f} ms")
print("in a stream, largest difference from the whole:", difference(np.concatenate(outputs, axis=-1), layer(ecg)))

# %% [markdown]
# Who cannot wait uses a causal layer. It returns each output with its sample, and its outputs are late by half a kernel instead.

# %%
causal = smoother(padding="causal")
live = cp.streaming(causal).start()
outputs = [live(packet) for packet in packets]
print("outputs at the end of a causal stream:", live.flush().shape[-1])
print("late by four samples, largest difference:", difference(np.concatenate(outputs, axis=-1)[..., 8:], layer(ecg)[..., 4:-4]))

# %% [markdown]
# Two recordings run in one batch. The second electrode falls off and starts anew.

# %%
live, second = streaming.start(batch=2), []
for number, packet in enumerate(packets[:40]):
    if number == 20:
        live.reset(np.array([False, True]))
        second.clear()
    output = live(np.concatenate([packet, packet]))
    second.append(output[1:, :, : live.lengths[1]])
second.append(live.flush()[1:])
expected = layer(np.concatenate(packets[20:40], axis=-1))
print("after a reset, largest difference:", difference(np.concatenate(second, axis=-1), expected))
