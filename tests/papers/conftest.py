"""Warnings here are the reference packages' own, on lines that are not ours."""

from __future__ import annotations


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore")
