"""Whether a specifier of versions holds for one."""

from __future__ import annotations

from convpolicy.errors import InvalidValueError, shown


def holds(specifier: str, version: str) -> bool:
    """Return True when ``version`` is one of a specifier such as ``">=2.1,<2.11"``; an empty one holds for all.

    Raises:
        InvalidValueError: not a version; holds what came.
    """
    from packaging.specifiers import SpecifierSet  # here: not needed to build a layer
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        raise InvalidValueError(f"version must be one such as 2.10.0, got {shown(version)}; write it so.") from None
