"""Policies by name."""

from __future__ import annotations

from convpolicy import registry
from convpolicy.policy import Policy


def policy(name: str | Policy) -> Policy:
    """Return a registered policy.

    Args:
        name: ``"torch"``, ``"mindspore@2.0"``, …; a Policy is given back as it is.

    Raises:
        UnknownNameError: lists what there is and the nearest name.
    """
    if isinstance(name, Policy):
        return name
    found: Policy = registry.current().get("policy", name)
    return found


def policies() -> list[str]:
    """Return the sorted names of every registered policy."""
    return list(registry.current().parts("policy"))
