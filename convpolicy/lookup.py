"""Policies by name and version."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy import registry
from convpolicy.errors import UnknownNameError, unknown_name
from convpolicy.policy import Policy


def policy(name: str | Policy) -> Policy:
    """Return a registered policy.

    Args:
        name: ``"torch"``, ``"mindspore@2.0"``, …; ``"mindspore"`` is the newest, ``"mindspore@2.9.0"`` the one that holds
            for that version; a Policy is given back as it is.

    Raises:
        UnknownNameError: lists what there is and the nearest name, or the versions known.
    """
    if isinstance(name, Policy):
        return name
    known = registry.current().parts("policy")
    if isinstance(name, str) and name not in known and "@" in name:
        return _of_version(known, *name.split("@", 1))
    found: Policy = registry.current().get("policy", name)
    return found


def _of_version(known: Mapping[str, Policy], framework: str, version: str) -> Policy:
    """Return the policy of a framework whose ``versions`` hold the version, the framework's own name first."""
    candidates = [policy for name, policy in known.items() if name.partition("@")[0] == framework]
    if not candidates:
        raise unknown_name("policy", framework, known)
    for policy in candidates:
        if policy.covers(version):
            return policy
    ranges = "; ".join(f"{policy.name} for {policy.versions}" for policy in candidates)
    raise UnknownNameError(f"no policy for {framework} {version}; known: {ranges}. Pick one of these, or measure and add one.")


def policies() -> list[str]:
    """Return the sorted names of every registered policy."""
    return list(registry.current().parts("policy"))
