"""What `tune` leaves alone or refuses, and ``convpolicy bench``."""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.tuned import data, tune
from torch import nn

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.frameworks.torch.execution.tuned import Tuned

pytestmark = pytest.mark.needs("torch")


class Odd(nn.Conv1d):
    """Computes something else than its base class."""

    def forward(self, x):
        """Twice what it should be."""
        return 2 * super().forward(x)


def left_alone():
    """Label -> a model and what its report says."""
    shared = nn.Conv1d(4, 4, 1)
    hooked = nn.Conv1d(4, 4, 1)
    hooked.register_forward_hook(lambda *_: None)
    backward = nn.Conv1d(4, 4, 1)
    backward.register_full_backward_hook(lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Conv1d(4, 4, 1))
    quantised = torch.ao.nn.qat.Conv1d(4, 4, 1, qconfig=torch.ao.quantization.get_default_qat_qconfig("x86"))
    return {
        "shared": (nn.Sequential(shared, shared), "it is shared by 2 places"),
        "hooked": (nn.Sequential(hooked), "a forward hook may change its output"),
        "backward hook": (nn.Sequential(backward), "a backward hook watches it"),
        "scripted": (nn.Sequential(scripted), "it is scripted"),
        "quantised": (nn.Sequential(quantised), "it is quantised"),
        "own class": (nn.Sequential(Odd(4, 4, 1)), "its class overrides forward"),
        "lazy": (nn.Sequential(nn.Identity(), nn.ModuleDict({"a": nn.LazyConv1d(4, 1)})["a"]), "in_channels are not known"),
    }


@pytest.mark.parametrize("label", left_alone())
def test_what_is_left_alone_is_listed_with_the_reason(label, timed):
    """Scripted, quantised, hooked, shared and foreign layers keep their way, and the report says why."""
    timed(matmul=0.1, windows=0.1, pad_first=0.1)
    model, reason = left_alone()[label]
    x = data(1, 4, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tune(model.eval(), x)
    rows = [row for row in found.layers if row.reason]
    assert rows
    assert reason in rows[0].reason
    assert not found.replaced
    assert not any(isinstance(vars(module).get("_conv_forward"), Tuned) for module in model.modules())


def test_a_model_without_convolutions(timed):
    """Nothing to do is no error; the report says so."""
    found = tune(nn.Linear(3, 3), data(2, 3))
    assert found.layers == ()
    assert str(found) == "the model has no Conv1d; nothing was changed"


@pytest.mark.parametrize(
    ("inputs", "more", "error", "says"),
    [
        (data(1, 5, 60), {}, ValueError, "example_inputs must be accepted by the model, which raised: Given groups=1"),
        ((data(1, 6, 60), 1.0, 2.0), {}, ValueError, "takes from 2 to 3 positional arguments"),
        ({"y": data(1, 6, 60)}, {}, ValueError, "unexpected keyword argument 'y'"),
        (7, {}, TypeError, "example_inputs must be a tensor, a tuple, a mapping, or a list of these, got int"),
        ([], {}, ValueError, "at least one call, got an empty list"),
        (data(1, 6, 60), {"execution": "fastest"}, ValueError, "execution must be one of exact, fast, auto, got 'fastest'"),
        (data(1, 6, 60), {"rounds": 2}, ValueError, "rounds must be"),
    ],
)
def test_bad_input(untuned, timed, inputs, more, error, says):
    """Refused in one sentence, with nothing changed: no hook left, no layer replaced, modes as before."""
    with pytest.raises(error, match="(?s)" + says.replace("(", r"\(")) as caught:
        tune(untuned.train(), inputs, **more)
    assert isinstance(caught.value, cp.ConvPolicyError)
    assert "\n" not in str(caught.value)
    assert untuned.training
    assert not any(module._forward_pre_hooks for module in untuned.modules() if module is not untuned.normed)
    assert cp.untune(untuned) == ()


def test_training_without_gradients(untuned, timed):
    """Refused before anything is measured, under torch.inference_mode only."""
    seen = timed()
    with (
        torch.inference_mode(),
        pytest.raises(cp.InvalidValueError, match=r"model must be in eval mode under torch\.inference_mode"),
    ):
        tune(untuned.train(), data(1, 6, 60))
    assert seen == []
    with torch.inference_mode():
        tune(untuned.eval(), data(1, 6, 60))
    assert seen


def test_not_a_model():
    """Anything else is refused by its class."""
    for thing in (cp.Conv1d(1, 1, 1), "model", None):
        with pytest.raises(
            cp.InvalidTypeError, match="model must be a model of one of the backends torch, got an object of class"
        ):
            cp.tune(thing, data(1, 1, 1))
        with pytest.raises(cp.InvalidTypeError):
            cp.untune(thing)


MODULE = """
import torch
def build():
    return torch.nn.Sequential(torch.nn.Conv1d(3, 4, 1), torch.nn.ReLU())
number = 3
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run ``convpolicy bench`` in a directory that holds models.py."""
    (tmp_path / "models.py").write_text(MODULE)
    np.save(tmp_path / "x.npy", np.ones((1, 3, 20), "float32"))
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "pickled.npy", np.array([print], dtype=object))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield lambda *words: CliRunner().invoke(cli.build(), ["bench", *words])
    sys.modules.pop("models", None)


def test_bench(bench, timed):
    """The command measures a model from a module on shapes and files, as a table or JSON, in either mode."""
    timed(matmul=0.25)
    result = bench("models:build", "--input", "1,3,20")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1].split()[:2] == ["0", "matmul"]
    assert result.stdout.splitlines()[-1].startswith("1 of 1 layers replaced")
    rows = json.loads(bench("models:build", "--input", "x.npy", "--train", "--json").stdout)
    assert rows["layers"][0]["ratio"] == 0.25


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("models", "--input", "1,3,20"), "MODULE:NAME must name an object in a module, got 'models'"),
        (("modles:build", "--input", "1,3,20"), "MODULE must be importable, got 'modles'"),
        (("models:bild", "--input", "1,3,20"), "Did you mean 'build'?"),
        (("models:number", "--input", "1,3,20"), "model must be a model of one of the backends"),
        (("models:build", "--input", "1,x"), "--input must be a shape or a .npy file, got '1,x'"),
        (("models:build", "--input", "1,-3"), "--input must be a shape"),
        (("models:build", "--input", "text.npy"), "--input must be a .npy file of numbers, got 'text.npy'"),
        (("models:build", "--input", "pickled.npy"), "--input must be a .npy file of numbers, got 'pickled.npy'"),
        (("models:build", "--input", "absent.npy"), "absent.npy: No such file"),
        (("models:build", "--input", "1,5,20"), "example_inputs must be accepted by the model"),
    ],
)
def test_bench_refuses(bench, words, says):
    """Invalid arguments end in one sentence and status 2."""
    result = bench(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
