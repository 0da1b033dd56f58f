"""The pluggy markers: `hookimpl` for hook functions of plugins, ``hookspec`` for `convpolicy.extensions.hooks`."""

from __future__ import annotations

import pluggy

from convpolicy.registry.report import PROJECT

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
