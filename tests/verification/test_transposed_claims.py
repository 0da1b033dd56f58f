"""Claims and cells about transposed convolutions, with a framework of NumPy: what is right is exact, and each fault is found."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from helpers.wrong_natives import (
    POLICY,
    RIGHT_TRANSPOSED,
    built_transposed,
    exchanged,
    extra_sample_left,
    transposed_framework,
    transposed_native,
    without_groups,
    without_output_padding,
)

import convpolicy as cp
from convpolicy.testing.transposed_faults import OtherFans
from convpolicy.verification import cells, claims
from convpolicy.verification.cases import OUT, SIZES, Checked, agreement, load, random_cases, save
from convpolicy.verification.native import LAYERS

SOME = tuple((sizes, beyond) for sizes in SIZES for beyond in (0, 2))


def checked(functions=RIGHT_TRANSPOSED, policy=POLICY.transposed):
    """A half and a framework."""
    return Checked(policy, functions)


def rows_of(pair):
    """Every row about a half, by claim."""
    every = (
        claims.defaults(pair),
        claims.paddings(pair, SOME),
        claims.values(pair, SIZES[::2]),
        claims.initial_weights(pair, (0, 1)),
    )
    return {row["claim"]: row for rows in every for row in rows}


def test_a_right_framework_is_exact():
    """Every word with every output_padding, cuts sample by sample, kernels below the stride among them, and every initial bit."""
    rows = rows_of(checked())
    assert {claim for claim, row in rows.items() if row["verdict"] != "exact"} == {"outputs against float64"}
    assert rows["outputs against float64"]["verdict"] == "within tolerance"
    assert set(rows) == {
        "bias by default, names, axes", "padding by default", "padding by default, output_padding 1", "padding 1",
        "padding 1, output_padding 1", "padding mode 'zeros'", "outputs against float64", "initial weights after seeding",
    }  # fmt: skip
    assert rows["padding by default"]["cases"] == len(SOME)
    assert rows["padding by default, output_padding 1"]["detail"] == f"{len(SOME) // 6} refused by both"  # stride 1, dilation 1


FAULTS = {  # fault -> the framework, and the claims that it makes false
    "cut on the other side": (built_transposed(extra_sample_left).of_transposed, {"padding by default, output_padding 1", "padding 1, output_padding 1", "outputs against float64"}),
    "output_padding ignored": (built_transposed(without_output_padding).of_transposed, {"padding by default, output_padding 1", "padding 1, output_padding 1", "outputs against float64"}),
    "kernel flipped": (transposed_framework(run=lambda layer, data: layer(data[..., ::-1])[..., ::-1]), {"padding by default", "padding 1", "padding mode 'zeros'", "outputs against float64"}),
    "fans exchanged": (transposed_framework(policy=OtherFans.of(POLICY.transposed)), {"initial weights after seeding"}),
    "no bias by default": (
        transposed_framework(build=lambda spec, words: RIGHT_TRANSPOSED.build(spec, {"bias": False, **words}), seed=RIGHT_TRANSPOSED.seed),
        {"bias by default, names, axes"},
    ),
    "seed ignored": (transposed_framework(seed=lambda number: None), {"initial weights after seeding"}),
    "one output more": (transposed_framework(run=lambda layer, data: np.pad(layer(data), [(0, 0), (0, 0), (0, 1)])), {"padding by default", "outputs against float64"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_framework_differs(fault):
    """The rows that speak of the fault differ, and say at which size."""
    functions, failing = FAULTS[fault]
    rows = rows_of(checked(functions))
    wrong = {claim for claim, row in rows.items() if row["verdict"] == "differs"}
    assert wrong >= failing
    assert all("kernel" in rows[claim]["detail"] for claim in wrong if claim.startswith("padding"))


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"padding": "causal"}, {"padding by default", "padding by default, output_padding 1", "outputs against float64"}),
        ({"bias": False}, {"bias by default, names, axes"}),
        ({"weight_init": "uniform", "bias_init": "zeros"}, {"initial weights after seeding"}),
        ({"random_stream": "mindspore"}, {"initial weights after seeding"}),
    ],
)
def test_a_wrong_policy_differs(changes, failing):
    """A half with another rule, bias, law or stream than the framework."""
    rows = rows_of(checked(policy=POLICY.transposed.evolve(**changes)))
    assert {claim for claim, row in rows.items() if row["verdict"] == "differs"} >= failing


def test_a_framework_without_groups_is_checked_where_it_can_be():
    """Layers with groups are left out, and counted: the rest is exact."""
    rows = rows_of(checked(built_transposed(without_groups).of_transposed))
    assert rows["initial weights after seeding"]["verdict"] == "exact"
    assert rows["initial weights after seeding"]["cases"] == 2 * sum(groups == 1 for *_sizes, groups in claims.SHAPES)
    refusing = transposed_framework(build=lambda spec, words: 1 / 0)
    assert next(claims.paddings(checked(refusing), SOME))["verdict"] == "differs"
    assert next(claims.values(checked(refusing)))["verdict"] == "differs"


def test_padding_that_the_framework_does_not_combine_with_output_padding():
    """Where both refuse all sizes the claim holds; where only one refuses them all it does not."""
    words = POLICY.transposed.evolve(padding_names={"same": "same_upper"})

    def build(spec, arguments):
        if "output_padding" in arguments and arguments.get("padding") == "same":
            raise ValueError("not together")
        return RIGHT_TRANSPOSED.build(
            spec, {**arguments, **({"padding": "same_upper"} if arguments.get("padding") == "same" else {})}
        )

    rows = {row["claim"]: row for row in claims.paddings(checked(transposed_framework(build=build), words), SOME)}
    assert (rows["padding 'same'"]["verdict"], rows["padding 'same'"]["cases"]) == ("exact", len(SOME))
    together = rows["padding 'same', output_padding 1"]
    assert (together["verdict"], together["cases"], together["detail"]) == ("exact", 0, f"{len(SOME)} refused by both")
    alone = {row["claim"]: row for row in claims.paddings(checked(transposed_framework(build=build)), SOME)}
    assert "padding 'same'" not in alone
    lenient = transposed_framework(
        build=lambda spec, arguments: build(spec, {k: v for k, v in arguments.items() if k != "output_padding"})
    )
    rows = {row["claim"]: row for row in claims.paddings(checked(lenient, words), SOME)}
    assert rows["padding 'same', output_padding 1"]["verdict"] == "differs"


# -- cells ----------------------------------------------------------------------------------------------------------------


def test_cases_of_transposed_layers_have_every_padding(tmp_path):
    """Each padding in turn, other channels at the output, and a file gives them back; a wrong backend's layers differ."""
    every = list(random_cases(checked()))
    assert {tuple(case.arguments.items()) for case in every} == {
        (), (("output_padding", 1),), (("padding", 1),), (("padding", 1), ("output_padding", 1)),
    }  # fmt: skip
    assert {case.spec.out_channels for case in every} == {OUT}
    save(every, tmp_path / "torch.npz")
    again = load(tmp_path / "torch.npz")
    assert [case.spec for case in again] == [case.spec for case in every]
    assert [case.arguments for case in again] == [case.arguments for case in every]
    assert agreement(POLICY.transposed, "numpy", again).verdict == "exact"
    flipped = [case._replace(weight=case.weight[..., ::-1]) for case in again]
    assert agreement(POLICY.transposed, "numpy", flipped).verdict == "differs"


def test_the_steps_of_the_matrix(tmp_path, monkeypatch):
    """A native with one module for each layer gives a row for each, and one without a module for convolutions gives the other."""
    both = transposed_native(module="helpers.wrong_natives")
    monkeypatch.setattr(cells, "native_of", lambda _name: both)
    assert [(row["layer"], row["covered"]) for row in cells.expected("torch", tmp_path)] == [(layer, True) for layer in LAYERS]
    rows = list(cells.computed("numpy", tmp_path))
    assert [(row["layer"], row["policy"], row["verdict"]) for row in rows] == [(layer, "torch", "exact") for layer in LAYERS]
    monkeypatch.setattr(cells, "native_of", lambda _name: transposed_native())
    assert [row["layer"] for row in cells.expected("torch", tmp_path)] == [LAYERS[1]]


def test_nothing_to_compare_is_no_agreement(tmp_path, monkeypatch):
    """A framework that refuses every layer leaves a cell that differs, with no cases."""
    refusing = transposed_native(transposed_framework(build=lambda spec, words: 1 / 0))
    monkeypatch.setattr(cells, "native_of", lambda _name: refusing)
    list(cells.expected("torch", tmp_path))
    assert [(row["verdict"], row["cases"]) for row in cells.computed("numpy", tmp_path)] == [("differs", 0)]


def test_claims_of_both_layers(monkeypatch):
    """Rows of the transposed layer start with its name; a framework of another version is not checked, and says so once."""
    monkeypatch.setattr(claims, "native_of", lambda _name: transposed_native(module="helpers.wrong_natives"))
    short = {
        "defaults": claims.defaults,
        **{name: lambda *_args: iter(()) for name in ("paddings", "values", "on_backends", "initial_weights")},
    }
    for name, function in short.items():
        monkeypatch.setattr(claims, name, function)
    rows = [row for row in claims.check("torch", ["numpy"]) if "claim" in row]
    assert [row["claim"] for row in rows] == ["bias by default, names, axes", "transposed: bias by default, names, axes"]
    old = transposed_native(transposed_framework(version=lambda: "0.1"))
    monkeypatch.setattr(claims, "native_of", lambda _name: old)
    (_version, row) = claims.check("torch", ["numpy"])
    assert (row["claim"], row["verdict"]) == ("version", "not checked")


def test_a_backend_without_transposed_layers_is_not_checked():
    """Its row says so, and is no failure."""

    class Forward:
        @cp.hookimpl
        def convpolicy_backends(self):
            return [attrs.evolve(cp.backends()["numpy"], name="forward", build_transposed=None)]

    cp.register(Forward(), "forward")
    try:
        rows = list(claims.on_backends(checked(), ["numpy", "forward"]))
    finally:
        cp.unregister("forward")
    assert [(row["verdict"], row["detail"]) for row in rows] == [
        ("exact", ""), ("not checked", "the backend has no transposed convolutions"),
    ]  # fmt: skip


def test_in_and_out_exchanged_is_found():
    """Parameters with the axes of a convolution are another shape."""
    row = next(claims.defaults(checked(transposed_framework(parameters=exchanged))))
    assert row["verdict"] == "differs"
