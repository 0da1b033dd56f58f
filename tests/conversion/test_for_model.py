"""`convert(…, model=…)`: which tensor of the file becomes which of the model, what is refused, and what is reported."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytestmark = pytest.mark.needs("torch")
torch = pytest.importorskip("torch")

from helpers import torch_nets  # noqa: E402
from helpers.torch_nets import Named, dense  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

import convpolicy as cp  # noqa: E402


def test_report(to):
    """Missing, unexpected and other shapes are named as load_state_dict names them, and only what fits is written."""
    model = Named(body=nn.Conv1d(3, 4, 3), head=nn.Linear(4, 10), extra=nn.Embedding(5, 3))
    twin = Named(body=nn.Conv1d(3, 4, 3), head=nn.Linear(4, 2), norm=nn.LayerNorm(7))
    report, found = to(model.state_dict(), twin)
    assert report.missing == ("norm.weight", "norm.bias")
    assert report.unexpected == ("extra.weight",)
    assert {name for name, *_rest in report.shape} == {"head.weight", "head.bias"}
    assert set(report.loaded) == set(found) == {"body.weight", "body.bias"}
    assert "2 loaded, 2 missing, 1 unexpected, 2 of another shape" in str(report)
    outcome = twin.load_state_dict(found, strict=False)
    assert {*outcome.missing_keys} == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert not outcome.unexpected_keys


def test_a_missing_bias_is_missing(to):
    """A bias that only the model has is reported and not invented."""
    report, found = to({"fc.weight": torch.randn(4, 4)}, Named(fc=dense()))
    assert report.missing == ("fc.bias",)
    assert set(found) == {"fc.weight"}


def test_the_model_is_not_changed(to):
    """Numbers, mode and gradients of the model are as before."""
    twin = torch_nets.net("convs", seed=1).train()
    before = {name: value.clone() for name, value in twin.state_dict().items()}
    to(torch_nets.net("convs").state_dict(), twin)
    assert all(torch.equal(before[name], value) for name, value in twin.state_dict().items())
    assert twin.training
    assert all(value.requires_grad for value in twin.parameters())


def test_tied_weights(to):
    """A tensor with two names in the model is written under both, whether the file has both or one."""
    model = Named(embed=nn.Embedding(6, 4), head=nn.Linear(4, 6, bias=False))
    model.head.weight = model.embed.weight
    for state in (model.state_dict(), {"embed.weight": model.embed.weight}):
        report, found = to(state, model)
        assert report.loading.complete
        assert np.array_equal(found["head.weight"], found["embed.weight"])


def test_parameters_of_other_modules(to):
    """A parameter of the user's own module is matched by its whole name, with unchanged axes, which a note says."""
    model = Named(fc=dense())
    model.register_parameter("place", nn.Parameter(torch.randn(3, 5)))
    report, found = to({"module." + name: value for name, value in model.state_dict().items()}, model)
    assert report.loading.complete
    assert np.array_equal(found["place"], model.place.detach())
    assert any("'place'" in note and "unchanged axes" in note for note in report.notes)


def test_axes_of_length_one(to):
    """The scale of a LayerNorm over (1, 5) is that of one over 5, both ways; one over 6 or over (5, 1, 2) is not."""
    wide, narrow = Named(norm=nn.LayerNorm((1, 5))), Named(norm=nn.LayerNorm(5))
    nn.init.normal_(wide.norm.weight)
    report, found = to(wide.state_dict(), narrow)
    assert report.loading.complete
    assert np.array_equal(found["norm.weight"], wide.norm.weight.detach()[0])
    report, again = to({name: torch.as_tensor(value) for name, value in found.items()}, wide)
    assert report.loading.complete
    assert np.array_equal(again["norm.weight"], wide.norm.weight.detach())
    for shape in (6, (5, 1, 2)):
        other = Named(norm=nn.LayerNorm(shape), fc=dense())
        report, _found = to(wide.state_dict() | Named(fc=dense()).state_dict(), other)
        assert [row[0] for row in report.shape] == ["norm.weight", "norm.bias"]


def test_weight_normalisation(to):
    """Two tensors stay two where the model has two, become one with fold_weight_norm, and are named where that is missing."""
    normed = Named(conv=nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3)))
    lengths, directions = (f"conv.parametrizations.weight.original{at}" for at in (0, 1))
    state = normed.state_dict()
    older = {"conv.weight_g": state[lengths], "conv.weight_v": state[directions], "conv.bias": state["conv.bias"]}
    report, found = to(older, normed)
    assert report.loading.complete
    assert np.array_equal(found[directions], state[directions])
    assert np.array_equal(found[lengths], state[lengths])
    report, found = to(normed.state_dict(), Named(conv=nn.Conv1d(3, 4, 3)), fold_weight_norm=True)
    assert report.loading.complete
    assert np.allclose(found["conv.weight"], normed.conv.weight.detach(), rtol=1e-6)
    report, _found = to(normed.state_dict(), Named(conv=nn.Conv1d(3, 4, 3)))
    assert report.missing == ("conv.weight",)
    assert any("fold_weight_norm" in note for note in report.notes)
    report, _found = to(
        Named(conv=nn.Conv1d(3, 4, 3)).state_dict() | {"fc.weight": torch.ones(2, 2)}, Named(conv=normed.conv, fc=nn.Linear(2, 2))
    )
    assert set(report.missing) == {lengths, directions, "fc.bias"}
    assert any("remove the weight normalization of the model" in note for note in report.notes)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_weight_normalisation_of_a_linear_layer(to, normalize):
    """A file with the names of either version of torch fits a model of either, and becomes one weight with fold_weight_norm."""
    state = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)).state_dict()
    lengths, directions = (f"parametrizations.weight.original{at}" for at in (0, 1))
    newer = {f"fc.{name}": value for name, value in state.items()}
    older = {"fc.weight_g": state[lengths], "fc.weight_v": state[directions], "fc.bias": state["bias"]}
    for file in (newer, older):
        model = Named(fc=normalize(nn.Linear(3, 4)))
        report, found = to(file, model)
        assert report.loading.complete
        model.load_state_dict({name: torch.as_tensor(value) for name, value in found.items()})
        assert torch.equal(model.fc.bias, state["bias"])
        assert torch.equal(model.fc(torch.eye(3)), Named(fc=loaded(state)).fc(torch.eye(3)))
        report, found = to(file, Named(fc=nn.Linear(3, 4)), fold_weight_norm=True)
        assert report.loading.complete
        assert np.allclose(found["fc.weight"], loaded(state).weight.detach(), rtol=1e-6)


def loaded(state):
    """A linear layer under weight normalization with these tensors."""
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    layer.load_state_dict(state)
    return layer


def test_dtype(to):
    """Floating tensors are cast, counts are not; without dtype a note says that the model has another one."""
    model = torch_nets.net("convs")
    report, found = to(model.state_dict(), model, dtype="float16")
    assert {str(value.dtype) for value in found.values()} == {"torch.float16", "torch.int64"}
    assert torch.equal(found["conv1.weight"], model.conv1.weight.detach().half())
    assert any("float16 instead of float32" in note for note in report.notes)


def test_counts_are_kept_for_the_way_back(tmp_path):
    """The number of batches that torch's norm has seen is in the metadata of a file for a model that has none."""
    model = torch_nets.net("convs")
    with torch.no_grad():
        model.bn1.num_batches_tracked.fill_(9)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    report = cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="torch", target="torch", model=NoCounts())
    assert report.loading.complete
    cp.convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="torch", target="torch", model=model)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    damaged = {"convpolicy-kept": json.dumps({"bn1.num_batches_tracked": ["int64", [2**40], "AA=="]})}
    save_file(load_file(tmp_path / "b.safetensors"), tmp_path / "d.safetensors", metadata=damaged)
    cp.convert(tmp_path / "d.safetensors", tmp_path / "e.safetensors", source="torch", target="torch", model=model)
    assert load_file(tmp_path / "e.safetensors")["bn1.num_batches_tracked"] == 0


class NoCounts(torch_nets.Convs):
    """A model whose norms do not count batches."""

    def __init__(self):
        super().__init__()
        self.bn1.num_batches_tracked = self.bn2.num_batches_tracked = None


BAD = {
    "no model": ({"model": 3}, cp.InvalidTypeError, "model must be a model of one of flax, .*torch, got an object of type int"),
    "another framework": (
        {"target": "keras"},
        cp.InvalidValueError,
        "target must be the framework of model, which is a torch model, got 'keras'",
    ),
    "a layout as source": ({"source": "OIW"}, cp.InvalidValueError, "source must be a policy of a framework"),
    "with guess": ({"guess": True}, cp.InvalidValueError, "model must be passed without layers, guess and transposed"),
    "a layout in the map": (
        {"mapping": {"fc.*": "torch"}},
        cp.InvalidValueError,
        "mapping must only rename tensors when model is passed",
    ),
    "two of one name": (
        {"mapping": {"fc.*": {"name": "fc"}}},
        cp.InvalidValueError,
        "mapping gives several tensors the same name",
    ),
    "nothing in common": (
        {"model": nn.Conv2d(2, 2, 5)},
        cp.InvalidValueError,
        "has no tensor of the model; its first ones are 'fc.bias', 'fc.weight'",
    ),
    "a pattern without a match": ({"mapping": {"x.*": {"name": "y.*"}}}, cp.InvalidValueError, "matches no remaining tensor"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tmp_path):
    """One sentence with the fix, and no file."""
    words, kind, message = BAD[case]
    save_file(Named(fc=dense()).state_dict(), tmp_path / "a.safetensors")
    words = {"source": "torch", "target": "torch", "model": Named(fc=dense()), **words}
    with pytest.raises(kind, match=message) as raised:
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", **words)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_converted_without_a_model(tmp_path):
    """Its other tensors still have the source's axes, so it is refused."""
    save_file({"conv.weight": torch.randn(4, 3, 5), "conv.bias": torch.zeros(4)}, tmp_path / "a.safetensors")
    cp.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", source="torch", target="keras", guess=True)
    with pytest.raises(cp.InvalidValueError, match="was converted without model"):
        cp.convert(
            tmp_path / "b.safetensors", tmp_path / "c.safetensors", source="keras", target="torch", model=nn.Conv1d(3, 4, 5)
        )


class Conv1D(nn.Module):
    """The linear module of GPT-2, whose weight is (in, out)."""

    __module__ = "transformers.pytorch_utils"

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))


def test_linear_by_columns(to):
    """A square matrix has the form of another module of the same name, of which the bias tells the form."""
    columns = Named(attn=Named(c_proj=Conv1D(4, 4)), mlp=Named(c_proj=Conv1D(8, 4)), head=dense())
    rows = Named(attn=Named(c_proj=dense()), mlp=Named(c_proj=nn.Linear(8, 4)), head=dense())
    for model in (columns, rows):
        for twin in (columns, rows):
            report, found = to(model.state_dict(), twin)
            assert report.loading.complete
            for name, value in model.state_dict().items():
                turned = model is not twin and name.endswith("c_proj.weight")
                assert torch.equal(found[name], value.T if turned else value), name


def test_nothing_is_left_after_an_interruption(tmp_path):
    """Ctrl-C while the output is written leaves no file, and the model as it was."""
    model = torch_nets.net("encoder")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_file(model.state_dict(), tmp_path / "a.safetensors")

    def interrupt(name, written, total):
        if written > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.pt", source="torch", target="torch", model=model, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
