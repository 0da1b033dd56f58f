"""What plugins do to the process around them: threads, forks, prints, escape codes, commands, a working folder that is gone."""

from __future__ import annotations

import json
import threading

import click
import pytest
from helpers.plugins import hook, offering, python

import convpolicy as cp
from convpolicy.extensions.loading import PluginRegistry as Registry

PRINTING = "print('imported')\n" + hook(
    "import sys\n    print('called')\n    sys.stdout.close()\n    return [PaddingRule('seven', ahead)]"
)
PRINTING += """
from convpolicy import Deferred, Policy
@hookimpl
def convpolicy_policies():
    return [Deferred("policy", "late", lambda: print("made") or Policy("late"))]
@hookimpl
def convpolicy_commands(cli):
    print("asked")
"""


def test_what_plugins_print_is_not_in_the_output(install, tmp_path):
    """``--json`` stays JSON, and a stdout that a plugin closes stays open; what they print is on stderr."""
    install("printing", PRINTING)
    result = python(tmp_path, "", "-m", "convpolicy", "list", "--json")
    names = {part["name"] for part in json.loads(result.stdout)}
    assert {"seven", "late", "causal"} <= names
    assert result.stderr.split() == ["imported", "called", "asked", "made"]


def test_a_plugin_without_a_stdout(install, tmp_path):
    """One that sets ``sys.stdout`` to None takes nothing from the output."""
    install("none", "import sys\nsys.stdout = None\n" + offering("eight"))
    listed = json.loads(python(tmp_path, "", "-m", "convpolicy", "list", "rules", "--json").stdout)
    assert "eight" in [part["name"] for part in listed]


ESCAPES = "\\x1b]8;;http://evil\\x07\\x9b2J\\u202e"


def test_escape_codes_do_not_reach_the_terminal(install, tmp_path):
    """In a name, a description and an error text they are written out; in JSON they are escapes of JSON."""
    install(
        "coloured", hook(f"yield PaddingRule('re{ESCAPES}d', ahead, description='{ESCAPES}')\n    raise KeyError('{ESCAPES}')")
    )
    for words in (("list", "rules"), ("plugins",), ("list", "rules", "--json")):
        result = python(tmp_path, "", "-m", "convpolicy", *words)
        assert not set("\x1b\x07\x9b\u202e") & set(result.stdout + result.stderr)
    listed = json.loads(result.stdout)
    assert "re\x1b]8;;http://evil\x07\x9b2J\u202ed" in [part["name"] for part in listed]


MISMADE = {
    "raises": "1 / 0",
    "exits": "exit(3)",
    "nothing": "None",
    "another": "cp.Policy('another')",
    "alike": "type('Alike', (), {'kind': 'policy', 'name': 'late'})()",
}


def test_list_goes_on_after_parts_that_cannot_be_made(install, tmp_path):
    """The rest is listed with status 0; a line on stderr names each part and its plugin; asked for, it is refused with that line."""
    for name, make in MISMADE.items():
        install(
            name,
            "import convpolicy as cp\n@cp.hookimpl\ndef convpolicy_policies():\n"
            f"    return [cp.Deferred('policy', 'late-{name}', lambda: {make}), cp.Policy('made-{name}')]\n",
        )
    result = python(tmp_path, "", "-m", "convpolicy", "list", "policies")
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (0, len(MISMADE))
    for name, line in zip(sorted(MISMADE), sorted(lines)):
        assert f"made-{name}" in result.stdout
        assert line.startswith(f"convpolicy: policy 'late-{name}' of plugin '{name}' ")
    shown = python(tmp_path, "", "-m", "convpolicy", "show", "late-alike")
    assert (shown.returncode, shown.stderr) == (2, f"{min(lines)}\n")


class Commands:
    """A plugin that does something to the commands."""

    def __init__(self, change):
        self.change = change

    @cp.hookimpl
    def convpolicy_commands(self, cli):
        self.change(cli.commands)


@pytest.mark.parametrize("change", [
    lambda commands: commands.update(list=click.Command("list")),
    lambda commands: commands.pop("list"),
    lambda commands: commands.update(list=None) or exit(3),
])  # fmt: skip
def test_a_built_in_command_stays(change):
    """A plugin that replaces or removes one is reported by name, and the command is as it was."""
    registry, cli, built_in = Registry(entry_points=False), click.Group(), click.Group()
    registry.add_commands(built_in)
    registry.register(Commands(change), "taking")
    registry.add_commands(cli)
    assert cli.commands["list"].help == built_in.commands["list"].help
    (report,) = [report for report in registry.reports() if report.errors]
    assert report.name == "taking"
    assert "plugin 'taking': command 'list' exists already; use another name." in report.errors


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_nothing_of_an_interrupted_plugin_stays(error):
    """Ctrl-C passes through, all else is a PluginError; either way its parts and its name are free."""

    class Half:
        @cp.hookimpl
        def convpolicy_layouts(self):
            return [cp.Layout("zz-half", "OWI")]

        @cp.hookimpl
        def convpolicy_padding_rules(self):
            if error:
                raise error
            return []

    registry = Registry(entry_points=False)
    for _ in range(2):
        with pytest.raises(error if error is KeyboardInterrupt else cp.ConvPolicyError):
            registry.register(Half(), "half")
        assert "zz-half" not in registry.parts("layout")
    error = None
    assert registry.register(Half(), "half").parts == ["layout zz-half"]


def test_an_interrupted_load_starts_afresh(install, monkeypatch):
    """Ctrl-C while plugins load leaves nothing; the next look-up loads all of them."""
    install("stopped", "import os\nif 'STOP' in os.environ:\n    raise KeyboardInterrupt\n" + offering("seven"))
    monkeypatch.setenv("STOP", "1")
    registry = Registry()
    with pytest.raises(KeyboardInterrupt):
        registry.parts("padding rule")
    monkeypatch.delenv("STOP")
    assert "seven" in registry.parts("padding rule")


ELSEWHERE = {
    "a folder that is gone": "import os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\nos.rmdir(folder)",
    "another generator": "import numpy\nnumpy.random.set_bit_generator(numpy.random.PCG64(1))",
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_the_library_loads_anywhere(tmp_path, place):
    """In a working folder that was removed, and with any of NumPy's generators as the global one; layers are built."""
    code = f"{ELSEWHERE[place]}\nimport convpolicy as cp\nlayer = cp.Conv1d(1, 2, 3)\nprint(layer.weight.shape, len(cp.plugins()) > 9)"
    result = python(tmp_path, code)
    assert (result.stdout, result.stderr) == ("(2, 1, 3) True\n", "")


def test_parts_are_read_while_another_thread_registers():
    """No KeyError and no changed size, however often."""
    registry, faults = Registry(entry_points=False), []
    stop = threading.Event()

    class Rules:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule(f"rule{number}", lambda *_: (0, 0)) for number in range(50)]

    def change():
        while not stop.is_set():
            registry.register(Rules(), "rules")
            registry.unregister("rules")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(500):
            registry.parts("padding rule"), registry.names("padding rule"), registry.working("padding rule")
    except Exception as error:
        faults.append(error)
    finally:
        stop.set()
        thread.join()
    assert faults == []


def test_an_installed_plugin_can_be_unregistered(install):
    """The reports of the others are still there."""
    install("one", offering("seven"))
    registry = Registry()
    registry.load()
    registry.unregister("one")
    assert "one" not in {report.name for report in registry.reports()}
    assert "seven" not in registry.parts("padding rule")
