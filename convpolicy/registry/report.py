"""`PluginReport`: one plugin, what it registered and what is wrong with it."""

from __future__ import annotations

import attrs

PROJECT = "convpolicy"  # the markers, the plugin manager and the entry-point group share this name
LOAD_PLUGINS = "CONVPOLICY_LOAD_PLUGINS"


@attrs.define
class PluginReport:
    """One plugin as ``convpolicy plugins`` lists it.

    Attributes:
        name: entry-point or module name.
        version: of the distribution, empty when unknown.
        builtin: True for convpolicy's own.
        hooks: names of the hooks it implements.
        parts: ``"kind name"`` of everything it registered.
        errors: what is wrong with it, one sentence each.
    """

    name: str
    version: str = ""
    builtin: bool = False
    hooks: list[str] = attrs.field(factory=list)
    parts: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
