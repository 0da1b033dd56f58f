# %% [markdown]
# # How do I rebuild a whole codec or vocoder from policies?
#
# The encoder and decoder of EnCodec and the generator of HiFi-GAN, built from two policies, with the weights of the models in
# `transformers`. The weights are random: nothing is downloaded. Needs PyTorch and transformers.

# %%
import torch
import transformers
from torch import nn
from torch.nn.functional import leaky_relu

import convpolicy as cp

torch.manual_seed(0)


def largest_difference(ours, theirs):
    return float((ours - theirs).abs().max())


# %% [markdown]
# ## EnCodec
#
# The policy knows the padding of a convolution, what a transposed convolution cuts, and the weight normalization. What is left to
# write is the order of the layers.

# %%
POLICY = "paper/encodec"


def conv(*sizes, **more):
    return cp.Conv1d(*sizes, **more, policy=POLICY, backend="torch")


def up(*sizes):
    return cp.ConvTranspose1d(*sizes, policy=POLICY, backend="torch")


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block = nn.ModuleList([nn.ELU(), conv(channels, channels // 2, 3), nn.ELU(), conv(channels // 2, channels, 1)])
        self.shortcut = conv(channels, channels, 1)

    def forward(self, x):
        y = x
        for layer in self.block:
            y = layer(y)
        return self.shortcut(x) + y


class Recurrent(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, 2)

    def forward(self, x):
        x = x.permute(2, 0, 1)
        return (self.lstm(x)[0] + x).permute(1, 2, 0)


class Stack(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def encoder(filters=32, strides=(2, 4, 5, 8)):
    layers, channels = [conv(1, filters, 7)], filters
    for stride in strides:
        layers += [Residual(channels), nn.ELU(), conv(channels, 2 * channels, 2 * stride, stride)]
        channels *= 2
    return Stack([*layers, Recurrent(channels), nn.ELU(), conv(channels, 128, 7)])


def decoder(filters=32, strides=(8, 5, 4, 2)):
    channels = filters * 2 ** len(strides)
    layers = [conv(128, channels, 7), Recurrent(channels)]
    for stride in strides:
        layers += [nn.ELU(), up(channels, channels // 2, 2 * stride, stride), Residual(channels // 2)]
        channels //= 2
    return Stack([*layers, nn.ELU(), conv(filters, 1, 7)])


# %% [markdown]
# In `transformers` a convolution is called `conv` inside a module that pads or cuts. Here it is the layer itself, so `.conv` is
# removed from the names. `load_state_dict` then finds every tensor and nothing else.

# %%
model = transformers.EncodecModel(transformers.EncodecConfig()).eval()


def load(ours, theirs):
    return ours.load_state_dict({name.replace(".conv.", "."): tensor for name, tensor in theirs.state_dict().items()})


encode, decode = encoder().eval(), decoder().eval()
print("encoder:", load(encode, model.encoder))
print("decoder:", load(decode, model.decoder))

# %%
with torch.no_grad():
    for length in (24000, 12345, 320, 1):
        sound = torch.randn(1, 1, length)
        codes = model.encoder(sound)
        ours = encode(sound)
        print(
            f"{length} samples, {ours.shape[-1]} frames, {decode(codes).shape[-1]} samples, largest differences:",
            largest_difference(ours, codes),
            largest_difference(decode(codes), model.decoder(codes)),
        )

# %% [markdown]
# ## HiFi-GAN
#
# In its generator every convolution pads `(kernel_size - 1) * dilation // 2` on both sides, and every transposed convolution cuts
# `(kernel_size - stride) // 2`. The names of the parameters are those of `transformers`.

# %%
POLICY = "paper/hifi-gan"
config = transformers.SpeechT5HifiGanConfig(normalize_before=False)


class Branch(nn.Module):
    def __init__(self, channels, kernel, dilations):
        super().__init__()
        self.convs1 = nn.ModuleList(conv(channels, channels, kernel, dilation=dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(channels, channels, kernel) for _ in dilations)

    def forward(self, x):
        for first, second in zip(self.convs1, self.convs2):
            x = x + second(leaky_relu(first(leaky_relu(x, 0.1)), 0.1))
        return x


class Generator(nn.Module):
    def __init__(self, channels=512, strides=(4, 4, 4, 4), kernels=(8, 8, 8, 8), branches=(3, 7, 11), dilations=(1, 3, 5)):
        super().__init__()
        self.conv_pre = conv(80, channels, 7)
        self.upsampler, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for stride, kernel in zip(strides, kernels):
            self.upsampler.append(up(channels, channels // 2, kernel, stride))
            channels //= 2
            self.resblocks.extend(Branch(channels, width, dilations) for width in branches)
        self.conv_post = conv(channels, 1, 7)

    def forward(self, x):
        x = self.conv_pre(x)
        for number, layer in enumerate(self.upsampler):
            x = layer(leaky_relu(x, 0.1))
            x = sum(branch(x) for branch in self.resblocks[3 * number : 3 * number + 3]) / 3
        return torch.tanh(self.conv_post(leaky_relu(x)))


# %%
model = transformers.SpeechT5HifiGan(config).eval()
model.apply_weight_norm()
generate = Generator().eval()
tensors = {name: tensor for name, tensor in model.state_dict().items() if name not in ("mean", "scale")}
print("generator:", generate.load_state_dict(tensors))

# %%
with torch.no_grad():
    for frames in (1, 10, 33):
        mel = torch.randn(1, frames, 80)
        ours, theirs = generate(mel.transpose(1, 2))[:, 0], model(mel)
        print(f"{frames} frames, {ours.shape[-1]} samples, largest difference: {largest_difference(ours, theirs)}")
