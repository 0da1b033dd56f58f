"""File formats that a test registers."""

from __future__ import annotations

import pytest
from helpers.plugins import offering_formats

import convpolicy as cp


@pytest.fixture
def register():
    """Register file formats under a plugin's name for one test."""
    names = []

    def add(*formats, name="tide"):
        cp.register(offering_formats(*formats), name)
        names.append(name)

    yield add
    for name in names:
        cp.unregister(name)


@pytest.fixture
def to(tmp_path):
    """Return a function that converts a state dict for a torch model and returns the report and the output's tensors."""

    import torch
    from safetensors.torch import load_file, save_file

    def convert(state, model, *, suffix=".safetensors", source="torch", **words):
        src, dst = tmp_path / f"a{suffix}", tmp_path / "b.safetensors"
        state = {name: value.detach().clone().contiguous() for name, value in state.items()}
        torch.save(state, src) if suffix == ".pt" else save_file(state, src)
        report = cp.convert(src, dst, source=source, target="torch", model=model, force=True, **words)
        return report, load_file(dst)

    return convert
