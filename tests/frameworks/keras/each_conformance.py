"""Keras itself on one backend keeps what the conformance kit asks of a native framework.

`test_each_backend.py` runs this file in a process for each backend.
"""

from __future__ import annotations

import os

from convpolicy.registry import current
from convpolicy.testing import parametrize_with_checks

NATIVES = [part for part in current().parts("native framework").values() if part.provider == "keras"]
HERE = [part for part in NATIVES if part.environment == {"KERAS_BACKEND": os.environ["KERAS_BACKEND"]}]


@parametrize_with_checks(HERE, max_examples=6)
def test_the_framework(check):
    """Names, axes, windows of every word, values and initial weights."""
    check()
