"""Tests whether a version specifier includes a version."""

from __future__ import annotations

from convpolicy.errors import InvalidValueError, shown


def includes(specifier: str, version: str) -> bool:
    """Return True if a specifier such as ``">=2.1,<2.11"`` includes ``version``; an empty specifier includes every version.

    Raises:
        InvalidValueError: ``version`` is not a version. The message contains it.
    """
    from packaging.specifiers import SpecifierSet  # imported late: not needed to build a layer
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        raise InvalidValueError(f"version must be a version number, got {shown(version)}; pass for example '2.10.0'.") from None
