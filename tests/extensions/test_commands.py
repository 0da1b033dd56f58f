"""Commands that plugins add to the command line."""

from __future__ import annotations

import click
import pytest

import convpolicy as cp
from convpolicy.extensions.loading import PluginRegistry as Registry


class Command:
    """A plugin that adds one command, or fails to."""

    def __init__(self, name):
        self.name = name

    @cp.hookimpl
    def convpolicy_commands(self, cli):
        cli.add_command(click.Command(self.name or 1 / 0))


def test_a_plugin_that_fails_to_add_commands_is_reported():
    """Its report says so, once however often commands are added; the commands of the others are there."""
    registry = Registry(entry_points=False)
    for name, command in (("before", "a"), ("broken", ""), ("other", "c")):
        registry.register(Command(command), name)
    for _ in range(2):
        cli, built_in = click.Group(), click.Group()
        registry.add_commands(cli)
        Registry(entry_points=False).add_commands(built_in)
        assert sorted(cli.commands) == sorted(["a", "c", *built_in.commands])
    errors = {report.name: report.errors for report in registry.reports() if report.errors}
    assert errors == {"broken": ["plugin 'broken': convpolicy_commands raised ZeroDivisionError: division by zero."]}
    strict = Registry(entry_points=False, strict=True)
    strict.register(Command(""), "broken")
    with pytest.raises(cp.ConvPolicyError, match="convpolicy_commands raised ZeroDivisionError"):
        strict.add_commands(click.Group())
