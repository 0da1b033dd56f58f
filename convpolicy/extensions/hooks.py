"""The hooks that a plugin can implement. Each hook returns a list of parts, except `convpolicy_commands`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from operator import itemgetter
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

from convpolicy.registry.marks import hookspec
from convpolicy.registry.report import PROJECT

if TYPE_CHECKING:  # plugins import the modules of the parts that they make
    from convpolicy.chunks.form import StreamingForm
    from convpolicy.conversion.formats import FileFormat
    from convpolicy.core.policy import Policy
    from convpolicy.layers.backend import Backend
    from convpolicy.layers.wrapper import Wrapper
    from convpolicy.parts.crop import CropRule
    from convpolicy.parts.initializer import Initializer
    from convpolicy.parts.layout import Layout
    from convpolicy.parts.mode import PaddingMode
    from convpolicy.parts.padding import PaddingRule
    from convpolicy.parts.stream import RandomStream
    from convpolicy.translation.dialect import Dialect
    from convpolicy.verification.native import Native

# hook -> `kind` of the parts that it returns
KINDS = MappingProxyType(
    {
        "convpolicy_padding_rules": "padding rule",
        "convpolicy_crop_rules": "crop rule",
        "convpolicy_padding_modes": "padding mode",
        "convpolicy_initializers": "initializer",
        "convpolicy_random_streams": "random stream",
        "convpolicy_layouts": "layout",
        "convpolicy_policies": "policy",
        "convpolicy_backends": "backend",
        "convpolicy_wrappers": "wrapper",
        "convpolicy_streaming_forms": "streaming form",
        "convpolicy_natives": "native framework",
        "convpolicy_dialects": "dialect",
        "convpolicy_file_formats": "file format",
    }
)
ALL_HOOKS = (*KINDS, "convpolicy_commands")
Implementation: TypeAlias = tuple[str, Callable[..., Any]]  # name of a hook, and a plugin's function for it
MARK = f"{PROJECT}_impl"  # attribute in which pluggy's marker stores the options of a function


def manager() -> pluggy.PluginManager:
    """Return a pluggy manager with the hooks of this module. It contains no plugins, because plugins are called one by one."""
    plugins = pluggy.PluginManager(PROJECT)
    plugins.add_hookspecs(sys.modules[__name__])
    return plugins


def implementations(plugin: Any, plugins: pluggy.PluginManager) -> list[Implementation]:
    """Return the marked functions of a plugin, sorted by hook. Functions for unknown hooks are included.

    Args:
        plugin: a module or an object.
        plugins: the pluggy manager that reads the marks.
    """
    if isinstance(plugin, ModuleType):  # faster than asking pluggy about each name
        functions = {name: value for name, value in vars(plugin).items() if isinstance(value, FunctionType)}
        marks = {name: getattr(function, MARK, None) for name, function in functions.items()}
    else:
        marks = {name: plugins.parse_hookimpl_opts(plugin, name) for name in dir(plugin) if not name.startswith("__")}
    marked = ((name, mark) for name, mark in marks.items() if mark is not None)
    return sorted(((mark["specname"] or name, getattr(plugin, name)) for name, mark in marked), key=itemgetter(0))


@hookspec
def convpolicy_padding_rules() -> Iterable[PaddingRule]:  # type: ignore[empty-body]
    """Return padding rules, which define how many elements are added on each side."""


@hookspec
def convpolicy_crop_rules() -> Iterable[CropRule]:  # type: ignore[empty-body]
    """Return crop rules, which define how many samples a transposed convolution cuts from each side of its full result."""


@hookspec
def convpolicy_padding_modes() -> Iterable[PaddingMode]:  # type: ignore[empty-body]
    """Return padding modes, which define the values of added elements."""


@hookspec
def convpolicy_initializers() -> Iterable[Initializer]:  # type: ignore[empty-body]
    """Return initializers, which draw initial weights and biases."""


@hookspec
def convpolicy_random_streams() -> Iterable[RandomStream]:  # type: ignore[empty-body]
    """Return random streams, which reproduce the random numbers of a framework."""


@hookspec
def convpolicy_layouts() -> Iterable[Layout]:  # type: ignore[empty-body]
    """Return layouts, which define axis order and parameter names of weights and data."""


@hookspec
def convpolicy_policies() -> Iterable[Policy]:  # type: ignore[empty-body]
    """Return policies, which combine a padding rule, a padding mode, initializers and layouts under one name."""


@hookspec
def convpolicy_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Return backends, which build layers of a framework."""


@hookspec
def convpolicy_wrappers() -> Iterable[Wrapper]:  # type: ignore[empty-body]
    """Return wrappers, which describe classes that contain a convolution and pad around it, for ``port_model``."""


@hookspec
def convpolicy_streaming_forms() -> Iterable[StreamingForm]:  # type: ignore[empty-body]
    """Return streaming forms, which describe how modules of a class take their input in chunks, for ``streaming`` of models."""


@hookspec
def convpolicy_natives() -> Iterable[Native]:  # type: ignore[empty-body]
    """Return native frameworks, which ``convpolicy verify`` compares with the policies that reproduce them."""


@hookspec
def convpolicy_dialects() -> Iterable[Dialect]:  # type: ignore[empty-body]
    """Return dialects, which read and write source code of a framework for ``convpolicy translate``."""


@hookspec
def convpolicy_file_formats() -> Iterable[FileFormat]:  # type: ignore[empty-body]
    """Return file formats, which read and write checkpoint files for ``convpolicy convert``."""


@hookspec
def convpolicy_commands(cli: Any) -> None:
    """Add commands to ``cli``, the click group of the command line."""
