"""Files of the frameworks that are neither read nor written: named with what to do in the framework instead, before they are opened."""

from __future__ import annotations

import pytest
from helpers.checkpoints import written

import convpolicy as cp

NAMES = {
    "model.ckpt-10.data-00000-of-00001": r"a part of a TensorFlow checkpoint; pass the file beside it that ends in \.index",
    "saved_model.pb": "a saved TensorFlow graph",
    "model.pdopt": r"the state of an optimizer; convert the parameters beside it, which end in \.pdparams",
    "model.gguf": r"a file of llama\.cpp, whose tensors are quantized",
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
        cp.convert(tmp_path / "a.tape", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    assert ".pdopt" not in str(raised.value)


def test_a_plugin_names_its_own(register, tmp_path):
    """A format with ``instead`` needs no reader; one without either is refused where it is made."""
    register(cp.FileFormat(".tide", instead="a tide; save it as .npz with tide.save"))
    with pytest.raises(cp.InvalidValueError, match=r"'a\.tide' is a tide; save it as \.npz with tide\.save\."):
        cp.convert(tmp_path / "a.tide", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    with pytest.raises(cp.InvalidTypeError, match=r"reader of file format '\.ebb' must be a class or a function, got None"):
        cp.FileFormat(".ebb")
