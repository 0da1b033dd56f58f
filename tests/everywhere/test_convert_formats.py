"""Files of Keras, torch and MindSpore that are malicious, too large for the disk, or cannot be read here; folded weights in MindSpore."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile

import h5py
import mindspore
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore", "h5py")


def random(shape):
    """Random values."""
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def _loop(file):
    file["layers/again"] = file["layers"]


def _link(file):
    file["other"] = h5py.ExternalLink("secret.h5", "/x")


def _soft(file):
    file["other"] = h5py.SoftLink("/layers")


def _external(file):
    file.create_dataset("other", (3,), "f4", external=[("secret.bin", 0, 12)])


def _virtual(file):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (3,))
    file.create_virtual_dataset("other", layout)


def _sparse(file):
    file.create_dataset("other", (2**20, 2**20, 2**10), "f4", chunks=(64, 64, 1))


def _unwritten(file):
    file.create_dataset("other", (2**40,), "f4")


@pytest.mark.parametrize("fault", [_loop, _link, _soft, _external, _virtual, _sparse, _unwritten])
def test_malicious_hdf5(fault, tmp_path):
    """Loops, links, numbers in other files and petabytes that were never written: refused at once, and nothing is written."""
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = random((3, 4, 5))
        fault(file)
    start = time.perf_counter()
    with pytest.raises(cp.InvalidValueError, match=r"a\.weights\.h5 contains") as raised:
        cp.convert(path, tmp_path / "b.npz", source="keras", target="torch", guess=True)
    assert "\n" not in str(raised.value)
    assert time.perf_counter() - start < 5  # seconds; reading any of it would take hours
    assert [file.name for file in tmp_path.iterdir()] == ["a.weights.h5"]


def test_many_groups_are_read_once(tmp_path):
    """Opening a file takes no longer per layer when there are eight times as many; compressed datasets are whole."""

    def opened(count):
        path = tmp_path / f"{count}.weights.h5"
        with h5py.File(path, "w") as file:
            for number in range(count):
                file.create_dataset(
                    f"layers/conv1d_{number}/vars/0", data=random((3, 4, 5)), compression="gzip", chunks=(2, 3, 4)
                )
        start = time.perf_counter()
        cp.convert(path, tmp_path / f"{count}.npz", source="keras", target="torch", guess=True)
        seconds = time.perf_counter() - start
        with np.load(tmp_path / f"{count}.npz") as found:
            assert np.array_equal(found[f"layers.conv1d_{count - 1}.weight"], random((3, 4, 5)).transpose(2, 1, 0))
        return seconds

    opened(1)
    assert opened(400) < 8 * 4 * max(opened(50), 0.05)  # it was 64 times as long while every group was held against every other


def test_keras_archives(tmp_path):
    """A .keras file with a path out of its folder or without weights is refused; so is one made from another format."""
    path = tmp_path / "a.keras"
    for names, says in ((["../evil", "model.weights.h5"], "a path outside its folder"), (["config.json"], "must contain")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        with pytest.raises(cp.InvalidValueError, match=says):
            cp.convert(path, tmp_path / "b.npz", source="keras", target="torch", guess=True)
    save_file({"conv.weight": random((2, 3, 4))}, tmp_path / "c.safetensors")
    with pytest.raises(cp.InvalidValueError, match=r"can only be made from a \.keras file; write \.weights\.h5"):
        cp.convert(tmp_path / "c.safetensors", tmp_path / "d.keras", source="torch", target="keras", guess=True)


LIMITED = """
import resource, sys
import convpolicy as cp
for name in sys.argv[3:]:
    limit = int(sys.argv[2]) if name.endswith(("ckpt", "safetensors")) else 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        cp.convert(sys.argv[1], name, source="torch", target="keras", guess=True)
    except OSError as error:
        print(error.filename, error.strerror, sep="|")
"""


@pytest.mark.parametrize("limit", [100, 100_000])
def test_full_disks(limit, tmp_path):
    """At the first bytes and later: torch, MindSpore and HDF5 on a disk that takes no more: the output's own name, the reason, and nothing is left."""
    save_file({f"conv{n}.weight": random((64, 64, 32)) for n in range(3)}, tmp_path / "a.safetensors")
    made = [str(tmp_path / name) for name in ("b.pt", "b.ckpt", "b.weights.h5", "b.safetensors")]
    words = [sys.executable, "-c", LIMITED, str(tmp_path / "a.safetensors"), str(limit), *made]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    said = [line for line in result.stdout.splitlines() if "|" in line]
    assert said == [f"{name}|File too large" for name in made]
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("b.pt", "torch", "torch"), ("b.ckpt", "mindspore", "mindspore"), ("b.weights.h5", "h5py", "h5"), ("b.keras", "h5py", "h5")],
)
def test_a_missing_package_names_its_installation(name, package, extra, tmp_path, monkeypatch):
    """Before anything is read or written: which file needs what, and the command that brings it."""
    save_file({"conv.weight": random((2, 3, 4))}, tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, package, None)
    says = rf"'{name}' needs {package}, which is not installed; run: pip install 'convpolicy\[{extra}\]'"
    with pytest.raises(cp.ConvPolicyError, match=says) as raised:
        cp.convert(tmp_path / "a.safetensors", tmp_path / name, source="torch", target="keras", guess=True)
    assert isinstance(raised.value, LookupError)


@pytest.mark.parametrize("dim", [0, 2])
def test_folded_weights_in_mindspore(dim, tmp_path):
    """A weight-normed torch layer, folded into a checkpoint: a plain MindSpore layer loads it and computes the same."""
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(nn.Conv1d(4, 6, 5, padding=2, groups=2), dim=dim)
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(1 + torch.rand_like(layer.parametrizations.weight.original0))
    torch.save(layer.state_dict(), tmp_path / "a.pt")
    words = {"source": "torch", "target": "mindspore", "layers": {"": layer}}
    cp.convert(tmp_path / "a.pt", tmp_path / "b.ckpt", fold_weight_norm=True, **words)
    own = mindspore.nn.Conv1d(4, 6, 5, pad_mode="pad", padding=2, group=2, has_bias=True)
    left, _unused = mindspore.load_param_into_net(own, mindspore.load_checkpoint(str(tmp_path / "b.ckpt")))
    assert list(left) == []
    weight = layer.weight.detach().numpy()
    terms = weight.size // weight.shape[dim]
    assert (np.abs(own.weight.asnumpy()[:, :, 0] - weight) <= reference.tolerance("float32", terms, np.abs(weight))).all()
    data = random((2, 4, 20))
    expected = layer(torch.from_numpy(data)).detach().numpy()
    magnitude = np.abs(data).max() * np.abs(weight).sum((1, 2)).max() + 1
    assert np.abs(own(mindspore.Tensor(data)).asnumpy() - expected).max() <= 3 * reference.tolerance("float32", terms, magnitude)


def test_casts_are_torchs(tmp_path):
    """dtype= rounds every float to bfloat16, float16 and back as torch does, to the bit, subnormals and NaN included."""
    bits = np.concatenate([np.random.default_rng(0).integers(0, 2**32, 200_000, "u4"), np.arange(2**16, dtype="u4") << 13])
    values = bits.view("f4")
    values = values[(np.abs(values) < 6e4) | np.isnan(values)]
    save_file({"x": values}, tmp_path / "a.safetensors")
    for dtype in ("bfloat16", "float16", "float64"):
        cp.convert(tmp_path / "a.safetensors", tmp_path / f"{dtype}.safetensors", source="torch", target="torch", dtype=dtype)
        cp.convert(tmp_path / f"{dtype}.safetensors", tmp_path / f"{dtype}.npz", source="torch", target="torch", dtype="float32")
        expected = torch.from_numpy(values).to(getattr(torch, dtype)).float().numpy()
        with np.load(tmp_path / f"{dtype}.npz") as found:
            assert np.array_equal(found["x"], expected, equal_nan=True)
    assert load_file(tmp_path / "float16.safetensors")["x"].dtype == np.float16
