"""What a guess takes for a weight of a Conv1d, and what it leaves with a reason: the surroundings decide, not the axes alone."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.checkpoints import random_tensor, written
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.conversion import guessing

MOVED = {
    "its name": {"encoder.conv1.weight": (6, 3, 5)},
    "its name, as many inputs as outputs": {"conv.weight": (4, 4, 3), "conv.bias": (4,)},
    "its bias": {"0.weight": (6, 3, 5), "0.bias": (6,)},
    "groups": {"net.3.weight": (6, 1, 5), "net.3.bias": (6,)},
    "a convolution of positions": {"pos_conv_embed.conv.weight": (8, 2, 9), "pos_conv_embed.conv.bias": (8,)},
    "weight normalisation": {"ups.weight_v": (6, 3, 5), "ups.weight_g": (6, 1, 1), "ups.bias": (6,)},
}
LEFT = {
    "a transposed one by its class": (
        {"ConvTranspose_0.weight": (3, 6, 5), "ConvTranspose_0.bias": (6,)},
        "it belongs to a transposed convolution",
    ),
    "and by a shorter name": ({"deconv.weight": (4, 4, 5)}, "it belongs to a transposed convolution"),
    "by its bias": ({"decoder.conv.weight": (8, 4, 5), "decoder.conv.bias": (4,)}, r"its bias has shape \(4,\)"),
    "by its bias, normed": (
        {"ups.0.weight_v": (8, 4, 5), "ups.0.weight_g": (8, 1, 1), "ups.0.bias": (4,)},
        "its bias has shape",
    ),
    "perhaps transposed": (
        {"1.weight": (4, 4, 5), "1.bias": (4,)},
        "with as many inputs as outputs it may be a transposed weight",
    ),
    "a positional embedding": ({"pos.weight": (1, 16, 8)}, "does not mention a convolution, and it has no bias"),
    "attention": ({"attn.out.weight": (8, 2, 4), "attn.out.bias": (8,)}, "it belongs to another kind of layer"),
    "two axes": ({"conv2d.weight": (8, 2, 4)}, "it belongs to a 2-D or 3-D convolution"),
    "nothing in it": ({"conv.weight": (0, 2, 4)}, "it has no elements"),
}


@pytest.mark.parametrize("case", MOVED)
def test_taken(case, tmp_path):
    """Each is moved, value by value."""
    made = {name: random_tensor(n, shape) for n, (name, shape) in enumerate(MOVED[case].items())}
    cp.convert(written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="torch", target="OWI", guess=True)
    found = load_file(tmp_path / "b.safetensors")
    assert all(
        np.array_equal(found[name], value.transpose(0, 2, 1) if value.ndim == 3 else value) for name, value in made.items()
    )


@pytest.mark.parametrize("case", LEFT)
def test_left(case, tmp_path):
    """Beside a weight that is certain it is copied unchanged, and a note names it; alone it is refused with the same reason."""
    shapes, reason = LEFT[case]
    made = {name: random_tensor(n, shape) for n, (name, shape) in enumerate(shapes.items())}
    both = made | {"certain.conv.weight": random_tensor(9, (6, 3, 5))}
    words = {"source": "torch", "target": "keras", "guess": True}
    done = cp.convert(written(tmp_path / "a.safetensors", both), tmp_path / "b.safetensors", **words)
    found = load_file(tmp_path / "b.safetensors")
    assert all(np.array_equal(found[key], value) for key, value in made.items())
    assert any(note.startswith(f"'{name}' is copied unchanged") for note in done.notes for name in made)
    with pytest.raises(
        cp.InvalidValueError, match=f"has no Conv1d weight in the layout of torch .* is copied unchanged: .*{reason}"
    ):
        cp.convert(written(tmp_path / "c.safetensors", made), tmp_path / "d.safetensors", **words)
    assert not (tmp_path / "d.safetensors").exists()


def test_kernels_of_images(tmp_path):
    """Where a weight of two axes of space is in the file, one of (1, kernel) may be such a one too."""
    made = {"conv.weight": random_tensor(0, (4, 3, 1, 5)), "down_conv.weight": random_tensor(1, (4, 3, 3, 3))}
    with pytest.raises(
        cp.InvalidValueError, match=r"'conv.weight' is copied unchanged: 'down_conv.weight' has shape \(4, 3, 3, 3\)"
    ):
        cp.convert(written(tmp_path / "a.safetensors", made), tmp_path / "b.npz", source="mindspore", target="torch", guess=True)


@pytest.mark.parametrize("case", LEFT)
def test_a_guess_by_axes_alone_is_noticed(case, tmp_path, monkeypatch):
    """The comparison above fails where nothing speaks against a tensor of three axes, as it once was."""
    monkeypatch.setattr(guessing, "_against", lambda *_words: "")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(cp.InvalidValueError):
        made = {name: random_tensor(n, shape) for n, (name, shape) in enumerate(LEFT[case][0].items())}
        cp.convert(
            written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="torch", target="keras", guess=True
        )
