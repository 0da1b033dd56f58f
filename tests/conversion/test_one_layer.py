"""Drawn weights in files and as statistics, in Python and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.conversion import one_layer as weights


def run(*words):
    """Run one command in this process."""
    return CliRunner().invoke(cli.build(), [str(word) for word in words])


SIZES = ("--in", 6, "--out", 8, "--kernel-size", 5, "--groups", 2)


@pytest.mark.parametrize("name", ["torch", "mindspore", "mindspore@2.0"])
def test_init_writes_the_policys_weights(name, tmp_path):
    """The file holds the framework's names and axes, every bit of `Policy.initial`, and the policy in its metadata."""
    path = tmp_path / "weights.safetensors"
    result = run("init", name, *SIZES, "--seed", 7, "-o", path)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    policy = cp.policy(name)
    expected = policy.part("layout")[0].pack(policy.initial(6, 8, 5, 2, seed=7), 2)
    stored = load_file(path)
    assert {key: array.shape for key, array in stored.items()} == {key: array.shape for key, array in expected.items()}
    assert all(np.array_equal(stored[key], expected[key]) for key in expected)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert cp.Policy.from_dict(json.loads(metadata["policy"])) == policy
    assert (metadata["seed"], metadata["groups"]) == ("7", "2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_init_prints_statistics():
    """``--stats``: count, mean, standard deviation and bounds of the very numbers."""
    result = run("init", "torch", *SIZES, "--seed", 3, "--stats", "--json")
    drawn = cp.policy("torch").initial(6, 8, 5, 2, seed=3)
    for row in json.loads(result.stdout):
        values = drawn[row["parameter"]].astype(float)
        assert (row["shape"], row["count"]) == (list(values.shape), values.size)
        found = (row["mean"], row["std"], row["min"], row["max"])
        assert found == (values.mean(), values.std(), values.min(), values.max())
    table = run("init", "mindspore", *SIZES, "--stats").stdout.splitlines()
    assert table[0].split() == ["parameter", "shape", "count", "mean", "std", "min", "max"]
    assert [line.split()[0] for line in table[1:]] == ["weight"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("init", "torch", *SIZES, "-o", "w.npz"), "output must end in .safetensors, got 'w.npz'"),
        (("init", "torch", *SIZES, "-o", "absent/w.safetensors"), "convpolicy: absent/w.safetensors: No such file or directory"),
        (
            ("init", "torch", *SIZES, "--dtype", "bfloat16", "-o", "w.safetensors"),
            "must be a NumPy dtype for a file, got 'bfloat16'",
        ),
        (("init", "torch", *SIZES, "--json", "-o", "w.safetensors"), "--json is the format of the statistics; add --stats."),
        (("init", "mindspore", *SIZES, "--seed", -1, "--stats"), "seed must be at least 0, got -1"),
        (("init", "torch", *SIZES, "--dtype", "int8", "--stats"), "dtype must be one of float32, float64"),
        (("init", "torch", "--in", 5, *SIZES[2:], "--stats"), "in_channels must be divisible by groups"),
        (("init", "torch", "--in", 0, *SIZES[2:], "--stats"), "in_channels must be at least 1, got 0"),
    ],
)
def test_bad_input_writes_nothing(words, says, tmp_path, monkeypatch):
    """Refused with status 2 and one sentence; no file is left, not even a temporary one."""
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """When the rename fails the old file is whole and nothing lies beside it."""
    path = tmp_path / "w.safetensors"
    policy = cp.policy("torch")
    weights.save(path, policy, policy.initial(1, 1, 1))
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        weights.save(path, policy, policy.initial(3, 4, 5))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


class Taps:
    """A plugin whose initializer gives a read-only view, the same three taps for every channel."""

    @cp.hookimpl
    def convpolicy_initializers(self):
        return [cp.Initializer("taps", lambda draws, target: np.broadcast_to([0.25, 0.5, 0.25], target.shape))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_view_becomes_weights_of_their_own(dtype):
    """What an initializer gives may be a read-only view: a layer's weight can be written, and only there."""
    cp.register(Taps(), "taps")
    try:
        one, two = (cp.Conv1d(2, 2, 3, weight_init="taps", bias=False, dtype=dtype) for _ in range(2))
        one.weight[0, 0] = 7
        assert one.weight[1, 1].tolist() == two.weight[0, 0].tolist() == [0.25, 0.5, 0.25]
    finally:
        cp.unregister("taps")


def test_bfloat16_is_read_to_the_bit(tmp_path):
    """Every one of the 65536 bit patterns, with a prefix and beside another tensor, comes as the float32 number it is."""
    bits = np.random.default_rng(0).permutation(np.arange(2**16, dtype="<u2")).reshape(2**8, 2**6, 4)
    header, data = {}, b""
    for name, kind, values in (
        ("other", "F32", np.ones(1, "<f4")),
        ("net.weight", "BF16", bits),
        ("net.bias", "BF16", bits[:, 0, 0]),
    ):
        start, data = len(data), data + values.tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    found, dtype = weights.load(f"{tmp_path}/w.safetensors:net", cp.policy("torch"))
    assert dtype == "bfloat16"
    sign, exponent, fraction = (bits >> 15).astype(int), (bits >> 7 & 255).astype(int), (bits & 127).astype(float)
    normal, finite = exponent > 0, exponent < 255
    values = (1 - 2 * sign) * np.ldexp(fraction / 128 + normal, np.maximum(exponent, 1) - 127)  # the format's own definition
    assert found["weight"].dtype == np.float32
    assert np.array_equal(found["weight"][finite], values[finite])
    assert np.array_equal(np.isnan(found["weight"]), ~finite & (fraction > 0))
    assert np.array_equal(found["bias"], found["weight"][:, 0, 0], equal_nan=True)


@pytest.mark.parametrize("name", ["torch", "torch reversed"])
def test_transposed_weights(name, tmp_path):
    """The weights of a transposed convolution are stored in the layout of its policy and read as they were drawn, and as nothing else."""

    class Plugin:
        @cp.hookimpl
        def convpolicy_layouts(self):
            return [cp.Layout("KIO-r", "WIO", weight="kernel", transposed=True, flip=True)]

    cp.register(Plugin(), "reversed")
    try:
        half = cp.policy("torch").half()
        policy = half if name == "torch" else half.evolve(layout="KIO-r")
        drawn = policy.initial(6, 8, 5, 2, seed=7)
        path = tmp_path / "weights.safetensors"
        weights.save(path, policy, drawn, 2, 7)
        stored = load_file(path)
        if name == "torch":
            assert np.array_equal(stored["weight"], drawn["weight"])
        else:
            assert np.array_equal(stored["kernel"], drawn["weight"][:, :, ::-1].transpose(2, 0, 1))
        read, dtype = weights.load(str(path), half)
        assert dtype == "float32"
        assert all(np.array_equal(read[key], drawn[key]) for key in drawn)
        with pytest.raises(
            cp.InvalidValueError,
            match="must contain the weights of a Conv1d, which policy 'torch' describes, got those of a ConvT",
        ):
            weights.load(str(path), cp.policy("torch"))
        weights.save(tmp_path / "conv.safetensors", cp.policy("torch"), cp.policy("torch").initial(6, 8, 5))
        with pytest.raises(
            cp.InvalidValueError,
            match=r"must contain the weights of a ConvTranspose1d, .* got those of a Conv1d; pass another file",
        ):
            weights.load(str(tmp_path / "conv.safetensors"), half)
    finally:
        cp.unregister("reversed")
