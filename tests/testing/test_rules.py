"""The check ``values`` of rules compares a layer that has the rule with the float64 reference."""

from __future__ import annotations

import re

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.testing import ConformanceError, checks_of
from convpolicy.testing.ladder import climb

SAMPLES = {
    length: np.random.default_rng(length).integers(-9, 9, length).astype(float).tolist() for length in (1, 2)
}  # the kit's data


class TurnedInLayers:
    """Left and right exchanged in the registered rule, that is, in layers."""

    def resolve(self, *sizes):
        numbers = super().resolve(*sizes)
        return numbers[::-1] if self.provider else numbers


class PaddingTurnedInLayers(TurnedInLayers, cp.PaddingRule):
    pass


class CropTurnedInLayers(TurnedInLayers, cp.CropRule):
    pass


SAYS = "a layer returns [{}], and with {} (1, 0) [{}] is expected, for kernel_size 1, stride 1, dilation 1, length {}."
LEFT_OR_RIGHT = {  # kind of rule -> the rule, and what its check says of the smallest layer, whose one tap is 1
    "padding rule": (
        PaddingTurnedInLayers("turned", lambda *_: (1, 0), description="Turned in layers."),
        SAYS.format([SAMPLES[1][0], 0.0], "pads", [0.0, SAMPLES[1][0]], 1),
    ),
    "crop rule": (  # a bias of 1 is added to every output
        CropTurnedInLayers("turned", lambda *_: (1, 0), description="Turned in layers."),
        SAYS.format([SAMPLES[2][0] + 1], "cuts", [SAMPLES[2][1] + 1], 2),
    ),
}


@pytest.mark.parametrize("kind", LEFT_OR_RIGHT)
def test_a_rule_whose_layer_computes_something_else_is_rejected(kind):
    """The shapes agree, so that only the values tell; no other check fails."""
    rule, message = LEFT_OR_RIGHT[kind]
    assert rule.kind == kind
    with pytest.raises(ConformanceError, match=re.escape(message)) as raised:
        climb(rule, checks_of(rule, max_examples=20))
    assert [result.check for result in raised.value.report.failures] == ["values"]


@pytest.mark.parametrize("kind", [cp.PaddingRule, cp.CropRule])
def test_the_same_rule_passes_where_its_layers_use_its_numbers(kind):
    """The fault above is the exchange, not the numbers."""
    rule = kind("plain", lambda *_: (1, 0), description="One on the left.")
    assert climb(rule, checks_of(rule, max_examples=20)).failures == ()
