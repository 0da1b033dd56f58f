"""Checkpoint files rewritten in another layout: safetensors, sharded and .npz, with no framework; every value and byte compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.checkpoints import digest, expected, model, moved, random_tensor, same, tensors, written
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

import convpolicy as cp
from convpolicy.cli import group as cli
from convpolicy.conversion import rows as planning
from convpolicy.conversion.tensors import in_pieces

AXES = {"torch": "OIW", "mindspore": "OI1W", "keras": "WIO", "flax": "WIO", "OWI": "OWI"}


@pytest.mark.parametrize("target", AXES)
def test_weights_are_moved_and_the_rest_copied(target, tmp_path):
    """Every value by name; the stamp says the policy; the way back is byte-equal as a file, without being told what is a weight."""
    source = written(tmp_path / "a.safetensors")
    before = digest(source)
    done = cp.convert(source, tmp_path / "b.safetensors", source="torch", target=target, guess=True)
    assert same(load_file(tmp_path / "b.safetensors"), expected(target))
    assert {row.old: row.axes for row in done.weights} == dict.fromkeys(
        ("encoder.conv.weight", "downconv.weight"), f"OIW -> {AXES[target]}"
    )
    with safe_open(tmp_path / "b.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    if target != "torch":
        stamp = json.loads(metadata["convpolicy"])
        assert stamp["target"] == target
        if target in cp.policies():
            assert cp.Policy.from_dict(stamp["policy"]) == cp.policy(target)
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source=target, target="torch", guess=target == "torch")
    assert digest(tmp_path / "c.safetensors") == digest(source) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "c.safetensors"]


@settings(max_examples=30, deadline=None)
@given(tensors(), st.sampled_from(["mindspore", "keras", "OWI"]))
def test_round_trips(tmp_path_factory, made, target):
    """Any names, shapes and dtypes: the weights are moved, the rest is as it was, and the way back is byte-equal."""
    folder = tmp_path_factory.mktemp("trip")
    source = written(folder / "a.safetensors", made)
    cp.convert(source, folder / "b.safetensors", source="torch", target=target, guess=True)
    name = "kernel" if target == "keras" else "weight"
    wanted = {
        key.replace("weight", name): moved(array, target) if key.endswith(".weight") else array for key, array in made.items()
    }
    assert same(load_file(folder / "b.safetensors"), wanted)
    cp.convert(folder / "b.safetensors", folder / "c.safetensors", source=target, target="torch")
    assert digest(folder / "c.safetensors") == digest(source)
    cp.convert(source, folder / "d.npz", source="torch", target=target, guess=True)
    with np.load(folder / "d.npz", allow_pickle=False) as archive:
        assert same(dict(archive), wanted)
    cp.convert(folder / "d.npz", folder / "e.npz", source=target, target="torch", guess=True)
    with np.load(folder / "e.npz", allow_pickle=False) as archive:
        assert same(dict(archive), made)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("packed_pieces", lambda view: in_pieces(view[::-1])),
        ("packed_pieces", lambda view: in_pieces(view * np.float32(1.0000001))),
        ("_moved", lambda move, array, right=planning._moved: right(move, array)[..., ::-1] if array.ndim == 3 else array),
    ],
    ids=["another order", "another value", "flipped"],
)
def test_a_wrong_conversion_is_noticed(monkeypatch, tmp_path, name, wrong):
    """The comparison of values above fails for axes in another order, values that are off, and taps that are flipped."""
    source = written(tmp_path / "a.safetensors")
    monkeypatch.setattr(planning, name, wrong)
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="keras", guess=True)
    assert not same(load_file(tmp_path / "b.safetensors"), expected("keras"))


def sharded(folder: Path) -> Path:
    """The model in two files under an index, as large models come."""
    made = model()
    parts = {"model-1.safetensors": list(made)[:3], "model-2.safetensors": list(made)[3:]}
    for file, names in parts.items():
        written(folder / file, {name: made[name] for name in names})
    index = {
        "metadata": {"total_size": sum(array.nbytes for array in made.values())},
        "weight_map": {name: file for file, names in parts.items() for name in names},
    }
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return path


def test_sharded(tmp_path):
    """Each file and the index are rewritten under their own names; the way back is byte-equal; one file can be made of them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    source = sharded(tmp_path / "a")
    made = tmp_path / "b" / source.name
    cp.convert(source, made, source="torch", target="mindspore", guess=True)
    found = load_file(tmp_path / "b" / "model-1.safetensors") | load_file(tmp_path / "b" / "model-2.safetensors")
    assert same(found, expected("mindspore"))
    back = tmp_path / "c" / source.name
    cp.convert(made, back, source="mindspore", target="torch")
    for file in (source.name, "model-1.safetensors", "model-2.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "c" / file).read_bytes(), file
    cp.convert(source, tmp_path / "one.safetensors", source="torch", target="keras", guess=True)
    assert same(load_file(tmp_path / "one.safetensors"), expected("keras"))


def test_told_by_layers(tmp_path):
    """Captured layers say which tensors are weights, depthwise ones with their groups; sizes that disagree are refused."""
    layers = {"encoder.conv": cp.Conv1d(3, 6, 5, seed=0), "downconv": cp.capture(cp.Conv1d(6, 4, 1, seed=0))}
    source = written(tmp_path / "a.safetensors")
    done = cp.convert(source, tmp_path / "b.safetensors", source="torch", target="keras", layers=layers)
    assert same(load_file(tmp_path / "b.safetensors"), expected("keras"))
    assert {row.why for row in done.weights} == {"layer"}
    depthwise = cp.Conv1d(4, 8, 3, groups=4, seed=1)
    written(tmp_path / "d.safetensors", {"conv.weight": depthwise.weight})
    cp.convert(tmp_path / "d.safetensors", tmp_path / "e.safetensors", source="torch", target="WIM", layers={"conv": depthwise})
    (array,) = load_file(tmp_path / "e.safetensors").values()
    assert np.array_equal(array, cp.layouts()["WIM"].pack({"weight": depthwise.weight, "bias": None}, 4).popitem()[1])
    with pytest.raises(cp.InvalidValueError, match=r"layers has 'downconv' with a weight of shape \(4, 6, 2\)"):
        cp.convert(source, tmp_path / "f.safetensors", source="torch", target="keras", layers={"downconv": cp.Conv1d(6, 4, 2)})
    with pytest.raises(
        cp.InvalidValueError, match=r"layers has 'dawnconv', for which the file has no 'weight'. Did you mean 'downconv'"
    ):
        cp.convert(source, tmp_path / "f.safetensors", source="torch", target="keras", layers={"dawnconv": cp.Conv1d(6, 4, 1)})


def test_told_by_a_map(tmp_path):
    """Patterns and layouts in a TOML file: only what they fit is moved; names may change with them."""
    source = written(tmp_path / "a.safetensors")
    chosen = tmp_path / "map.toml"
    chosen.write_text('schema = 1\n[tensors]\n"encoder.*.weight" = "torch"\n"head.*" = {name = "last.*"}\n', encoding="utf-8")
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="mindspore", mapping=chosen)
    wanted = model()
    wanted["encoder.conv.weight"] = wanted["encoder.conv.weight"][:, :, None]
    wanted |= {f"last.{name}": wanted.pop(f"head.{name}") for name in ("weight", "bias")}
    assert same(load_file(tmp_path / "b.safetensors"), wanted)
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="mindspore", target="torch")
    assert digest(tmp_path / "c.safetensors") == digest(source)


def test_another_dtype(tmp_path):
    """dtype= casts floating-point tensors, ties to even, bfloat16 too; integers stay; a number that does not fit is refused."""
    source = written(tmp_path / "a.safetensors")
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="torch", dtype="float16")
    found = load_file(tmp_path / "b.safetensors")
    assert all(
        np.array_equal(found[name], array.astype("float16") if array.dtype == "float32" else array)
        for name, array in model().items()
    )
    cp.convert(source, tmp_path / "c.safetensors", source="torch", target="torch", dtype="bfloat16")
    with safe_open(tmp_path / "c.safetensors", "numpy") as file:
        assert file.get_slice("downconv.weight").get_dtype() == "BF16"
    cp.convert(tmp_path / "c.safetensors", tmp_path / "d.safetensors", source="torch", target="torch", dtype="float32")
    value = model()["downconv.weight"]
    ulp = np.exp2(np.floor(np.log2(np.abs(value))) - 7)  # bfloat16 keeps 8 significant bits
    assert (np.abs(load_file(tmp_path / "d.safetensors")["downconv.weight"] - value) <= ulp / 2).all()
    written(tmp_path / "e.safetensors", {"x": np.array([1.0, 70000.0], "float32")})
    with pytest.raises(cp.InvalidValueError, match="'x': 1 finite numbers would be infinite in float16; choose a wider dtype"):
        cp.convert(tmp_path / "e.safetensors", tmp_path / "f.safetensors", source="torch", target="torch", dtype="float16")
    assert not (tmp_path / "f.safetensors").exists()


@pytest.mark.parametrize(
    "names", [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")]
)
def test_weight_normalisation(names, tmp_path):
    """Kept as two tensors with their axes moved alike, or multiplied out to g · v / ‖v‖ when asked."""
    lengths, directions = random_tensor(1, (6, 1, 1)), random_tensor(2, (6, 3, 5))
    source = written(
        tmp_path / "a.safetensors", {f"c.{names[0]}": lengths, f"c.{names[1]}": directions, "c.bias": random_tensor(3, (6,))}
    )
    done = cp.convert(source, tmp_path / "b.safetensors", source="torch", target="mindspore", guess=True)
    found = load_file(tmp_path / "b.safetensors")
    assert np.array_equal(found[f"c.{names[1]}"], directions[:, :, None])
    assert np.array_equal(found[f"c.{names[0]}"], lengths[:, :, None])
    assert any("weight normalization is kept (1 weight): each weight is two tensors" in note for note in done.notes)
    cp.convert(source, tmp_path / "d.safetensors", source="torch", target="mindspore", guess=True, fold_weight_norm=True)
    folded = load_file(tmp_path / "d.safetensors")
    assert set(folded) == {"c.weight", "c.bias"}
    wide = directions.astype("float64")
    exact = lengths * wide / np.sqrt((wide**2).sum((1, 2), keepdims=True))
    assert np.array_equal(folded["c.weight"], exact.astype("float32")[:, :, None])


def test_progress_and_the_report(tmp_path):
    """The progress goes from 0 to all bytes; the report is plain data and text, with what another framework may not load."""
    source = written(tmp_path / "a.safetensors")
    steps: list = []
    done = cp.convert(
        source, tmp_path / "b.safetensors", source="torch", target="flax", guess=True, progress=lambda *step: steps.append(step)
    )
    total = sum(array.nbytes for array in model().values())
    assert [step[1] for step in steps] == sorted(step[1] for step in steps)
    assert (steps[0][1:], steps[-1]) == ((0, total), ("", total, total))
    assert json.loads(json.dumps(done.to_dict()))["target"] == "flax"
    assert "encoder.conv.weight -> encoder.conv.kernel: OIW -> WIO, (5, 3, 6) (guessed)" in str(done)
    assert str(done).splitlines()[-3] == f"{len(model()) - 2} other tensors copied"
    assert str(done).splitlines()[-2].startswith("'downconv.weight' is guessed to be a Conv1d weight, and its shape also fits")
    assert str(done).splitlines()[-1] == (
        "4 tensors of other layers keep the names and axes of torch, which a flax model may not load: 'empty', 'head.bias', 'head.weight', …."
    )


def test_on_the_command_line(tmp_path):
    """A guess is shown and not carried out without --yes; with it the file is there; --json says the same."""
    source, made = written(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    words = ["convert", str(source), str(made), "--source", "torch", "--target", "mindspore"]
    shown = CliRunner().invoke(cli.build(), [*words, "--guess"])
    assert shown.exit_code == 2
    assert "encoder.conv.weight" in shown.stdout
    assert "this is a guess and nothing was written; if it is right, add --yes" in shown.stderr
    assert not made.exists()
    done = CliRunner().invoke(cli.build(), [*words, "--guess", "--yes"])
    assert (done.exit_code, "6 other tensors copied" in done.stdout) == (0, True)
    assert same(load_file(made), expected("mindspore"))
    again = CliRunner().invoke(cli.build(), [*words, "--guess", "--yes"])
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "exists already" in again.stderr
    forced = CliRunner().invoke(cli.build(), [*words, "--guess", "--yes", "--force", "--json"])
    assert json.loads(forced.stdout)["output"] == str(made)
