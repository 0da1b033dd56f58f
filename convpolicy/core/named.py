"""Policies by name and version, and from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from convpolicy import registry
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, UnknownNameError


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
        registry.current().get("policy", framework)  # raises, with a hint
    for policy in candidates:
        if policy.covers(version):
            return policy
    ranges = "; ".join(f"{policy.name} for {policy.versions}" for policy in candidates)
    raise UnknownNameError(f"no policy for {framework} {version}; known: {ranges}. Pick one of these, or measure and add one.")


def policies() -> list[str]:
    """Return the sorted names of every registered policy."""
    return list(registry.current().parts("policy"))


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read a policy from a TOML or JSON file.

    Args:
        path: ends in ``.toml`` or ``.json``.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: another suffix, broken syntax (holds the line), wrong
            schema, unknown key (holds the nearest), or a bad value; each names the file.
        OSError: the file cannot be read.
    """
    from convpolicy.files import data  # here: not needed to build a layer

    source = data.path_of("path", path)
    data.format_of(source)
    return read_policy(data.read(source), str(source))


def read_policy(text: str | bytes, source: str) -> Policy:
    """Read a policy from the text of a file; see `load_policy`.

    Args:
        text: what the file contains, UTF-8.
        source: its name or path, for messages; ends in ``.toml`` or ``.json``.
    """
    from convpolicy.files import data

    fields = data.parse(text, source)
    try:
        return Policy.from_dict(fields)
    except ConvPolicyError as error:
        raise type(error)(f"{source}: {error}") from error
