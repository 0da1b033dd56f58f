"""`check` runs every check of one part of any kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from convpolicy.core.named import policy as named_policy
from convpolicy.registry import current
from convpolicy.testing.ladder import Report, climb
from convpolicy.testing.parametrize import checks_of


def check(part: Any, *, max_examples: int | None = None, report: str | os.PathLike[str] | None = None) -> Report:
    """Run every check that applies to a part.

    Args:
        part: a padding rule, crop rule, padding mode, initializer, layout, policy, backend, random stream, native framework, dialect
            or file format. If the part needs a framework, it is imported in this process.
        max_examples: number of sizes, shapes or layers per check; None for the default of the kind of part.
        report: path of a JSON file to add the results to; None for the path in ``CONVPOLICY_CONFORMANCE_REPORT``, if it is set.

    Returns:
        A printable `Report` in which every check passed.

    Raises:
        ConformanceError: a check failed; the message names the part and the check, and contains the smallest failing case.
        InvalidTypeError: ``part`` is something else; the message names its type.
    """
    return climb(part, checks_of(part, max_examples), report)


def _check_of(kind: str) -> Callable[..., Report]:
    """Return a variant of `check` for one kind of part, which also accepts the name of a registered part."""

    def check_part(part: Any, *, max_examples: int | None = None, report: str | os.PathLike[str] | None = None) -> Report:
        if isinstance(part, str):
            part = named_policy(part) if kind == "policy" else current().get(kind, part)
        return check(part, max_examples=max_examples, report=report)

    check_part.__name__ = check_part.__qualname__ = f"check_{kind.removesuffix(' framework').replace(' ', '_')}"
    check_part.__doc__ = f"Run every check that applies to a {kind}, passed as an object or by its registered name; see `check`."
    return check_part


check_padding_rule = _check_of("padding rule")
check_crop_rule = _check_of("crop rule")
check_padding_mode = _check_of("padding mode")
check_initializer = _check_of("initializer")
check_layout = _check_of("layout")
check_policy = _check_of("policy")
check_backend = _check_of("backend")
check_random_stream = _check_of("random stream")
check_native = _check_of("native framework")
check_dialect = _check_of("dialect")
check_file_format = _check_of("file format")
check_wrapper = _check_of("wrapper")
check_streaming_form = _check_of("streaming form")
