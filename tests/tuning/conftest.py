"""The model and the clock that tests of `tune` share."""

from __future__ import annotations

import pytest


@pytest.fixture
def untuned():
    """The model, in eval mode, the same for every test."""
    import torch
    from helpers.tuned import Model

    torch.manual_seed(0)
    return Model().eval()


@pytest.fixture
def timed(monkeypatch):
    """A clock that tests set; see `helpers.tuned.clock`."""
    from helpers.tuned import clock

    return clock(monkeypatch)
