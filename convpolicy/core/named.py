"""Look up a policy by name and version, or read one from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from convpolicy import registry
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.errors import UnknownNameError, placed
from convpolicy.parts.choice import Choice
from convpolicy.parts.stream import Stream


def policy(name: str | Policy) -> Policy:
    """Return a registered policy.

    Args:
        name: one of

            - a name, e.g. ``"mindspore"``. The name of a framework selects its newest policy.
            - a name and a version, e.g. ``"mindspore@2.9.0"``. The result is the policy of this version of the framework.
            - a `Policy`. The function returns this policy unchanged.

    Raises:
        UnknownNameError: the policy does not exist. The message lists the known names or versions.
    """
    if isinstance(name, Policy):
        return name
    known = registry.current().parts("policy")
    if isinstance(name, str) and name not in known and "@" in name:
        return _of_version(known, *name.split("@", 1))
    registered: Policy = registry.current().get("policy", name)
    return registered


def _of_version(known: Mapping[str, Policy], framework: str, version: str) -> Policy:
    """Return the policy of a framework that covers a version; the policy without ``@`` in its name comes first."""
    candidates = [policy for name, policy in known.items() if name.partition("@")[0] == framework]
    if not candidates:
        registry.current().get("policy", framework)  # raises an error with a hint
    for policy in candidates:
        if policy.covers(version):
            return policy
    ranges = "; ".join(f"{policy.name} for {policy.versions}" for policy in candidates)
    raise UnknownNameError(f"no policy for {framework} {version}; known: {ranges}. Pick one of these, or measure and add one.")


def policies() -> list[str]:
    """Return the names of the registered policies, sorted."""
    return list(registry.current().parts("policy"))


def load_policy(path: str | os.PathLike[str]) -> Any:
    """Read a policy from a TOML or JSON file.

    Args:
        path: path of the file. The path must end in ``.toml`` or ``.json``.

    Returns:
        A `Policy`, or a `TransposedPolicy` if the file contains ``transposed = true``.

    Raises:
        InvalidValueError, InvalidTypeError, UnknownNameError: the file is invalid. The message names the file and the fault,
            for example another suffix, broken syntax, another schema, an unknown key, or a value that is not allowed.
        OSError: the file cannot be read.
    """
    from convpolicy.files import data  # imported late: not needed to build a layer

    source = data.path_of("path", path)
    data.format_of(source)
    return read_policy(data.read(source), str(source))


def from_data(data: Any) -> Policy | TransposedPolicy:
    """Return the policy that plain data describes, of the kind that the data says.

    Raises:
        ConvPolicyError: see `Policy.from_dict`.
    """
    if isinstance(data, Mapping) and data.get("transposed") is True:
        return TransposedPolicy.from_dict(data)
    return Policy.from_dict(data)


def read_policy(text: str | bytes, source: str) -> Any:
    """Read a policy from the text of a file; see `load_policy`.

    Args:
        text: content of the file, UTF-8.
        source: name or path of the file, for messages. It ends in ``.toml`` or ``.json``.
    """
    from convpolicy.files import data

    fields = data.parse(text, source)
    with placed(source):
        return from_data(fields)


def random_stream(name: str, seed: Any = 0) -> Stream:
    """Start a random stream, which reproduces the random numbers that a framework draws after a seed.

    Use one stream to draw the initial weights of several layers. Draw the layers in the order in which the framework builds them.

    Args:
        name: name of a random stream, or name of a policy. For a policy, the function starts the random stream of the policy.
        seed: a seed that the framework's own seeding function accepts.

    Returns:
        A `Stream`. Pass the same stream to `Policy.initial` for each layer in turn.

    Raises:
        UnknownNameError: neither a random stream nor a policy has this name.
        InvalidTypeError, InvalidValueError: the framework refuses the seed.
    """
    part = registry.current().parts("random stream").get(name) if isinstance(name, str) else None
    if part is None:
        return policy(name).start_stream(seed)
    stream: Stream = part.seeded(seed, part.arguments(Choice(name)))
    return stream
