"""Checkpoint files for the tests of `convert`: written, damaged, converted, compared and refused."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save_file

import convpolicy as cp

DTYPES = ("float32", "float64", "float16", "int64", "uint8", "bool")


def random_tensor(seed: int, shape: tuple[int, ...], dtype: str = "float32"):
    """Random values of a dtype."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * 50).astype(dtype)


def model() -> dict[str, np.ndarray]:
    """The tensors of a small torch model: two Conv1d, one of them without bias, and what is none."""
    return {
        "encoder.conv.weight": random_tensor(0, (6, 3, 5)), "encoder.conv.bias": random_tensor(1, (6,)),
        "downconv.weight": random_tensor(2, (4, 6, 1)), "head.weight": random_tensor(3, (2, 4)), "head.bias": random_tensor(4, (2,)),
        "steps": np.array(7), "mask": random_tensor(5, (3, 4, 5), "bool"), "empty": np.zeros((0, 3), "float32"),
    }  # fmt: skip


def written(path: Path, tensors=None, metadata=None) -> Path:
    """Write a safetensors file with the library itself."""
    save_file(model() if tensors is None else tensors, path, metadata or {"format": "pt"})
    return path


def digest(path: Path) -> str:
    """A checksum of a whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def moved(weight: np.ndarray, target: str) -> np.ndarray:
    """A weight OIW in the axes of a target, written out by hand."""
    return {
        "torch": weight, "mindspore": weight[:, :, None], "keras": weight.transpose(2, 1, 0), "flax": weight.transpose(2, 1, 0),
        "OWI": weight.transpose(0, 2, 1),
    }[target]  # fmt: skip


def expected(target: str) -> dict[str, np.ndarray]:
    """What the model's file should hold for a target."""
    name = "kernel" if target in ("keras", "flax") else "weight"
    made = model()
    for stem in ("encoder.conv", "downconv"):
        made[f"{stem}.{name}"] = moved(made.pop(f"{stem}.weight"), target)
    return made


def same(found, wanted) -> bool:
    """Whether two sets of tensors have the same names, shapes, dtypes and bytes."""
    return set(found) == set(wanted) and all(
        (found[name].shape, found[name].dtype, found[name].tobytes()) == (array.shape, array.dtype, array.tobytes())
        for name, array in wanted.items()
    )


@st.composite
def tensors(draw):
    """Some tensors of any shape and dtype; those called weight with three axes are weights."""
    names = draw(
        st.lists(st.text("abc.", min_size=1, max_size=6).map(lambda text: f"{text}x"), min_size=1, max_size=5, unique=True)
    )
    made = {}
    for number, name in enumerate(names):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
        made[name] = random_tensor(number, shape, draw(st.sampled_from(DTYPES)))
    for number in range(draw(st.integers(1, 3))):
        shape = tuple(draw(st.integers(1, 70)) for _ in range(3))
        made[f"conv{number}.weight"] = random_tensor(number, shape, draw(st.sampled_from(DTYPES)))
    return made


def convert(src, dst, **words):
    """From torch to mindspore, guessed."""
    return cp.convert(src, dst, **({"source": "torch", "target": "mindspore", "guess": True} | words))


def refused(src: Path, says: str, dst: str = "b.safetensors", kind: type = ValueError, **words) -> str:
    """Assert that a conversion is refused in one sentence and leaves the folder as it was; return the sentence."""
    before = {path: path.read_bytes() for path in src.parent.rglob("*") if path.is_file()}
    with pytest.raises(kind, match=says) as raised:
        convert(src, src.parent / dst, **words)
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in src.parent.rglob("*") if path.is_file()} == before
    if kind is ValueError:
        assert isinstance(raised.value, cp.ConvPolicyError)
    return str(raised.value)


def damaged(whole: bytes, number: int) -> bytes:
    """A file with a few of its bytes changed."""
    chance = random.Random(number)
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(min(len(data), 400) if number % 2 else len(data))] = chance.randrange(256)
    return bytes(data)
