"""Small torch models of several architectures, whose checkpoints the tests convert for models of other frameworks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import convpolicy as cp
from convpolicy import reference

PRODUCTS = 4096  # more than the products and roundings on any path from an input to an output of these models


class Convs(nn.Module):
    """Conv1d, BatchNorm, GELU and Linear."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3, groups=2)
        self.bn1 = nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 6, 3, bias=False)
        self.bn2 = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = nn.functional.gelu(self.bn1(self.conv1(x)))
        return self.head(self.bn2(self.conv2(x)).mean(2))


class Block(nn.Module):
    """One layer of an encoder."""

    def __init__(self, width):
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.ln2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x):
        y = self.ln1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.fc2(torch.relu(self.fc1(self.ln2(x))))


class Encoder(nn.Module):
    """A transformer with embeddings of words and of places."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.place = nn.Embedding(7, 8)
        self.blocks = nn.ModuleList(Block(8) for _ in range(3))
        self.ln = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11)

    def forward(self, x):
        x = self.embed(x) + self.place(torch.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Recurrent(nn.Module):
    """An LSTM in both directions, a GRU and a Linear."""

    def __init__(self, gru=True):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 6, batch_first=True) if gru else nn.Identity()
        self.fc = nn.Linear(6 if gru else 10, 3)

    def forward(self, x):
        x = self.lstm(x)[0]
        return self.fc(self.gru(x)[0] if isinstance(self.gru, nn.GRU) else x)


class Images(nn.Module):
    """Conv2d, a depthwise one, BatchNorm and GroupNorm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6)
        self.norm = nn.GroupNorm(2, 6)
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        x = torch.relu(self.bn(self.stem(x)))
        return self.fc(self.norm(self.depthwise(x)).mean((2, 3)))


class Decoder(nn.Module):
    """Transposed convolutions, with as many inputs as outputs, and Conv1d."""

    def __init__(self):
        super().__init__()
        self.up1 = nn.ConvTranspose1d(4, 4, 3, stride=2)
        self.up2 = nn.ConvTranspose1d(4, 5, 4, stride=2)
        self.out = nn.Conv1d(5, 2, 3)

    def forward(self, x):
        return self.out(torch.relu(self.up2(torch.relu(self.up1(x)))))


NETS = {"convs": Convs, "encoder": Encoder, "recurrent": Recurrent, "images": Images, "decoder": Decoder}
SHAPES = {"convs": (2, 4, 12), "recurrent": (2, 7, 4), "images": (2, 3, 9, 9), "decoder": (2, 4, 6)}


def net(name, seed=0, **arguments):
    """Return a model in evaluation mode; every number of its parameters and statistics is random."""
    return drawn(NETS[name](**arguments), seed)


def drawn(model, seed=0):
    """Return a model in evaluation mode, after its parameters and statistics are drawn anew."""
    torch.manual_seed(seed)
    model.eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if value.ndim == 1 else torch.randn_like(value) / 2)
    return model


def example(name):
    """Return an input, as torch takes it."""
    random = np.random.default_rng(0)
    if name == "encoder":
        return random.integers(0, 11, (2, 7))
    return random.standard_normal(SHAPES[name]).astype("f4")


def output(model, x):
    """Return the output of a torch model."""
    with torch.no_grad():
        return model(torch.as_tensor(x)).numpy()


def assert_near(one, other):
    """Check that two outputs differ by rounding only."""
    assert one.shape == other.shape
    bound = reference.tolerance("float32", PRODUCTS, np.abs(other).max() + 1)
    assert np.abs(one - other).max() <= bound, np.abs(one - other).max()


def differ(one, other):
    """Return whether two outputs differ by more than a hundred bounds."""
    return np.abs(one - other).max() > 100 * reference.tolerance("float32", PRODUCTS, np.abs(other).max() + 1)


def check_there_and_back(model, x, twin, run, load, values, *, target, middle, source=""):
    """Convert a torch model's file for a twin and back, in the current folder.

    The file loads whole, the outputs of both models agree, the twin is unchanged until then, and the way back gives the same file.
    """
    before = values(twin)
    save_file(model.state_dict(), "a.safetensors")
    report = cp.convert("a.safetensors", middle, source="torch", target=target, model=twin)
    assert report.loading.complete, str(report)
    assert all(np.array_equal(old, new) for old, new in zip(before, values(twin)))
    assert len(report.loaded) == len(before)
    load(twin, middle)
    assert not any(np.array_equal(old, new) for old, new in zip(before, values(twin)))
    expected = output(model, x)
    assert_near(run(twin, x), expected)
    back = cp.convert(middle, "c.safetensors", source=source or target, target="torch", model=model)
    assert back.loading.complete, str(back)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.zero_()
    model.load_state_dict(load_file("c.safetensors"))
    assert np.array_equal(output(model, x), expected)
    assert Path("a.safetensors").read_bytes() == Path("c.safetensors").read_bytes()


def converted(model, twin, load, *, target, middle):
    """Convert a torch model's file for a twin and load it; return whether the whole file fits."""
    save_file(model.state_dict(), "a.safetensors")
    if not cp.convert("a.safetensors", middle, source="torch", target=target, model=twin).loading.complete:
        return False
    load(twin, middle)
    return True


# fault of a table -> the model whose outputs must show it, the kind of module, and the change of a row
FAULTS = {
    "gates": ("recurrent", "gru", lambda row: (row[0], " ".join(sorted(row[1].split())), row[2])),
    "Linear transposed": ("images", "linear", lambda row: (row[0], row[1], {"I O": "O I", "O I": "I O"}.get(row[2], row[2]))),
    "ConvTranspose as Conv": ("decoder", "transposed convolution", lambda row: (row[0], row[1], row[2].replace("GI O", "GO I"))),
    "gamma and beta": ("encoder", "layer norm", lambda row: (row[0], {"scale": "shift", "shift": "scale"}[row[1]], row[2])),
}


def check_that_a_fault_shows(fault, tensors, build, run, load, *, target, middle, monkeypatch):
    """Check that outputs differ, or the file does not load whole, where a table is wrong and the shapes still fit.

    Args:
        fault: one of `FAULTS`.
        tensors: the framework's module of tables, with ``CLASSES`` and ``names``.
        build, run, load: the room's functions, which return model, input and twin, return outputs, and load a file.
        target, middle: name of the framework, and of the file.
        monkeypatch: restores the tables.
    """
    name, kind, change = FAULTS[fault]
    if kind == "gru":
        real = tensors.names.recurrent
        monkeypatch.setitem(tensors.names.GATES, kind, "zrn")
        monkeypatch.setattr(tensors.names, "recurrent", lambda *words: [change(row) for row in real(*words)])
    else:
        for base, (title, rows) in list(tensors.CLASSES.items()):
            if title == kind:
                changed = tuple(map(change, rows))
                assert changed != rows
                monkeypatch.setitem(tensors.CLASSES, base, (title, changed))
    model, x, twin = build(name)
    if converted(model, twin, load, target=target, middle=middle):
        assert differ(run(twin, x), output(model, x))


class Named(nn.Module):
    """A module whose parts have the names of the keywords, in their order."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def dense(width=4):
    """Return a Linear with random numbers."""
    return nn.Linear(width, width)
