"""Loads plugins: imports them, calls their hooks with pluggy, adds their parts to the registry and reports broken ones by name."""

from __future__ import annotations

import importlib
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from convpolicy.errors import InvalidTypeError, InvalidValueError, PluginError, nearest, raised, said, shown, unknown_name
from convpolicy.extensions.discovery import BUILTIN_PLUGINS, installed
from convpolicy.extensions.turn import Turn
from convpolicy.registry import Registry
from convpolicy.registry.report import LOAD_PLUGINS, PROJECT, PluginReport

if TYPE_CHECKING:  # pluggy is imported on the first use of a plugin, not by `import convpolicy`
    import importlib.metadata

    import pluggy

STRICT = "CONVPOLICY_STRICT"
FAILED = object()  # the result of a hook that failed


class PluginRegistry(Registry):
    """The registry of built-in and installed plugins.

    One thread loads all plugins when a name is first looked up. Every exception of a plugin except KeyboardInterrupt is added to
    its report. Changes that a plugin makes to the process are not undone.

    Args:
        entry_points: True also loads installed plugins, from the entry-point group ``convpolicy``.
        strict: True raises an error at the first broken plugin; False adds the fault to its report; None reads
            ``CONVPOLICY_STRICT``.
    """

    def __init__(self, entry_points: bool = True, strict: bool | None = None) -> None:
        self._entry_points = entry_points
        self._turn = Turn()
        self._forking = threading.local()
        self._running = ""  # name of the plugin that is being loaded
        self._manager: pluggy.PluginManager
        super().__init__(strict=os.environ.get(STRICT, "") not in ("", "0") if strict is None else strict)

    def clear(self) -> None:
        """Remove every plugin."""
        super().clear()
        self._origins: dict[str, str] = {}  # name of an installed plugin -> its entry point
        self._commands: list[tuple[str, Callable[..., Any]]] = []  # name of a plugin that adds commands, and its function
        self._distributions: dict[str, Any] = {}  # name of an installed plugin -> its distribution, read by `reports`
        self._loaded = False
        self._loading = False

    def reports(self) -> list[PluginReport]:
        """Return a report on every plugin in loading order, built-in plugins first."""
        reports = super().reports()
        for name, distribution in self._distributions.items():
            self._reports[name].version = getattr(distribution, "version", "") or ""
        return reports

    def add_commands(self, cli: Any) -> None:
        """Let every plugin add commands to the click group ``cli``; a failure is reported and does not stop other plugins.

        A plugin cannot replace or remove a command: the command is restored, and the plugin is reported.
        """
        self.load()
        for name, function in list(self._commands):
            report, before = self._reports[name], dict(cli.commands)
            self._call(report, "convpolicy_commands", function, cli=cli)
            for command, original in before.items():
                if cli.commands.get(command) is not original:
                    cli.commands[command] = original
                    self.fail(report, f"plugin {name!r}: command {command!r} exists already; use another name.")

    # -- changing ---------------------------------------------------------------------------------------------------

    def register(self, plugin: Any, name: str | None = None) -> PluginReport:
        """Register a module or an object as a plugin, e.g. in a notebook or a test.

        Args:
            plugin: a module or an object whose hook functions are marked with ``hookimpl``.
            name: the plugin's name; its ``__name__`` or the name of its class if None.

        Raises:
            PluginError: the plugin is broken, or the name is in use. Nothing of it stays registered.
        """
        with self._alone():
            self.load()
            title: Any = name or getattr(plugin, "__name__", None) or type(plugin).__name__
            if not isinstance(title, str):
                raise InvalidTypeError(
                    f"name must be text, got {shown(title)} of type {type(title).__name__}; pass a plugin's name."
                )
            report = PluginReport(title)
            if report.name in self._reports:
                raise PluginError(f"plugin {report.name!r} is registered already; unregister it first.")
            self._reports[report.name] = report
            try:
                self._add_plugin(report, plugin)
                if report.errors:
                    raise PluginError(" ".join(report.errors))
            except BaseException:  # including Ctrl-C: a plugin is registered completely or not at all
                self._forget(report.name)
                raise
            return report

    def unregister(self, name: str) -> None:
        """Remove a plugin that `register` added, with all its parts.

        Raises:
            UnknownNameError: no plugin has this name.
            InvalidValueError: the plugin is built in.
        """
        with self._alone():
            if not isinstance(name, str) or name not in self._reports:
                raise unknown_name("plugin", name, self._reports)
            if self._reports[name].builtin:
                raise InvalidValueError(
                    f"plugin {name!r} is built in and cannot be removed; pass the name of a plugin that you registered."
                )
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._commands = [(plugin, function) for plugin, function in self._commands if plugin != name]
        self._distributions.pop(name, None)
        self.remove(name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads from loading or registering plugins.

        Raises:
            PluginError: the loading thread waits for this thread. The message names the plugin that is being loaded.
        """
        if not self._turn.take():
            fault = (
                f"plugin {self._running!r} waits, while it is being loaded, for a thread that uses the registry; start the "
                f"thread later."
            )
            report = self._reports.get(self._running)
            if report is not None and fault not in report.errors:
                report.errors.append(fault)
            raise PluginError(fault)
        try:
            yield
        finally:
            self._turn.leave()

    # -- forks ------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no other thread loads or registers a plugin, so that the child gets a complete registry."""
        self._forking.taken = self._turn.take()

    def after_fork(self, *, child: bool) -> None:
        """Release the lock of `before_fork`; clear the registry of a child if another thread was loading at the fork."""
        if self._forking.taken:
            self._turn.leave()
        elif child:
            self._turn.reset()
            self.clear()

    # -- loading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Load the built-in and the installed plugins, once."""
        if not self._loaded:
            with self._alone():
                self._load_once()

    def _load_once(self) -> None:
        if self._loaded or self._loading:  # a hook that uses the registry gets the plugins loaded before its own
            return
        self._loading = True
        from convpolicy.extensions import hooks

        self._manager = hooks.manager()
        try:
            for name, module in BUILTIN_PLUGINS.items():
                report = self._reports[name] = PluginReport(name, builtin=True)
                self._add_plugin(report, importlib.import_module(module))
            if self._entry_points:
                entry_points, missing = installed(PROJECT)
                for name in missing:
                    report = self._reports[name] = PluginReport(name)
                    self.fail(report, f"plugin {name!r} is listed in {LOAD_PLUGINS} but not installed.")
                # first every import, then every hook: this order is kinder to the processor's caches
                imported = [self._import(entry_point) for entry_point in entry_points]
                for report, plugin in filter(None, imported):
                    if self._reports.get(report.name) is report:  # unless a hook of another plugin has unregistered it
                        self._add_plugin(report, plugin)
        except BaseException:
            self.clear()  # e.g. a fault in strict mode; the next call loads everything again
            raise
        self._loaded = True
        self.changed()

    def _import(self, entry_point: importlib.metadata.EntryPoint) -> tuple[PluginReport, Any] | None:
        """Return an installed plugin and its report; report a failure and return None."""
        name = entry_point.name
        if name in self._reports:
            first = self._origins.get(name, "convpolicy itself")
            self.fail(self._reports[name], f"two plugins are named {name!r}: {first} and {entry_point.value}; uninstall one.")
            return None
        self._origins[name] = entry_point.value
        report = self._reports[name] = PluginReport(name)
        self._distributions[name] = entry_point.dist
        self._running = name
        try:
            return report, entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # including SystemExit: a plugin must not end the process
            self.fail(report, f"plugin {name!r} ({entry_point.value}) failed to import: {raised(error)}")
            return None

    def _add_plugin(self, report: PluginReport, plugin: Any) -> None:
        from convpolicy.extensions import hooks

        self._running = report.name
        try:
            implemented = hooks.implementations(plugin, self._manager)
            for hook, function in implemented:
                if hook not in hooks.ALL_HOOKS:
                    raise LookupError(f"unknown hook {hook!r}.{nearest(hook, hooks.ALL_HOOKS)}")
                if hook not in hooks.KINDS:  # called by `add_commands`; its signature is checked here
                    inspect.signature(function).bind(cli=None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.fail(report, f"plugin {report.name!r} does not fit the hooks: {said(error) or type(error).__name__}")
            return
        report.hooks = [hook for hook, _function in implemented]
        if not implemented:
            self.fail(
                report,
                f"plugin {report.name!r} implements no hook; mark functions named {', '.join(hooks.ALL_HOOKS)} "
                f"with convpolicy.hookimpl.",
            )
            return
        for hook, function in implemented:
            if hook not in hooks.KINDS:
                self._commands.append((report.name, function))
                continue
            parts = self._call(report, hook, function)
            if parts is not FAILED:
                self.add(report, hooks.KINDS[hook], hook, parts, loading=not self._loaded)
        self.changed()
        if self._strict and report.errors:  # a fault that another thread has reported
            raise PluginError(report.errors[0])

    def _call(self, report: PluginReport, hook: str, function: Callable[..., Any], **arguments: Any) -> Any:
        """Return what one plugin's function for a hook returns; report a failure and return `FAILED`."""
        try:
            results = getattr(self._manager.hook, hook).call_extra([function], arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.fail(report, f"plugin {report.name!r}: {hook} raised {raised(error)}.")
            return FAILED
        return results[0] if results else None  # pluggy omits a result of None


PLUGINS = PluginRegistry()  # the registry of this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=PLUGINS.before_fork,
        after_in_parent=partial(PLUGINS.after_fork, child=False),
        after_in_child=partial(PLUGINS.after_fork, child=True),
    )
