"""What a framework brings keeps what the kit asks: streams, dialects and files that need no framework; and what is right is accepted."""

from __future__ import annotations

import attrs
import pytest
from helpers.plain_files import PLAIN
from helpers.wrong_natives import built_transposed, native, transposed_native, without_groups

import convpolicy as cp
from convpolicy import testing
from convpolicy.registry import current
from convpolicy.testing import ConformanceError, checks_of, parametrize_with_checks
from convpolicy.testing.parametrize import CHECKS

FEW = 10  # examples per check beside the fixed ones
CORE = (".safetensors", ".safetensors.index.json", ".npz")


def parts(kind):
    """Every registered part of a kind."""
    return list(current().parts(kind).values())


@parametrize_with_checks(parts("random stream"), max_examples=FEW)
def test_built_in_streams(check):
    """Those of every framework: they are NumPy alone."""
    check()


@parametrize_with_checks(parts("dialect"), max_examples=FEW)
def test_built_in_dialects(check):
    """Those of every framework: code is read and written, and not run."""
    check()


@parametrize_with_checks([part for part in parts("file format") if part.name in CORE or part.instead])
def test_built_in_files(check):
    """The formats of no framework, and those that are not read; the others stand in the folders of the frameworks."""
    check()


@parametrize_with_checks([native(), PLAIN])
def test_a_right_one_is_accepted(check):
    """The native framework and the format that the wrong ones are made from."""
    check()


RIGHT_ALSO = {
    "both layers": transposed_native(module="helpers.wrong_natives"),
    "only the transposed one": transposed_native(),
    "no groups": built_transposed(without_groups),
}


@pytest.mark.parametrize("which", RIGHT_ALSO)
def test_a_right_transposed_one_is_accepted(which):
    """With a module for each layer, with one for the transposed layer alone, and of a framework whose transposed layer has no groups."""
    report = testing.check_native(RIGHT_ALSO[which])
    assert report.failures == ()
    kinds = {result.check.startswith("transposed-") for result in report.results if result.check != "names"}
    assert kinds == ({True, False} if which == "both layers" else {True})


def test_a_transposed_native_needs_a_policy_that_describes_it():
    """A policy without a half is named."""

    class Halfless:
        @cp.hookimpl
        def convpolicy_policies(self):
            return [cp.Policy("halfless", framework="torch", measured="1", source="s", description="d")]

    cp.register(Halfless(), "halfless")
    try:
        with pytest.raises(ConformanceError, match="policy 'halfless' describes no transposed convolution"):
            testing.check_native(native("halfless", transposed="helpers.wrong_natives"))
    finally:
        cp.unregister("halfless")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("reader", {"code", "distinct", "read-back", "values", "words", "writes"}), ("writer", {"classes", "defaults", "garbage", "read-back", "reads", "values"})],
)  # fmt: skip
def test_a_dialect_of_one_direction(name, missing):
    """One that is only read, or only written, has the checks of that, and passes them."""
    whole = current().get("dialect", "torch")
    other = {"reader": "writer", "writer": "reader"}[name]
    report = testing.check_dialect(attrs.evolve(whole, **{other: None}), max_examples=FEW)
    assert {check.name for check in checks_of(whole)} - {result.check for result in report.results} == missing


def test_a_format_that_is_only_read():
    """It has the checks of reading, which need no writer."""
    report = testing.check_file_format(attrs.evolve(PLAIN, writer=None))
    assert [result.check for result in report.results] == ["names", "installed", "signatures", "garbage"]


def test_what_is_written_from_its_own_source_alone_says_so():
    """Without the declaration such a format refuses everything."""
    sharded = current().get("file format", ".safetensors.index.json")
    assert sharded.declares == {"own-source"}
    with pytest.raises(ConformanceError, match="must name the tensor that it refuses"):
        testing.check_file_format(attrs.evolve(sharded, declares=()))
    with pytest.raises(
        cp.InvalidValueError, match=r"declares must contain only own-source, got 'own-suorce'\. Did you mean 'own-source'"
    ):
        attrs.evolve(sharded, declares={"own-suorce"})


def test_every_kind_has_a_check_of_its_name():
    """A row in the table, a public function, and a hook."""
    from convpolicy.extensions.hooks import KINDS

    assert set(CHECKS) == set(KINDS.values())
    for kind in CHECKS:
        name = f"check_{kind.removesuffix(' framework').replace(' ', '_')}"
        assert getattr(testing, name).__name__ == name
        assert name in testing.__all__
