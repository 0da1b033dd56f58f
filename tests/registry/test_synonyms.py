"""Names of other libraries: each stands for a part that there is."""

from __future__ import annotations

import pytest

from convpolicy import registry
from convpolicy.registry.synonyms import SYNONYMS, synonym


@pytest.mark.parametrize("kind", SYNONYMS)
def test_synonyms_mean_what_there_is(kind):
    """Each is in lower case, is no name of a part itself, and means a registered one, a plugin's aside."""
    known = registry.current().parts(kind)
    for other, name in SYNONYMS[kind].items():
        assert other == other.lower()
        assert other not in known, other
        assert name in known or name in ("onnx", "tensorflow"), name


def test_only_known_names_are_suggested():
    """Case does not matter; a name that is not there, or no text, suggests nothing."""
    assert synonym("padding mode", "EDGE", {"replicate"}) == "replicate"
    assert synonym("padding mode", "edge", {"zeros"}) is None
    assert synonym("policy", "TORCH", {"torch", "flax"}) == "torch"
    assert synonym("policy", 3, {"torch"}) is None
    assert synonym("plugin", "edge", {"replicate"}) is None
