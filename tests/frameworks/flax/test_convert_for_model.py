"""Checkpoints of torch models for nnx models: they load whole, both models give the same outputs, and the way back gives the same file."""

from __future__ import annotations

import tracemalloc

import pytest

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")

import numpy as np  # noqa: E402
from flax import serialization  # noqa: E402
from helpers import torch_nets  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import convpolicy as cp  # noqa: E402
from convpolicy.frameworks.flax import tensors  # noqa: E402

RNGS = nnx.Rngs(0)


class Convs(nnx.Module):
    """The twin of `torch_nets.Convs`."""

    def __init__(self, shift=0):
        self.conv1 = nnx.Conv(4, 6, (3,), feature_group_count=2, padding="VALID", rngs=RNGS)
        self.bn1 = nnx.BatchNorm(6, use_running_average=True, rngs=RNGS)
        self.conv2 = nnx.Conv(6, 6, (3,), padding="VALID", use_bias=False, rngs=RNGS)
        self.bn2 = nnx.BatchNorm(6, use_running_average=True, rngs=RNGS)
        self.head = nnx.Linear(6, 5, rngs=RNGS)

    def __call__(self, x):
        x = jax.nn.gelu(self.bn1(self.conv1(x.transpose(0, 2, 1))), approximate=False)
        return self.head(self.bn2(self.conv2(x)).mean(1))


class Block(nnx.Module):
    """The twin of `torch_nets.Block`."""

    def __init__(self, width):
        self.ln1 = nnx.LayerNorm(width, epsilon=1e-5, rngs=RNGS)
        self.attn = nnx.MultiHeadAttention(2, width, decode=False, rngs=RNGS)
        self.ln2 = nnx.LayerNorm(width, epsilon=1e-5, rngs=RNGS)
        self.fc1 = nnx.Linear(width, 2 * width, rngs=RNGS)
        self.fc2 = nnx.Linear(2 * width, width, rngs=RNGS)

    def __call__(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.fc2(jax.nn.relu(self.fc1(self.ln2(x))))


class Encoder(nnx.Module):
    """The twin of `torch_nets.Encoder`."""

    def __init__(self):
        self.embed, self.place = nnx.Embed(11, 8, rngs=RNGS), nnx.Embed(7, 8, rngs=RNGS)
        self.blocks = nnx.List([Block(8) for _ in range(3)])
        self.ln = nnx.LayerNorm(8, epsilon=1e-5, rngs=RNGS)
        self.head = nnx.Linear(8, 11, rngs=RNGS)

    def __call__(self, x):
        x = self.embed(x) + self.place(jnp.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Recurrent(nnx.Module):
    """The twin of `torch_nets.Recurrent` without the GRU."""

    def __init__(self, cell=nnx.OptimizedLSTMCell):
        self.lstm = nnx.Bidirectional(nnx.RNN(cell(4, 5, rngs=RNGS)), nnx.RNN(cell(4, 5, rngs=RNGS)))
        self.fc = nnx.Linear(10, 3, rngs=RNGS)

    def __call__(self, x):
        return self.fc(self.lstm(x))


class Gru(nnx.Module):
    """A GRU, which has no bias of the hidden state in nnx."""

    def __init__(self):
        self.gru = nnx.RNN(nnx.GRUCell(10, 6, rngs=RNGS))

    def __call__(self, x):
        return self.gru(x)


class Images(nnx.Module):
    """The twin of `torch_nets.Images`."""

    def __init__(self):
        self.stem = nnx.Conv(3, 6, (3, 3), padding="VALID", rngs=RNGS)
        self.bn = nnx.BatchNorm(6, use_running_average=True, rngs=RNGS)
        self.depthwise = nnx.Conv(6, 6, (3, 3), feature_group_count=6, padding="VALID", rngs=RNGS)
        self.norm = nnx.GroupNorm(6, 2, epsilon=1e-5, rngs=RNGS)
        self.fc = nnx.Linear(6, 6, rngs=RNGS)

    def __call__(self, x):
        x = jax.nn.relu(self.bn(self.stem(x.transpose(0, 2, 3, 1))))
        return self.fc(self.norm(self.depthwise(x)).mean((1, 2)))


class Decoder(nnx.Module):
    """The twin of `torch_nets.Decoder`."""

    def __init__(self, transpose_kernel=False):
        more = {"padding": "VALID", "transpose_kernel": transpose_kernel, "rngs": RNGS}
        self.up1, self.up2 = nnx.ConvTranspose(4, 4, (3,), 2, **more), nnx.ConvTranspose(4, 5, (4,), 2, **more)
        if transpose_kernel:
            self.up2 = nnx.ConvTranspose(4, 5, (4,), 2, **more)
        self.out = nnx.Conv(5, 2, (3,), padding="VALID", rngs=RNGS)

    def __call__(self, x):
        x = jax.nn.relu(self.up2(jax.nn.relu(self.up1(x.transpose(0, 2, 1)))))
        return self.out(x).transpose(0, 2, 1)


TWINS = {
    "convs": Convs,
    "encoder": Encoder,
    "recurrent": Recurrent,
    "recurrent by gates": lambda: Recurrent(nnx.LSTMCell),
    "images": Images,
    "decoder": Decoder,
    "decoder with transpose_kernel": lambda: Decoder(transpose_kernel=True),
}


def load(model, path):
    """Load a file into a model, as a user does; every tensor of the model must be there, in its shape."""
    state = dict(nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))))
    file = load_file(path)
    assert {".".join(map(str, key)) for key in state} == set(file)
    for key, value in state.items():
        new = file[".".join(map(str, key))]
        assert new.shape == value.value.shape
        value.value = jnp.asarray(new)
    nnx.update(model, nnx.from_flat_state(state))


def source(name):
    """Return the torch model, and its input."""
    name = name.partition(" ")[0]
    arguments = {"gru": False} if name == "recurrent" else {}
    return torch_nets.net(name, **arguments), torch_nets.example(name)


@pytest.mark.parametrize("name", TWINS)
def test_there_and_back(name, tmp_path, monkeypatch):
    """The file loads whole, the outputs agree, the models are as they were, and the way back gives the bytes of the first file."""
    monkeypatch.chdir(tmp_path)
    model, x = source(name)
    twin = TWINS[name]()
    before = [np.array(value) for value in jax.tree.leaves(nnx.state(twin, nnx.Param))]
    save_file(model.state_dict(), "a.safetensors")
    report = cp.convert("a.safetensors", "b.safetensors", source="torch", target="flax", model=twin)
    assert report.loading.complete, str(report)
    assert all(map(np.array_equal, before, jax.tree.leaves(nnx.state(twin, nnx.Param))))
    load(twin, "b.safetensors")
    torch_nets.assert_near(np.asarray(twin(jnp.asarray(x))), torch_nets.output(model, x))
    own = "flax-transpose-kernel" if name.endswith("transpose_kernel") else "flax"
    back = cp.convert("b.safetensors", "c.safetensors", source=own, target="torch", model=model)
    assert back.loading.complete, str(back)
    model.load_state_dict({key: torch.as_tensor(value) for key, value in load_file("c.safetensors").items()})
    torch_nets.assert_near(np.asarray(twin(jnp.asarray(x))), torch_nets.output(model, x))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


def test_gru_without_its_hidden_bias(tmp_path, monkeypatch):
    """nnx.GRUCell has no bias of the hidden state: torch's GRU is refused, and converted where that bias is zero."""
    monkeypatch.chdir(tmp_path)
    model = torch.nn.Module()
    model.gru = torch_nets.net("recurrent").gru
    twin = Gru()
    save_file(model.state_dict(), "a.safetensors")
    with pytest.raises(cp.InvalidValueError, match=r"'gru.bias_hh_l0' has numbers other than zero for 'bias_hh.n'"):
        cp.convert("a.safetensors", "b.safetensors", source="torch", target="flax", model=twin)
    assert not (tmp_path / "b.safetensors").exists()
    with torch.no_grad():
        model.gru.bias_hh_l0[12:] = 0
    save_file(model.state_dict(), "a.safetensors")
    cp.convert("a.safetensors", "b.safetensors", source="torch", target="flax", model=twin)
    load(twin, "b.safetensors")
    x = np.random.default_rng(0).standard_normal((2, 7, 10)).astype("f4")
    with torch.no_grad():
        torch_nets.assert_near(np.asarray(twin(jnp.asarray(x))), model.gru(torch.as_tensor(x))[0].numpy())


WRONG = {  # a change of a table -> the model whose outputs must show it
    "gates": ("recurrent", "nnx.OptimizedLSTMCell", lambda row: (row[0], " ".join(row[1].split()[::-1]), row[2])),
    "inputs and outputs": ("images", "nnx.Linear", lambda row: (row[0], row[1], "O I" if row[2] == "I O" else row[2])),
    "kernel not reversed": ("decoder", "nnx.ConvTranspose", lambda row: (row[0], row[1], row[2].replace("-", ""))),
    "heads": ("encoder", "nnx.MultiHeadAttention", lambda row: (row[0], row[1], "I D H" if row[2] == "I H D" else row[2])),
}


@pytest.mark.grid(every=1)
@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_table_shows(fault, tmp_path, monkeypatch):
    """The comparison of outputs fails where a table is wrong and the shapes still fit."""
    monkeypatch.chdir(tmp_path)
    name, kind, change = WRONG[fault]
    model, x = source(name)
    if kind == "nnx.ConvTranspose":
        monkeypatch.setattr(tensors.names, "TRANSPOSED", tuple(map(change, tensors.names.TRANSPOSED)))
    else:
        known, rows = tensors.CLASSES[getattr(nnx, kind.partition(".")[2])]
        monkeypatch.setitem(tensors.CLASSES, getattr(nnx, kind.partition(".")[2]), (known, tuple(map(change, rows))))
    save_file(model.state_dict(), "a.safetensors")
    twin = TWINS[name]()
    report = cp.convert("a.safetensors", "b.safetensors", source="torch", target="flax", model=twin)
    if not report.loading.complete:  # the shapes show it already
        return
    load(twin, "b.safetensors")
    assert torch_nets.differ(np.asarray(twin(jnp.asarray(x))), torch_nets.output(model, x))


def test_messages_are_flaxs_own(tmp_path, monkeypatch):
    """flax.serialization reads what convert writes, and convert reads what it writes."""
    monkeypatch.chdir(tmp_path)
    model, _x = source("images")
    twin = TWINS["images"]()
    save_file(model.state_dict(), "a.safetensors")
    report = cp.convert("a.safetensors", "b.msgpack", source="torch", target="flax", model=twin)
    assert report.loading.complete
    tree = serialization.msgpack_restore((tmp_path / "b.msgpack").read_bytes())
    assert np.array_equal(tree["fc"]["kernel"], model.fc.weight.detach().numpy().T)
    (tmp_path / "c.msgpack").write_bytes(serialization.to_bytes(tree))
    assert (tmp_path / "b.msgpack").read_bytes() == (tmp_path / "c.msgpack").read_bytes()
    cp.convert("c.msgpack", "d.safetensors", source="flax", target="torch", model=model)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "d.safetensors").read_bytes()


def test_memory_stays_flat(tmp_path, monkeypatch):
    """Converting 24 MiB of transposed tensors takes less than 5 MiB: a few tensors at a time."""
    monkeypatch.chdir(tmp_path)
    model = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(24)))
    twin = nnx.List([nnx.Linear(512, 512, rngs=RNGS) for _ in range(24)])
    save_file(model.state_dict(), "a.safetensors")
    cp.convert("a.safetensors", "b.safetensors", source="torch", target="flax", model=twin)
    tracemalloc.start()
    cp.convert("a.safetensors", "c.safetensors", source="torch", target="flax", model=twin)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 << 20
