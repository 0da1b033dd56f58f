"""Checkpoints of architectures, most of transformers, for their twins in Keras: they load whole, and come back with the same bytes."""

from __future__ import annotations

import keras
import pytest
from helpers.architectures import ARCHITECTURES
from helpers.twin_checks import check_there_and_back
from helpers.twins.keras import KerasBuilder

pytestmark = pytest.mark.needs("torch", "transformers")
OWN = {"mimi": ["decoder.upsample.conv"]}  # a transposed convolution with groups


def load(twin, path):
    """Load a file as a user does; Keras raises an error for a layer that has no tensors in the file."""
    keras.saving.load_weights(twin, path)


if keras.config.backend() == "tensorflow":  # the layers have the same variables on each backend, and here they are made fastest

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_there_and_back(name, tmp_path, monkeypatch):
        """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
        monkeypatch.chdir(tmp_path)
        check_there_and_back(name, KerasBuilder(), load, target="keras", middle="b.weights.h5", own=OWN.get(name, ()))
