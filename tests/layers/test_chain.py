"""Layers in a row: lengths and their inverse, what an output reads, delay and causality, each against running the layers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import Choice
from convpolicy.cli import group as cli
from convpolicy.layers import chain as chains

RULES = (
    *("valid", "half", "full", "causal", "semicausal", "tf-right", "mindspore-right"),
    *(Choice(name, odd_side=side) for name in ("same_upper", "same_lower", "same_static") for side in ("left", "right")),
    Choice("explicit", left=3, right=1),
    *("chomp", "encodec", "encodec_causal", "mimi", "moshi", "nemo_causal", "same_drop_last", "dac"),  # some cut what they added
)
MODES = (
    "zeros",
    "replicate",
    "reflect",
    *(Choice(mode, overflow=rule) for mode in ("reflect", "symmetric", "circular") for rule in ("periodic", "zero-extend")),
)

LONG = 50  # samples that every mode reaches


@st.composite
def layers(draw, modes=MODES):
    """One layer that its rule allows."""
    policy = cp.policy("torch").evolve(padding=draw(st.sampled_from(RULES)), padding_mode=draw(st.sampled_from(modes)))
    kernel, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    try:
        policy.plan(kernel, stride, dilation, length=LONG)
    except cp.InvalidValueError:  # a rule that refuses these sizes
        assume(False)
    return policy, kernel, stride, dilation


def some_chains(modes=MODES):
    """One to three layers."""
    return st.lists(layers(modes), min_size=1, max_size=3)


def run(rows, data):
    """The outputs of NumPy layers with all weights 1."""
    for policy, kernel, stride, dilation in rows:
        layer = cp.Conv1d(1, 1, kernel, stride, dilation=dilation, policy=policy, bias=False, weight_init=1.0, dtype="float64")
        data = layer(data)
    return data[:, 0]


def outputs_or_none(rows, length):
    """How many outputs the layers give, or 0 where they refuse."""
    try:
        return run(rows, np.zeros((1, 1, length))).shape[1]
    except cp.ConvPolicyError:
        return 0


@settings(max_examples=60, deadline=None)
@given(some_chains(), st.integers(0, 40))
def test_length_is_what_the_layers_give(rows, length):
    """An input of every length, too short ones too."""
    assert cp.chain(rows).length(length) == outputs_or_none(rows, length)


@settings(max_examples=60, deadline=None)
@given(some_chains(), st.integers(1, 5))
def test_the_shortest_length_is_the_shortest(rows, outputs):
    """Found by halving, as by trying every length from 0 on."""
    made = cp.chain(rows)
    assert made.shortest_length(outputs) == next(n for n in range(2000) if made.length(n) >= outputs)


@settings(max_examples=60, deadline=None)
@given(some_chains(), st.integers(0, 30))
def test_reads_is_what_the_outputs_depend_on(rows, more):
    """Each sample made NaN in turn: an output is NaN exactly when it is said to read it."""
    made = cp.chain(rows)
    length = made.shortest_length() + more
    assume(made.length(length))  # a rule may take multiples of the stride only
    data = np.where(np.eye(length, dtype=bool), np.nan, 1.0)[:, None]
    depends = np.isnan(run(rows, data)).T
    for output, row in enumerate(depends):
        assert made.reads(output, length) == tuple(np.flatnonzero(row))


@settings(max_examples=60, deadline=None)
@given(some_chains(("zeros",)), st.integers(0, 30))
@example([(cp.policy("torch"), 2, 1, 1), (cp.policy("torch").evolve(padding=(0, 1)), 1, 2, 1)], 1)  # an output reads one zero
def test_the_receptive_interval_is_where_an_output_reads(rows, more):
    """With zeros beyond the edges: the samples read begin and end where the interval does, but for the edges and dilation's gaps."""
    made = cp.chain(rows)
    length = made.shortest_length() + more
    assume(made.length(length))  # a rule may take multiples of the stride only
    for output in range(made.length(length)):
        first, last = made.receptive_interval(output, length)
        assert last - first + 1 == made.receptive_field
        reads = made.reads(output, length)
        assert all(max(first, 0) <= sample <= min(last, length - 1) for sample in reads)
        tap, taps = output, []
        for plan in reversed(made.plans(length)):
            tap = plan.position(tap, 0)
            taps.append(0 <= tap < plan.length)
        if all(taps):  # the first tap of every layer is no added zero
            assert reads[0] == first
    assert made.delay(length) == made.receptive_interval(0, length)[1]


def late_output(rows, length, outputs, stride):
    """The first output that changes with a sample after its own hop, or None: every later sample is made NaN, which no weight hides."""
    numbers = np.arange(outputs)
    data = np.where(np.arange(length) < (numbers + 1)[:, None] * stride, 1.0, np.nan)[:, None]
    changed = np.flatnonzero(np.isnan(run(rows, data)[numbers, numbers]))
    return int(changed[0]) if changed.size else None


@settings(max_examples=60, deadline=None)
@given(some_chains(), st.integers(0, 20))
def test_causality_is_what_the_layers_show(rows, more):
    """The plans agree with layers that are run, and with the samples read, output by output; what is named is so."""
    made = cp.chain(rows)
    length = made.shortest_length() + more
    assume(made.length(length))  # a rule may take multiples of the stride only
    late = [
        (output, made.reads(output, length)[-1])
        for output in range(made.length(length))
        if made.reads(output, length) and made.reads(output, length)[-1] >= (output + 1) * made.stride
    ]
    found = made.causality(length)
    assert found.output == late_output(rows, length, made.length(length), made.stride)
    assert bool(found) == made.is_causal(length) == (not late)
    if late:
        assert (found.output, found.sample) == late[0]
        assert found.hop_end == (found.output + 1) * made.stride - 1


@settings(max_examples=50, deadline=None)
@given(layers(), st.integers(0, 30), st.integers(1, 5))
def test_a_policy_alone_is_a_chain_of_one(row, length, outputs):
    """`Policy.length`, `shortest_length` and `is_causal` are those of a chain."""
    policy, *sizes = row
    made = cp.chain([row])
    assert policy.length(length, *sizes) == made.length(length)
    assert policy.shortest_length(outputs, *sizes) == made.shortest_length(outputs)
    assert policy.is_causal(*sizes) == made.is_causal()
    longer = made.shortest_length() + length
    assume(made.length(longer))
    late = late_output([row], longer, made.length(longer), made.stride)
    assert policy.is_causal(*sizes, length=longer) == (late is None)


def test_worked_by_hand():
    """wav2vec 2.0's seven layers: 400 samples span one output, 320 lie between two; 16000 samples give 49."""
    made = cp.chain([("torch", kernel, stride) for kernel, stride in ((10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2)])
    assert (made.receptive_field, made.stride, made.length(16000), made.shortest_length(49)) == (400, 320, 49, 15760)
    assert made.receptive_interval(3, 16000) == (960, 1359)
    assert made.delay() == 399


def test_named_causal_and_is_not():
    """EnCodec's causal pads with reflection read later samples at the start of the stream; with zeros they do not."""
    reflect = cp.policy("torch").evolve(padding="causal", padding_mode=Choice("reflect", overflow="zero-extend"))
    found = cp.chain([(reflect, 7)]).causality()
    assert not found
    assert (found.output, found.sample, found.hop_end) == (0, 6, 0)
    assert (
        str(found)
        == f"not causal: with {found.length} input samples, output 0 depends on sample 6, after its hop ends at sample 0"
    )
    zeros = cp.chain([(reflect.evolve(padding_mode="zeros"), 7)]).causality()
    assert zeros
    assert str(zeros) == "causal: no output depends on a sample after its hop"


def test_the_probe_believes_no_name():
    """A rule called causal that is not, and one that is without being called so."""
    pads = {"causal-by-name": lambda k, s, d, n: (0, (k - 1) * d), "ahead": lambda k, s, d, n: ((k - 1) * d + 5, 0)}

    class Plugin:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule(name, function) for name, function in pads.items()]

    cp.register(Plugin(), "named")
    try:
        own = [cp.chain([(cp.policy("torch").evolve(padding=name), 3)]).is_causal() for name in pads]
    finally:
        cp.unregister("named")
    assert own == [False, True]


def test_layers_and_captures():
    """A native layer, what `capture` made of it, and its policy with sizes are the same layer of a chain."""
    layer = cp.Conv1d(4, 6, 3, 2, policy="mindspore")
    policy = cp.policy("mindspore")
    made = [cp.chain([given]) for given in (layer, cp.capture(layer), ("mindspore", 3, 2), (policy, 3, 2), [policy, 3, 2, 1])]
    assert all(one == made[0] for one in made)
    assert made[0].layers == (chains.ChainLayer(policy, 3, 2),)


REFUSED = {
    "no list": (lambda: cp.chain("torch"), TypeError, r"layers must be a list of layers, got 'torch'; pass for example"),
    "none": (lambda: cp.chain([]), ValueError, "layers must contain at least one layer, got none"),
    "no layer": (lambda: cp.chain([("torch", 3), 5]), TypeError, "layer 1 of the chain: layer must be a 1-D convolution"),
    "no sizes": (
        lambda: cp.chain([("torch",)]),
        ValueError,
        r"layer 0 of the chain: it must be \(policy, kernel_size, stride, d",
    ),
    "policy": (
        lambda: cp.chain([("troch", 3)]),
        LookupError,
        "layer 0 of the chain: unknown policy 'troch'.*Did you mean 'torch'",
    ),
    "kernel": (lambda: cp.chain([("torch", 0)]), ValueError, "layer 0 of the chain: kernel_size must be at least 1, got 0"),
    "rule": (
        lambda: cp.chain([("torch", 3), (cp.policy("torch").evolve(padding="same"), 3, 2)]),
        ValueError,
        "layer 1 of the chain: padding rule 'torch_same': stride must be 1, got 2",
    ),
    "length": (lambda: cp.chain([("torch", 3)]).length(-1), ValueError, "length must be at least 0, got -1"),
    "outputs": (lambda: cp.chain([("torch", 3)]).shortest_length(0), ValueError, "length_out must be at least 1, got 0"),
    "output": (lambda: cp.chain([("torch", 3)]).reads(8, 10), ValueError, "output must be below length_out=8, got 8"),
    "too short": (
        lambda: cp.chain([("torch", 3), ("torch", 3)]).plans(4),
        ValueError,
        "layer 1 of the chain: input of length 2 is too short",
    ),
    "delay": (
        lambda: cp.chain([("torch", 3), ("mindspore", 3, 2)]).delay(),
        TypeError,
        "length must be an integer because the padding of layer 1 of the chain depends on it, got None",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each is a ConvPolicyError and the builtin a caller would catch, and says which layer and what came."""
    call, kind, says = REFUSED[fault]
    with pytest.raises(kind, match=says) as raised:
        call()
    assert isinstance(raised.value, cp.ConvPolicyError)


def test_outputs_that_no_input_gives():
    """A rule that refuses every length but short ones ends in a sentence, not in an endless search."""

    def short_only(kernel, stride, dilation, length):
        if length > 5:
            raise ValueError("length must be at most 5.")
        return 0, 0

    class Plugin:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule("short-only", short_only, needs_length=True)]

    cp.register(Plugin(), "short")
    try:
        with pytest.raises(cp.InvalidValueError, match="length must be at most 5"):
            cp.chain([(cp.policy("torch").evolve(padding="short-only"), 3)]).shortest_length(9)
    finally:
        cp.unregister("short")


def test_on_the_command_line():
    """`convpolicy chain` prints the numbers of `Chain` as a table and as JSON; an invalid layer is one sentence and status 2."""
    words = ["chain", "flax:5:2", "torch:3:1:2", "--length", "31"]
    made = cp.chain([("flax", 5, 2), ("torch", 3, 1, 2)])
    shown = CliRunner().invoke(cli.build(), words)
    assert shown.exit_code == 0, shown.stderr
    assert f"length 31 -> {made.length(31)}; shortest input with an output: {made.shortest_length()}\n" in shown.stdout
    told = json.loads(CliRunner().invoke(cli.build(), [*words, "--json"]).stdout)
    assert [row["length_out"] for row in told["layers"]] == [plan.length_out for plan in made.plans(31)]
    assert [row["receptive_field"] for row in told["layers"]] == [5, made.receptive_field]
    assert (told["delay"], told["causal"], told["stride"]) == (made.delay(31), False, 2)
    refusals = {
        "torch:1:1:1:1": "a layer must have the form POLICY:KERNEL_SIZE:STRIDE:DILATION, got 'torch:1:1:1:1'",
        "torch:x": "unknown padding rule 'x'",
        "torch:3:x": "unknown padding rule '3:x'",
        ":3": "unknown policy ''",
    }
    for word, says in refusals.items():
        refused = CliRunner().invoke(cli.build(), ["chain", word])
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert says in refused.stderr
