"""Models of torch for the tests of streaming, and how they are compared with their streams."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import convpolicy as cp
from convpolicy.chunks.stage import output_arrays


def old_weight_norm(layer):
    """Weight normalization by a hook, which torch calls deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(layer)


class Chomp1d(nn.Module):
    """As in locuslab's file."""

    def __init__(self, chomp_size):
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    """As in locuslab's file."""

    def __init__(self, inputs, outputs, kernel, dilation, norm):
        super().__init__()
        padding = (kernel - 1) * dilation
        layers = []
        for channels in (inputs, outputs):
            conv = norm(nn.Conv1d(channels, outputs, kernel, padding=padding, dilation=dilation))
            layers += [conv, Chomp1d(padding), nn.ReLU(), nn.Dropout(0.2)]
        self.net = nn.Sequential(*layers)
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        out = self.net(x)
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def temporal_network(norm=nn.utils.parametrizations.weight_norm):
    """Three blocks of a TCN."""
    return nn.Sequential(*(TemporalBlock(inputs, 6, 3, dilation, norm) for inputs, dilation in ((3, 1), (6, 2), (6, 4))))


class WaveNet(nn.Module):
    """Gated dilated convolutions with residual and skip connections, padded on the left or not at all."""

    def __init__(self, padded=True):
        super().__init__()
        self.padded, self.dilations = padded, (1, 2, 4)
        self.first = nn.Conv1d(3, 4, 1)
        self.gates = nn.ModuleList(nn.Conv1d(4, 8, 2, dilation=dilation) for dilation in self.dilations)
        self.residuals = nn.ModuleList(nn.Conv1d(4, 4, 1) for _ in self.dilations)
        self.skips = nn.ModuleList(nn.Conv1d(4, 5, 1) for _ in self.dilations)
        self.last = nn.Sequential(nn.ReLU(inplace=True), nn.Conv1d(5, 5, 1), nn.PReLU(5), nn.Conv1d(5, 2, 1))

    def forward(self, x):
        x, total, rest = self.first(x), 0, 0 if self.padded else sum(self.dilations)
        for dilation, gate, residual, skip in zip(self.dilations, self.gates, self.residuals, self.skips):
            filtered, gated = gate(F.pad(x, (dilation, 0)) if self.padded else x).chunk(2, dim=1)
            out = torch.tanh(filtered) * torch.sigmoid(gated)
            if not self.padded:
                x, rest = x[..., dilation:], rest - dilation
            total = total + skip(out)[:, :, rest:]
            x = x + residual(out)
        return self.last(total)


class UNet(nn.Module):
    """A strided encoder and a transposed decoder with a skip connection, and a reflecting middle."""

    def __init__(self):
        super().__init__()
        self.down0, self.down1 = nn.Conv1d(3, 4, 5, padding=2), nn.Conv1d(4, 8, 4, 2, padding=1)
        self.middle = nn.Conv1d(8, 8, 3, padding=1, padding_mode="reflect")
        self.norm, self.up = nn.BatchNorm1d(8), nn.ConvTranspose1d(8, 4, 4, 2, padding=1)
        self.last = nn.Conv1d(8, 2, 3, padding=1)

    def forward(self, x):
        skip = F.leaky_relu(self.down0(x), 0.1)
        low = F.gelu(self.norm(self.down1(skip)))
        low = low + self.middle(low)
        return self.last(torch.cat([self.up(low), skip], dim=1))


class Recurrent(nn.Module):
    """A convolution, layer normalization, a recurrent layer and a linear layer, whose outputs are (batch, time, channels)."""

    def __init__(self, layer, last_channels):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 8, 3, stride=2, padding=1), nn.LayerNorm(8)
        self.layer, self.linear = layer, nn.Linear(last_channels, 4)

    def forward(self, x):
        x = self.norm(F.silu(self.conv(x)).permute(0, 2, 1))
        x, _state = self.layer(x if self.layer.batch_first else x.transpose(0, 1))
        return self.linear(x if self.layer.batch_first else x.transpose(0, 1)).log_softmax(-1)


class Functions(nn.Module):
    """Functions in place of modules: convolutions on parameters, cuts by the length, pooling, upsampling, reshaping."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 3, 3)), nn.Parameter(torch.randn(4))
        self.back, self.scale = nn.Parameter(torch.randn(4, 2, 4)), nn.Parameter(torch.rand(4, 1))
        self.depthwise = nn.Conv1d(4, 4, 4, padding=3, groups=4)
        self.pad, self.pool, self.up = nn.ReplicationPad1d((2, 1)), nn.AvgPool1d(3, 2, padding=1), nn.Upsample(scale_factor=3)

    def forward(self, x):
        batch, _channels, length = x.shape
        x = F.conv1d(x, self.weight, self.bias, padding=1)
        x = self.depthwise(x)[..., :length] * self.scale.exp()
        x = self.pool(self.pad(x)).view(batch, 2, 2, -1).transpose(1, 2).reshape(batch, 4, -1)
        x = F.conv_transpose1d(self.up(x), self.back, stride=2)
        return F.max_pool1d(x[:, :, 1 : x.shape[-1] - 2].softmax(1), 2)


MODELS = {  # model, and the delay that its layers need
    "tcn": (temporal_network, 0),
    "tcn, old weight norm": (lambda: temporal_network(old_weight_norm), 0),
    "wavenet": (WaveNet, 0),
    "wavenet, valid": (lambda: WaveNet(padded=False), 7),
    "unet": (UNet, None),
    "lstm": (lambda: Recurrent(nn.LSTM(8, 6, 2, batch_first=True), 6), 0),
    "lstm, projected": (lambda: Recurrent(nn.LSTM(8, 6, proj_size=5), 5), 0),
    "gru": (lambda: Recurrent(nn.GRU(8, 6, 2), 6), 0),
    "functions": (Functions, None),
}


def built(name, dtype=torch.float64):
    """A model in evaluation mode with random weights and statistics."""
    torch.manual_seed(0)
    model = MODELS[name][0]()
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    return model.to(dtype).eval()


def data(batch, channels, length, dtype=torch.float64, seed=0):
    """Random data."""
    return torch.randn(batch, channels, length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def cuttings(length, count, seed=0):
    """Lists of places where an input is cut, with empty chunks among them; the first list has chunks of one sample."""
    random = np.random.default_rng(seed)
    yield list(range(1, length))
    yield []
    for _ in range(count):
        yield sorted(random.integers(0, length + 1, random.integers(1, 7)).tolist())


def streamed(streaming, x, cuts):
    """The outputs of all steps and of the flush, joined along the time, and the last state."""
    state, outputs = streaming.initial_state(x.shape[0]), []
    for chunk in torch.tensor_split(x, cuts, dim=-1):
        output, state = streaming.step(chunk, state)
        outputs.append(output)
    outputs.append(streaming.flush(state))
    return torch.cat(outputs, output_arrays(streaming._stage).axis), state


def bound(model, whole):
    """How far two orders of summation may be apart: the sums of all layers have as many terms as the model has weights.

    All gains of these models are about 1 or less, so that errors of a layer do not grow in the next.
    """
    terms = sum(parameter.numel() for parameter in model.parameters())
    return terms * torch.finfo(whole.dtype).eps * max(float(whole.detach().abs().max()), 1.0)


def assert_streams(model, x, cuts_list):
    """Every cutting gives the outputs of the whole model."""
    streaming = cp.streaming(model)
    with torch.no_grad():
        whole = model(x)
        for cuts in cuts_list:
            outputs, _state = streamed(streaming, x, cuts)
            assert outputs.shape == whole.shape
            assert float((outputs - whole).abs().max()) <= bound(model, whole), cuts
    return streaming
