"""The ladder: checks in rungs, each rung reached only when all below it hold; what is found, as text and as JSON."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError

RUNGS = ("names", "signatures", "shapes and dtypes", "values", "gradients")
REPORT = "CONVPOLICY_CONFORMANCE_REPORT"  # the file that every check is written to
SCHEMA = 1
PASSED, FAILED, EXPECTED, NOT_REACHED = "passed", "failed", "expected failure", "not reached"


class ConformanceError(AssertionError, ConvPolicyError):
    """A part that does not keep what convpolicy asks of it; the message names the part, the check, the fault and the smallest
    case found.

    Attributes:
        report: the `Report` of the whole ladder, or None from a single check.
    """

    report: Report | None = None


@attrs.frozen
class Result:
    """One check of one part: its name, its rung, the verdict (``passed``, ``failed``, ``expected failure`` or ``not reached``)
    and what was found.
    """

    check: str
    rung: str
    verdict: str
    message: str = ""


@attrs.frozen
class Report:
    """What the checks of one part found.

    Attributes:
        kind, name, provider: of the part.
        results: one for every check, lowest rung first.
    """

    kind: str
    name: str
    provider: str
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.verdict == FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        width = max(len(result.check) for result in self.results)
        lines = (f"  {result.check:{width}}  {result.verdict}" for result in self.results)
        return "\n".join([f"{self.kind} {self.name}:", *lines])


@attrs.frozen(eq=False, repr=False)
class Check:
    """One check of one part; call it with nothing, and it raises `ConformanceError` or does not.

    Attributes:
        part: what is checked.
        name: e.g. ``"values"``.
        rung: one of `RUNGS`.
        reason: why it is expected to fail, or empty.
        report: the file that its result is written to; None reads ``CONVPOLICY_CONFORMANCE_REPORT``, which may name one.
        others: name -> what the checks of the part found that ran before this one; a check above one that failed is not reached.
    """

    part: Any
    name: str
    rung: str = attrs.field(validator=attrs.validators.in_(RUNGS))
    run: Callable[[], None]
    reason: str = ""
    report: str | os.PathLike[str] | None = None
    others: dict[str, Result] | None = None

    @property
    def id(self) -> str:
        """``part-check``, as pytest shows it and ``expected_failures`` names it."""
        return f"{self.part.name}-{self.name}"

    def __repr__(self) -> str:
        return f"Check({self.id})"

    def result(self) -> Result:
        """Run the check and return what it found; nothing is written."""
        try:
            self.run()
        except Exception as error:  # whatever a part raises is its fault, reported under its name
            kind = "" if isinstance(error, (ConformanceError, ConvPolicyError)) else f"{type(error).__name__}: "
            return Result(self.name, self.rung, EXPECTED if self.reason else FAILED, f"{kind}{error}")
        return Result(self.name, self.rung, PASSED)

    def __call__(self) -> None:
        """Run the check.

        Raises:
            ConformanceError: it fails; holds the part, the check and the smallest case found.
        """
        below = next((other for other in (self.others or {}).values() if _failed_below(other, self.rung)), None)
        if below is not None:
            write(attrs.evolve(_empty(self.part), results=(Result(self.name, self.rung, NOT_REACHED),)), self.report)
            import pytest  # whoever shares results runs it

            pytest.skip(f"not reached: check {below.check!r} of {self.part.name!r} failed")
        found = self.result()
        if self.others is not None:
            self.others[self.name] = found
        write(attrs.evolve(_empty(self.part), results=(found,)), self.report)
        if found.verdict != PASSED:
            raise ConformanceError(_sentence(self.part, found))


def _failed_below(other: Result, rung: str) -> bool:
    return other.verdict == FAILED and RUNGS.index(other.rung) < RUNGS.index(rung)


def _empty(part: Any) -> Report:
    return Report(part.kind, str(part.name), part.provider, ())


def _sentence(part: Any, found: Result) -> str:
    return f"{part.kind} {part.name!r} fails check {found.check!r}: {found.message}"


def climb(part: Any, checks: Iterable[Check], report: str | os.PathLike[str] | None = None) -> Report:
    """Run the checks rung by rung and stop above the first rung that does not hold.

    Args:
        part: what is checked.
        checks: in any order.
        report: file to write the result to; None reads ``CONVPOLICY_CONFORMANCE_REPORT``.

    Returns:
        A `Report` in which every check passed.

    Raises:
        ConformanceError: one failed; holds every failure of the rung, and the whole `Report` as ``report``.
    """
    results: list[Result] = []
    for check in sorted(checks, key=lambda check: RUNGS.index(check.rung)):
        lower_failed = any(found.verdict == FAILED and found.rung != check.rung for found in results)
        results.append(Result(check.name, check.rung, NOT_REACHED) if lower_failed else check.result())
    climbed = attrs.evolve(_empty(part), results=tuple(results))
    write(climbed, report)
    if climbed.failures:
        error = ConformanceError("\n".join(_sentence(part, found) for found in climbed.failures))
        error.report = climbed
        raise error
    return climbed


def write(report: Report, path: str | os.PathLike[str] | None = None) -> None:
    """Add what was found to a JSON file, in place of what it said of the same checks; nothing without a file.

    Raises:
        InvalidValueError: the file is there and no such report; holds its path.
    """
    named = path or os.environ.get(REPORT, "")
    if not named:
        return
    target = Path(named)
    parts = _read(target)
    entry = parts.setdefault(f"{report.kind} {report.name}", {"provider": report.provider, "checks": {}})
    for result in report.results:
        entry["checks"][result.check] = {"rung": result.rung, "verdict": result.verdict, "message": result.message}
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        beside.write_text(json.dumps({"schema": SCHEMA, "parts": parts}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _read(target: Path) -> dict[str, Any]:
    if not target.exists():
        return {}
    try:
        data = json.loads(target.read_text(encoding="utf-8"))
        if data["schema"] == SCHEMA:
            parts: dict[str, Any] = data["parts"]
            return parts
    except (ValueError, LookupError, TypeError):
        pass
    raise InvalidValueError(f"report must be a new file or an earlier conformance report, got {str(target)!r}; remove it.")
