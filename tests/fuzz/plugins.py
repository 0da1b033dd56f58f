"""Plugins whose hooks, parts and functions do whatever Python can: each is registered whole or refused, and stops nothing else."""

from __future__ import annotations

import asyncio
import pathlib
import random
from collections.abc import Callable
from typing import Any

import click
import numpy as np

import convpolicy as cp
from convpolicy.extensions import hooks
from convpolicy.extensions.loading import PluginRegistry

NAME = "plugins"


class Silent(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError


class Moody:
    """An object of which nothing can be read."""

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(name)

    def __repr__(self) -> str:
        raise GeneratorExit


class Rule(cp.PaddingRule):
    """A part of a class of its own."""


ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: ValueError("no"), lambda: KeyError("a\nb"), SystemExit, lambda: SystemExit("bye"), GeneratorExit, asyncio.CancelledError,
    Silent, lambda: cp.InvalidValueError("mine."), MemoryError, RecursionError, StopIteration, lambda: OSError(2, "gone", "file"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), lambda: Exception("\x1b[2J" + "x" * 5000), AssertionError, Warning,
)  # fmt: skip
NAMES: tuple[Any, ...] = (
    "seven",
    "causal",
    "torch",
    "a b",
    "",
    "\x1b[31m",
    "é",
    "x" * 300,
    5,
    None,
    b"n",
    "paper/encodec",
    "valid",
)
VALUES: tuple[Any, ...] = (None, 3, -1, 2**70, 1.5, "same", b"x", (), (1,), (1, 2), (1.5, 2), [1, 2, 3], {}, float("nan"), np.zeros(3), np.int64(2),
                           (True, False), object(), Ellipsis, ("a", "b"))  # fmt: skip


def function(draw: random.Random) -> Callable[..., Any]:
    """Return a function that gives or raises anything, with any signature."""
    error, value = draw.choice(ERRORS), draw.choice(VALUES)

    def raising(*arguments: Any, **keywords: Any) -> Any:
        raise error()

    return draw.choice((
        raising, lambda *arguments, **keywords: value, lambda: value, lambda one: one, lambda one, two: one,
        lambda positions, length: np.clip(positions, 0, length - 1), lambda kernel, stride, dilation, length: (kernel - 1, 0),
    ))  # fmt: skip


def part(draw: random.Random, kind: str) -> Any:
    """Return one thing that a hook for parts of a kind may return, most often one that fits; making it may raise."""
    name = draw.choice(NAMES if draw.random() < 0.5 else ("seven", "eight", "nine"))
    params = draw.choice(({}, {}, {}, {"value": cp.Param()}, {"width": cp.Param(1.0)}, {"value": 3}, {5: cp.Param()}))
    made: dict[str, tuple[Callable[[], Any], ...]] = {
        "padding rule": (
            lambda: cp.PaddingRule(name, function(draw), params=params, description=draw.choice(("", "Does.", "\x1b]0;x\x07"))),
            lambda: cp.PaddingRule(name, function(draw), needs_length=function(draw)), lambda: Rule(name, function(draw)),
        ),
        "padding mode": (lambda: cp.PaddingMode(name, function(draw), limit=draw.choice((None, function(draw))), params=params),),
        "initializer": (lambda: cp.Initializer(name, function(draw), check=draw.choice((None, function(draw)))),),
        "random stream": (lambda: cp.RandomStream(name, function(draw), params=params),),
        "layout": (lambda: cp.Layout(name, draw.choice(("OIW", "WIO", "X", "", "NWC", 3))),),
        "policy": (
            lambda: cp.Policy(name, padding=draw.choice(("valid", "seven", 3, "nowhere"))),
            lambda: cp.Deferred("policy", name, lambda: cp.Policy(name, bias=False)),
        ),
        "backend": (lambda: cp.Backend(name, function(draw)),),
    }  # fmt: skip
    others: tuple[Callable[[], Any], ...] = (
        lambda: cp.Deferred(draw.choice((kind, 3)), name, function(draw)), lambda: draw.choice(VALUES), Moody, lambda: cp.PaddingRule,
        *(draw.choice(makes) for makes in made.values()),
    )  # fmt: skip
    return draw.choice(made[kind] if kind in made and draw.random() < 0.8 else others)()


def hook(draw: random.Random, registry: PluginRegistry, kind: str) -> Callable[..., Any]:
    """Return the body of a hook."""
    error = draw.choice(ERRORS)
    number = draw.randint(0, 4)

    def parts(self: Any) -> Any:
        return [part(draw, kind) for _ in range(number)]

    def generated(self: Any) -> Any:
        for _ in range(number):
            yield part(draw, kind)
        if draw.random() < 0.5:
            raise error()

    def endless(self: Any) -> Any:
        while True:
            yield None

    def raising(self: Any) -> Any:
        raise error()

    def reading(self: Any) -> Any:
        registry.parts("padding rule")
        registry.reports()
        return parts(self)

    def nested(self: Any) -> Any:
        registry.register(Other(), "other")
        return parts(self)

    def other(self: Any) -> Any:
        return draw.choice(VALUES)

    def signature(self: Any, more: Any) -> Any:
        return []

    return draw.choice((parts, parts, parts, generated, generated, endless, raising, reading, nested, other, signature))


class Other:
    """A plugin that another one registers."""

    @cp.hookimpl
    def convpolicy_layouts(self) -> list[cp.Layout]:
        """Return one layout."""
        return [cp.Layout("other", "OWI")]


class Entry:
    """An entry point that nobody installed."""

    value, dist = "fuzz", None

    def __init__(self, name: str, plugin: Any, error: BaseException | None) -> None:
        self.name, self.plugin, self.error = name, plugin, error

    def load(self) -> Any:
        """Return the plugin, or fail as its import does."""
        if self.error is not None:
            raise self.error
        return self.plugin


def commands(draw: random.Random) -> Callable[..., None]:
    """Return a hook that does something to the commands."""
    error = draw.choice((None, *ERRORS))

    def add(self: Any, cli: Any) -> None:
        name = draw.choice(("list", "show", "mine", "plan", ""))
        draw.choice((
            lambda: cli.add_command(click.Command(name or "x")), lambda: cli.commands.pop(name, None), lambda: cli.commands.update({name: None}),
            cli.commands.clear,
        ))()  # fmt: skip
        if error is not None:
            raise error()

    return add


def case(draw: random.Random, folder: pathlib.Path) -> bool:
    """Register one plugin, or load it as an installed one, and use everything that it offers.

    Raises:
        AssertionError: something of a refused plugin stays, or a part that was there before is another.
    """
    registry = PluginRegistry(entry_points=False)
    before = {
        (kind, name): registry.parts(kind)[name]
        for kind in ("padding rule", "padding mode", "layout")
        for name in registry.parts(kind)
    }
    names = draw.sample([*hooks.KINDS, "convpolicy_nothing"], draw.choice((0, 1, 1, 1, 2, 3)))
    body: dict[str, Any] = {name: cp.hookimpl(hook(draw, registry, hooks.KINDS.get(name, ""))) for name in names}
    if draw.random() < 0.3:
        body["convpolicy_commands"] = cp.hookimpl(commands(draw))
    if draw.random() < 0.1:
        body["__getattr__"] = Moody.__getattr__
    plugin = draw.choice((type("Plugin", (), body)(), type("Plugin", (), body)(), Moody(), type("Plugin", (), body)))
    accepted = True
    if draw.random() < 0.5:
        try:
            registry.register(plugin, "fuzz")
        except cp.ConvPolicyError as error:
            assert "\n" not in str(error), str(error)
            accepted = False
            assert "fuzz" not in {report.name for report in registry.reports()}
            assert not [
                part
                for kind in hooks.KINDS.values()
                for part in registry._parts.get(kind, {}).values()
                if part.provider == "fuzz"
            ]
    else:
        registry._loaded = False  # as while installed plugins are loaded
        imported = registry._import(Entry("fuzz", plugin, draw.choice((None, None, None, draw.choice(ERRORS)()))))  # type: ignore[arg-type]
        if imported is not None:
            registry._add_plugin(*imported)
        registry._loaded = True
        accepted = not next(report for report in registry.reports() if report.name == "fuzz").errors
    for (kind, name), kept in before.items():
        assert registry.get(kind, name) is kept, (kind, name)
    used(registry)
    cli = click.Group()
    registry.add_commands(cli)
    assert {"list", "show", "plan"} <= set(cli.commands)
    assert all(isinstance(cli.commands[name], click.Command) for name in ("list", "show", "plan"))
    return accepted


def used(registry: PluginRegistry) -> None:
    """Ask every part of a plugin for what it is there for; only the library's own errors come."""
    from convpolicy.arithmetic import fans
    from convpolicy.parts.initializer import Target

    for kind in hooks.KINDS.values():
        parts = registry.parts(kind)
        for name in parts:
            if parts.provider(name) not in ("fuzz", "other"):
                continue
            try:
                part = parts[name]
            except cp.ConvPolicyError:  # a deferred one that cannot be made
                continue
            str(part.description), repr(name)
            uses: dict[str, Callable[[Any], Any]] = {
                "padding rule": lambda part: part.resolve(3, 2, 1, 9, part.arguments(cp.Choice("x"))),
                "padding mode": lambda part: part.side("left", 2, 9, part.arguments(cp.Choice("x"))),
                "initializer": lambda part: part.fill(None, Target((2, 2, 3), fans(2, 2, 3, 1)), part.arguments(cp.Choice("x"))),
                "random stream": lambda part: part.seeded(0, part.arguments(cp.Choice("x"))),
                "layout": lambda part: part.to_oiw(np.zeros((2, 3, 4))),
                "policy": lambda part: part.plan(3, length=9),
            }
            try:
                uses.get(kind, lambda _part: None)(part)
            except cp.ConvPolicyError as error:
                assert "\n" not in str(error), str(error)
