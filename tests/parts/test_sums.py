"""Padding modes that compute, one mode per side, constants per channel: what everything around a layer makes of them."""

from __future__ import annotations

import types

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison.drawing import draw

TORCH = cp.policy("torch")


def affine(positions, length):
    """Half of the edge sample, half of its neighbour, and the constant."""
    edge = np.where(positions < 0, 0, length - 1)
    inner = np.clip(edge + np.where(positions < 0, 1, -1), 0, length - 1)
    return [(0.5, edge), (0.5, inner), (1.0, np.full_like(positions, -1))]


@pytest.fixture
def stranger():
    """A stranger's mode of five lines, with a constant per channel."""
    mode = cp.PaddingMode("affine", affine, params={"value": cp.Param(0.0, kind="values")})
    cp.register(types.SimpleNamespace(convpolicy_padding_modes=cp.hookimpl(lambda: [mode])), "stranger")
    yield TORCH.evolve(name="mine", padding=(2, 1), padding_mode=cp.Choice("affine", value=[1.0, -3.0]))
    cp.unregister("stranger")


DATA = np.random.default_rng(0).standard_normal((2, 2, 7))


def test_a_strangers_mode_pads(stranger):
    """Channel by channel, in float32 and float64: half the sum of the two samples at the edge, plus that channel's constant."""
    values = np.array([1.0, -3.0])
    added = [
        (DATA[..., [0, 0]] + DATA[..., [1, 1]]) / 2 + values[:, None],
        (DATA[..., [-1]] + DATA[..., [-2]]) / 2 + values[:, None],
    ]
    expected = np.concatenate([added[0], DATA, added[1]], -1)
    for dtype in ("float32", "float64"):
        layer = cp.Conv1d(2, 2, 3, groups=2, policy=stranger, weight_init=1.0, bias=False, dtype=dtype)
        ideal = reference.conv1d(expected, np.ones((2, 1, 3)), groups=2)
        bound = 2 * reference.tolerance(dtype, ideal.terms + reference.SUM_ROUNDINGS, ideal.magnitude + 6)
        assert (np.abs(layer(DATA.astype(dtype)) - ideal.output) <= bound).all()


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_strangers_mode_in_files(stranger, suffix, tmp_path):
    """A policy with an array of constants, and one with a mode per side, comes back from a file equal and of the same hash."""
    per_side = stranger.evolve(padding_mode=(stranger.padding_mode, cp.Choice("constant", left=0.5, value=[1.0, 2.0])))
    for policy in (stranger, per_side):
        policy.save(tmp_path / f"policy.{suffix}")
        again = cp.load_policy(tmp_path / f"policy.{suffix}")
        assert (again, hash(again), again.plan(3, length=7)) == (policy, hash(policy), policy.plan(3, length=7))


def test_a_strangers_mode_is_drawn(stranger):
    """Each sum is written out below, in the labels of its samples; the constants of the channels stand beside them."""
    assert draw(stranger.plan(3, length=4), rows=2).splitlines() == [
        "          ++|1234|+",
        "output 0  ^^|^   |",
        "…",
        "output 4    |  ^^|^",
        "+ on the left: 0.5·1 + 0.5·2 + *, 0.5·1 + 0.5·2 + *",
        "+ on the right: 0.5·4 + 0.5·3 + *",
        "* is [1, -3]",
    ]


@pytest.mark.parametrize("other", ["zeros", "odd", "extrapolate", ("reflect", "zeros"), cp.Choice("linear_ramp", value=2.0)])
def test_why_names_the_mode(stranger, other):
    """Two layers that differ in such a mode alone: the one cause is the padding mode, and the change is the other's."""
    mine = cp.Conv1d(2, 3, 3, policy=stranger, seed=0)
    theirs = cp.Conv1d(2, 3, 3, policy=stranger, padding_mode=other, seed=0)
    found = cp.why(mine, theirs, DATA.astype("float32"))
    assert "One cause: padding mode." in str(found)
    assert repr(cp.policy("torch").evolve(padding_mode=other).padding_mode.name) in str(found)
    assert "instead of Choice('affine', value=array([1.0, -3.0]))" in str(found)


def test_layers_that_are_captured_keep_the_mode(stranger):
    """The sum, the constants and the sides survive `capture` and `port`, with the same bits."""
    layer = cp.Conv1d(2, 3, 3, policy=stranger, seed=0)
    found = cp.capture(layer)
    assert found.policy.padding_mode == stranger.padding_mode
    data = DATA.astype("float32")
    assert cp.port(layer, to="numpy")(data).tobytes() == layer(data).tobytes()


MODES = ["odd", "odd_symmetric", "extrapolate", ("odd", "zeros"), ("zeros", "extrapolate"), cp.Choice("linear_ramp", value=1.0)]


@pytest.mark.parametrize("mode", MODES)
def test_what_a_chain_says_it_reads(mode):
    """Every output of two layers reads the samples that change it, found by changing one after another, and no others."""
    policy = TORCH.evolve(name="mine", padding=(2, 2), padding_mode=mode, weight_init="normal", bias=False)
    layers = [cp.ChainLayer(policy, 3, 2), cp.ChainLayer(policy, 2, 1)]
    built = [cp.Conv1d(1, 1, kernel, stride, policy=policy, dtype="float64", seed=kernel) for kernel, stride in ((3, 2), (2, 1))]
    chain, length = cp.Chain(layers), 8
    base = np.random.default_rng(1).standard_normal((1, 1, length))

    def run(data):
        return built[1](built[0](data))[0, 0]

    outputs = run(base)
    changed = np.array([run(base + np.eye(length)[sample]) for sample in range(length)])
    for output in range(len(outputs)):
        reads = tuple(np.flatnonzero(changed[:, output] != outputs[output]))
        assert chain.reads(output, length) == reads
    causal = all(
        chain.reads(output, length)[-1] < (output + 1) * 2 for output in range(len(outputs)) if chain.reads(output, length)
    )
    assert bool(chain.causality(length)) == causal


def test_what_copies_is_read_as_before():
    """A plan of one sample or one number per element says so; one that computes refuses to be read as if it did."""
    for mode, copies in [
        ("zeros", True), ("reflect", True), (("reflect", "zeros"), True), (cp.Choice("constant", left=2.0, right=2.0), True),
        (cp.Choice("constant", left=2.0, right=3.0), False), (cp.Choice("constant", value=[1.0, 1.0]), False), ("odd", False),
        (cp.Choice("constant", value=0.0, learned=True), False), (("zeros", cp.Choice("constant", value=1.0)), False),
    ]:  # fmt: skip
        plan = TORCH.evolve(padding=(2, 1), padding_mode=mode).plan(3, length=5)
        assert plan.copies == copies, mode
        for name in ("value", "left_sources", "right_sources", "positions"):
            if copies:
                getattr(plan, name)
            else:
                with pytest.raises(
                    cp.InvalidValueError, match=f"{name} must be read from a plan whose added elements copy samples"
                ):
                    getattr(plan, name)


def test_a_pair_of_equal_modes_is_that_mode():
    """One word for one thing: the same on both sides is no mode per side."""
    assert TORCH.evolve(padding_mode=("odd", "odd")) == TORCH.evolve(padding_mode="odd")
    assert TORCH.evolve(padding_mode=["odd", "zeros"]).padding_mode == cp.Choice("per_side", left="odd", right=cp.Choice("zeros"))


def test_an_infinite_constant_stays_where_it_is():
    """It is in no element that does not hold it, and in no gradient of a sample: a product with 0 would be NaN."""
    mode = (cp.Choice("constant", value=[np.inf, 1.0]), "odd")
    plan = TORCH.evolve(padding=(1, 2), padding_mode=mode).plan(1, length=4)
    assert plan.padded(np.ones((2, 4))).tolist() == [[np.inf] + [1.0] * 6, [1.0] * 7]


def test_long_arrays_are_told_apart():
    """Two policies that differ in one constant of sixteen channels differ in `compare`; what they print stays short."""
    values = np.arange(16.0)
    one, two = (TORCH.evolve(padding=1, padding_mode=cp.Choice("constant", value=v)) for v in (values, values + (values == 15)))
    assert [row.aspect for row in cp.compare(one, two, kernel_size=3, length=5).differences] == ["padding mode"]
    assert "constant [16 values from 0 to 15]" in str(one.plan(3, length=5))
    assert max(map(len, map(str, (one, two)))) < 250
