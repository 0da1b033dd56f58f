"""What the tests of MindSpore's layers share."""

from __future__ import annotations

import pytest


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """MindSpore writes folders beside itself; every test ends in PyNative mode."""
    import mindspore

    monkeypatch.chdir(tmp_path)
    yield
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
