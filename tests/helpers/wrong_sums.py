"""Faults of a backend that only sums, constants per side and channel, and learned constants show: the kit must reject each by a number."""

from __future__ import annotations

import pytest

from convpolicy.testing import ConformanceError, check_backend, faults_of

FAULTS = (
    "modes and constants of the sides exchanged",
    "constant of another channel",
    "sum of fewer terms",
    "sum with other coefficients",
)
FAULTS_OF_LEARNED = ("learned constant taken as 1", "gradient to the padding_value doubled")


def check_rejected(backend, fault):
    """Assert that the kit rejects a backend with this fault, and says by how much a number is off."""
    with pytest.raises(ConformanceError, match=r"differs from the float64 reference at .*: got .*, expected .* within "):
        check_backend(faults_of(backend)[fault], max_examples=25)  # each of the kit's modes once
