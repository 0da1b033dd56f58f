"""Plugins as a user would install them, whole and broken."""

from __future__ import annotations

import os
import subprocess
import sys

import convpolicy as cp
from convpolicy.extensions.loading import PluginRegistry as Registry

HEAD = """
from convpolicy import PaddingMode, PaddingRule, hookimpl

def ahead(kernel, stride, dilation, length):
    return 0, 7
"""


def offering(*names: str) -> str:
    """Source of a plugin that offers padding rules of these names."""
    rules = ", ".join(f"PaddingRule({name!r}, ahead)" for name in names)
    return f"{HEAD}\n@hookimpl\ndef convpolicy_padding_rules():\n    return [{rules}]\n"


def hook(body: str, signature: str = "convpolicy_padding_rules()") -> str:
    """Source of a plugin with one hook of this body."""
    return f"{HEAD}\n@hookimpl\ndef {signature}:\n    {body}\n"


OURS = {"mlx", "onnx"}  # plugins of this repository, which may be installed too


def strangers(registry: Registry) -> dict[str, cp.PluginReport]:
    """Return the reports of the plugins that are neither built in nor this repository's."""
    return {report.name: report for report in registry.reports() if not report.builtin and report.name not in OURS}


OTHER_MARKER = "import pluggy\n\n@pluggy.HookimplMarker('convpolice')\ndef convpolicy_padding_rules():\n    return []\n"
SILENT = "class Silent(Exception):\n    def __str__(self):\n        raise RuntimeError\n"
LOOK_ALIKE = """class Rule:
    kind = "padding rule"
    name = "a"
"""
NAMELESS = """class Rule(PaddingRule):
    @property
    def name(self):
        raise SystemExit(3)
"""
BROKEN = {  # source of a plugin named "broken" -> what its report says
    "no such import": (
        "import nowhere_at_all",
        "plugin 'broken' (broken_module) failed to import: ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "raises on import": ("raise RuntimeError('not\\ntoday')", "(broken_module) failed to import: RuntimeError: not today"),
    "no Python": ("def", "(broken_module) failed to import: SyntaxError: "),
    "ends the process": ("raise SystemExit(3)", "(broken_module) failed to import: SystemExit: 3"),
    "no hook": ("def convpolicy_padding_rules():\n    return []", "plugin 'broken' implements no hook; mark functions named"),
    "another marker": (OTHER_MARKER, "plugin 'broken' implements no hook; mark functions named convpolicy_padding_rules, "),
    "misspelt hook": (hook("return []", "convpolicy_paddings()"), "'broken' does not fit the hooks: unknown hook 'convpolicy_paddings'"),
    "wrong argument": (hook("return []", "convpolicy_padding_rules(cli)"), "'broken': convpolicy_padding_rules raised HookCallError: hook call must provide argument 'cli'."),
    "wrong argument for commands": (hook("cli", "convpolicy_commands(group)"), "'broken' does not fit the hooks: missing a required argument: 'group'"),
    "a wrapper": (hook("return (yield)").replace("@hookimpl", "@hookimpl(wrapper=True)"), "must return objects of kind 'padding rule', got None."),
    "hook raises": (hook("raise KeyError('gone')"), "plugin 'broken': convpolicy_padding_rules raised KeyError: 'gone'"),
    "no list": (hook("return PaddingRule('a', ahead)"), "convpolicy_padding_rules must return a list, got PaddingRule."),
    "nothing": (hook("return None"), "'broken': convpolicy_padding_rules must return a list, got NoneType."),
    "text": (hook("return 'ab'"), "'broken': convpolicy_padding_rules must return a list, got str."),
    "mapping": (hook("return {'a': PaddingRule('a', ahead)}"), "convpolicy_padding_rules must return a list, got dict."),
    "another kind": (hook("return [PaddingMode('a', ahead)]"), "must return objects of kind 'padding rule', got PaddingMode(name='a'"),
    "the class": (hook("return [PaddingRule]"), "must return objects of kind 'padding rule', got <class"),
    "no name": (hook("return [PaddingRule(3, ahead)]"), "'broken': convpolicy_padding_rules raised InvalidTypeError: the name of a padding rule must be text, got 3"),
    "cancelled at import": ("import asyncio\nraise asyncio.CancelledError", "(broken_module) failed to import: CancelledError"),
    "says nothing at import": (SILENT + "raise Silent", "(broken_module) failed to import: Silent"),
    "escapes at import": ("raise RuntimeError('\x1b]0;owned\x07')", r"failed to import: RuntimeError: \x1b]0;owned\x07"),
    "exits in a hook": (hook("raise SystemExit(3)"), "'broken': convpolicy_padding_rules raised SystemExit: 3."),
    "closes a generator": (hook("raise GeneratorExit"), "'broken': convpolicy_padding_rules raised GeneratorExit."),
    "skips a test": ("import pytest\n" + hook("pytest.skip('no')"), "'broken': convpolicy_padding_rules raised Skipped: no."),
    "says nothing": (SILENT + hook("raise Silent"), "'broken': convpolicy_padding_rules raised Silent."),
    "exits on the way": (hook("yield from ()\n    raise SystemExit"), "'broken': convpolicy_padding_rules raised SystemExit."),
    "no end": (hook("while True:\n        yield None"), "'broken': convpolicy_padding_rules must return at most 10000 parts, got more; end the list."),
    "looks alike": (LOOK_ALIKE + hook("return [Rule()]"), "must return objects of kind 'padding rule', got <broken_module.Rule"),
    "a name that exits": (hook("return [Rule('a', ahead)]").replace("@hookimpl", NAMELESS + "\n@hookimpl"), "'broken': convpolicy_padding_rules "),
    "deferred without a name": (
        "from convpolicy import Deferred\n" + hook("return [Deferred('padding rule', 5, ahead)]"),
        "must return parts whose name is text, got a padding rule named 5 of type int.",
    ),
    "a built-in name": (offering("causal"), "padding rule 'causal' is offered by two plugins, 'padding_rules' and 'broken'."),
}  # fmt: skip


def offering_formats(*formats):
    """A plugin with these file formats."""

    class Plugin:
        @cp.hookimpl
        def convpolicy_file_formats(self):
            return list(formats)

    return Plugin()


SECONDS = 60  # after which a process hangs


def python(tmp_path, code, *words, **options):
    """Run code, or a module with ``-m``, in a process that finds what is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-c", code] if not words else [sys.executable, *words]
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, check=False, **options
    )
