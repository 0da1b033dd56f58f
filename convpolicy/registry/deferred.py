"""Parts that are created on first use, and functions that are imported on the first call."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import attrs

from convpolicy.errors import MissingExtraError, MissingFrameworkError, PluginError, raised, shown
from convpolicy.registry.offer import Offer, fault_of


@attrs.frozen(eq=False, slots=False)
class Deferred(Offer):
    """A part that is created on first use. A plugin's hook can return a `Deferred` for a part that is slow to create.

    Args:
        kind: kind of the part, e.g. ``"policy"``.
        name: name of the part.
        make: function without arguments that returns the part.
        provider: name of the plugin that registered the part. The registry sets this attribute.
    """

    kind: str
    name: str
    make: Callable[[], Any]
    provider: str = ""

    @property
    def part(self) -> Any:
        """The part. The first use creates the part.

        Raises:
            PluginError: ``make`` fails, or returns a part of another kind or name. The message contains the kind, the name and the plugin.
        """
        attributes = vars(self)
        if "_part" not in attributes:  # no lock: if two threads make the part at once, the first one is kept
            attributes.setdefault("_part", self._make())
        return attributes["_part"]

    def _make(self) -> Any:
        title = f"{self.kind} {self.name!r} of plugin {self.provider!r}"
        try:
            part = self.make()
            if part is None:
                raise TypeError("its function returned None")
            if not fault_of(part, self.kind) and part.name == self.name:
                return attrs.evolve(part, provider=self.provider)
        except (KeyboardInterrupt, MissingExtraError, MissingFrameworkError):
            raise
        except BaseException as error:
            raise PluginError(f"{title} failed to load: {raised(error)}") from error
        raise PluginError(f"{title} must have the kind {self.kind!r} and the name {self.name!r}, got {shown(part)}.")


class Parts(Mapping[str, Any]):
    """A read-only mapping of parts by name, sorted by name; reading an item makes a deferred part."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = dict(sorted(parts.copy().items()))  # copy() is atomic: another thread may change the parts

    def __getitem__(self, name: str) -> Any:
        part = self._parts[name]
        return part.part if isinstance(part, Deferred) else part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __repr__(self) -> str:
        return f"{len(self._parts)} parts: {', '.join(self._parts)}"

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # imported late: only notebooks need it

        return table(("name", "plugin", "description"), [(name, part.provider, part.description) for name, part in self.items()])

    def provider(self, name: str) -> str:
        """Return the name of the plugin that registered a part, without making the part."""
        return str(self._parts[name].provider)


_imported = cache(importlib.import_module)  # finding a module again takes a microsecond in each call


def lazy(module: str, function: str) -> Callable[..., Any]:
    """Return a function that imports a module on its first call.

    Use this function in a plugin. The plugin then loads without importing its framework.

    Args:
        module: import path, e.g. ``"my_plugin.layer"``.
        function: name of a function or class in the module.

    Returns:
        A function that calls ``function`` with the same arguments and returns its result.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(_imported(module), function)(*arguments, **keywords)

    call.__module__, call.__name__ = module, function
    return call
