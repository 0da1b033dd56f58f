"""The ladder of checks: a rung is reached only if every check below it passes. Results are text and JSON."""

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
REPORT = "CONVPOLICY_CONFORMANCE_REPORT"  # environment variable with the path of the report
SCHEMA = 1
PASSED, FAILED, EXPECTED, NOT_REACHED = "passed", "failed", "expected failure", "not reached"


class ConformanceError(AssertionError, ConvPolicyError):
    """Raised when a part fails a check.

    The message names the part, the check, the fault and the smallest failing case.

    Attributes:
        report: `Report` of all checks of the part, or None if a single check was run.
    """

    report: Report | None = None


@attrs.frozen
class Result:
    """Result of one check.

    Attributes:
        check: name of the check.
        rung: one of `RUNGS`.
        verdict: ``passed``, ``failed``, ``expected failure`` or ``not reached``.
        message: the fault and the smallest failing case; empty if the check passed.
    """

    check: str
    rung: str
    verdict: str
    message: str = ""


@attrs.frozen
class Report:
    """Results of the checks of one part; print it for a table.

    Attributes:
        kind: kind of the part, such as ``"padding rule"``.
        name: name of the part.
        provider: plugin that registered the part.
        results: one `Result` per check, lowest rung first.
    """

    kind: str
    name: str
    provider: str
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """Results of the checks that failed."""
        return tuple(result for result in self.results if result.verdict == FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary of plain data, for JSON."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        width = max(len(result.check) for result in self.results)
        lines = (f"  {result.check:{width}}  {result.verdict}" for result in self.results)
        return "\n".join([f"{self.kind} {self.name}:", *lines])


@attrs.frozen(eq=False, repr=False)
class Check:
    """One check of one part.

    Call it without arguments. It raises `ConformanceError` if the part fails.

    Attributes:
        part: the part to check.
        name: name of the check, such as ``"values"``.
        rung: one of `RUNGS`.
        run: function that performs the check.
        reason: why the check is expected to fail, or empty.
        report: path of a JSON file to add the result to; None for the path in ``CONVPOLICY_CONFORMANCE_REPORT``, if it is set.
        others: results of the checks of the part that ran before, by name. If one of a lower rung failed, this check is not run.
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
        """Identifier ``part-check``, shown by pytest and used in ``expected_failures``."""
        return f"{self.part.name}-{self.name}"

    def __repr__(self) -> str:
        return f"Check({self.id})"

    def result(self) -> Result:
        """Run the check and return its result, without adding it to a report."""
        try:
            self.run()
        except Exception as error:  # any exception of the part is a failure
            kind = "" if isinstance(error, (ConformanceError, ConvPolicyError)) else f"{type(error).__name__}: "
            return Result(self.name, self.rung, EXPECTED if self.reason else FAILED, f"{kind}{error}")
        return Result(self.name, self.rung, PASSED)

    def __call__(self) -> None:
        """Run the check, and add its result to the report.

        In a test of `parametrize_with_checks`, the check is skipped if one of a lower rung failed.

        Raises:
            ConformanceError: the part fails; the message names the part and the check, and contains the smallest failing case.
        """
        below = next((other for other in (self.others or {}).values() if _failed_below(other, self.rung)), None)
        if below is not None:
            write(attrs.evolve(_empty(self.part), results=(Result(self.name, self.rung, NOT_REACHED),)), self.report)
            import pytest  # checks share results under pytest only

            pytest.skip(f"not reached: check {below.check!r} of {self.part.name!r} failed")
        result = self.result()
        if self.others is not None:
            self.others[self.name] = result
        write(attrs.evolve(_empty(self.part), results=(result,)), self.report)
        if result.verdict != PASSED:
            raise ConformanceError(_sentence(self.part, result))


def _failed_below(other: Result, rung: str) -> bool:
    return other.verdict == FAILED and RUNGS.index(other.rung) < RUNGS.index(rung)


def _empty(part: Any) -> Report:
    return Report(part.kind, str(part.name), part.provider, ())


def _sentence(part: Any, result: Result) -> str:
    return f"{part.kind} {part.name!r} fails check {result.check!r}: {result.message}"


def climb(part: Any, checks: Iterable[Check], report: str | os.PathLike[str] | None = None) -> Report:
    """Run checks rung by rung, and stop after the first rung with a failure.

    Args:
        part: the part to check.
        checks: checks of the part, in any order.
        report: path of a JSON file to add the results to; None for the path in ``CONVPOLICY_CONFORMANCE_REPORT``, if it is set.

    Returns:
        A `Report` in which every check passed.

    Raises:
        ConformanceError: checks failed; the message contains every failure of the rung, and ``report`` is the whole `Report`.
    """
    results: list[Result] = []
    for check in sorted(checks, key=lambda check: RUNGS.index(check.rung)):
        lower_failed = any(result.verdict == FAILED and result.rung != check.rung for result in results)
        results.append(Result(check.name, check.rung, NOT_REACHED) if lower_failed else check.result())
    full_report = attrs.evolve(_empty(part), results=tuple(results))
    write(full_report, report)
    if full_report.failures:
        error = ConformanceError("\n".join(_sentence(part, result) for result in full_report.failures))
        error.report = full_report
        raise error
    return full_report


def write(report: Report, path: str | os.PathLike[str] | None = None) -> None:
    """Add results to a JSON file, where they replace earlier results of the same checks.

    Args:
        report: the results.
        path: path of the file; None for the path in ``CONVPOLICY_CONFORMANCE_REPORT``. Without either, nothing is written.

    Raises:
        InvalidValueError: the file exists and is not such a report; the message contains its path.
    """
    location = path or os.environ.get(REPORT, "")
    if not location:
        return
    target = Path(location)
    parts = _read(target)
    entry = parts.setdefault(f"{report.kind} {report.name}", {"provider": report.provider, "checks": {}})
    for result in report.results:
        entry["checks"][result.check] = {"rung": result.rung, "verdict": result.verdict, "message": result.message}
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(json.dumps({"schema": SCHEMA, "parts": parts}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
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
    raise InvalidValueError(
        f"report must be a new file or an earlier conformance report, got {str(target)!r}; remove it, or name another file."
    )
