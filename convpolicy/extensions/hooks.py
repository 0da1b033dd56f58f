"""The hooks a plugin may implement; every one returns a list of parts, except `convpolicy_commands`."""

from __future__ import annotations

import sys
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from convpolicy.registry.marks import hookspec
from convpolicy.registry.report import PROJECT

if TYPE_CHECKING:  # a part's module is imported when a plugin makes such a part
    from collections.abc import Iterable

    from convpolicy.conversion.formats import FileFormat
    from convpolicy.core.policy import Policy
    from convpolicy.layers.backend import Backend
    from convpolicy.parts.initializer import Initializer
    from convpolicy.parts.layout import Layout
    from convpolicy.parts.mode import PaddingMode
    from convpolicy.parts.padding import PaddingRule
    from convpolicy.parts.stream import RandomStream
    from convpolicy.translation.dialect import Dialect
    from convpolicy.verification.native import Native

# hook -> the `kind` of part it returns
KINDS = MappingProxyType(
    {
        "convpolicy_padding_rules": "padding rule",
        "convpolicy_padding_modes": "padding mode",
        "convpolicy_initializers": "initializer",
        "convpolicy_random_streams": "random stream",
        "convpolicy_layouts": "layout",
        "convpolicy_policies": "policy",
        "convpolicy_backends": "backend",
        "convpolicy_natives": "native framework",
        "convpolicy_dialects": "dialect",
        "convpolicy_file_formats": "file format",
    }
)
ALL_HOOKS = (*KINDS, "convpolicy_commands")
MARK = f"{PROJECT}_impl"  # where pluggy's marker leaves what it says of a function


class PluginManager(pluggy.PluginManager):
    """Pluggy's, which registers `Implementations`."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """Return how an attribute is marked, or None."""
        return plugin.marks[name] if isinstance(plugin, Implementations) else super().parse_hookimpl_opts(plugin, name)


class Implementations:
    """A plugin as pluggy sees it: its marked functions alone. Most names of a module are imports, and some plugins have no hash.

    Args:
        plugin: a module or an object.
        manager: which marks count.
    """

    def __init__(self, plugin: Any, manager: PluginManager) -> None:
        if isinstance(plugin, ModuleType):  # pluggy's own look at one is slow
            functions = {name: value for name, value in vars(plugin).items() if isinstance(value, FunctionType)}
            marks = {name: vars(function).get(MARK) for name, function in functions.items()}
        else:
            marks = {name: manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin) if not name.startswith("__")}
        self.marks: dict[str, Any] = {name: mark for name, mark in sorted(marks.items()) if mark is not None}
        self.__dict__.update((name, getattr(plugin, name)) for name in self.marks)

    def __dir__(self) -> list[str]:
        return list(self.marks)

    def hooks(self) -> list[str]:
        """Return the hooks that the plugin implements, sorted, unknown ones included."""
        return sorted(mark["specname"] or name for name, mark in self.marks.items())


def manager() -> PluginManager:
    """Return a plugin manager that knows the hooks below and no plugin."""
    plugins = PluginManager(PROJECT)
    plugins.add_hookspecs(sys.modules[__name__])
    return plugins


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
def convpolicy_random_streams() -> Iterable[RandomStream]:  # type: ignore[empty-body]
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
def convpolicy_dialects() -> Iterable[Dialect]:  # type: ignore[empty-body]
    """Return dialects: how source code of a framework is read and written, for ``convpolicy translate``."""


@hookspec
def convpolicy_file_formats() -> Iterable[FileFormat]:  # type: ignore[empty-body]
    """Return file formats: how a kind of checkpoint file is read and written, for ``convpolicy convert``."""


@hookspec
def convpolicy_commands(cli: Any) -> None:
    """Add commands to ``cli``, the click group of the command line."""
