"""`PluginReport`: the parts and the faults of one plugin."""

from __future__ import annotations

import attrs

PROJECT = "convpolicy"  # the markers, the plugin manager and the entry-point group share this name
LOAD_PLUGINS = "CONVPOLICY_LOAD_PLUGINS"


@attrs.define
class PluginReport:
    """A report on one plugin, as ``convpolicy plugins`` prints it.

    Attributes:
        name: name of the plugin's entry point or module.
        version: version of the plugin's package. Empty if unknown.
        builtin: True for a plugin that is part of convpolicy.
        hooks: names of the hooks that the plugin implements.
        parts: the registered parts, each as ``"kind name"``.
        errors: the faults, one sentence each. Empty for a plugin without faults.
    """

    name: str
    version: str = ""
    builtin: bool = False
    hooks: list[str] = attrs.field(factory=list)
    parts: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
