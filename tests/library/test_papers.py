"""Policies of papers with the core alone: what the reference packages were measured to read, formulas, and what is said of them.

tests/papers runs the packages themselves, in an environment of its own, and made tests/golden/papers/reads.json.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.differential import same_within
from helpers.paper_reads import reads
from helpers.paths import GOLDEN, ROOT

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison import paper_text
from convpolicy.core.paper import as_paper

READS = json.loads((GOLDEN / "papers" / "reads.json").read_text(encoding="utf-8"))
PAPERS = [policy.name for policy in paper_text.papers()]
SIZES = ("kernel_size", "stride", "dilation")


def rejected(record, **changes):
    """The lengths at which the policy, with changes, reads other samples than the reference was measured to read."""
    given = {name: record[name] for name in ("padding", "padding_mode") if name in record}
    policy = cp.policy(record["policy"])
    policy = (policy.half() if record.get("transposed") else policy).evolve(**given | changes)
    sizes = [record.get(name, 1) for name in SIZES]
    return [length for length, expected in record["reads"].items() if reads(policy, sizes, int(length)) != expected]


@pytest.mark.parametrize(
    "record", READS, ids=lambda r: "-".join(str(r.get(name, 1)) for name in ("policy", "package", *SIZES, "transposed"))
)
def test_the_plan_reads_what_the_reference_reads(record):
    """For every measured length each tap of each output reads the same sample, and the same inputs are refused."""
    assert rejected(record) == []


def test_the_measurements_reject_wrong_policies():
    """Every measured policy but those that pad nothing differs from torch's default, and swapping or moving its pads is seen."""
    for record in READS:
        if any(window != [p] for windows in record["reads"].values() if windows for p, window in enumerate(windows)):
            others = ((1, 0), (0, 1)) if record.get("transposed") else ("full", "valid")
            assert any(rejected(record, padding=other) for other in others), record["policy"]
    strided = next(r for r in READS if (r["policy"], r.get("kernel_size")) == ("paper/encodec-48khz", 10))
    assert rejected(strided, padding="same_static")
    assert rejected(strided, padding="encodec_causal")
    assert rejected(strided, padding_mode="zeros")
    assert rejected(strided, padding_mode="reflect")
    whisper = next(r for r in READS if r["policy"] == "paper/whisper" and r["stride"] == 2)
    assert rejected(whisper, padding="same_upper")
    odd = next(r for r in READS if (r["policy"], r.get("transposed"), r["kernel_size"]) == ("paper/encodec-48khz", True, 10))
    assert rejected(odd, padding="same_upper")  # the extra sample on the other side
    assert rejected(odd, padding="encodec_causal")
    causal = next(r for r in READS if (r["policy"], r.get("transposed"), r["kernel_size"]) == ("paper/mimi", True, 8))
    assert rejected(causal, padding="symmetric")


def test_every_paper_was_measured():
    """All policies of papers but WaveNet have records; WaveNet's and Conformer's even kernel are formulas, below."""
    assert {record["policy"] for record in READS} >= {*PAPERS} - {"paper/wavenet", "paper/quartznet"}
    assert len(PAPERS) == 18
    upsampling = {record["policy"] for record in READS if record.get("transposed")}
    assert upsampling == {name for name in PAPERS if cp.policy(name).transposed is not None}


def wavenet(data, weight, dilation):
    """tensorflow-wavenet's causal_conv: fold the time into the batch, convolve without padding, unfold, cut to what is whole."""
    batch, channels, length = data.shape
    kernel = weight.shape[2]
    columns = -(-length // dilation)
    padded = np.zeros((batch, channels, columns * dilation), data.dtype)
    padded[:, :, :length] = data
    folded = padded.reshape(batch, channels, columns, dilation)
    outputs = np.zeros((batch, weight.shape[0], columns - kernel + 1, dilation))
    for tap in range(kernel):
        outputs += np.einsum("oc,bctd->botd", weight[:, :, tap], folded[:, :, tap : tap + columns - kernel + 1])
    return outputs.reshape(batch, weight.shape[0], -1)[:, :, : length - (kernel - 1) * dilation]


@pytest.mark.parametrize(("kernel", "dilation", "length"), [(2, 1, 9), (2, 4, 11), (2, 8, 9), (3, 4, 21), (2, 512, 600)])
def test_wavenet_is_the_formula(kernel, dilation, length):
    """The layer is the reference file's fold, convolution and cut, within rounding; one that pads is not even as long."""
    data = np.random.default_rng(0).standard_normal((2, 3, length)).astype(np.float32)
    layer = cp.Conv1d(3, 4, kernel, dilation=dilation, policy="paper/wavenet", seed=0)
    assert layer.bias is None
    judged = reference.conv1d(data, layer.weight, dilation=dilation)
    same_within(wavenet(data, layer.weight, dilation), layer(data), judged, "float32")
    assert cp.policy("paper/wavenet").evolve(padding="causal").plan(kernel, 1, dilation, length=length).length_out == length


def test_the_conformers_even_kernel_is_tensorflows_same():
    """Kernel 32 keeps the length with one more on the right; both idioms for torch change it."""
    policy = cp.policy("paper/conformer")
    plan = policy.plan(32, length=100)
    assert (plan.left, plan.right, plan.length_out) == (15, 16, 100)
    assert [policy.evolve(padding=rule).plan(32, length=100).length_out for rule in ("same_symmetric", "half")] == [99, 101]


# -- what a paper's policy says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_says_everything(name):
    """Citation, link, file, trap, evidence with a version or the word formula, and layers that can be built."""
    policy = cp.policy(name)
    paper = policy.paper
    assert name == policy.name
    assert paper.link.startswith("https://")
    assert "20" in paper.citation
    assert len(paper.trap) > 80
    assert any(sign in paper.evidence for sign in (" 0.", " 1.", " 2.", " 3.", " 5.", "plain loop"))
    assert policy.source
    assert {"as_written", "as_trained"} == set(policy.words("weight_init"))
    for layer in dict(paper.layers + paper.transposed_layers):
        arguments = paper.layer(layer)
        build = cp.ConvTranspose1d if paper.is_transposed(layer) else cp.Conv1d
        small = {size: min(arguments[size], 8) for size in ("in_channels", "out_channels")}
        groups = 8 if arguments.get("groups", 1) > 1 else 1
        built = build(**arguments | small | {"groups": groups}, policy=policy, seed=0)
        assert built.weight.shape[2] == arguments["kernel_size"]
    assert paper_text.drawn_plan(policy, paper).length_out > 0
    assert policy.evolve(name="mine").paper is None


def test_the_evidence_names_the_versions_that_are_run():
    """A package of requirements/papers.txt that a policy names as evidence stands there with the version pinned."""
    pinned = re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "requirements" / "papers.txt").read_text(encoding="utf-8"), re.MULTILINE)
    named = set()
    for policy in paper_text.papers():
        for package, version in re.findall(r"\b([a-z][\w-]+) (\d+\.\d+\.\d+)", policy.paper.evidence):
            assert (package, version) in pinned, policy.name
            named.add(package)
    assert len(named) == 12


BAD_PAPERS = [
    ({"trap": None}, "trap must be of type str, got None"),
    ({"trapp": ""}, r"paper has no key 'trapp'.*Did you mean 'trap'"),
    ({"layers": {"a": {"kernel": 3}}}, "layer 'a' has no argument 'kernel'"),
    ({"layers": {"a": {"kernel_size": 3}}}, "layer 'a' must have in_channels and out_channels"),
    ({"layers": 3}, "layers must be a table, got 3 of type int"),
    ({"layers": {"a": 3}}, "layer 'a' must be a table, got 3"),
    ({"drawn_layer": "frist"}, r"unknown layer 'frist'.*first"),
    (
        {"transposed_layers": {"first": {"in_channels": 1, "out_channels": 1, "kernel_size": 1}}},
        "transposed_layers must have new names, got 'first'",
    ),
    ({"drawn_layer": "up_8"}, "drawn_layer must be in layers, got 'up_8'"),
    ({"drawn_length": 0}, "drawn_length must be at least 1, got 0"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD_PAPERS)
def test_a_bad_paper_is_refused(change, sentence):
    """Unknown keys, wrong types and layers without sizes, each in one sentence; so is a key that is missing."""
    good = cp.policy("paper/dac").paper.to_data()
    assert as_paper(good) == cp.policy("paper/dac").paper
    with pytest.raises(cp.ConvPolicyError, match=sentence):
        as_paper(good | change)
    del good["trap"]
    with pytest.raises(cp.ConvPolicyError, match="paper must have the key 'trap'"):
        as_paper(good)
    with pytest.raises(LookupError, match=r"unknown layer 'frist'.*first"):
        cp.policy("paper/dac").paper.layer("frist")


def test_as_written_and_as_trained():
    """The two names mean two initializers where the code's call has no effect, and one elsewhere; a file and JSON keep them."""
    gan = cp.policy("paper/hifi-gan")
    assert gan.evolve(weight_init="as_written").weight_init == cp.Choice("normal", std=0.01)
    assert gan.evolve(weight_init="as_trained").weight_init == gan.weight_init
    assert cp.policy("keras").evolve(weight_init="as_written") == cp.policy("keras")
    written = gan.to_dict() | {"weight_init": "as_written"}
    assert cp.Policy.from_dict(written).weight_init == cp.Choice("normal", std=0.01)
    stds = [cp.Conv1d(64, 64, 7, policy=gan, weight_init=word, seed=0).weight.std() for word in ("as_written", "as_trained")]
    assert [round(float(std), 4) for std in stds] == [0.01, 0.0272]


@pytest.mark.parametrize("value", [True, 3, -1, "0", 1.0])
def test_weight_norm_is_an_axis(value):
    """None, False and 0 to 2 are taken, anything else is refused, in a call as in a policy."""
    for attempt in (
        lambda: cp.Conv1d(2, 2, 3, weight_norm=value),
        lambda: cp.policy("torch").evolve(weight_norm=value),
        lambda: cp.Policy.from_dict(cp.policy("torch").to_dict() | {"weight_norm": value}),
    ):
        with pytest.raises(cp.ConvPolicyError, match="weight_norm"):
            attempt()
    assert cp.policy("paper/tcn").evolve(weight_norm=False).weight_norm is None
    assert cp.policy("torch").evolve(weight_norm=0).weight_norm == 0
    assert ", weight_norm 2, bias" in str(cp.policy("paper/wav2vec2-pos"))


LAZY = """
import sys, convpolicy
convpolicy.policy("torch").plan(3, length=9)
names = [name for name in convpolicy.policies() if name.startswith("paper/")]
print(len(names), "tomlkit" in sys.modules, "cattrs" in sys.modules)
convpolicy.policy("paper/dac")
print("tomlkit" in sys.modules)
"""


def test_a_paper_is_read_when_asked_for():
    """Listing the names reads no file; the first paper asked for does."""
    result = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["18", "False", "False", "True"]
