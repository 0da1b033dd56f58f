"""``convpolicy why``: policies, weights in files and outputs in files; exit status 0 when equal, 1 when not, 2 on bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.conversion import one_layer as weights

X = np.random.default_rng(0).standard_normal((2, 4, 20)).astype("float32")
SIZES = ("--out", "6", "--kernel-size", "4")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An input in an empty folder."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)


def run(*words):
    """Run the command on x.npy."""
    return CliRunner().invoke(cli.build(), ["why", *words, "--input", "x.npy"])


def json_of(*words):
    """The JSON it prints."""
    return json.loads(run(*words, "--json").stdout)


def test_two_policies_with_the_same_weights():
    """torch and MindSpore differ in padding and bias; the JSON equals that of `why` for the same layers with torch's weights."""
    result = run("torch", "mindspore", *SIZES)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "Two causes: amount of padding, bias."
    a = cp.Conv1d(4, 6, 4, seed=0)
    b = cp.Conv1d(4, 6, 4, policy="mindspore", weight_init=a.weight)
    assert json_of("torch", "mindspore", *SIZES)["causes"] == cp.why(a, b, X).to_dict()["causes"]


@pytest.mark.parametrize("words", [
    ("torch", "torch"), ("torch", "keras"), ("torch", "mindspore", "--padding-a", "same", "--padding-b", "1,2", "--padding-mode-a", "zeros"),
], ids=str)  # fmt: skip
def test_equal_is_status_0(words):
    """The same policy twice, or another with the same pads; mindspore has no bias, so torch's is not given."""
    result = run(*words, *SIZES)
    found = json_of(*words, *SIZES)
    if "mindspore" in words:
        assert (result.exit_code, [cause["aspect"] for cause in found["causes"]]) == (1, ["bias"])
    else:
        assert (result.exit_code, result.stdout, found["equal"]) == (0, "The outputs are equal to the bit.\n", True)


def test_own_weights_are_initial_weights():
    """Each policy's own weights of the same seed are the cause, and only they."""
    found = json_of("keras", "flax", "--padding-b", "VALID", "--own-weights", *SIZES)
    assert [cause["aspect"] for cause in found["causes"]] == ["initial weights"]
    assert json_of("keras", "flax", "--padding-b", "VALID", *SIZES)["equal"]


def test_an_output_of_another_framework():
    """The output alone, as another framework wrote it: what is found is what was done."""
    layer = cp.Conv1d(4, 6, 4, seed=3, padding=(2, 1), padding_mode="reflect")
    np.save("y.npy", layer(X))
    words = ("torch", "--output-b", "y.npy", "--seed", "3", *SIZES)
    assert [cause["aspect"] for cause in json_of(*words, "--padding-a", "1,2")["causes"]] == ["odd side", "padding mode"]
    assert run(*words, "--padding-a", "2,1", "--padding-mode-a", "reflect").exit_code == 0


def test_weights_from_files():
    """Weights as ``init`` writes them, in their own axes and with groups; weights of a whole model by prefix; bfloat16."""
    drawn = cp.policy("keras").initial(4, 6, 4, 2, 1)
    weights.save("a.safetensors", cp.policy("keras"), drawn, 2, 1)
    oiw = np.ascontiguousarray(drawn["weight"])
    save_file({"net.0.weight": oiw, "net.0.bias": np.zeros(6, "float32"), "other": np.zeros(3)}, "b.safetensors")
    assert run("torch", "torch", "--weights-a", "a.safetensors", "--weights-b", "b.safetensors:net.0").exit_code == 0
    save_file({"weight": oiw[:, :, ::-1].copy(), "bias": np.zeros(6, "float32")}, "c.safetensors")
    found = json_of("torch", "torch", "--weights-a", "a.safetensors", "--weights-b", "c.safetensors")
    assert [cause["aspect"] for cause in found["causes"]] == ["flip"]


def test_a_pickle_is_not_run():
    """A pickled array in a .npy file is refused, and nothing in it is run."""

    class Trap:
        def __reduce__(self):
            return (exec, ("open('sprung', 'w')",))

    np.save("x.npy", np.array([Trap(), None], object), allow_pickle=True)
    result = run("torch", "torch", *SIZES)
    assert result.exit_code == 2
    assert "--input must be a .npy file of numbers, got 'x.npy': Object arrays cannot be loaded" in result.stderr
    assert [path.name for path in Path().iterdir()] == ["x.npy"]


def written(data: bytes):
    """Write over the input."""
    Path("x.npy").write_bytes(data)


def truncated():
    """Leave half of the input."""
    data = Path("x.npy").read_bytes()
    written(data[: len(data) // 2])


def as_archive():
    """An archive under the name of an array."""
    with Path("x.npy").open("wb") as file:
        np.savez(file, X)


BAD = {
    "no array": (lambda: written(b"hello"), (), "--input must be a .npy file of numbers, got 'x.npy'"),
    "empty": (lambda: written(b""), (), "--input must be a .npy file of numbers, got 'x.npy': No data left in file"),
    "truncated": (truncated, (), "--input must be a .npy file of numbers, got 'x.npy'"),
    "archive": (as_archive, (), "--input must be a .npy file of one array, got the archive 'x.npy'"),
    "two axes": (lambda: np.save("x.npy", X[0]), (), "x must have shape (batch, channels, length)"),
    "NaN": (lambda: np.save("x.npy", X * np.nan), (), "x must contain finite numbers only, got nan at batch 0, channel 0, position 0"),
    "no file": (lambda: None, ("--output-b", "no.npy"), "File 'no.npy' does not exist"),
    "both": (lambda: np.save("y.npy", X), ("--output-b", "y.npy"), "Pass either B or --output-b"),
    "not weights": (lambda: None, ("--weights-a", "x.npy"), "'x.npy' must be a .safetensors file"),
    "no weights": (lambda: None, ("--weights-a", "no.safetensors"), "no.safetensors"),
    "no such layer": (lambda: save_file({"w": X}, "w.safetensors"), ("--weights-a", "w.safetensors"),
                      "'w.safetensors' must contain the tensor 'weight', got w; name the layer as w.safetensors:prefix."),
    "integers": (lambda: save_file({"weight": np.zeros((6, 4, 3), int)}, "w.safetensors"), ("--weights-a", "w.safetensors"),
                 "weight and bias in 'w.safetensors' must both have one dtype of F64, F32, F16, BF16"),
    "other channels": (lambda: save_file({"weight": np.zeros((6, 3, 3), "f4")}, "w.safetensors"), ("--weights-a", "w.safetensors"),
                       "--input must have a multiple of 3 channels for the weights in 'w.safetensors'"),
    "both weights": (lambda: None, ("--weights-b", "w.safetensors", "--own-weights"), "--weights-b needs B"),
    "bad word": (lambda: None, ("--padding-mode-a", "reflct"), "unknown padding mode 'reflct'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_status_2(name):
    """One sentence on stderr, nothing on stdout."""
    prepare, words, says = BAD[name]
    prepare()
    result = run("torch", "torch", *SIZES, *words)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert says in result.stderr


def test_everything_has_a_default():
    """Two policies alone are compared on random numbers, also with groups; an output of one's own needs its input."""
    runner = CliRunner()
    differs = runner.invoke(cli.build(), ["why", "torch", "torch:padding=1"])
    assert (differs.exit_code, "padding=(1, 1) instead of (0, 0)" in differs.stdout) == (1, True)
    equal = runner.invoke(cli.build(), ["why", "keras", "tensorflow", "--groups", "3", "--out", "9"])
    assert (equal.exit_code, equal.stdout) == (0, "The outputs are equal to the bit.\n")
    np.save("y.npy", X)
    refused = runner.invoke(cli.build(), ["why", "torch", "--output-b", "y.npy"])
    assert (refused.exit_code, "--output-b needs --input FILE.npy" in refused.stderr) == (2, True)
