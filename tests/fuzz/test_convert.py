"""The fuzzer of `convert` finds what it is for: each fault that is put into the package is met within a few hundred inputs."""

from __future__ import annotations

import contextlib
import random
import shutil

import numpy as np
import pytest

from convpolicy.conversion import rows
from convpolicy.conversion.files.safetensors import SafetensorsWriter
from convpolicy.errors import InvalidValueError
from convpolicy.files.whole import Staged

from . import convert

pytestmark = pytest.mark.needs("torch", "mindspore", "h5py")

INPUTS = 200


def first_fault(folder):
    """The message of the first fault, or an empty text."""
    for seed in range(INPUTS):
        (folder / str(seed)).mkdir()
        with contextlib.suppress(OSError):
            try:
                convert.case(random.Random(seed), folder / str(seed))
            except AssertionError as error:
                return str(error)
        shutil.rmtree(folder / str(seed))
    return ""


FAULTS = {
    "an exception of a library": (rows, "_shape", lambda move, old: np.empty(-1), "ValueError: negative dimensions"),
    "a result without numbers": (SafetensorsWriter, "write", lambda *_words: None, "does not read: SafetensorError"),
    "a name that stays hidden": (Staged, "__exit__", lambda *_words: None, "does not read: FileNotFoundError"),
    "a message of two lines": (rows, "_check_names", lambda *_words: refuse("two\nlines"), "a message of several lines"),
}


def refuse(message):
    """Raise an error of the contract."""
    raise InvalidValueError(message)


@pytest.mark.parametrize("fault", FAULTS)
def test_finds(fault, tmp_path, monkeypatch):
    """With the fault there is a message that says what was seen."""
    module, name, wrong, says = FAULTS[fault]
    monkeypatch.setattr(module, name, wrong)
    assert says in first_fault(tmp_path)


def test_finds_nothing(tmp_path):
    """Without one there is none."""
    assert first_fault(tmp_path) == ""
