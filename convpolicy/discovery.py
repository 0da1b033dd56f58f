"""Installed plugins: which there are, and what loading one must leave as it was."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

if TYPE_CHECKING:
    import importlib.metadata

LOAD_PLUGINS = "CONVPOLICY_LOAD_PLUGINS"
# Built-in behaviour arrives through the same hooks as a stranger's.
BUILTIN_PLUGINS = tuple(
    f"convpolicy.builtin.{name}"
    for name in (
        "padding_rules",
        "paper_rules",
        "padding_modes",
        "initializers",
        "streams",
        "layouts",
        "policies",
        "papers",
        "backends",
        "natives",
    )
)


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


def installed(group: str) -> tuple[list[importlib.metadata.EntryPoint], list[str]]:
    """Return the entry points to load, and the names that ``CONVPOLICY_LOAD_PLUGINS`` lists but nobody installed."""
    import importlib.metadata

    found = sorted(importlib.metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    listed = os.environ.get(LOAD_PLUGINS)
    if listed is None:
        return found, []
    wanted = {name.strip() for name in listed.split(",") if name.strip()}
    return [entry for entry in found if entry.name in wanted], sorted(wanted - {entry.name for entry in found})


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _numpy_state() -> Any:
    words: Any
    kind, words, *rest = np.random.get_state()  # noqa: NPY002 - the state that plugins share
    return kind, words.tobytes(), *rest


def _set_numpy_state(before: Any) -> None:
    kind, words, *rest = before
    np.random.set_state((kind, np.frombuffer(words, np.uint32), *rest))  # noqa: NPY002 - as above


# what every plugin shares -> how it is read, and put back
SHARED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "NumPy's random state": (_numpy_state, _set_numpy_state),
    "NumPy's error handling": (np.geterr, lambda before: np.seterr(**before)),
    "Python's random state": (random.getstate, random.setstate),
    "the environment": (lambda: dict(os.environ), _set_environment),
    "the working directory": (os.getcwd, os.chdir),
}


class SharedState:
    """What every plugin shares, as it was when this was made."""

    def __init__(self) -> None:
        self._before = {what: read() for what, (read, _restore) in SHARED.items()}

    def restore(self) -> list[str]:
        """Put back whatever has changed since, and return the name of each such thing."""
        changed = [what for what, (read, _restore) in SHARED.items() if read() != self._before[what]]
        for what in changed:
            SHARED[what][1](self._before[what])
        return changed
