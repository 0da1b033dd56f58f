"""What convert keeps in the metadata of files whose names do not contain the paths of modules."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from convpolicy.conversion.models.kinds import ModelModule, ModelTensors, Parameter, stored
from convpolicy.conversion.models.paths import LARGEST, PATHS, Paths, read, text


def tensors(count, *, keeps_paths):
    """A model of some linear modules, whose names are numbers."""
    weight = stored("weight", "weight", "I O")
    modules = [
        ModelModule(f"layers/{at}/fc", "linear", (Parameter(f"dense_{at}/vars/0", (2, 3), "float32", weight),))
        for at in range(count)
    ]
    return ModelTensors(tuple(modules), keeps_paths=keeps_paths)


def test_there_and_back():
    """Paths and names are read as they were written; a model whose names contain its paths has nothing to keep."""
    model, plain = tensors(500, keeps_paths=False), {"vars/0": "scale"}
    assert read({PATHS: text(model, plain)}) == Paths({f"dense_{at}/vars/0": f"layers/{at}/fc" for at in range(500)}, plain)
    assert text(tensors(3, keeps_paths=True), plain) == ""
    assert read({}) == Paths()


def test_too_long_a_text(monkeypatch):
    """A text that an HDF5 attribute could not store is left out."""
    monkeypatch.setattr("convpolicy.conversion.models.paths.LIMIT", 100)
    assert text(tensors(500, keeps_paths=False), {}) == ""


def coded(document):
    """A document as it is in the metadata."""
    return base64.b64encode(zlib.compress(document)).decode()


DAMAGED = {
    "not base64": "?",
    "not compressed": "AAAA",
    "not JSON": coded(b"{"),
    "not a pair": coded(b"[{}]"),
    "not tables": coded(b"[[], []]"),
    "not texts": coded(json.dumps([{"a": 1}, {}]).encode()),
    "nested": coded(b"[" * 100_000),
    "a bomb": coded(b'[{"a":"' + b" " * LARGEST + b'"},{}]'),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(case):
    """Damaged metadata are ignored, as those of a file from someone else."""
    assert read({PATHS: DAMAGED[case]}) == Paths()
