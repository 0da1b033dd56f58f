"""The plugin registry: loads plugins once, keeps their parts by name, and reports every plugin that is broken."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from convpolicy.deferred import Deferred, Parts
from convpolicy.discovery import BUILTIN_PLUGINS, LOAD_PLUGINS, PluginReport, SharedState, installed
from convpolicy.errors import InvalidTypeError, InvalidValueError, PluginError, nearest, unknown_name

if TYPE_CHECKING:  # pluggy is imported when plugins are first needed, not by `import convpolicy`
    import importlib.metadata

    import pluggy

# hook -> the `kind` of part it returns
KINDS = MappingProxyType(
    {
        "convpolicy_padding_rules": "padding rule",
        "convpolicy_padding_modes": "padding mode",
        "convpolicy_initializers": "initializer",
        "convpolicy_streams": "stream",
        "convpolicy_layouts": "layout",
        "convpolicy_policies": "policy",
        "convpolicy_backends": "backend",
        "convpolicy_natives": "native framework",
    }
)
ALL_HOOKS = (*KINDS, "convpolicy_commands")
STRICT = "CONVPOLICY_STRICT"


class Registry:
    """Plugins and the parts they registered; built lazily, once, under a lock.

    Args:
        entry_points: True to load installed plugins of the entry-point group ``convpolicy`` as well.
        strict: True to raise at the first broken plugin instead of reporting it; None reads ``CONVPOLICY_STRICT``.
    """

    def __init__(self, entry_points: bool = True, strict: bool | None = None) -> None:
        self._generation = 0
        self._entry_points = entry_points
        self._strict = os.environ.get(STRICT, "") not in ("", "0") if strict is None else strict
        self._lock = threading.RLock()
        self._changed: dict[str, list[str]] = {}  # entry point -> what it changed for everyone when it was loaded
        self._manager: pluggy.PluginManager
        self._reset()

    def _reset(self) -> None:
        self._reports: dict[str, PluginReport] = {}
        self._parts: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS.values()}
        self._conflicts: dict[tuple[str, str], list[str]] = {}
        self._origins: dict[str, str] = {}  # name of an installed plugin -> its entry point
        self._distributions: dict[str, Any] = {}  # whose metadata is read when a report is asked for
        self._loaded = False
        self._loading = False

    # -- reading ----------------------------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """A number that grows with every change, so that caches of resolved parts can tell."""
        self._load()  # a change, too: what is resolved before it would be resolved again after
        return self._generation

    def parts(self, kind: str) -> Mapping[str, Any]:
        """Return the parts of one kind, name -> part, sorted by name, read-only."""
        self._load()
        return Parts(self._parts[kind])

    def get(self, kind: str, name: Any, words: Iterable[str] = ()) -> Any:
        """Return one part; ``words`` are other names that the caller would have taken.

        Raises:
            UnknownNameError: no such name; lists what there is and the nearest.
            PluginError: two plugins offer the name; holds both.
        """
        self._load()
        if isinstance(name, str):
            if providers := self._conflicts.get((kind, name)):
                raise PluginError(
                    f"{kind} {name!r} is offered by two plugins, {' and '.join(map(repr, providers))}; uninstall one or set "
                    f"{LOAD_PLUGINS} to the plugins wanted."
                )
            part = self._parts[kind].get(name)
            if part is not None:
                return part.part if isinstance(part, Deferred) else part
        raise unknown_name(kind, name, {*self._parts[kind], *words})

    def reports(self) -> list[PluginReport]:
        """Return a report of every plugin, built-in ones first, in loading order."""
        self._load()
        for name, distribution in self._distributions.items():
            self._reports[name].version = getattr(distribution, "version", "") or ""
        return list(self._reports.values())

    def add_commands(self, cli: Any) -> None:
        """Let every plugin add commands to the click group ``cli``; one that fails is reported, the rest go on."""
        self._load()
        for name, plugin in self._manager.list_name_plugin():
            if "convpolicy_commands" not in self._reports[name].hooks:
                continue
            try:
                self._ask(plugin, "convpolicy_commands", cli=cli)
            except Exception as error:
                self._fail(self._reports[name], f"plugin {name!r}: convpolicy_commands raised {type(error).__name__}: {error}.")

    # -- changing ---------------------------------------------------------------------------------------------------

    def register(self, plugin: Any, name: str | None = None) -> PluginReport:
        """Register a module or object as a plugin, e.g. in a notebook or a test.

        Raises:
            PluginError: the plugin is broken; nothing of it stays registered.
        """
        with self._lock:
            self._load()
            report = PluginReport(name or getattr(plugin, "__name__", None) or type(plugin).__name__)
            if not isinstance(report.name, str):
                raise InvalidTypeError(f"name must be text, got {name!r} of type {type(name).__name__}; pass a plugin's name.")
            if report.name in self._reports:
                raise PluginError(f"plugin {report.name!r} is registered already; unregister it first.")
            self._reports[report.name] = report
            try:
                self._add(report, plugin)
            finally:  # strict or not, a plugin registered by hand is whole or absent
                if report.errors:
                    self.unregister(report.name)
            if report.errors:
                raise PluginError(" ".join(report.errors))
            return report

    def unregister(self, name: str) -> None:
        """Remove a plugin that was registered by hand, and its parts."""
        with self._lock:
            if not isinstance(name, str) or name not in self._reports:
                raise unknown_name("plugin", name, self._reports)
            if self._reports[name].builtin:
                raise InvalidValueError(f"plugin {name!r} is built in and cannot be removed; remove another.")
            del self._reports[name]
            self._drop(name)
            for parts in self._parts.values():
                for part in [part for part in parts.values() if part.provider == name]:
                    del parts[part.name]
            self._generation += 1

    # -- loading ----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if not self._loaded:
            with self._lock:
                self._load_once()

    def _load_once(self) -> None:
        if self._loaded or self._loading:  # a plugin that reads the registry from a hook sees what is loaded before it
            return
        self._loading = True
        from convpolicy import hookspecs

        self._manager = hookspecs.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        try:
            for module in BUILTIN_PLUGINS:
                report = PluginReport(module.rpartition(".")[2], builtin=True)
                self._reports[report.name] = report
                self._add(report, importlib.import_module(module))
            if self._entry_points:
                entry_points, missing = installed(hookspecs.PROJECT)
                for name in missing:
                    report = self._reports[name] = PluginReport(name)
                    self._fail(report, f"plugin {name!r} is listed in {LOAD_PLUGINS} but not installed.")
                shared = SharedState()
                for entry_point in entry_points:
                    self._load_entry_point(entry_point, shared)
        except BaseException:
            self._reset()  # strict mode stops here; a later call starts afresh
            raise
        self._loaded = True
        self._generation += 1

    def _load_entry_point(self, entry_point: importlib.metadata.EntryPoint, shared: SharedState) -> None:
        name = entry_point.name
        if name in self._reports:
            first = self._origins.get(name, "convpolicy itself")
            self._fail(self._reports[name], f"two plugins are named {name!r}: {first} and {entry_point.value}; uninstall one.")
            return
        self._origins[name] = entry_point.value
        report = self._reports[name] = PluginReport(name)
        self._distributions[name] = entry_point.dist
        about = f"plugin {name!r} ({entry_point.value})"
        try:
            plugin = entry_point.load()
        except (Exception, SystemExit) as error:  # a script among plugins must not end the caller's process
            self._fail(report, f"{about} failed to import: {type(error).__name__}: {error}")
        else:
            self._add(report, plugin)
        finally:
            self._changed.setdefault(entry_point.value, []).extend(shared.restore())  # a module is only imported once
        for what in self._changed[entry_point.value]:
            self._fail(report, f"{about} changes {what} when it is loaded; it was put back.")

    def _add(self, report: PluginReport, plugin: Any) -> None:
        try:
            self._manager.register(plugin, name=report.name)
            callers = self._manager.get_hookcallers(plugin) or []
            for caller in callers:
                if not caller.has_spec():
                    raise LookupError(f"unknown hook {caller.name!r}.{nearest(caller.name, ALL_HOOKS)}")
        except Exception as error:
            self._drop(report.name)
            self._fail(report, f"plugin {report.name!r} does not fit the hooks: {' '.join(str(error).split())}")
            return
        report.hooks = sorted(caller.name for caller in callers)
        if not report.hooks:
            self._drop(report.name)
            self._fail(
                report,
                f"plugin {report.name!r} implements no hook; mark functions named {', '.join(ALL_HOOKS)} "
                f"with convpolicy.hookimpl.",
            )
            return
        for hook, kind in KINDS.items():
            if hook in report.hooks:
                try:
                    self._collect(report, kind, hook, self._ask(plugin, hook))
                except PluginError:
                    raise
                except Exception as error:
                    self._fail(report, f"plugin {report.name!r}: {hook} raised {type(error).__name__}: {error}")
        self._generation += 1

    def _ask(self, plugin: Any, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation of a hook."""
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        own = next(found for found in implementations if found.plugin is plugin)
        return own.function(*(arguments[name] for name in own.argnames))

    def _drop(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def _collect(self, report: PluginReport, kind: str, hook: str, returned: Any) -> None:
        if isinstance(returned, (str, bytes, Mapping)) or not isinstance(returned, Iterable):
            self._fail(report, f"plugin {report.name!r}: {hook} must return a list, got {type(returned).__name__}.")
            return
        for part in returned:
            if (part.kind if isinstance(part, Deferred) else getattr(type(part), "kind", None)) != kind:
                self._fail(report, f"plugin {report.name!r}: {hook} must return objects of kind {kind!r}, got {part!r}.")
                continue
            providers = self._providers(kind, part.name)
            if not providers:
                self._parts[kind][part.name] = attrs.evolve(part, provider=report.name)
                report.parts.append(f"{kind} {part.name}")
                continue
            message = f"{kind} {part.name!r} is offered by two plugins, {providers[0]!r} and {report.name!r}"
            if not self._reports[providers[0]].builtin and not self._loaded:
                # neither stranger wins: asking for the name raises, naming both
                self._conflicts[(kind, part.name)] = [*providers, report.name]
                if self._parts[kind].pop(part.name, None) is not None:
                    self._reports[providers[0]].parts.remove(f"{kind} {part.name}")
                self._fail(self._reports[providers[0]], message + ".")
            self._fail(report, message + ".")

    def _providers(self, kind: str, name: str) -> list[str]:
        part = self._parts[kind].get(name)
        return [part.provider] if part is not None else self._conflicts.get((kind, name), [])

    def _fail(self, report: PluginReport, message: str) -> None:
        message = " ".join(message.split())
        if message not in report.errors:  # commands are added anew to every command line
            report.errors.append(message)
        if self._strict:
            raise PluginError(message)


_current = Registry()


def current() -> Registry:
    """Return the registry that every public call reads."""
    return _current
