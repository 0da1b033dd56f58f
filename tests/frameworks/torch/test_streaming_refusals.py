"""Parts of models that cannot be streamed are refused by their path; streaming forms let them pass."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.streamed_models import assert_streams, cuttings, data, streamed
from torch import nn

import convpolicy as cp

pytestmark = pytest.mark.usefixtures("one_thread")


class Model(nn.Module):
    """A convolution, and a function of its outputs."""

    def __init__(self, function, **modules):
        super().__init__()
        self.conv, self.function = nn.Conv1d(3, 4, 3, padding=1), function
        self.positions, self.scale = nn.Parameter(torch.randn(4, 20)), nn.Parameter(torch.randn(4, 1))
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, self.conv(x))


class Bidirectional(nn.Module):
    """A recurrent layer in a module."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4, bidirectional=True, batch_first=True)

    def forward(self, x):
        return self.rnn(x.transpose(1, 2))[0].transpose(1, 2)


REFUSED = {  # name -> model, and what the message says
    "group norm": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.GroupNorm(1, 4)), r"module GroupNorm at '1', .* whole time axis; use a LayerNorm"),
    "instance norm": (lambda: Model(lambda self, x: F.instance_norm(x)), "function instance_norm .* whole time axis"),
    "attention": (lambda: nn.Sequential(nn.TransformerEncoderLayer(3, 1)), "module TransformerEncoderLayer at '0', .* samples all over the input; register"),
    "attention function": (lambda: Model(lambda self, x: F.scaled_dot_product_attention(x, x, x)), "scaled_dot_product_attention .* all over"),
    "bidirectional": (lambda: nn.Sequential(nn.Conv1d(3, 4, 1), Bidirectional()), r"module LSTM at '1\.rnn', .* bidirectional"),
    "last state": (lambda: Model(lambda self, x: self.rnn(x.mT)[1], rnn=nn.GRU(4, 4, batch_first=True)), "known at the end of the input alone|reads 'mT'"),
    "wrong order of axes": (lambda: Model(lambda self, x: self.rnn(x.permute(0, 2, 1))[0], rnn=nn.GRU(4, 4)), r"axes \(batch, time, channels\), not \(time, batch, channels\)"),
    "pooling to one": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.AdaptiveAvgPool1d(1)), "module AdaptiveAvgPool1d at '1', .* use AvgPool1d"),
    "convolution of two axes": (lambda: Model(lambda self, x: self.c(x.unsqueeze(1)), c=nn.Conv2d(1, 1, 3)), "module Conv2d at 'c', .* does not know"),
    "circular": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular")), "module Conv1d at '0': padding_mode 'circular' cannot be streamed"),
    "training": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.Dropout(0.1)).train(), "module Dropout at '1', .* training mode; call model.eval"),
    "training function": (lambda: Model(lambda self, x: F.dropout(x, 0.1)), "function dropout .* as in training"),
    "mean over time": (lambda: Model(lambda self, x: x - x.mean(-1, keepdim=True)), "function mean .* does not have one axis"),
    "softmax over time": (lambda: Model(lambda self, x: x.softmax(-1)), "function softmax .* mixes positions of the time axis"),
    "sum over the batch": (lambda: Model(lambda self, x: x - x.cumsum(0)), "function cumsum .* mixes positions of the batch axis"),
    "reversed": (lambda: Model(lambda self, x: x.flip(-1)), "function flip .* mixes positions of the time axis"),
    "scrambled": (lambda: Model(lambda self, x: x.reshape(x.shape[0], -1, 4).transpose(1, 2)), "function reshape .* mixes positions"),
    "positions": (lambda: Model(lambda self, x: x + self.positions), "function add .* fixed number of samples"),
    "last sample": (lambda: Model(lambda self, x: x[..., -1]), "function getitem .* does not have one axis"),
    "last samples": (lambda: Model(lambda self, x: x[..., -3:]), "function getitem .* counted from the other end; cut a constant"),
    "first samples": (lambda: Model(lambda self, x: x[..., :3]), "function getitem .* counted from the other end"),
    "divided by the length": (lambda: Model(lambda self, x: x / x.shape[-1]), "function truediv .* mixes positions"),
    "condition": (lambda: nn.Sequential(Model(lambda self, x: x if x.shape[-1] > 3 else -x)), "module Model at '0', .* torch.fx cannot trace .* register a streaming form of"),
    "read again": (lambda: Model(lambda self, x: x + F.relu(x, inplace=True)), "function relu .* changes in place a tensor that is read again"),
    "assigned": (lambda: Model(lambda self, x: (x.add_(1), x)[1]), "function add_ .* changes in place"),
    "different rates": (lambda: Model(lambda self, x: x + self.c(x), c=nn.Conv1d(4, 4, 2, 2)), "function add .* different sample rates"),
    "different lengths": (lambda: Model(lambda self, x: x + self.c(x), c=nn.Conv1d(4, 4, 3)), "function add .* differ by 2 samples; cut the longer one"),
    "spectrum": (lambda: Model(lambda self, x: torch.fft.rfft(x)), "function .*rfft.* does not know .* move it into a module and register"),
    "linear upsampling": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.Upsample(scale_factor=2, mode="linear")), "module Upsample at '1', .* use mode 'nearest'"),
    "ceil mode": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2, ceil_mode=True)), "module MaxPool1d at '1', .* ceil_mode"),
    "several results": (lambda: Model(lambda self, x: (x, x)), "model must return one tensor with a time axis"),
    "wrong channels": (lambda: nn.Sequential(nn.Conv1d(3, 4, 1), nn.Conv1d(5, 4, 1)), r"module Conv1d at '1', which fails .* shape \(batch, 5, time\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    """The message is one sentence with the path, the reason and what to do."""
    make, says = REFUSED[name]
    model = make()
    with pytest.raises(cp.ConvPolicyError, match=says) as refusal:
        cp.streaming(model if name.startswith("training") else model.eval())
    assert "\n" not in str(refusal.value)


def test_a_hook_that_may_change_outputs():
    """A forward hook of a layer is no part of the graph."""
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.Tanh())
    handle = model[1].register_forward_hook(lambda *_arguments: None)
    with pytest.raises(cp.InvalidValueError, match=r"module Tanh at '1', .* a forward hook may change"):
        cp.streaming(model)
    handle.remove()
    cp.streaming(model)


def test_lengths_that_do_not_fit_at_the_end():
    """Branches whose lengths differ for some inputs alone are refused at the flush, with the path, where torch fails too."""
    model = Model(
        lambda self, x: x + self.up(self.down(x)), down=nn.Conv1d(4, 4, 2, 2), up=nn.ConvTranspose1d(4, 4, 2, 2)
    ).double()
    assert_streams(model, data(1, 3, 20), cuttings(20, 2))
    with pytest.raises(cp.InvalidValueError, match=r"^add: branches must have equal lengths, .* differ by 1 samples"):
        streamed(cp.streaming(model), data(1, 3, 21), [4])
    with pytest.raises(RuntimeError, match="must match"):
        model(data(1, 3, 21))


@pytest.mark.parametrize("function", [
    lambda self, x: F.relu(x, inplace=True), lambda self, x: x.mul_(2.0).tanh(), lambda self, x: x[:, 1:3, 2:-1] * 2,
    lambda self, x: x[..., 1::3], lambda self, x: torch.stack([x, self.c(x)], 1), lambda self, x: x.max(dim=1, keepdim=True).values,
    lambda self, x: torch.where(x > 0, x, x * self.scale), lambda self, x: F.pad(x, (0, 0, 1, 0)), lambda self, x: F.pad(x, (2, -1), "replicate"),
    lambda self, x: torch.einsum("bct,cd->bdt", x, self.positions), lambda self, x: x.repeat_interleave(2, dim=-1), lambda self, x: x.flip(1),
    lambda self, x: self.c(x) + x / x.shape[1], lambda self, x: x * torch.tensor(2.0),
])  # fmt: skip
def test_functions_that_are_near_refused_ones(function):
    """What acts along the channels, cuts constants, or changes what nothing reads, is streamed."""
    torch.manual_seed(0)
    model = Model(function, c=nn.Conv1d(4, 4, 3, padding=1)).double().eval()
    x = data(2, 3, 20)
    streaming = assert_streams(model, x, [])
    with torch.no_grad():
        for cuts in cuttings(20, 2):
            outputs, _state = streamed(streaming, x.clone(), cuts)
            assert torch.allclose(outputs, model(x.clone()), rtol=1e-12, atol=1e-12)


# -- streaming forms -----------------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Causal attention with one head."""

    def __init__(self, channels):
        super().__init__()
        self.project = nn.Linear(channels, 3 * channels)

    def attended(self, queries, keys, values):
        """Outputs of the last positions."""
        length, every = queries.shape[1], keys.shape[1]
        mask = torch.ones(length, every, dtype=torch.bool).tril(every - length)
        weights = (queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[-1])).masked_fill(~mask, -torch.inf)
        return weights.softmax(-1) @ values

    def forward(self, x):
        return self.attended(*self.project(x).chunk(3, -1)), None


class Cached:
    """The form of `Attention`: all keys and values so far."""

    axes = ("batch", "time", "channels")

    def __init__(self, module):
        self.module = module

    def initial(self, batch):
        empty = self.module.project.weight.new_zeros(batch, 0, self.module.project.in_features)
        return {"keys": empty, "values": empty}

    def step(self, chunk, state):
        queries, keys, values = self.module.project(chunk).chunk(3, -1)
        keys, values = torch.cat([state["keys"], keys], 1), torch.cat([state["values"], values], 1)
        return (self.module.attended(queries, keys, values), None), {"keys": keys, "values": values}

    def end(self, state):
        return state["keys"][:, :0], None


class Held(nn.Module):
    """A module whose form returns the outputs at the end, one sample late."""

    def forward(self, x):
        raise AssertionError("the form is used")


class HeldForm:
    def initial(self, batch):
        return {"last": torch.zeros(batch, 4, 0, dtype=torch.float64)}

    def step(self, chunk, state):
        joined = torch.cat([state["last"], chunk], -1)
        return joined[..., :-1] * 2, {"last": joined[..., max(joined.shape[-1] - 1, 0) :]}

    def end(self, state):
        return state["last"] * 2

    def outputs(self, count):
        return max(count - 1, 0)


@pytest.fixture
def register():
    """Register streaming forms for one test."""

    def add(kind, build):
        class Plugin:
            @cp.hookimpl
            def convpolicy_streaming_forms(self):
                return [cp.StreamingForm(f"{kind.__module__}.{kind.__qualname__}", build, description="A form.")]

        cp.register(Plugin(), "forms")

    yield add
    cp.unregister("forms")


def test_a_form_lets_a_module_pass(register):
    """Without the form attention is refused by its path; with it the model is streamed, and its state has the path in its names."""
    model = Model(lambda self, x: x + self.attention(x.transpose(1, 2))[0].transpose(1, 2), attention=Attention(4)).double()
    with pytest.raises(cp.InvalidValueError, match=r"at 'attention', which cannot be streamed.*Attention with the hook"):
        cp.streaming(model)
    register(Attention, Cached)
    streaming = assert_streams(model, data(2, 3, 20), cuttings(20, 3))
    assert {"attention.keys", "attention.values", "conv.pending"} <= streaming.state_shapes.keys()
    assert cp.streaming_forms()[f"{Attention.__module__}.Attention"].provider == "forms"


def test_a_form_with_a_delay(register):
    """Its counts make the delay of the model, and the other branch waits for it."""
    register(Held, lambda module: HeldForm())
    model = Model(lambda self, x: x + self.held(x), held=Held()).double()
    streaming = cp.streaming(model)
    assert streaming.delay == 2  # one of the convolution, one of the form
    x = data(1, 3, 20)
    with torch.no_grad():
        outputs, _state = streamed(streaming, x, [3, 4, 11])
        assert torch.allclose(outputs, model.conv(x) * 3, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("build", "says"), [
    (lambda module: 3, r"must build an object with the methods initial, step, end, got one of class int"),
    (lambda module: module.nothing, r"streaming form '.*Held' \(forms\) failed: AttributeError"),
    (lambda module: (_ for _ in ()).throw(ValueError("it looks ahead")), "module Held at 'held', which cannot be streamed, since it looks ahead"),
])  # fmt: skip
def test_wrong_forms(register, build, says):
    """A form that fails is named; its ValueError is the reason of the refusal."""
    register(Held, build)
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.streaming(Model(lambda self, x: self.held(x), held=Held()))


@pytest.mark.parametrize(("words", "says"), [
    ({"name": "Held"}, "full name of a class, such as 'package.module.Attention', got 'Held'"),
    ({"build": 3}, "build of streaming form 'a.B' must be a function, got 3"),
])  # fmt: skip
def test_bad_fields(words, says):
    """Each is refused with the field and what came."""
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.StreamingForm(**{"name": "a.B", "build": HeldForm} | words)
