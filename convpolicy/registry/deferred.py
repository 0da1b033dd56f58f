"""Parts that are made when their name is first asked for, and functions imported when first called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from convpolicy.errors import MissingExtraError, MissingFrameworkError, PluginError, raised, shown
from convpolicy.registry.offer import Offer, fault_of


@attrs.frozen(eq=False, slots=False)
class Deferred(Offer):
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

    @property
    def part(self) -> Any:
        """The part itself, made once.

        Raises:
            PluginError: it cannot be made, or is not what was announced; holds its kind, name and plugin.
        """
        made = vars(self)
        if "_part" not in made:  # no lock: of two threads that make it at once the first one's stays
            made.setdefault("_part", self._make())
        return made["_part"]

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
        raise PluginError(f"{title} must be one of that name, got {shown(part)}.")


class Parts(Mapping[str, Any]):
    """Parts by name, sorted, read-only; a deferred one is made when it is looked at."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = dict(sorted(parts.copy().items()))  # one step, so that another thread may change them meanwhile

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
        from convpolicy.pictures.table import table  # here: only to show it

        return table(("name", "plugin", "description"), [(name, part.provider, part.description) for name, part in self.items()])

    def provider(self, name: str) -> str:
        """Return the plugin that a part came from, without making the part."""
        return str(self._parts[name].provider)


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
