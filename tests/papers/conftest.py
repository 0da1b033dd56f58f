"""Warnings here are the reference packages' own, on lines that are not ours."""

from __future__ import annotations

import packages  # before a test imports transformers, which shall not look for torchaudio

assert "torchaudio" in packages.sys.modules


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore")
