"""SpliceAI's five published files, from Keras 2 to torch and Flax: the outputs are Keras', and `why` finds what is planted."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import math
import os
import runpy
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported

import keras
import numpy as np
import pytest
import torch
from helpers import examples, whole_models
from helpers.paths import EXAMPLES
from torch import nn

import convpolicy as cp
from convpolicy.reference import UNIT_ROUNDOFF

FILES = [
    Path(importlib.util.find_spec("spliceai").submodule_search_locations[0]) / "models" / f"spliceai{number}.h5"
    for number in range(1, 6)
]
# Roundings on the longest path from a base to an output: the products and biases of 35 convolutions, 32 normalizations of 4 operations
# each, 16 sums of a block, 4 of the skips, and the softmax.
ROUNDINGS = 5 + 8 * sum(32 * kernel + 1 for kernel in (11, 11, 21, 41)) + 2 * 33 + 32 * 4 + 16 + 4 + 8
# Two computations, whose n rounding errors add up to less than 8·√n·u of the largest output, 1, with probability 1 - 2n·exp(-8²/2).
# Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41 (2019), theorem 2.4.
BOUND = 2 * 8 * math.sqrt(ROUNDINGS) * UNIT_ROUNDOFF["float32"]
SHORT = 200  # context of the models that run on a short sequence: what is cut from both ends


def run(name, folder):
    """Run an example in an empty folder, and return its names and what it prints."""
    printed = io.StringIO()
    sys.path.insert(0, str(EXAMPLES))
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    finally:
        sys.path.remove(str(EXAMPLES))
    return names, printed.getvalue()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Torch's threads wait for each other in small layers, longer than these take, where other processes run beside them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The names of the example, what it printed and the files that it left."""
    folder = tmp_path_factory.mktemp("empty")
    names, printed = run("11_published_weights", folder)
    return names, printed, list(folder.iterdir())


@pytest.fixture(scope="module")
def models(example):
    """A function from the number of a file to the Keras model and the torch model, both with the short context."""
    in_torch = example[0]["in_torch"]

    def load(number):
        model = keras.models.load_model(FILES[number], compile=False)
        cut = next(layer for layer in model.layers if isinstance(layer, keras.layers.Cropping1D))
        assert cut.cropping == (5000, 5000)
        cut.cropping = (SHORT // 2, SHORT // 2)
        return model, in_torch(FILES[number], SHORT)[0]

    return load


@pytest.fixture(scope="module")
def first(models):
    """The models of the first file."""
    return models(0)


@pytest.fixture(scope="module")
def x(example):
    """A part of the sequence with an exon, (1, 4, 300)."""
    return example[0]["x"][..., 5300:5600]


def by_keras(model, data):
    """What a Keras model returns, (batch, channels, length)."""
    return np.asarray(model([np.moveaxis(data, 1, 2)])).transpose(0, 2, 1)


def by_torch(model, data):
    """What a torch model returns."""
    with torch.no_grad():
        return model(torch.from_numpy(data)).numpy()


def test_the_example_prints_what_is_stored(example):
    """It prints its stored output and leaves no file."""
    _names, printed, left = example
    assert printed == (EXAMPLES / "expected" / "11_published_weights.txt").read_text(encoding="utf-8")
    assert not left
    assert examples.PAPERS["11_published_weights"] == Path(__file__).name


@pytest.mark.parametrize("framework", ["PyTorch", "Flax"])
def test_every_output_of_the_five_files(example, framework):
    """Around a gene, every probability of every file is Keras' within the bound; the files differ by far more than the bound."""
    outputs = example[0]["outputs"]
    assert (len(outputs["Keras"]), BOUND < 2e-4) == (5, True)
    for number in range(5):
        own, published = outputs[framework][number], outputs["Keras"][number]
        assert own.shape == published.shape == (1, 3, 2637)
        assert np.abs(own - published).max() <= BOUND, number
        assert np.abs(own - outputs["Keras"][number - 1]).max() > 1000 * BOUND, number


SCORES = {  # position, base, another base -> what SpliceAI's own tests say: gains and losses of acceptor and donor, and where
    (94077, "A", "C"): "0.15|0.27|0.00|0.05|89|-23|-267|193",
    (94555, "C", "T"): "0.01|0.18|0.15|0.62|-2|110|-190|0",
}


def test_the_scores_of_spliceais_own_tests(example):
    """The mean of the five torch models gives the published scores of two variants of TUBB8, which end at the borders of the gene."""
    names = example[0]
    forward = names["sequence"][::-1].translate(str.maketrans("ACGT", "TGCA"))
    start, stop = 92893, 95529  # of the gene; before and after it SpliceAI reads nothing
    networks = [names["in_torch"](file)[0] for file in FILES]
    for (position, base, other), scores in SCORES.items():
        pair = []
        for letter in (base, other):
            places = range(position - 5500, position + 5501)
            read = [forward[at - 87893] if start <= at <= stop else "N" for at in places]
            assert read[5500] == base
            read[5500] = letter
            turned = "".join(read)[::-1].translate(str.maketrans("ACGT", "TGCA"))
            pair.append([[one == letter for one in turned] for letter in "ACGT"])
        data = np.array(pair, np.float32)
        before, after = np.mean([by_torch(network, data) for network in networks], 0)[:, :, ::-1]
        changes = [sign * (after - before)[channel] for channel in (1, 2) for sign in (1, -1)]
        found = [f"{change.max():.2f}" for change in changes] + [str(change.argmax() - 500) for change in changes]
        assert "|".join(found) == scores


@pytest.mark.parametrize("number", range(5))
def test_why_calls_the_two_models_equal(models, x, number):
    """Of each file, every module that has a formula computes what its partner computes."""
    model, twin = models(number)
    assert np.abs(by_keras(model, x) - by_torch(twin, x)).max() <= BOUND
    diagnosis = cp.why(model, twin, x)
    assert (diagnosis.equal, diagnosis.causes) == (True, ()), str(diagnosis)
    compared = [row for row in diagnosis.rows if row.verdict in ("equal", "rounding", "inherited")]
    assert [row.kind for row in compared].count("convolution") == 39
    assert [row.kind for row in compared].count("batch norm") == 32
    assert compared[-1].kind == "softmax"
    assert {row.kind for row in diagnosis.rows if row not in compared} == {"Add", "padding"}  # which torch writes as + and [:]


def layer(model, path, **changes):
    """Replace a convolution by one with other settings and the same weights."""
    old = model.get_submodule(path)
    settings = {"kernel_size": old.kernel_size[0], "dilation": old.dilation[0], "padding": "same"} | changes
    new = cp.Conv1d(32, 32, **settings, policy="keras", backend="torch")
    new.load_state_dict(old.state_dict())
    model.set_submodule(path, new)


def weight(path, change):
    """Return a function that changes the weight of a convolution."""

    def plant(model):
        parameter = model.get_submodule(path).weight
        parameter.data = change(parameter.data).contiguous()

    return plant


def not_loaded(model):
    """Draw the weights of a layer anew."""
    torch.manual_seed(0)
    model.groups[3][1][5].reset_parameters()


def written_otherwise(*, early=False, axis=1):
    """Return a function that changes the code of the forward pass: skips before the groups, or a softmax over another axis."""

    def plant(model):
        def forward(data):
            data = model.first(data)
            total = model.skips[0](data)
            for group, skip in zip(model.groups, model.skips[1:]):
                before, data = data, group(data)
                total = total + skip(before if early else data)
            return model.last(total[..., model.cut : total.shape[-1] - model.cut]).softmax(axis)

        model.forward = forward

    return plant


FAULTS = {  # name -> change of the torch model, path of the module (of Keras where torch has none), aspects
    "epsilon": (lambda model: setattr(model.groups[1][2][0], "eps", 1e-5), "groups.1.2.0", {"eps"}),
    "activation": (lambda model: model.set_submodule("groups.2.0.1", nn.GELU()), "groups.2.0.1", {"function"}),
    "dilation": (lambda model: layer(model, "groups.2.1.2", dilation=1), "groups.2.1.2", {"dilation"}),
    "causal": (lambda model: layer(model, "groups.0.3.5", padding="causal"), "groups.0.3.5", {"split"}),
    "one sample farther": (lambda model: layer(model, "groups.3.0.2", padding=(501, 499)), "groups.3.0.2", {"split"}),
    "padding mode": (lambda model: layer(model, "groups.1.1.5", padding_mode="reflect"), "groups.1.1.5", {"padding mode"}),
    "reversed kernel": (weight("groups.1.0.2", lambda array: array.flip(-1)), "groups.1.0.2", {"flip"}),
    "transposed": (weight("groups.2.3.5", lambda array: array.transpose(0, 1)), "groups.2.3.5", {"layout"}),
    "not loaded": (not_loaded, "groups.3.1.5", {"weight", "bias"}),
    "statistics": (lambda model: model.groups[0][1][3].reset_running_stats(), "groups.0.1.3", {"mean", "variance"}),
    "donor for acceptor": (weight("last", lambda array: array[[0, 2, 1]]), "last", {"weight"}),
    "missing bias": (lambda model: setattr(model.last, "bias", None), "last", {"bias"}),
    "missing sum": (lambda model: setattr(model.groups[1][2], "__class__", nn.Sequential), "add_8", {"missing"}),
    "skip before the group": (written_otherwise(early=True), "skips.1", {"unseen"}),
    "softmax over positions": (written_otherwise(axis=2), "softmax", {"axis"}),
}


def test_no_fault(first, x):
    """The forward pass that faults are planted in is the model's own."""
    twin = copy.deepcopy(first[1])
    written_otherwise()(twin)
    assert np.array_equal(by_torch(twin, x), by_torch(first[1], x))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(first, x, name):
    """In its module, with its cause and no other; the line that is printed mends it."""
    change, path, aspects = FAULTS[name]
    model, twin = first[0], copy.deepcopy(first[1])
    change(twin)
    diagnosis = cp.why(model, twin, x)
    assert {(cause.path_b or cause.path_a, cause.aspect) for cause in diagnosis.causes} == {(path, one) for one in aspects}
    if diagnosis.fix and "…" not in diagnosis.fix:
        exec(diagnosis.fix, {"model": twin, "nn": nn, "diagnosis": diagnosis})
        assert np.abs(by_keras(model, x) - by_torch(twin, x)).max() <= BOUND


def test_every_convolution_is_ported(first):
    """All 39, each with the outputs of its layer; the report says that the last one has a softmax."""
    model = first[0]
    ported = cp.port_model(model, to="torch")
    assert (len(ported.layers), len(ported.refused)) == (39, 0)
    states = {row.path: row.state for row in ported.report}
    assert states["conv1d_39"] == "ported, but Conv1D also applies the activation 'softmax'"
    last = model.get_layer("conv1d_39")
    bare = keras.layers.Conv1D(3, 1)
    bare.build((None, None, 32))
    bare.set_weights(last.get_weights())
    own = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)} | {"conv1d_39": bare}
    whole_models.check(own, "keras-jax", ported, "torch")
    data = np.random.default_rng(0).standard_normal((1, 32, 9), dtype=np.float32)
    with torch.no_grad():
        ours = ported.layers["conv1d_39"](torch.from_numpy(data)).softmax(1).numpy()
    assert np.abs(ours - np.asarray(last(data.transpose(0, 2, 1))).transpose(0, 2, 1)).max() <= BOUND


def test_a_file_without_a_model(tmp_path):
    """The error names what is missing, and not the name of the file; with a guess all 39 kernels are converted."""
    words = {"source": "keras", "target": "torch"}
    with pytest.raises(
        cp.InvalidValueError, match="convert does not know which tensors are Conv1d weights; pass layers"
    ) as caught:
        cp.convert(FILES[0], tmp_path / "a.safetensors", **words)
    assert "rename" not in str(caught.value)
    report = cp.convert(FILES[0], tmp_path / "a.safetensors", guess=True, **words)
    assert len(report.weights) == 39
