"""Weights of transposed convolutions in checkpoint files: by layers, maps, patterns, class paths and stamps, and never by a shape."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.checkpoints import random_tensor, written
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.conversion import rows

FLIPPED = cp.Layout("KIO-reversed", "WIO", weight="kernel", transposed=True, flip=True)
SWAPPED = cp.Layout("KOI", "WOI", weight="kernel", transposed=True)


class Tide:
    """A framework whose transposed kernels are stored in reverse, and one of them with the axes exchanged."""

    @cp.hookimpl
    def convpolicy_layouts(self):
        return [FLIPPED, SWAPPED]

    @cp.hookimpl
    def convpolicy_policies(self):
        half = cp.policy("torch").half()
        plain = cp.policy("torch").evolve(name="tide", layout="WIO", transposed=half.evolve(name="tide", layout="KIO-reversed"))
        other = cp.policy("torch").evolve(name="ebb", layout="WIO", transposed=half.evolve(name="ebb", layout="KOI"))
        return [plain, other, cp.policy("torch").evolve(name="without", layout="WIO", transposed=None)]


@pytest.fixture(autouse=True)
def tide():
    """Register the framework."""
    cp.register(Tide(), "tide")
    yield
    cp.unregister("tide")


def model():
    """A decoder: a convolution, transposed ones with and without groups, a normed one, and another tensor."""
    return {
        "conv.weight": random_tensor(0, (6, 4, 5)),
        "conv.bias": random_tensor(1, (6,)),
        "ups.0.weight": random_tensor(2, (6, 3, 4)),
        "ups.0.bias": random_tensor(3, (3,)),
        "ups.1.weight": random_tensor(4, (6, 3, 4)),
        "ups.1.bias": random_tensor(5, (6,)),
        "ups.2.weight_v": random_tensor(6, (6, 6, 3)),
        "ups.2.weight_g": random_tensor(7, (6, 1, 1)),
        "head.weight": random_tensor(8, (6, 6, 3)),
    }


LAYERS = {
    "conv": cp.Conv1d(4, 6, 5, seed=0),
    "ups.0": cp.ConvTranspose1d(6, 3, 4, 2, seed=0),
    "ups.1": cp.ConvTranspose1d(6, 6, 4, 2, groups=2, seed=0),
    "ups.2": cp.ConvTranspose1d(6, 6, 3, bias=False, seed=0),
}
MAP = {"conv.weight": "torch", "ups.*.weight*": {"layout": "torch", "transposed": True}}
WAYS = {
    "layers": {"layers": LAYERS},
    "a map": {"mapping": MAP},
    "a map without a layout": {"mapping": {"conv.weight": "torch", "ups.*.weight*": {"transposed": True}}},
    "a map of a layout": {"mapping": {"conv.weight": "OIW", "ups.*.weight*": "IOW"}},
    "patterns": {"mapping": {"conv.weight": "torch"}, "transposed": ["ups.*"]},
    "a pattern and a guess": {"transposed": "ups.*", "guess": True},
}


def expected(name, value, reverse):
    """The tensor in the target's form, by hand: (kernel, in, out/groups), perhaps in reverse."""
    if name == "conv.weight":
        return value.transpose(2, 1, 0)
    if not name.startswith("ups") or value.ndim < 3:
        return value
    return value[:, :, ::-1].transpose(2, 0, 1) if reverse else value.transpose(2, 1, 0)


def check(way, tmp_path, target):
    """Convert the model in one way and compare every tensor; the report says what was turned around."""
    made = model()
    done = cp.convert(
        written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="torch", target=target, **WAYS[way]
    )
    found = load_file(tmp_path / "b.safetensors")
    assert len(found) == len(made)
    names = {"conv.weight": "conv.kernel", "ups.0.weight": "ups.0.kernel", "ups.1.weight": "ups.1.kernel"}
    for name, value in made.items():
        assert np.array_equal(found[names.get(name, name)], expected(name, value, target == "tide")), name
    axes = {row.old: row.axes for row in done.weights}
    turned = "IOW -> WIO, reversed" if target == "tide" else "IOW -> WOI"
    assert axes == {"conv.weight": "OIW -> WIO"} | dict.fromkeys(
        ("ups.0.weight", "ups.1.weight", "ups.2.weight_v", "ups.2.weight_g"), turned
    )
    return done


@pytest.mark.parametrize("target", ["tide", "ebb"])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_say_so(way, target, tmp_path):
    """Axes, direction and names of every weight, and back again by the stamp, bit for bit."""
    check(way, tmp_path, target)
    cp.convert(tmp_path / "b.safetensors", tmp_path / "back.safetensors", source=target, target="torch")
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_biases_are_renamed_beside_their_weights(tmp_path):
    """A layout with another name of the bias: those of transposed weights, with groups too, are renamed."""
    named = {"layouts": [cp.Layout("KIO-named", "WIO", weight="kernel", bias="offset", transposed=True)]}

    class Plugin:
        @cp.hookimpl
        def convpolicy_layouts(self):
            return named["layouts"]

    cp.register(Plugin(), "named")
    try:
        source = written(tmp_path / "a.safetensors", model())
        cp.convert(source, tmp_path / "b.safetensors", source="IOW", target="KIO-named", mapping={"ups.?.weight": "IOW"})
        found = load_file(tmp_path / "b.safetensors")
        assert np.array_equal(found["ups.0.offset"], model()["ups.0.bias"])
        assert np.array_equal(found["ups.1.offset"], model()["ups.1.bias"])  # 2 groups of 3 outputs
        assert "conv.bias" in found
    finally:
        cp.unregister("named")


def test_between_two_reversed_layouts_and_folded(tmp_path):
    """A kernel that is reversed on one side only moves its bytes; a folded norm is the weight, in the target's form."""
    made = model()
    cp.convert(
        written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="torch", target="tide", layers=LAYERS,
        fold_weight_norm=True,
    )  # fmt: skip
    v, g = made["ups.2.weight_v"].astype(np.float64), made["ups.2.weight_g"].astype(np.float64)
    weight = v * g / np.sqrt((v**2).sum((1, 2), keepdims=True))
    assert np.abs(load_file(tmp_path / "b.safetensors")["ups.2.kernel"] - weight[:, :, ::-1].transpose(2, 0, 1)).max() < 1e-6
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="tide", target="ebb")
    found = load_file(tmp_path / "c.safetensors")
    assert np.array_equal(found["ups.0.kernel"], made["ups.0.weight"].transpose(2, 1, 0))
    assert np.array_equal(found["conv.kernel"], made["conv.weight"].transpose(2, 1, 0))


def test_an_unreversed_kernel_is_noticed(tmp_path, monkeypatch):
    """The comparison above fails where only the axes of two layouts count, as it once was."""
    monkeypatch.setattr(
        rows, "_moved", lambda move, array: array.transpose([move.source.axes.index(a) for a in move.target.axes])
    )
    with pytest.raises(AssertionError):
        check("layers", tmp_path, "tide")


# -- guesses --------------------------------------------------------------------------------------------------------------


def guessed(tmp_path, made, target="tide", source="torch"):
    """Convert by a guess and return the report and the tensors."""
    both = {"certain.conv.weight": random_tensor(9, (6, 4, 5)), "certain.conv.bias": random_tensor(9, (6,))} | made
    done = cp.convert(
        written(tmp_path / "a.safetensors", both), tmp_path / "b.safetensors", source=source, target=target, guess=True
    )
    return done, load_file(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "name",
    ["decoder.3.convtr.convtr", "convtr1", "conv_tr", "tconv", "net.trans_conv.2", "conv_trans", "up_conv", "deconv1", "convT"],
)
def test_names_of_transposed_convolutions_are_copied(name, tmp_path):
    """EnCodec's `convtr` and others are not taken for a Conv1d, also where the numbers of channels fit; a note says why."""
    weight = random_tensor(0, (6, 6, 4))
    done, found = guessed(tmp_path, {f"{name}.weight": weight, f"{name}.bias": random_tensor(1, (6,))})
    assert np.array_equal(found[f"{name}.weight"], weight)
    assert any(
        f"'{name}.weight' is copied unchanged: its name says that it belongs to a transposed" in note for note in done.notes
    )


@pytest.mark.parametrize("name", ["firstconv", "conv_true", "nextconv2", "conv_trunk", "conv.to"])
def test_names_of_convolutions_are_converted(name, tmp_path):
    """A letter t beside `conv` is not a transposed convolution."""
    weight = random_tensor(0, (6, 3, 4))
    _done, found = guessed(tmp_path, {f"{name}.weight": weight, f"{name}.bias": random_tensor(1, (6,))})
    assert np.array_equal(found[f"{name}.kernel"], weight.transpose(2, 1, 0))


DOUBTFUL = {  # shapes that a transposed convolution has, too; certain ones
    "square": ({"up.conv.weight": (6, 6, 4), "up.conv.bias": (6,)}, True),
    "no bias": ({"up.conv.weight": (6, 3, 4)}, True),
    "depthwise": ({"up.conv.weight": (6, 1, 4), "up.conv.bias": (6,)}, True),
    "normed": ({"up.conv.weight_v": (6, 3, 4), "up.conv.weight_g": (6, 1, 1)}, True),
    "its bias": ({"up.conv.weight": (6, 3, 4), "up.conv.bias": (6,)}, False),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_a_guess_that_may_be_wrong_is_named(case, tmp_path):
    """A note names a guessed weight that could be one of a transposed convolution, if its result would then be another one."""
    shapes, doubtful = DOUBTFUL[case]
    made = {name: random_tensor(n, shape) for n, (name, shape) in enumerate(shapes.items())}
    notes = [note for note in guessed(tmp_path, made)[0].notes if "also fits a transposed convolution" in note]
    assert bool(notes) == doubtful
    assert all(note.startswith(f"{next(iter(shapes))!r} is guessed to be a Conv1d weight, and its shape") for note in notes)
    (tmp_path / "b.safetensors").unlink()
    (tmp_path / "a.safetensors").unlink()
    done, _found = guessed(tmp_path, made, target="ebb")  # OIW -> WIO and IOW -> WOI move the same bytes
    assert not [note for note in done.notes if "also fits" in note]


def test_a_layout_of_transposed_weights_as_the_source(tmp_path):
    """The user says that all weights are transposed: they are moved, and a name with `transpose` speaks for it."""
    made = {"conv_transpose.weight": random_tensor(0, (6, 3, 4)), "conv_transpose.bias": random_tensor(1, (3,))}
    cp.convert(
        written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="IOW", target="KIO-reversed", guess=True
    )
    found = load_file(tmp_path / "b.safetensors")
    assert np.array_equal(found["conv_transpose.kernel"], expected("ups", made["conv_transpose.weight"], True))


def test_a_class_in_the_path_decides(tmp_path, register):
    """A file format whose paths have the class of the layer: a transposed one is moved by its own layout, or refused."""
    names = cp.conversion.ParameterNames(classes={"conv_transpose": "KIO-reversed"})
    tide_format = cp.conversion.FileFormat(".tide", cp.conversion.NpzReader, cp.conversion.NpzWriter, names=names)
    register(tide_format, name="paths")
    made = {"layers.conv_transpose_1.kernel": random_tensor(0, (4, 6, 3)), "layers.conv_transpose_1.bias": random_tensor(1, (3,))}
    with (tmp_path / "a.tide").open("wb") as file:
        np.savez(file, **made)
    cp.convert(tmp_path / "a.tide", tmp_path / "b.safetensors", source="tide", target="torch", guess=True)
    found = load_file(tmp_path / "b.safetensors")
    weight = made["layers.conv_transpose_1.kernel"].transpose(1, 2, 0)[:, :, ::-1]
    assert np.array_equal(found["layers.conv_transpose_1.weight"], weight)
    with pytest.raises(
        cp.InvalidValueError, match="its path names 'conv_transpose', and without has no layout of weights of transposed"
    ):
        cp.convert(tmp_path / "a.tide", tmp_path / "c.safetensors", source="tide", target="without", guess=True)


# -- copies and refusals --------------------------------------------------------------------------------------------------


def test_a_copy_that_may_be_wrong_is_named(tmp_path):
    """Two frameworks that differ in their transposed layouts only: nothing is moved, and a note names a weight with these axes."""
    made = {"conv.kernel": random_tensor(0, (4, 6, 3)), "up.kernel": random_tensor(1, (4, 6, 3))}
    done = cp.convert(written(tmp_path / "a.safetensors", made), tmp_path / "b.safetensors", source="tide", target="ebb")
    assert (
        "'conv.kernel' is copied unchanged, as is 1 other; tide and ebb store the weights of transposed convolutions differently: if it "
        "is one, pass layers, or its name as transposed."
    ) in done.notes
    moved = cp.convert(tmp_path / "a.safetensors", tmp_path / "c.safetensors", source="tide", target="ebb", transposed="up.*")
    assert [(row.old, row.axes, row.why) for row in moved.weights] == [("up.kernel", "WIO -> WOI, reversed", "transposed up.*")]
    found = load_file(tmp_path / "c.safetensors")
    assert np.array_equal(found["up.kernel"], made["up.kernel"][::-1].transpose(0, 2, 1))
    assert np.array_equal(found["conv.kernel"], made["conv.kernel"])


NO_LAYOUT = "'without' has no layout of the weights of transposed convolutions; pass a policy or a layout that has one."
REFUSED = {
    "a target without a half": ({"target": "without", "transposed": ["ups.*"]}, f"transposed 'ups.*': {NO_LAYOUT}"),
    "in a map": ({"target": "without", "mapping": {"ups.0.weight": {"transposed": True}}}, f"mapping 'ups.0.weight': {NO_LAYOUT}"),
    "layers": ({"target": "without", "layers": LAYERS}, NO_LAYOUT),
    "a layout of the other kind": (
        {"target": "WIO", "mapping": {"ups.0.weight": "IOW"}},
        "mapping 'ups.0.weight': 'WIO' has no layout of the weights of transposed convolutions",
    ),
    "the other way round": (
        {"target": "KOI", "mapping": {"conv.weight": "torch"}},
        "mapping 'conv.weight': 'KOI' has no layout of the weights of convolutions that are not transposed",
    ),
    "contradiction": (
        {"target": "tide", "mapping": {"ups.0.weight": {"layout": "IOW", "transposed": False}}},
        "mapping 'ups.0.weight': 'IOW' has no layout of the weights of convolutions that are not transposed",
    ),
    "a word": ({"target": "tide", "mapping": {"ups.0.weight": {"transposed": "yes"}}}, "mapping 'ups.0.weight': transposed must be true or false, got 'yes'"),
    "no weight": ({"target": "tide", "transposed": ["*.bias"]}, "transposed has '*.bias', which matches no remaining tensor"),
    "not patterns": ({"target": "tide", "transposed": 3}, "transposed must be patterns of names, got 3"),
    "not text": ({"target": "tide", "transposed": [3]}, "transposed must be patterns of names, got [3]"),
    "two axes": ({"target": "tide", "mapping": {"conv.bias": "IOW"}}, "'conv.bias' cannot be a ConvTranspose1d weight in the layout IOW"),
    "another kind of layer": (
        {"target": "tide", "layers": {"ups.0": cp.Conv1d(6, 3, 4, seed=0)}},
        "layers has 'ups.0' with a weight of shape (3, 6, 4) as OIW, but 'ups.0.weight' has shape (6, 3, 4)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tmp_path):
    """One sentence, and no output."""
    words, sentence = REFUSED[case]
    source = written(tmp_path / "a.safetensors", model())
    with pytest.raises(cp.ConvPolicyError, match=re.escape(sentence)):
        cp.convert(source, tmp_path / "b.safetensors", source="torch", **words)
    assert not (tmp_path / "b.safetensors").exists()
