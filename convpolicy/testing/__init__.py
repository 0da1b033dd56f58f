"""Conformance kit: checks that the author of a plugin runs on its parts.

`check` runs the checks of one part. `parametrize_with_checks` runs those of several parts as pytest cases. The kit needs hypothesis and
pytest: ``pip install 'convpolicy[testing]'``.
"""

from __future__ import annotations

import importlib.util

from convpolicy.errors import MissingExtraError

if importlib.util.find_spec("hypothesis") is None:
    raise MissingExtraError(
        "convpolicy.testing needs hypothesis, which is not installed; run: pip install 'convpolicy[testing]'."
    )

from convpolicy.testing.check import (
    check,
    check_backend,
    check_crop_rule,
    check_dialect,
    check_file_format,
    check_initializer,
    check_layout,
    check_native,
    check_padding_mode,
    check_padding_rule,
    check_policy,
    check_random_stream,
    check_streaming_form,
    check_wrapper,
)
from convpolicy.testing.faults import faults_of
from convpolicy.testing.ladder import RUNGS, Check, ConformanceError, Report, Result
from convpolicy.testing.parametrize import checks_of, parametrize_with_checks

__all__ = [
    "RUNGS",
    "Check",
    "ConformanceError",
    "Report",
    "Result",
    "check",
    "check_backend",
    "check_crop_rule",
    "check_dialect",
    "check_file_format",
    "check_initializer",
    "check_layout",
    "check_native",
    "check_padding_mode",
    "check_padding_rule",
    "check_policy",
    "check_random_stream",
    "check_streaming_form",
    "check_wrapper",
    "checks_of",
    "faults_of",
    "parametrize_with_checks",
]
