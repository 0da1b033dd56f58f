"""The hooks a plugin may implement; every one returns a list of parts, except `convpolicy_commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convpolicy.backends import Backend
    from convpolicy.initializers import Initializer
    from convpolicy.layouts import Layout
    from convpolicy.natives import Native
    from convpolicy.padding import PaddingMode, PaddingRule
    from convpolicy.policy import Policy
    from convpolicy.streams import RandomStream

PROJECT = "convpolicy"  # the marker, the manager and the entry-point group all carry this name
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PluginManager(pluggy.PluginManager):
    """Pluggy's, which looks at what a module defines and not at what Python adds to every module."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """Return how an attribute is marked, or None."""
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)


@hookspec
def convpolicy_padding_rules() -> Iterable[PaddingRule]:  # type: ignore[empty-body]
    """Return padding rules: how many elements go on each side."""


@hookspec
def convpolicy_padding_modes() -> Iterable[PaddingMode]:  # type: ignore[empty-body]
    """Return padding modes: what the added elements are."""


@hookspec
def convpolicy_initializers() -> Iterable[Initializer]:  # type: ignore[empty-body]
    """Return initializers: how fresh weights and biases are drawn."""


@hookspec
def convpolicy_streams() -> Iterable[RandomStream]:  # type: ignore[empty-body]
    """Return random streams: how a seed becomes numbers."""


@hookspec
def convpolicy_layouts() -> Iterable[Layout]:  # type: ignore[empty-body]
    """Return layouts: axis order and parameter names of weights and data."""


@hookspec
def convpolicy_policies() -> Iterable[Policy]:  # type: ignore[empty-body]
    """Return policies: one rule, one mode, initializers and layouts under one name."""


@hookspec
def convpolicy_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Return backends: where layers run."""


@hookspec
def convpolicy_natives() -> Iterable[Native]:  # type: ignore[empty-body]
    """Return the real frameworks that policies claim to be, for ``convpolicy verify``."""


@hookspec
def convpolicy_commands(cli: Any) -> None:
    """Add commands to ``cli``, the click group of the command line."""
