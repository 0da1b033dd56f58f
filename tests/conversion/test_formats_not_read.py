"""Files of the frameworks that are neither read nor written: named with what to do in the framework instead, before they are opened."""

from __future__ import annotations

import pytest
from helpers.checkpoints import written

import convpolicy as cp

NAMES = {
    "model.h5": r"a whole model in HDF5.*model\.save_weights\('NAME\.weights\.h5'\)",
    "model.hdf5": "a whole model in HDF5",
    "model.ckpt-10.index": r"a part of a TensorFlow checkpoint.*tf\.train\.Checkpoint",
    "model.ckpt-10.data-00000-of-00001": "a part of a TensorFlow checkpoint",
    "saved_model.pb": "a saved TensorFlow graph",
    "model.pdparams": r"parameters that paddle\.save pickled.*paddle\.load",
    "flax_model.msgpack": r"parameters that Flax serialized.*msgpack_restore",
}


@pytest.mark.parametrize("name", NAMES)
def test_named_with_what_to_do(name, tmp_path):
    """As source and as output, whatever the source and the target are, in one sentence that does not say to rename the file."""
    source = written(tmp_path / "a.safetensors")
    for src, dst in ((tmp_path / name, tmp_path / "b.npz"), (source, tmp_path / name)):
        with pytest.raises(cp.InvalidValueError, match=rf"'{name}' is {NAMES[name]}") as raised:
            cp.convert(src, dst, source="torch", target="keras", guess=True)
        assert "rename" not in str(raised.value)
        assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_another_suffix_says_both(tmp_path):
    """A name that no format has: the message says what to do, and does not list the formats that are never read."""
    with pytest.raises(
        cp.InvalidValueError, match=r"rename the file if it has one of these formats, otherwise save the weights in one"
    ) as raised:
        cp.convert(tmp_path / "a.gguf", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    assert ".pdparams" not in str(raised.value)


def test_a_plugin_names_its_own(register, tmp_path):
    """A format with ``instead`` needs no reader; one without either is refused where it is made."""
    register(cp.FileFormat(".tide", instead="a tide; save it as .npz with tide.save"))
    with pytest.raises(cp.InvalidValueError, match=r"'a\.tide' is a tide; save it as \.npz with tide\.save\."):
        cp.convert(tmp_path / "a.tide", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    with pytest.raises(cp.InvalidTypeError, match=r"reader of file format '\.ebb' must be a class or a function, got None"):
        cp.FileFormat(".ebb")
