"""Parts that are made when their name is first asked for, and functions imported when first called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs

from convpolicy.errors import ConvPolicyError, PluginError


@attrs.frozen(eq=False, slots=False)
class Deferred:
    """A part that is made when its name is first asked for; a plugin's hook may return it in place of the part.

    Args:
        kind: of the part, e.g. ``"policy"``.
        name: of the part.
        make: returns the part.
        provider: the plugin it came from; filled in by the registry.
    """

    kind: str
    name: str
    make: Callable[[], Any]
    provider: str = ""

    @cached_property
    def part(self) -> Any:
        """The part itself.

        Raises:
            PluginError: it cannot be made, or is not what was announced; holds its kind, name and plugin.
        """
        try:
            part = attrs.evolve(self.make(), provider=self.provider)
        except ConvPolicyError:
            raise
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of plugin {self.provider!r} failed to load: {type(error).__name__}: {error}"
            ) from error
        if (getattr(type(part), "kind", None), part.name) != (self.kind, self.name):
            raise PluginError(f"{self.kind} {self.name!r} of plugin {self.provider!r} must be one of that name, got {part!r}.")
        return part


class Parts(Mapping[str, Any]):
    """Parts by name, sorted, read-only; a deferred one is made when it is looked at."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._parts = {name: parts[name] for name in sorted(parts)}

    def __getitem__(self, name: str) -> Any:
        part = self._parts[name]
        return part.part if isinstance(part, Deferred) else part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts


def lazy(module: str, function: str) -> Callable[..., Any]:
    """Return a function that imports its module when it is first called, so that a plugin imports its framework late.

    Args:
        module: import path, e.g. ``"my_plugin.layer"``.
        function: its name there; a class will do.

    Returns:
        A function that passes every argument on.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*arguments, **keywords)

    call.__module__, call.__name__ = module, function
    return call
