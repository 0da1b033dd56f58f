# %% [markdown]
# # How do I reproduce the convolutions of EnCodec and HiFi-GAN?
#
# A paper's policy pads as the paper's code does. The outputs in `data/` come from the models in `transformers`. NumPy only.

# %%
from measured import difference, measured

import convpolicy as cp

transformers = measured("transformers")
signal = transformers["signal"]

# %% [markdown]
# What each layer does to an input of 37 samples. EnCodec pads by reflection, with all of `kernel_size - stride` on the left and,
# on the right, what fills the last window. HiFi-GAN pads zeros on both sides.

# %%
LAYERS = {"encodec": ("first", "residual", "down_2", "down_5", "last"), "hifi-gan": ("resblock_3", "resblock_11")}
for model, names in LAYERS.items():
    policy = cp.policy(f"paper/{model}")
    for name in names:
        sizes, taps = policy.paper.sizes(name), transformers[f"{model}.{name}.taps"]
        plan = policy.plan(**sizes, length=37)
        output = cp.Conv1d(1, 1, **sizes, policy=policy, bias=False, weight_init=taps)(signal)
        apart = difference(output, transformers[f"{model}.{name}.output"])
        print(f"{model:8} {name:11} left {plan.left:2}, right {plan.right:2} -> {plan.length_out:2} outputs, difference {apart}")

# %% [markdown]
# The whole encoder of EnCodec, 24 kHz: a chain gives its length, its receptive field and whether it is causal.
# The code says `causal=True`, but reflected samples come from the future.

# %%
encodec = "paper/encodec"
layers = [(encodec, 7)]  # policy, kernel_size, stride
for stride in (2, 4, 5, 8):
    layers += [(encodec, 3), (encodec, 1), (encodec, 2 * stride, stride)]
encoder = cp.chain([*layers, (encodec, 7)])
print(f"one frame every {encoder.stride} samples, from {encoder.receptive_field} samples")
print(encoder.causality(length=24000))

lengths, frames = transformers["lengths"], transformers["frames"]
largest = max(abs(encoder.length(int(length)) - int(count)) for length, count in zip(lengths, frames))
print(f"24000 samples give {encoder.length(24000)} frames")
print(f"largest difference in frames from transformers, {len(lengths)} input lengths: {largest}")
