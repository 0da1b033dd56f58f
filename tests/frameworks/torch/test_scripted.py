"""Convolutions of TorchScript: captured from the graph of the module, with the settings and weights of the eager layer."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import convpolicy as cp

pytestmark = pytest.mark.filterwarnings("ignore")  # torch says that these tools are old
LENGTH = 20


def script(module):
    return torch.jit.script(module)


def trace(module):
    return torch.jit.trace(module, torch.zeros(1, 4, LENGTH), check_trace=False)


def loaded(module):
    """A scripted module that was saved and loaded, of which Python knows no class."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return torch.jit.load(file)


WAYS = (script, trace, loaded)
LAYERS = {
    "plain": lambda: nn.Conv1d(4, 6, 3),
    "all sizes": lambda: nn.Conv1d(4, 6, 3, stride=2, padding=4, dilation=3, groups=2, bias=False),
    "same": lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=3),
    "valid": lambda: nn.Conv1d(4, 6, 4, padding="valid"),
    "reflect": lambda: nn.Conv1d(4, 6, 5, padding=2, stride=2, padding_mode="reflect"),
    "circular same": lambda: nn.Conv1d(4, 6, 4, padding="same", padding_mode="circular"),
    "replicate": lambda: nn.Conv1d(4, 4, 3, padding=7, groups=4, padding_mode="replicate"),
    "float64": lambda: nn.Conv1d(4, 6, 3).double(),
    "transposed": lambda: nn.ConvTranspose1d(4, 6, 4),
    "transposed, all sizes": lambda: nn.ConvTranspose1d(4, 6, 5, stride=3, padding=2, output_padding=1, groups=2, dilation=2, bias=False),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("way", WAYS)
def test_a_scripted_layer_is_the_eager_one(way, name):
    """Weights and policy of the capture compute what the layer computes, every bit, for lengths that the trace did not see."""
    torch.manual_seed(0)
    layer = LAYERS[name]()
    if way is trace and name == "float64":
        compiled = torch.jit.trace(layer, torch.zeros(1, 4, LENGTH, dtype=torch.float64), check_trace=False)
    else:
        compiled = way(layer)
    captured, eager = cp.capture(compiled), cp.capture(layer)
    assert (captured.spec, captured.dtype) == (eager.spec, eager.dtype)
    assert np.array_equal(captured.weight, eager.weight)
    built = captured.build("torch")
    for length in (9, 16, LENGTH, 31):
        data = torch.randn(2, 4, length, dtype=layer.weight.dtype)
        with torch.no_grad():
            assert torch.equal(built(data), layer(data)), length


@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_a_traced_weight_norm(normalize):
    """A trace computes the weight from two tensors, and the capture has the result; scripting it is refused by torch or by the graph."""
    torch.manual_seed(0)
    layer = normalize(nn.Conv1d(4, 6, 3))
    data = torch.randn(2, 4, 11)
    with torch.no_grad():
        assert torch.equal(cp.capture(trace(layer)).build("torch")(data), layer(data))
    ported = cp.port_model(trace(nn.Sequential(layer, nn.ReLU())), to="torch")
    (row,) = ported.report
    if normalize is nn.utils.weight_norm:  # whose hook runs in the graph of the parent
        assert "its weight is computed by the module around it" in row.reason
        return
    assert (row.path, row.state) == ("0", "ported")
    with torch.no_grad():
        assert torch.equal(ported.layers["0"](data), layer(data))


class Padded(nn.Module):
    """A causal layer of its own name, which pads and convolves."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4, 3))

    def forward(self, x: torch.Tensor):
        return F.conv1d(F.pad(x, (2, 1)), self.weight, stride=2)


def test_a_module_that_pads_and_convolves():
    """Any module whose graph is one convolution and its padding is captured; a model's report lists it."""
    own = Padded()
    for way in WAYS:
        model = way(nn.Sequential(own, nn.ReLU(), nn.Conv1d(6, 2, 1)))
        ported = cp.port_model(model, to="torch")
        assert [(row.path, row.class_name, row.state) for row in ported.report] == [
            ("0", "Padded", "ported"),
            ("2", "Conv1d", "ported"),
        ]
        for length in (3, 8, 13):
            data = torch.randn(2, 4, length)
            with torch.no_grad():
                assert torch.equal(ported.layers["0"](data), own(data))


class DepthWiseConv1d(nn.Module):
    """Only calls its convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, groups=4)

    def forward(self, x: torch.Tensor):
        return self.conv(x)


class ScaledConv1d(DepthWiseConv1d):
    """Does more."""

    def forward(self, x: torch.Tensor):
        return self.conv(x) * 2


@pytest.mark.parametrize("way", WAYS)
def test_modules_named_like_a_convolution(way):
    """One that only calls its convolution leaves nothing to port; the work of another is named."""
    ported = cp.port_model(way(nn.Sequential(DepthWiseConv1d(), ScaledConv1d())), to="numpy")
    assert [(row.path, row.state) for row in ported.report] == [
        ("0.conv", "ported"),
        ("1.conv", "ported, but incomplete: the work of the enclosing ScaledConv1d, such as padding, is not ported"),
    ]


class Streaming(nn.Module):
    """Parents that pad by a function, by a child, by stored samples, and one that drops the last output."""

    def __init__(self):
        super().__init__()
        self.by_function = nn.Conv1d(4, 4, 3)
        self.by_child = nn.Sequential(nn.ReflectionPad1d(2), nn.ReLU(), nn.Conv1d(4, 4, 5))
        self.joined = nn.Conv1d(4, 4, 3)
        self.cut = nn.Conv1d(4, 4, 3, padding=2)
        self.plain = nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")
        self.register_buffer("state", torch.randn(1, 4, 2))

    def forward(self, x: torch.Tensor):
        x = self.by_child(self.by_function(F.pad(x, (2, 0))))
        x = self.joined(torch.cat([self.state, x], dim=-1))
        return self.plain(self.cut(x)[:, :, :-2] + 1)


@pytest.mark.parametrize("way", WAYS)
def test_what_the_graph_pads_around_a_layer(way):
    """The report names it; a layer whose own padding is captured has no note."""
    states = {row.path: row.state for row in cp.port_model(way(Streaming()), to="numpy").report}
    named = {path: state.removeprefix("ported, but its parent pads: Streaming ") for path, state in states.items()}
    assert named["by_function"] == "(aten::pad in its graph)"
    assert named["by_child.2"] in ("(aten::pad in its graph)", "(aten::reflection_pad1d in its graph)")
    assert named["joined"] == "(aten::cat in its graph)"
    assert named["cut"] == "(aten::slice in its graph)"
    assert states["plain"] == "ported"


def test_a_scripted_part_of_an_eager_model():
    """Paths and notes of the scripted part, beside those of the rest."""
    model = nn.Sequential(nn.Conv1d(4, 4, 3), script(Streaming()))
    ported = cp.port_model(model, to="numpy")
    assert [row.path for row in ported.report][:3] == ["0", "1.by_function", "1.by_child.2"]
    assert ported.report[1].state == "ported, but its parent pads: Streaming (aten::pad in its graph)"
    assert ported.parameters["1.plain.weight"].name == "1.plain.weight"
    assert not ported.refused


class Scaled(nn.Conv1d):
    """A convolution that scales its input."""

    def forward(self, x: torch.Tensor):
        return self._conv_forward(x * 2, self.weight, self.bias)


class Inputs(nn.Conv1d):
    """A convolution that overwrites its input."""

    def forward(self, x: torch.Tensor):
        y = self._conv_forward(x, self.weight, self.bias)
        x.add_(1)
        return y


class Weights(nn.Conv1d):
    """A convolution that computes its weight."""

    def forward(self, x: torch.Tensor):
        return self._conv_forward(x, self.weight.abs(), self.bias)


class Rectified(nn.Conv1d):
    """A convolution with an activation."""

    def forward(self, x: torch.Tensor):
        return torch.relu(self._conv_forward(x, self.weight, self.bias))


def doubled(self, input: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (input[0] * 2,)


def hooked():
    layer = nn.Conv1d(4, 4, 3)
    layer.register_forward_pre_hook(doubled)
    return layer


REFUSED = {
    "its graph contains aten::mul before its convolution": lambda: Scaled(4, 4, 3),
    "its graph also contains aten::add_": lambda: Inputs(4, 4, 3),
    "its graph computes a value with aten::abs": lambda: Weights(4, 4, 3),
    "it changes the output of its convolution": lambda: Rectified(4, 4, 3),
    "a forward hook may change what it computes": hooked,
    "its graph contains several convolutions; pass one of them, or use convpolicy.port_model":
        lambda: nn.Sequential(nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 3)),
    "its graph contains no convolution over one axis; pass the module that it was made from": nn.ReLU,
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.parametrize("way", [script, loaded])
def test_what_is_refused(way, reason):
    """The sentence says what else the graph contains; a model's report has the same sentence."""
    module = way(REFUSED[reason]())
    with pytest.raises(cp.InvalidValueError, match=f"of TorchScript cannot be captured exactly: {reason}"):
        cp.capture(module)
    if "Conv1d" in str(module.original_name) or isinstance(REFUSED[reason](), nn.Conv1d):
        (row,) = cp.port_model(module, to="numpy").report
        assert reason in row.reason


def test_two_axes():
    """A traced Conv2d has the operator of a Conv1d, and another weight."""
    traced = torch.jit.trace(nn.Conv2d(4, 4, 3), torch.zeros(1, 4, 9, 9))
    with pytest.raises(cp.InvalidValueError, match="its graph contains no convolution over one axis"):
        cp.capture(traced)
    assert not cp.port_model(torch.jit.trace(nn.Sequential(nn.Conv2d(4, 4, 3)), torch.zeros(1, 4, 9, 9)), to="numpy").report
