"""A convolution whose parent pads or cuts is never plain "ported"; one whose parent does neither is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convpolicy as cp


class Base(nn.Module):
    """Two convolutions."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 3)
        self.pad = nn.ConstantPad1d((2, 0), 0.0)
        self.norm = nn.BatchNorm1d(4)


class Nested(Base):
    def forward(self, data):
        return self.two(torch.relu(self.one(F.pad(data, (2, 0)))))


class Variable(Base):
    def forward(self, data):
        data = F.pad(data, (2, 0))
        data = torch.relu(self.norm(data))
        data = self.one(data)
        return self.two(data)


class Module(Base):
    def forward(self, data):
        return self.two(self.pad(self.one(data)))


class Sliced(Base):
    def forward(self, data):
        hidden = self.one(data)
        length = hidden.shape[-1] - 2
        return self.two(torch.relu(hidden)[:, :, :length])


class Helper(Base):
    def wider(self, data):
        left = data.new_zeros(data.shape[0], 4, 2)
        return torch.cat([left, data], -1)

    def forward(self, data):
        hidden = self.two(self.one(self.wider(data)))
        return hidden


def both_sides(data):
    """Pad in a function of this module."""
    return F.pad(data, (1, 1), mode="reflect")


class Function(Base):
    def forward(self, data):
        return self.two(both_sides(self.one(data)))


class Streaming(Base):
    cache = torch.zeros(1, 4, 2)

    def forward(self, data):
        return self.two(self.one(torch.cat([self.cache, data], dim=-1)))


class Method(Base):
    def encode(self, data):
        return self.one(F.pad(data, (2, 0)))

    def forward(self, data):
        return self.two(self.encode(data))


class Residual(Base):
    """What is cut is not the output of a convolution."""

    def forward(self, data):
        hidden = self.two(self.one(data))
        return hidden + data[..., 2:-2]


class Channels(Base):
    """A slice of channels, and padding of what no convolution reads."""

    def forward(self, data):
        hidden = self.two(self.one(data))
        return F.pad(hidden[:, :2], (1, 1))


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(4, 4, 3, dilation=2**number) for number in range(3)])

    def forward(self, data):
        for layer in self.layers:
            data = torch.relu(layer(F.pad(data, (2 * layer.dilation[0], 0))))
        return data


class Weights(nn.Module):
    """The convolution is not called: its weight is."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(4, 4, 3)

    def forward(self, data):
        return F.conv1d(F.pad(data, (2, 0)), self.one.weight, self.one.bias)


class Inside(nn.Module):
    """A module of one convolution, which pads nothing itself."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv1d(4, 4, 3))

    def forward(self, data):
        return self.one(data)


class Outside(nn.Module):
    """It pads for the module inside."""

    def __init__(self):
        super().__init__()
        self.inner = Inside()

    def forward(self, data):
        return self.inner(F.pad(data, (2, 0)))


class Cropping(nn.Module):
    def forward(self, data):
        return data[..., 1:]


PAD, CONV = nn.ConstantPad1d((2, 0), 0.0), lambda: nn.Conv1d(4, 4, 3)
CASES = {
    "nested": (Nested, {"one": "Nested (F.pad in forward)"}),
    "variable": (Variable, {"one": "Variable (F.pad in forward)"}),
    "module": (Module, {"two": "Module (self.pad in forward)"}),
    "slice": (Sliced, {"one": "Sliced ([:, :, :length] in forward)", "two": "Sliced ([:, :, :length] in forward)"}),
    "helper": (Helper, {"one": "Helper (self.wider in forward)"}),
    "function": (Function, {"two": "Function (both_sides in forward)"}),
    "streaming": (Streaming, {"one": "Streaming (torch.cat in forward)"}),
    "method": (Method, {"one": "Method (F.pad in encode)"}),
    "residual": (Residual, {}),
    "channels": (Channels, {}),
    "loop": (Loop, {f"layers.{number}": "Loop (F.pad in forward)" for number in range(3)}),
    "weights": (Weights, {"one": "Weights (F.pad in forward)"}),
    "outside": (Outside, {"inner.one.0": "Outside (F.pad in forward)"}),
    "sequence": (lambda: nn.Sequential(PAD, nn.ReLU(), CONV(), CONV()), {"2": "Sequential (ConstantPad1d before it)"}),
    "sequence-cut": (lambda: nn.Sequential(CONV(), CONV(), Cropping()), {"1": "Sequential (Cropping after it)"}),
    "sequence-in-sequence": (
        lambda: nn.Sequential(PAD, nn.Sequential(CONV(), CONV())), {"1.0": "Sequential (ConstantPad1d before it)"},
    ),
    "plain": (lambda: nn.Sequential(CONV(), nn.ReLU(), nn.ModuleDict({"a": CONV()})), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_which_convolutions_are_padded_by_a_parent(case):
    """The report names parent and code for each of them, and says plain "ported" of all others."""
    make, texts = CASES[case]
    report = cp.port_model(make(), to="numpy").report
    notes = {row.path: row.state.removeprefix("ported, but its parent pads: ") for row in report if row.state != "ported"}
    assert notes == texts
    assert len(report) > len(texts) or case in ("slice", "loop", "weights", "outside")


def test_without_source_code():
    """A class whose source cannot be read is judged by the names in its code."""
    names = {"nn": nn, "F": F}
    exec(
        "class Hidden(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.conv = nn.Conv1d(4, 4, 3)\n"
        "    def forward(self, x):\n        return self.conv(F.pad(x, (2, 0)))\n",
        names,
    )
    (row,) = cp.port_model(names["Hidden"](), to="numpy").report
    assert row.state == "ported, but its parent pads: Hidden (pad in forward)"


def test_a_forward_of_one_object():
    """A forward that an object was given counts, not that of its class."""
    own = Inside()
    own.forward = lambda data: own.one(F.pad(data, (1, 1)))
    (row,) = cp.port_model(own, to="numpy").report
    assert row.state.startswith("ported, but its parent pads: Inside (F.pad in <lambda>")


class DepthWiseConv1d(nn.Module):
    """As in torchfcpe and lucidrains' conformer."""

    def __init__(self):
        super().__init__()
        self.conv = CONV()

    def forward(self, x):
        """Call the convolution."""
        return self.conv(x)


class ScaledConv1d(DepthWiseConv1d):
    """Scales the output."""

    def forward(self, x):
        return self.conv(x) * 2


class OtherInputConv1d(DepthWiseConv1d):
    """Scales the input."""

    def forward(self, x):
        return self.conv(-x)


class SecondConv1d(DepthWiseConv1d):
    """Convolves one of two inputs."""

    def forward(self, x, y):
        return self.conv(y)


def hooked():
    own = DepthWiseConv1d()
    own.register_forward_hook(lambda module, inputs, output: output * 2)
    return own


@pytest.mark.parametrize("make", [DepthWiseConv1d, ScaledConv1d, OtherInputConv1d, SecondConv1d, hooked])
def test_a_parent_that_only_calls_its_convolution(make):
    """It is named like a convolution, and leaves nothing to port; one that does anything else is named as incomplete."""
    own = make()
    (row,) = cp.port_model(nn.Sequential(own), to="numpy").report
    plain = make is DepthWiseConv1d
    assert (
        row.state == "ported"
        if plain
        else row.state.startswith(f"ported, but incomplete: the work of the enclosing {type(own).__name__}")
    )


@pytest.mark.filterwarnings("ignore")  # torch says that these tools are old
def test_frozen_models():
    """A frozen scripted model has no modules, and is refused in one sentence."""
    scripted = torch.jit.script(nn.Sequential(CONV(), nn.ReLU(), CONV()).eval())
    with pytest.raises(
        cp.InvalidTypeError, match="model Sequential is scripted, and its graph contains convolutions that are no"
    ):
        cp.port_model(torch.jit.freeze(scripted), to="numpy")


def test_a_model_without_convolutions():
    """The report says what is looked for."""
    assert str(cp.port_model(nn.Sequential(nn.Linear(2, 2)), to="numpy")).startswith(
        "The model contains no module that is a Conv1d"
    )
