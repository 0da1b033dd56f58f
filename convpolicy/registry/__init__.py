"""The registry: parts by kind and name, which plugin each came from, and two plugins that offer the same name."""

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
NAMED_IN_A_CALL = ("padding rule", "padding mode", "initializer", "layout", "policy", "backend")


class Registry:
    """Parts by kind and name. It knows no hook and no plugin: a subclass overrides `load` and adds what it finds.

    Args:
        strict: True to raise at the first fault of a plugin instead of reporting it.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._generation = 0
        self._strict = strict
        self.clear()

    def clear(self) -> None:
        """Forget every part and report."""
        self._reports: dict[str, PluginReport] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        self._conflicts: dict[tuple[str, str], list[str]] = {}

    def load(self) -> None:
        """Load what there is to load, once; called before every look-up."""

    @property
    def generation(self) -> int:
        """A number that grows with every change, so that caches of resolved parts can tell."""
        self.load()  # a change, too: what is resolved before it would be resolved again after
        return self._generation

    def changed(self) -> None:
        """Note that parts came or went."""
        self._generation += 1

    def parts(self, kind: str) -> Parts:
        """Return the parts of one kind, name -> part, sorted by name, read-only."""
        self.load()
        return Parts(self._parts.get(kind, {}))

    def builtin(self, kind: str, name: str) -> Any:
        """Return what convpolicy itself offers under a name, a `Deferred` not made, as far as it is loaded; else None."""
        part = self._parts.get(kind, {}).get(name)
        report = None if part is None else self._reports.get(part.provider)
        return part if report is not None and report.builtin else None

    def working(self, kind: str) -> dict[str, Any]:
        """Return the parts of one kind that can be made, name -> part, sorted by name; a failure is reported and leaves one out."""
        parts, working = self.parts(kind), {}
        for name in parts:
            try:
                working[name] = parts[name]
            except ConvPolicyError as error:
                report = self._reports.get(parts.provider(name))
                if report is not None:  # else its plugin has gone meanwhile
                    self.fail(report, str(error))
        return working

    def names(self, kind: str) -> list[str]:
        """Return every name of one kind in the order of loading, and then those that two plugins offer, for which `get` raises."""
        self.load()
        return [*self._parts.get(kind, {}), *(name for known, name in list(self._conflicts) if known == kind)]

    def get(self, kind: str, name: Any, words: Iterable[str] = ()) -> Any:
        """Return one part; ``words`` are other names that the caller would have taken.

        Raises:
            UnknownNameError: no such name; lists what there is and the nearest.
            PluginError: two plugins offer the name; holds both.
        """
        self.load()
        parts = self._parts.get(kind, {})
        if isinstance(name, str):
            if providers := self._conflicts.get((kind, name)):
                raise PluginError(
                    f"{kind} {name!r} is offered by two plugins, {' and '.join(map(repr, providers))}; uninstall one or set "
                    f"{LOAD_PLUGINS} to the plugins wanted."
                )
            part = parts.get(name)
            if part is not None:
                return part.part if isinstance(part, Deferred) else part
        known = {*parts, *words}
        raise unknown_name(kind, name, known, self._hint(kind, name, known))

    def _hint(self, kind: str, name: Any, known: set[str]) -> str:
        """Return the hint at a name that another library has, or that is a part of another kind; else nothing."""
        meant = synonym(kind, name, known)
        if meant is not None:
            return f" Did you mean {meant!r}?"
        if kind in NAMED_IN_A_CALL and isinstance(name, str):
            for other in NAMED_IN_A_CALL:
                parts = self._parts.get(other, {})
                meant = name if name in parts else synonym(other, name, parts)
                if meant is not None:
                    return f" Did you mean the {other} {meant!r}?"
        return ""

    def reports(self) -> list[PluginReport]:
        """Return a report of every plugin, built-in ones first, in loading order."""
        self.load()
        return list(self._reports.values())

    def add(self, report: PluginReport, kind: str, hook: str, parts: Any, *, loading: bool) -> None:
        """Add what one hook of a plugin returned; what does not fit is reported and does not stop the rest.

        Args:
            report: of the plugin.
            kind: of part that the hook returns.
            hook: its name, for messages.
            parts: what it returned.
            loading: True while plugins are loaded: of two strangers that offer a name neither wins, whichever came first. Later
                the one that is there stays.
        """
        if not is_list(parts):
            self.fail(report, f"plugin {report.name!r}: {hook} must return a list, got {type(parts).__name__}.")
            return
        found, fault = list[Any](), ""
        try:  # a hook may be a generator, which runs, and fails, while its parts are read
            for part in parts:
                found.append(part)
                if len(found) > MOST_PARTS:
                    found, fault = [], f"must return at most {MOST_PARTS} parts, got more; end the list."
                    break
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            fault = f"raised {raised(error)}."
        for part in found:
            self._add_one(report, kind, hook, part, loading=loading)
        if fault:
            self.fail(report, f"plugin {report.name!r}: {hook} {fault}")

    def _add_one(self, report: PluginReport, kind: str, hook: str, offer: Any, *, loading: bool) -> None:
        part: Any = None
        try:
            fault = fault_of(offer, kind)
            part = None if fault else _offered_by(report.name, offer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a class may override whatever is read
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
            # neither stranger wins: asking for the name raises, naming both
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
        """Report what is wrong with a plugin.

        Raises:
            PluginError: in strict mode.
        """
        message = visible(" ".join(message.split()))
        if message not in report.errors:  # commands are added anew to every command line
            report.errors.append(message)
        if self._strict:
            raise PluginError(message)


def _offered_by(provider: str, part: Any) -> Any:
    """Return a copy that knows its plugin; `attrs.evolve` would check everything again, which is half of loading a plugin."""
    part = copy.copy(part)
    object.__setattr__(part, "provider", provider)
    return part


_current = Registry()


def current() -> Registry:
    """Return the registry that every public call reads."""
    return _current


def install(registry: Registry) -> None:
    """Make a registry the one that every public call reads."""
    global _current  # noqa: PLW0603 - one registry in a process
    _current = registry


def cached(maxsize: int) -> Callable[[Function], Function]:
    """Return a decorator that keeps results for as long as no plugin comes or goes.

    Args:
        maxsize: results kept, the least recently used one goes first. ``3`` and ``3.0`` are different arguments.

    Returns:
        A decorator; the function itself is the result's ``__wrapped__``.
    """

    def decorate(function: Function) -> Function:
        keep = lru_cache(maxsize=maxsize, typed=True)(lambda _generation, *arguments: function(*arguments))

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return keep(_current.generation, *arguments)

        return cast("Function", call)

    return decorate
