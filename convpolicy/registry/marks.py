"""The pluggy markers: `hookimpl` for plugins, ``hookspec`` for the specifications in `convpolicy.extensions.hooks`."""

from __future__ import annotations

import pluggy

from convpolicy.registry.report import PROJECT

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
