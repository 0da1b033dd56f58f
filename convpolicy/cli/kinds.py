"""Kinds of part on the command line, and functions to find and describe parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convpolicy import registry
from convpolicy.cli import output
from convpolicy.cli.policies import TRANSPOSED
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.layers.backend import Backend
from convpolicy.parts.part import Part

# name of a kind in `convpolicy list` -> `kind` of the parts
LISTS = {
    "policies": "policy",
    "rules": "padding rule",
    "crops": "crop rule",
    "modes": "padding mode",
    "initializers": "initializer",
    "streams": "random stream",
    "layouts": "layout",
    "backends": "backend",
    "wrappers": "wrapper",
    "forms": "streaming form",
    "dialects": "dialect",
    "formats": "file format",
}
# kind -> example of use; {} is replaced by the name of the part
CALLS = {
    "policy": 'cp.Conv1d(4, 8, 3, policy="{}")',
    "padding rule": 'cp.Conv1d(4, 8, 3, padding="{}")',
    "crop rule": 'cp.ConvTranspose1d(4, 8, 4, 2, padding="{}")',
    "padding mode": 'cp.Conv1d(4, 8, 3, padding=1, padding_mode="{}")',
    "initializer": 'cp.Conv1d(4, 8, 3, weight_init="{}")',
    "random stream": 'cp.random_stream("{}", seed=0)',
    "layout": 'cp.layouts()["{}"]',
    "backend": 'cp.Conv1d(4, 8, 3, backend="{}")',
    "wrapper": 'cp.port_model(model, to="keras")',
    "streaming form": "cp.streaming(model)",
    "dialect": "convpolicy translate model.py --to {}",
    "file format": "convpolicy convert --help",
}
# field of a policy with framework names -> the field whose parts they name
FRAMEWORK_NAMES = {"padding_names": "padding", "mode_names": "padding_mode", "init_names": "weight_init"}


def parts(kind: str) -> dict[str, Any]:
    """Return the working parts of one kind by name; new errors of plugins are printed on stderr."""
    known = _errors()
    working = registry.current().working(kind)
    for error in [error for error in _errors() if error not in known]:
        output.say_beside(f"convpolicy: {error}")
    return working


def _errors() -> list[str]:
    return [error for report in registry.current().reports() for error in report.errors]


def named(name: str) -> dict[str, Any]:
    """Return the parts with this name, by kind, in the order of `LISTS`. Other parts are not loaded.

    Raises:
        ConvPolicyError: a part with this name cannot be loaded.
    """
    registered = {kind: registry.current().parts(kind) for kind in LISTS.values()}
    return {kind: known[name] for kind, known in registered.items() if name in known}


def description(part: Any) -> str:
    """Return the description of a part; for a backend, also say if its framework is not installed."""
    if isinstance(part, Backend) and not part.is_installed():
        return f"{part.description} (not installed)".strip()
    return str(part.description)


def parameters(part: Any) -> dict[str, Any]:
    """Return the defaults of a part's parameters, by name."""
    return {name: param.default for name, param in part.params.items()} if isinstance(part, Part) else {}


def uses(kind: str, name: str) -> Iterator[str]:
    """Yield the policies that use a part, and framework names that refer to it, e.g. ``keras:same``."""
    policies: dict[str, Policy] = registry.current().working("policy")
    for policy in policies.values():
        for half in (policy, policy.transposed):
            if half is not None:
                yield from _uses_in(half, kind, name)


def _uses_in(policy: LayerPolicy, kind: str, name: str) -> Iterator[str]:
    text = f"{policy.name}:{TRANSPOSED}" if policy.is_transposed else policy.name
    fields = [field for field, of_kind in policy.part_kinds.items() if of_kind == kind]
    if any(getattr(policy, field).name == name for field in fields):
        yield text
    for table, field in FRAMEWORK_NAMES.items():
        if policy.part_kinds[field] == kind:
            yield from (
                f"{text}{',' if policy.is_transposed else ':'}{framework_name}"
                for framework_name, part in getattr(policy, table)
                if getattr(part, "name", part) == name
            )


def setting(name: str, default: Any) -> str:
    """Return a parameter and its default as text."""
    if default is None:
        return name
    return f"{name}={default:g}" if isinstance(default, float) else f"{name}={default}"
