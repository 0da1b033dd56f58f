"""What `why` says of torch models that fail, and that models are left as they were, whenever that happens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.torch_faults import network, numbers
from torch import nn

import convpolicy as cp


class Stopping(nn.Module):
    """Raises an error when it is called for the n-th time."""

    def __init__(self):
        super().__init__()
        self.calls, self.number, self.error = 0, 0, None

    def forward(self, x):
        self.calls += 1
        if self.calls == self.number:
            raise self.error
        return x * 2


def models(side="", number=0, error=None):
    """Two models in training mode, one of which stops; their first modules differ, so that the later ones run again alone."""
    pair = []
    for _model in range(2):
        pair.append(nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), Stopping(), nn.Dropout(0.5), nn.GELU()).train())
        pair[-1].register_forward_hook(lambda *_words: None)
        pair[-1][1].eval()
    if side:
        pair["ab".index(side)][2].number, pair["ab".index(side)][2].error = number, error
    return pair


def state(*pair):
    """What must not change: parameters, buffers, modes, hooks, torch's class and modes, and the random state."""
    return [
        *({name: value.numpy().copy() for name, value in model.state_dict().items()} for model in pair),
        [module.training for model in pair for module in model.modules()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for model in pair for module in model.modules()],
        (nn.Module.__call__, nn.functional.gelu, torch._C._len_torch_function_stack(), torch.is_grad_enabled()),
        torch.random.get_rng_state().tolist(),
    ]


MOMENTS = {"recording a": ("a", 1), "recording b": ("b", 1), "running b's module alone": ("b", 2)}


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_ctrl_c(moment):
    """The interrupt goes on, and everything is as before."""
    a, b = models(*MOMENTS[moment], KeyboardInterrupt())
    before = state(a, b)
    with pytest.raises(KeyboardInterrupt):
        cp.why(a, b, numbers())
    np.testing.assert_equal(state(a, b), before)


@pytest.mark.parametrize("side", "ab")
def test_a_model_that_raises(side):
    """One sentence with the path of the module."""
    a, b = models(side, 1, RuntimeError("no such device"))
    before = state(a, b)
    with pytest.raises(
        cp.InvalidValueError, match=rf"^{side} cannot be run on x of shape .*: module '2' raises: no such device; pass"
    ):
        cp.why(a, b, numbers())
    np.testing.assert_equal(state(a, b), before)


def test_a_module_that_raises_alone():
    """A module of b that takes b's input and not a's is a cause, and the modules after it are compared."""
    a, b = models("b", 2, RuntimeError("no such device"))
    before = state(a, b)
    causes = {(cause.path_b, cause.text) for cause in cp.why(a, b, numbers()).causes}
    assert ("2", "b's module cannot take a's input: RuntimeError: no such device") in causes
    np.testing.assert_equal(state(a, b), before)


class Catching(nn.Module):
    """Uses another module where one fails."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 5), nn.Linear(4, 4)

    def forward(self, x):
        try:
            return self.first(x)
        except RuntimeError:
            return self.second(x)


def test_a_model_that_catches_its_error():
    """It runs, and an error that comes later has its own path."""
    inner = Catching()
    x = numbers()[0, :, :4]
    assert cp.why(nn.Sequential(inner), nn.Sequential(inner), x).equal
    with pytest.raises(cp.InvalidValueError, match="module '1' raises: mat1 and mat2"):
        cp.why(nn.Sequential(inner), nn.Sequential(inner, nn.Linear(7, 7)), x)


BAD = {
    "b cannot be run on x of shape": lambda: cp.why(network(), nn.Conv2d(9, 3, 3), numbers()),
    "in common": lambda: cp.why(network(), nn.Sequential(nn.Tanhshrink(), nn.Threshold(0, 1)), numbers()),
    "x must contain finite numbers": lambda: cp.why(network(), network(), numbers() * np.inf),
    "x must be an array of real numbers": lambda: cp.why(network(), network(), "x"),
    "names must map paths .* Did you mean": lambda: cp.why(network(), network(), numbers(), names={"111": "0"}),
    "names must be a dict": lambda: cp.why(network(), network(), numbers(), names=["0"]),
    "b must be a model, got a function": lambda: cp.why(network(), lambda x: x, numbers()),
    "b must be a model of one of the backends": lambda: cp.why(network(), 3, numbers()),
    "must return a tensor": lambda: cp.why(network(), _Returning(None), numbers()),
}


class _Returning(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result, self.linear = result, nn.Linear(1, 1)

    def forward(self, x):
        return self.result


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    """One sentence each."""
    with pytest.raises(cp.ConvPolicyError, match=message):
        BAD[message]()


def broken(path, name, value):
    """A network with one number that is not finite, or makes the output so."""
    b = network()
    getattr(b.get_submodule(path), name).data.view(-1)[0] = value
    return b


NOT_FINITE = {  # name -> model, path of the module that is named, aspect, and what is said of its array
    "weight": (lambda: broken("0", "weight", np.nan), "0", "weight", "1 of 160 values are NaN or infinite in b"),
    "infinity": (lambda: broken("15", "weight", np.inf), "15", "weight", "1 of 4224 values are NaN or infinite in b"),
    "shift": (lambda: broken("1", "bias", np.nan), "1", "shift", "1 of 8 values are NaN or infinite in b"),
    "root of a negative number": (lambda: broken("1", "running_var", -1.0), "1", "variance", "1 of 8 values differ"),
}


@pytest.mark.parametrize("name", NOT_FINITE)
def test_a_model_that_returns_nan(name):
    """The module in which it arises is the cause, and named; both ways round, and none if both models return it."""
    make, path, aspect, says = NOT_FINITE[name]
    a, b = network(), make()
    for diagnosis, side in ((cp.why(a, b, numbers()), "b"), (cp.why(b, a, numbers()), "a")):
        assert [(cause.path_b, cause.aspect) for cause in diagnosis.causes] == [(path, aspect)], str(diagnosis)
        assert says.replace("in b", f"in {side}") in diagnosis.causes[0].text
        assert f"{path}: {side} returns NaN or infinity here." in diagnosis.notes
        assert not diagnosis.equal
        assert np.isnan(diagnosis.largest_difference)
        assert "Largest difference of the outputs: NaN." in str(diagnosis)
    assert cp.why(b, make(), numbers()).verdict == "equal to the bit"


class Log(nn.Module):
    """NaN for negative numbers."""

    def forward(self, x):
        return x.log()


def test_nan_in_a_module_without_a_partner():
    """It is no rounding, whatever the other model returns."""
    a, b = nn.Sequential(nn.Conv1d(4, 4, 3), nn.GELU(), Log()), nn.Sequential(nn.Conv1d(4, 4, 3), nn.GELU(), nn.Identity())
    b[0].load_state_dict(a[0].state_dict())
    diagnosis = cp.why(a, b, numbers())
    assert [(cause.path_a, cause.aspect) for cause in diagnosis.causes] == [("2", "missing")]
    assert diagnosis.notes == ("2: a returns NaN or infinity here.",)


def test_other_inputs():
    """A model that takes other inputs gets its own in a pair; without, its shape is named."""
    a, b = nn.Sequential(nn.Conv1d(4, 8, 3)), nn.Sequential(nn.Conv1d(5, 8, 3))
    with pytest.raises(
        cp.InvalidValueError, match=r"^b cannot be run on x of shape \(3, 4, 64\): module '0' raises: .*; pass an input"
    ):
        cp.why(a, b, numbers())
    assert not cp.why(a, b, (numbers(), np.ones((3, 5, 64), np.float32))).equal
