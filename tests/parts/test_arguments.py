"""Arguments ``padding`` of both kinds of convolutions become a rule with numbers; a Choice can be changed."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp
from convpolicy import reference
from convpolicy.parts.arguments import as_crop, as_padding

DRAW = np.random.default_rng(0)
PAIRS = [(-1, -2), (-2, 1), (1, -2), (0, -3), (2, 1), (0, 0)]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_negative_number_removes_samples_of_the_input(pair):
    """The rule `crop` counts what is removed: its sign is that of the argument reversed, and the layer removes these samples."""
    left, right = pair
    rule = cp.Choice("explicit", left=left, right=right) if min(pair) >= 0 else cp.Choice("crop", left=-left, right=-right)
    assert as_padding(pair) == as_padding(list(pair)) == rule
    weight, data = DRAW.standard_normal((2, 3, 3)), DRAW.standard_normal((1, 3, 9))
    output = cp.Conv1d(3, 2, 3, padding=pair, weight_init=weight, bias=False, dtype="float64")(data)
    kept = data[..., max(-left, 0) : 9 - max(-right, 0)]
    ideal = reference.conv1d(kept, weight, left=max(left, 0), right=max(right, 0))
    assert output.shape == ideal.output.shape
    assert (np.abs(output - ideal.output) <= 2 * reference.tolerance("float64", ideal.terms, ideal.magnitude)).all()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_negative_number_appends_zeros_to_a_transposed_result(pair):
    """The rule is `explicit`, whatever the signs, with the numbers as they are."""
    assert as_crop(pair) == as_crop(list(pair)) == cp.Choice("explicit", left=pair[0], right=pair[1])
    weight, data = DRAW.standard_normal((3, 2, 3)), DRAW.standard_normal((1, 3, 9))
    output = cp.ConvTranspose1d(3, 2, 3, padding=pair, weight_init=weight, bias=False, dtype="float64")(data)
    ideal = reference.conv_transpose1d(data, weight, left=pair[0], right=pair[1])
    assert output.shape == ideal.output.shape
    assert (np.abs(output - ideal.output) <= 2 * reference.tolerance("float64", ideal.terms, ideal.magnitude)).all()


@pytest.mark.parametrize("convert", [as_padding, as_crop])
def test_both_read_everything_else_alike(convert):
    """A number, a name of the framework, a name, a Choice with negative numbers and a mapping."""
    assert convert(3) == convert((3,)) == cp.Choice("explicit", left=3, right=3)
    assert convert("same", {"same": "same_upper"}) == cp.Choice("same_upper")
    assert convert("causal", {"same": "same_upper"}) == cp.Choice("causal")
    choice = cp.Choice("explicit", left=-1, right=2)
    assert convert(choice) == convert([choice]) == convert(choice.to_data()) == choice
    with pytest.raises(cp.InvalidValueError, match="padding must be at least 0, got -1"):
        convert(-1)
    with pytest.raises(cp.InvalidTypeError, match=r"padding right must be an integer, got 0\.5"):
        convert((1, 0.5))


def test_a_choice_evolves():
    """Parameters are added, replaced and removed, the name is changed, and the original stays as it was."""
    choice = cp.Choice("explicit", left=1, right=2)
    assert choice.evolve() == choice
    assert choice.evolve(right=3, output_padding=1) == cp.Choice("explicit", left=1, right=3, output_padding=1)
    assert choice.evolve("crop", left=None) == cp.Choice("crop", right=2)
    assert choice == cp.Choice("explicit", left=1, right=2)
    assert cp.Choice("part").evolve(name=1).params == (("name", 1),)
    with pytest.raises(cp.InvalidTypeError, match="a Choice's name must be text, got 3"):
        choice.evolve(3)
