"""`tune` leaves a model and torch's random state as they were after any error, and draws nothing."""

from __future__ import annotations

import pytest
import torch
from helpers.tuned import data, tune
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import tuning as torch_tuning

pytestmark = pytest.mark.needs("torch")


class Interrupted(nn.Module):
    """Raises in one of its calls."""

    def __init__(self, error, call):
        super().__init__()
        self.conv, self.error, self.call, self.calls = nn.Conv1d(6, 8, 1), error, call, 0

    def forward(self, x):
        """(batch, 6, length) -> (batch, 8, length)."""
        self.calls += 1
        if self.calls == self.call:
            raise self.error
        return self.conv(x)


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("place", ["the first call", "the clock", "the last call", "the progress bar"])
def test_a_model_is_as_it_was_after_any_error(timed, monkeypatch, error, place):
    """Whatever raises, Ctrl-C too: a model that was not tuned stays so, a tuned one keeps what it had, and so does the random state."""
    timed(matmul=0.5)
    x = data(1, 6, 60)
    model = Interrupted(error, {"the first call": 3, "the last call": 4}.get(place, 0)).train()
    tune(model, x)  # calls it twice
    for had_been_tuned in (True, False):
        if not had_been_tuned:
            cp.untune(model)
            model.calls = 2
        way, state = vars(model.conv).get("_conv_forward"), torch.get_rng_state()
        assert (way is not None) == had_been_tuned

        def raising(*_args):
            raise error

        with monkeypatch.context() as patch:
            if place == "the clock":
                patch.setattr(torch_tuning, "interleaved", raising)
            with pytest.raises((type(error), cp.ConvPolicyError)) as caught:
                if place == "the progress bar":
                    torch_tuning.tune(model, x, "fast", 3, raising, False)
                else:
                    tune(model, x)
        if isinstance(error, RuntimeError) and "call" in place:
            assert isinstance(caught.value, cp.ConvPolicyError)
            assert len(str(caught.value).splitlines()) == 1
        assert vars(model.conv).get("_conv_forward") is way
        assert not model.conv._forward_pre_hooks
        assert model.training
        assert torch.equal(torch.get_rng_state(), state)


def test_tuning_draws_nothing(untuned, timed):
    """Torch's global random state is the same after tuning a model that is training, and so are the weights drawn next."""
    timed(matmul=0.5)
    state = torch.get_rng_state()
    tune(untuned.train(), data(2, 6, 60))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_report_that_cannot_be_printed(untuned, timed, monkeypatch):
    """Where printing the table raises, the model is not tuned."""
    timed(matmul=0.5)

    def closed(*_args):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        cp.tune(untuned, data(1, 6, 60))
    assert cp.untune(untuned) == ()
