"""Run every check of several parts as pytest cases, like scikit-learn's ``parametrize_with_checks``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from convpolicy.errors import InvalidTypeError, InvalidValueError, MissingExtraError, nearest
from convpolicy.testing.backends import checks as backends_checks
from convpolicy.testing.crop_rules import checks as crop_rules_checks
from convpolicy.testing.dialects import checks as dialects_checks
from convpolicy.testing.file_formats import checks as file_formats_checks
from convpolicy.testing.initializers import checks as initializers_checks
from convpolicy.testing.ladder import Check, ConformanceError, Result
from convpolicy.testing.layouts import checks as layouts_checks
from convpolicy.testing.natives import checks as natives_checks
from convpolicy.testing.padding_modes import checks as padding_modes_checks
from convpolicy.testing.padding_rules import checks as padding_rules_checks
from convpolicy.testing.policies import checks as policies_checks
from convpolicy.testing.random_streams import checks as random_streams_checks
from convpolicy.testing.streaming_forms import checks as streaming_forms_checks
from convpolicy.testing.wrappers import checks as wrappers_checks

CHECKS: dict[str, Callable[..., list[Check]]] = {  # kind of part -> its checks
    "padding rule": padding_rules_checks,
    "crop rule": crop_rules_checks,
    "padding mode": padding_modes_checks,
    "initializer": initializers_checks,
    "layout": layouts_checks,
    "policy": policies_checks,
    "backend": backends_checks,
    "random stream": random_streams_checks,
    "native framework": natives_checks,
    "dialect": dialects_checks,
    "file format": file_formats_checks,
    "wrapper": wrappers_checks,
    "streaming form": streaming_forms_checks,
}


def checks_of(part: Any, max_examples: int | None = None) -> list[Check]:
    """Return the checks that apply to a part, lowest rung first.

    Args:
        part: a part of any kind in `CHECKS`.
        max_examples: number of examples per check; None for the default of the kind of part.

    Returns:
        `Check` objects, each of which you can call.

    Raises:
        InvalidTypeError: ``part`` is something else; the message names its type.
    """
    kind = getattr(type(part), "kind", None)
    if kind not in CHECKS:
        raise InvalidTypeError(
            f"part must be a {', '.join(CHECKS)}, got {part!r} of type {type(part).__name__}; pass a part, such as "
            f"convpolicy.padding_rules()['causal']."
        )
    return CHECKS[kind](part) if max_examples is None else CHECKS[kind](part, max_examples)


def parametrize_with_checks(
    parts: Iterable[Any],
    *,
    expected_failures: Mapping[str, str] | None = None,
    max_examples: int | None = None,
    report: str | os.PathLike[str] | None = None,
) -> Any:
    """Parametrize a pytest test with every check of several parts.

    Use it as a decorator of a test with one argument ``check``, whose body is ``check()``. After a check of a part has failed, the
    checks of that part on higher rungs are skipped.

    Args:
        parts: parts of any kind in `CHECKS`.
        expected_failures: identifier of each check that is expected to fail, such as ``"same_upper-values"``, with the reason. If such
            a check passes, the test fails.
        max_examples: number of examples per check; None for the default of the kind of part.
        report: path of a JSON file to add the results to; None for the path in ``CONVPOLICY_CONFORMANCE_REPORT``, if it is set.

    Returns:
        A ``pytest.mark.parametrize`` with identifiers ``part-check``.

    Raises:
        InvalidValueError: an identifier in ``expected_failures`` is unknown (the message suggests the nearest) or has no reason, or two
            parts have the same name.
        InvalidTypeError: one of ``parts`` is not a part.
        MissingExtraError: pytest is not installed.
    """
    if importlib.util.find_spec("pytest") is None:
        raise MissingExtraError(
            "parametrize_with_checks needs pytest, which is not installed; run: pip install 'convpolicy[testing]'."
        )
    import pytest

    reasons = dict(expected_failures or {})
    checks: dict[str, Check] = {}
    for part in parts:
        results: dict[str, Result] = {}  # of the checks of this part that have run
        for check in checks_of(part, max_examples):
            if check.id in checks:
                raise InvalidValueError(f"parts must have different names, got two named {part.name!r}; check them in two tests.")
            checks[check.id] = attrs.evolve(check, reason=reasons.get(check.id, ""), report=report, others=results)
    for id, reason in reasons.items():
        if id not in checks:
            raise InvalidValueError(
                f"expected_failures must name checks, got {id!r}; there is no check with this identifier.{nearest(id, checks)}"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidValueError(f"expected_failures must say why, got {reason!r} for {id!r}; write the reason.")
    cases = [pytest.param(check, id=id, marks=_marks(pytest, check)) for id, check in checks.items()]
    return pytest.mark.parametrize("check", cases)


def _marks(pytest: Any, check: Check) -> list[Any]:
    return [pytest.mark.xfail(reason=check.reason, strict=True, raises=ConformanceError)] if check.reason else []
