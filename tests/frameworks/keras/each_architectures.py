"""Checkpoints of architectures, most of transformers, for their twins in Keras: they load whole, and come back with the same bytes."""

from __future__ import annotations

import keras
import pytest
import torch
from helpers.architectures import ARCHITECTURES, architecture
from helpers.outlines import outline
from helpers.twin_checks import check_there_and_back
from helpers.twins.keras import KerasBuilder
from safetensors.torch import load_file, save_file

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "transformers")
OWN = {"mimi": ["decoder.upsample.conv"]}  # a transposed convolution with groups


def load(twin, path):
    """Load a file as a user does; Keras raises an error for a layer that has no tensors in the file."""
    keras.saving.load_weights(twin, path)


if keras.config.backend() == "tensorflow":  # the layers have the same variables on each backend, and here they are made fastest

    @pytest.mark.grid(every=3)
    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_there_and_back(name, tmp_path, monkeypatch):
        """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
        monkeypatch.chdir(tmp_path)
        check_there_and_back(name, KerasBuilder(), load, target="keras", middle="b.weights.h5", own=OWN.get(name, ()))

    @pytest.mark.parametrize("name", ["whisper", "resnet", "wavenet", "vit", "conv-tasnet"])
    def test_a_file_that_keras_saved(name, tmp_path, monkeypatch):
        """Without convpolicy's metadata, layers in lists are found by their names and order; parameters of the user's own are reported."""
        monkeypatch.chdir(tmp_path)
        model, builder = architecture(name), KerasBuilder()
        twin = builder.build(outline(model))
        save_file({key: value.clone() for key, value in model.state_dict().items()}, "a.safetensors")
        cp.convert("a.safetensors", "b.weights.h5", source="torch", target="keras", model=twin)
        load(twin, "b.weights.h5")
        keras.saving.save_weights(twin, "again.weights.h5")
        back = cp.convert("again.weights.h5", "c.safetensors", source="keras", target="torch", model=model)
        assert list(back.missing) == [f"{path}.{value}" for path, (part, _) in builder.others.items() for value in part.values]
        assert len(back.unexpected) == len(back.missing)
        assert not back.shape
        found, state = load_file("c.safetensors"), model.state_dict()
        counts = [key for key in state if key.endswith("num_batches_tracked")]
        assert set(found) == set(state) - set(back.missing)
        assert all(torch.equal(value, state[key]) for key, value in found.items() if key not in counts)

    def test_two_stacks_of_recurrent_layers(tmp_path, monkeypatch):
        """Keras names the layers of both stacks of EnCodec alike in its own file, which could go two ways and is refused."""
        monkeypatch.chdir(tmp_path)
        model, builder = architecture("encodec"), KerasBuilder()
        twin = builder.build(outline(model))
        keras.saving.save_weights(twin, "again.weights.h5")
        with pytest.raises(
            cp.InvalidValueError, match=r"fits 'encoder.layers.7.lstm.l0' and '.*' of the model; say which one it is"
        ):
            cp.convert("again.weights.h5", "c.safetensors", source="keras", target="torch", model=model)
