"""The kinds of part as the command line names them, every part by name, and how each is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convpolicy import registry
from convpolicy.cli import output
from convpolicy.core.plain_data import PART_FIELDS
from convpolicy.core.policy import Policy
from convpolicy.layers.backend import Backend
from convpolicy.parts.part import Part

# the word on the command line -> the `kind` of part
LISTS = {
    "policies": "policy",
    "rules": "padding rule",
    "modes": "padding mode",
    "initializers": "initializer",
    "streams": "random stream",
    "layouts": "layout",
    "backends": "backend",
    "dialects": "dialect",
    "formats": "file format",
}
# kind -> how a part of it is used, as a template of its name
CALLS = {
    "policy": 'cp.Conv1d(4, 8, 3, policy="{}")',
    "padding rule": 'cp.Conv1d(4, 8, 3, padding="{}")',
    "padding mode": 'cp.Conv1d(4, 8, 3, padding=1, padding_mode="{}")',
    "initializer": 'cp.Conv1d(4, 8, 3, weight_init="{}")',
    "random stream": 'cp.random_stream("{}", seed=0)',
    "layout": 'cp.layouts()["{}"]',
    "backend": 'cp.Conv1d(4, 8, 3, backend="{}")',
    "dialect": "convpolicy translate model.py --to {}",
    "file format": "convpolicy convert --help",
}
# field of a policy with its own words -> the kind of part they stand for
WORDS = {"padding_names": "padding rule", "mode_names": "padding mode", "init_names": "initializer"}


def parts(kind: str) -> dict[str, Any]:
    """Return the parts of one kind that can be made; a new fault of a plugin is said on stderr."""
    known = _errors()
    working = registry.current().working(kind)
    for error in [error for error in _errors() if error not in known]:
        output.say_beside(f"convpolicy: {error}")
    return working


def _errors() -> list[str]:
    return [error for report in registry.current().reports() for error in report.errors]


def named(name: str) -> dict[str, Any]:
    """Return every part of a name, by kind, in the order of `LISTS`; other parts are not made.

    Raises:
        ConvPolicyError: a part of that name cannot be made.
    """
    registered = {kind: registry.current().parts(kind) for kind in LISTS.values()}
    return {kind: known[name] for kind, known in registered.items() if name in known}


def description(part: Any) -> str:
    """Return a part's sentence, and whether a backend's framework is not installed."""
    if isinstance(part, Backend) and not part.is_installed():
        return f"{part.description} (not installed)".strip()
    return str(part.description)


def parameters(part: Any) -> dict[str, Any]:
    """Return the defaults of a part's parameters, by name."""
    return {name: param.default for name, param in part.params.items()} if isinstance(part, Part) else {}


def uses(kind: str, name: str) -> Iterator[str]:
    """Yield the policies that have a part, and those with a word for it, as ``keras:same``."""
    fields = [field for field, of_kind in PART_FIELDS.items() if of_kind == kind]
    own_words = [field for field, of_kind in WORDS.items() if of_kind == kind]
    policies: dict[str, Policy] = registry.current().working("policy")
    for policy_name, policy in policies.items():
        if any(getattr(policy, field).name == name for field in fields):
            yield policy_name
        for field in own_words:
            yield from (
                f"{policy_name}:{word}" for word, meant in getattr(policy, field) if getattr(meant, "name", meant) == name
            )


def setting(name: str, default: Any) -> str:
    """Return a parameter and its default as text."""
    if default is None:
        return name
    return f"{name}={default:g}" if isinstance(default, float) else f"{name}={default}"
