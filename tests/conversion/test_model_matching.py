"""How `convert(…, model=…)` finds out which tensors of the file belong to which module of the model."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.needs("torch")
torch = pytest.importorskip("torch")

from helpers import torch_nets  # noqa: E402
from helpers.torch_nets import Named, dense  # noqa: E402
from torch import nn  # noqa: E402

import convpolicy as cp  # noqa: E402


def test_prefixes_of_wrappers(to):
    """Prefixes that DataParallel, torch.compile and a training script add, and one that only one side has, are stripped or added."""
    inner = torch_nets.net("encoder")
    for prefix in ("module.", "_orig_mod.", "model.", "module.model.", "wav2vec2."):
        report, found = to(
            {prefix + name: value for name, value in inner.state_dict().items()}, torch_nets.net("encoder", seed=1)
        )
        assert report.loading.complete
        assert all(np.array_equal(found[name], value) for name, value in inner.state_dict().items())
    report, found = to(inner.state_dict(), Named(model=torch_nets.net("encoder", seed=1)))
    assert report.loading.complete
    assert np.array_equal(found["model.blocks.2.fc1.weight"], inner.blocks[2].fc1.weight.detach())


def test_order_of_the_file(to):
    """torch.save keeps the order of the model, in which modules of equal shapes are matched; a sorted file does not, and is refused."""
    model = Named(zeta=dense(), alpha=dense(), middle=nn.LayerNorm(4))
    twin = Named(one=dense(), two=dense(), three=nn.LayerNorm(4))
    report, found = to(model.state_dict(), twin, suffix=".pt")
    assert report.loading.complete
    assert np.array_equal(found["one.weight"], model.zeta.weight.detach())
    assert np.array_equal(found["three.weight"], model.middle.weight.detach())
    with pytest.raises(
        cp.InvalidValueError, match=r"'alpha\.weight' fits 'one' and 'two' of the model; say which one it is with mapping="
    ):
        to(model.state_dict(), twin)


def test_the_map_of_the_message_helps(to):
    """A map of new names, as the message writes it, settles what two tensors of equal shape are."""
    model, twin = Named(zeta=dense(), alpha=dense()), Named(one=dense(), two=dense())
    _report, found = to(model.state_dict(), twin, mapping={"alpha.*": {"name": "two.*"}})
    assert np.array_equal(found["two.weight"], model.alpha.weight.detach())
    assert np.array_equal(found["one.weight"], model.zeta.weight.detach())


def test_numbers_keep_their_order(to):
    """More than ten numbered modules, in a sorted file: 10 comes after 9."""
    model = Named(**{f"layer{at}": dense() for at in range(12)})
    twin = Named(stack=nn.Sequential(*(dense() for _ in range(12))))
    report, found = to(model.state_dict(), twin)
    assert report.loading.complete
    for at in range(12):
        assert np.array_equal(found[f"stack.{at}.weight"], getattr(model, f"layer{at}").weight.detach())


def test_other_numbers_are_no_path(to):
    """Numbers in paths count only if both sides number alike: with activations between them, they do not."""
    model = nn.Sequential(dense(), nn.ReLU(), dense(), nn.ReLU(), dense())
    twin = nn.Sequential(dense(), dense(), dense())
    report, found = to(model.state_dict(), twin)
    assert report.loading.complete
    assert all(np.array_equal(found[f"{at}.weight"], model[2 * at].weight.detach()) for at in range(3))


def test_query_is_never_key(to):
    """Modules whose names say that they are different parts of attention are not matched by their order."""
    model = Named(q=dense(), k=dense(), v=dense())
    with pytest.raises(cp.InvalidValueError, match=r"'q\.weight' fits 'key_proj' and 'query_proj'"):
        to(model.state_dict(), Named(key_proj=dense(), query_proj=dense(), value_proj=dense()), suffix=".pt")


def test_names_that_end_alike(to):
    """Modules of equal shapes in blocks of another name: the last name and the number tell which is which, in a sorted file too."""
    model = Named(blocks=nn.ModuleList(Named(a=dense(), b=dense()) for _ in range(3)))
    twin = Named(layer_0=Named(b=dense(), a=dense()), layer_1=Named(b=dense(), a=dense()), layer_2=Named(b=dense(), a=dense()))
    report, found = to(model.state_dict(), twin)
    assert report.loading.complete
    assert all(
        np.array_equal(found[f"layer_{at}.{end}.weight"], getattr(model.blocks[at], end).weight.detach())
        for at in range(3)
        for end in "ab"
    )


def test_a_shorter_model(to):
    """The first blocks of a deeper file are taken, and the others reported."""
    report, found = to(nn.Sequential(*(dense() for _ in range(6))).state_dict(), nn.Sequential(*(dense() for _ in range(4))))
    assert not report.missing
    assert report.unexpected == ("4.bias", "4.weight", "5.bias", "5.weight")
    assert len(found) == 8


def test_layers_of_several_levels(to):
    """A deep LSTM in both directions: each layer and direction is itself."""
    model = Named(lstm=nn.LSTM(3, 5, num_layers=3, bidirectional=True))
    twin = Named(rnn=nn.LSTM(3, 5, num_layers=3, bidirectional=True))
    report, found = to(model.state_dict(), twin)
    assert report.loading.complete
    assert all(torch.equal(found[f"rnn.{name}"], value) for name, value in model.lstm.state_dict().items())


def test_numbers_that_contradict_the_order(to):
    """Numbers and order of a file disagree, as in the layers of a Keras 2 file: refused where only one of the two can be right."""
    model = Named(conv2=dense(), conv1=dense())
    with pytest.raises(cp.InvalidValueError, match="of the model; say which one it is"):
        to(model.state_dict(), Named(first=dense(), other=dense()), suffix=".pt")
    report, found = to(model.state_dict(), Named(first=dense(), other=dense()))  # a sorted file: the numbers tell
    assert report.loading.complete
    assert torch.equal(found["first.weight"], model.conv1.weight)
