"""Runs of `verify` that take less time."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from convpolicy import verification

EVERY = 29


@contextmanager
def fewer_sizes(config):
    """Compare paddings for every 29th size and length only; ``--grid`` takes all."""
    real = verification._command
    with pytest.MonkeyPatch.context() as patch:
        if not config.getoption("--grid"):
            patch.setattr(verification, "_command", lambda *words: [*real(*words), f"--every={EVERY}"])
        yield
