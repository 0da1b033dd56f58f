"""The registry of parts: each part by kind and name, the plugin that offers it, and names that two plugins offer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from convpolicy.errors import ConvPolicyError, PluginError, raised, unknown_name, visible
from convpolicy.registry.deferred import Deferred, Parts
from convpolicy.registry.offer import MOST_PARTS, fault_of, is_list
from convpolicy.registry.report import LOAD_PLUGINS, PluginReport
from convpolicy.registry.synonyms import synonym

Function = TypeVar("Function", bound=Callable[..., Any])
NAMED_IN_A_CALL = ("padding rule", "crop rule", "padding mode", "initializer", "layout", "policy", "backend")


class Registry:
    """A collection of parts by kind and name.

    A subclass overrides `load`, calls the hooks of plugins and passes their results to `add`.

    Args:
        strict: True raises an error at the first fault of a plugin; False adds the fault to the plugin's report.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._generation = 0
        self._strict = strict
        self.clear()

    def clear(self) -> None:
        """Remove every part and report."""
        self._reports: dict[str, PluginReport] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        self._conflicts: dict[tuple[str, str], list[str]] = {}

    def load(self) -> None:
        """Load all plugins on the first call; every look-up calls this method."""

    @property
    def generation(self) -> int:
        """A number that grows with every change; caches of resolved parts compare it."""
        self.load()  # first, since loading is a change that would make the number out of date
        return self._generation

    def changed(self) -> None:
        """Record that parts were added or removed."""
        self._generation += 1

    def parts(self, kind: str) -> Parts:
        """Return a read-only mapping, name -> part, of the parts of one kind, sorted by name."""
        self.load()
        return Parts(self._parts.get(kind, {}))

    def builtin(self, kind: str, name: str) -> Any:
        """Return the built-in part of a name, or None; a `Deferred` is not made, and plugins are not loaded."""
        part = self._parts.get(kind, {}).get(name)
        report = None if part is None else self._reports.get(part.provider)
        return part if report is not None and report.builtin else None

    def working(self, kind: str) -> dict[str, Any]:
        """Return name -> part, sorted by name, without the parts whose plugin fails to make them; each failure is reported."""
        parts, working = self.parts(kind), {}
        for name in parts:
            try:
                working[name] = parts[name]
            except ConvPolicyError as error:
                report = self._reports.get(parts.provider(name))
                if report is not None:  # None if another thread has removed the plugin
                    self.fail(report, str(error))
        return working

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind in loading order, followed by the names that two plugins offer, which `get` refuses."""
        self.load()
        return [*self._parts.get(kind, {}), *(name for known, name in list(self._conflicts) if known == kind)]

    def get(self, kind: str, name: Any, aliases: Iterable[str] = ()) -> Any:
        """Return one part.

        Args:
            kind: kind of the part, e.g. ``"padding rule"``.
            name: name of the part.
            aliases: further names that the caller accepts, for the message.

        Raises:
            UnknownNameError: no such part. The message suggests the nearest name and lists all.
            PluginError: two plugins offer the name. The message names both.
        """
        self.load()
        parts = self._parts.get(kind, {})
        if isinstance(name, str):
            if providers := self._conflicts.get((kind, name)):
                raise PluginError(
                    f"{kind} {name!r} is offered by two plugins, {' and '.join(map(repr, providers))}; uninstall one or set "
                    f"{LOAD_PLUGINS} to the plugins you need."
                )
            part = parts.get(name)
            if part is not None:
                return part.part if isinstance(part, Deferred) else part
        known = {*parts, *aliases}
        raise unknown_name(kind, name, known, self._hint(kind, name, known))

    def _hint(self, kind: str, name: Any, known: set[str]) -> str:
        """Return a hint if another library uses the name, or if a part of another kind has it; else an empty string."""
        suggestion = synonym(kind, name, known)
        if suggestion is not None:
            return f" Did you mean {suggestion!r}?"
        if kind in NAMED_IN_A_CALL and isinstance(name, str):
            for other in NAMED_IN_A_CALL:
                parts = self._parts.get(other, {})
                suggestion = name if name in parts else synonym(other, name, parts)
                if suggestion is not None:
                    return f" Did you mean the {other} {suggestion!r}?"
        return ""

    def reports(self) -> list[PluginReport]:
        """Return a report on every plugin in loading order, built-in plugins first."""
        self.load()
        return list(self._reports.values())

    def add(self, report: PluginReport, kind: str, hook: str, parts: Any, *, loading: bool) -> None:
        """Add the parts that one hook of a plugin returned; report a faulty part and go on with the next.

        Args:
            report: report on the plugin.
            kind: kind of part that the hook returns.
            hook: name of the hook, for messages.
            parts: the hook's result.
            loading: True while plugins are loaded. If two installed plugins then offer the same name, neither gets it, whatever
                their order. Afterwards the existing part stays.
        """
        if not is_list(parts):
            self.fail(report, f"plugin {report.name!r}: {hook} must return a list, got {type(parts).__name__}.")
            return
        offers, fault = list[Any](), ""
        try:  # a hook may be a generator, whose code runs, and may fail, in this loop
            for part in parts:
                offers.append(part)
                if len(offers) > MOST_PARTS:
                    offers, fault = [], f"must return at most {MOST_PARTS} parts, got more; end the list."
                    break
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            fault = f"raised {raised(error)}."
        for offer in offers:
            self._add_one(report, kind, hook, offer, loading=loading)
        if fault:
            self.fail(report, f"plugin {report.name!r}: {hook} {fault}")

    def _add_one(self, report: PluginReport, kind: str, hook: str, offer: Any, *, loading: bool) -> None:
        part: Any = None
        try:
            fault = fault_of(offer, kind)
            part = None if fault else _with_provider(offer, report.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # reading an attribute of the offer may run the plugin's code
            fault = f"returned a {type(offer).__name__} that raised {raised(error)}."
        if fault:
            self.fail(report, f"plugin {report.name!r}: {hook} {fault}")
            return
        known = self._parts.setdefault(kind, {})
        providers = [known[part.name].provider] if part.name in known else self._conflicts.get((kind, part.name), [])
        if not providers:
            known[part.name] = part
            report.parts.append(f"{kind} {part.name}")
            return
        message = f"{kind} {part.name!r} is offered by two plugins, {providers[0]!r} and {report.name!r}"
        if not self._reports[providers[0]].builtin and loading:
            # neither plugin gets the name: `get` raises an error that names both
            self._conflicts[(kind, part.name)] = [*providers, report.name]
            if known.pop(part.name, None) is not None:
                self._reports[providers[0]].parts.remove(f"{kind} {part.name}")
            self.fail(self._reports[providers[0]], message + ".")
        self.fail(report, message + ".")

    def remove(self, name: str) -> None:
        """Remove a plugin's report and parts."""
        del self._reports[name]
        for parts in self._parts.values():
            for part in [part for part in parts.values() if part.provider == name]:
                del parts[part.name]
        self.changed()

    def fail(self, report: PluginReport, message: str) -> None:
        """Add a fault to the report on a plugin.

        Raises:
            PluginError: the registry is strict.
        """
        message = visible(" ".join(message.split()))
        if message not in report.errors:  # a hook for commands runs, and fails, once per command line
            report.errors.append(message)
        if self._strict:
            raise PluginError(message)


def _with_provider(part: Any, provider: str) -> Any:
    """Return a copy with its provider set; `attrs.evolve` would run all checks again, half of the time to load a plugin."""
    part = copy.copy(part)
    object.__setattr__(part, "provider", provider)
    return part


_current = Registry()


def current() -> Registry:
    """Return the registry that all public functions use."""
    return _current


def install(registry: Registry) -> None:
    """Set the registry that all public functions use."""
    global _current  # noqa: PLW0603 - one registry in a process
    _current = registry


def cached(maxsize: int) -> Callable[[Function], Function]:
    """Return a decorator that caches results until a plugin is added or removed.

    Args:
        maxsize: number of results to keep; the least recently used is dropped first. ``3`` and ``3.0`` are different arguments.

    Returns:
        A decorator. The undecorated function is the ``__wrapped__`` of the decorated one.
    """

    def decorate(function: Function) -> Function:
        cache = lru_cache(maxsize=maxsize, typed=True)(lambda _generation, *arguments: function(*arguments))

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return cache(_current.generation, *arguments)

        return cast("Function", call)

    return decorate
