"""Finds plugins: the built-in ones and the installed ones; both use the same hooks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convpolicy.registry.report import LOAD_PLUGINS

if TYPE_CHECKING:
    import importlib.metadata

# name -> module
BUILTIN_PLUGINS = {
    **{
        name: f"convpolicy.library.{name}"
        for name in ("padding_rules", "crop_rules", "paper_rules", "padding_modes", "initializers", "layouts", "papers")
    },
    "file_formats": "convpolicy.conversion.files.plugin",
    **{name: f"convpolicy.frameworks.{name}.plugin" for name in ("numpy", "torch", "mindspore", "keras", "flax", "paddle")},
    "commands": "convpolicy.cli.plugin",
}


def installed(group: str) -> tuple[list[importlib.metadata.EntryPoint], list[str]]:
    """Return the entry points to load, and the names in ``CONVPOLICY_LOAD_PLUGINS`` that are not installed."""
    import importlib.metadata

    entries = sorted(importlib.metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    listed = os.environ.get(LOAD_PLUGINS)
    if listed is None:
        return entries, []
    names = {name.strip() for name in listed.split(",") if name.strip()}
    return [entry for entry in entries if entry.name in names], sorted(names - {entry.name for entry in entries})
