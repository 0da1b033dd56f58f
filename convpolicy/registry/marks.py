"""The pluggy markers: `hookimpl` for plugins, ``hookspec`` for the specifications in `convpolicy.extensions.hooks`."""

from __future__ import annotations

import pluggy

PROJECT = "convpolicy"  # the markers, the plugin manager and the entry-point group share this name
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
