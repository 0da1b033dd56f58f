"""The registry under attack: entry points to nowhere, every fault at once on the command line, many threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from helpers.plugins import BROKEN, offering, strangers

from convpolicy.extensions.loading import PluginRegistry as Registry

NOWHERE = {  # entry point -> what the report says of it
    "no_such_module_at_all": "failed to import: ModuleNotFoundError: No module named 'no_such_module_at_all'",
    "json:no_such_attribute": "failed to import: AttributeError: module 'json' has no attribute 'no_such_attribute'",
    "json.no_such:x": "failed to import: ModuleNotFoundError: No module named 'json.no_such'",
}


@pytest.mark.parametrize("value", NOWHERE)
def test_an_entry_point_to_nowhere(install, value):
    """Reported with the name of the plugin and the entry point; the plugin beside it works."""
    install("broken", "", value=value)
    install("good", offering("seven"))
    registry = Registry()
    assert strangers(registry)["broken"].errors == [f"plugin 'broken' ({value}) {NOWHERE[value]}"]
    assert registry.get("padding rule", "seven").provider == "good"


def command(tmp_path, *words, **environment):
    """Run the command line in a process that finds what is installed."""
    environment = (
        os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "PYTHONIOENCODING": "utf-8"} | environment
    )
    words = [sys.executable, "-m", "convpolicy", *words]
    return subprocess.run(words, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)


def test_all_attacks_at_once_on_the_command_line(install, tmp_path):
    """``convpolicy plugins`` names every broken plugin and its fault; the good one is listed and works; strict stops with status 2."""
    says = {}
    for number, (source, sentence) in enumerate(BROKEN.values()):
        says[f"broken{number}"] = sentence.replace("'broken'", f"'broken{number}'").replace(
            "broken_module", f"broken{number}_module"
        )
        install(f"broken{number}", source)
    for number, (value, sentence) in enumerate(NOWHERE.items()):
        says[f"nowhere{number}"] = sentence
        install(f"nowhere{number}", "", value=value)
    for name in ("double1", "double2"):
        says[name] = "padding rule 'shared' is offered by two plugins, 'double1' and 'double2'."
        install(name, offering("shared"))
    install("good", offering("seven"))
    listed = command(tmp_path, "plugins")
    assert listed.returncode == 0
    for name, sentence in says.items():
        (line,) = [line for line in listed.stdout.splitlines() if line.startswith(f"{name}: ")]
        assert sentence in line
        assert f"convpolicy: plugin {name!r} is broken; see: convpolicy plugins" in listed.stderr.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in listed.stdout.splitlines() if line}
    assert rows["good"] == ["1.2", "installed", "ok", "1"]
    assert rows["padding_rules"] == ["convpolicy", "ok", "11"]
    assert all("broken" in rows[name] for name in says)
    planned = command(tmp_path, "plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "seven")
    assert planned.stdout.startswith("length 5, kernel_size 3, stride 1, dilation 1: left 0, right 7, zeros -> length 10\n")
    shared = command(tmp_path, "plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "shared")
    assert shared.returncode == 2
    assert says["double1"].removesuffix(".") in shared.stderr
    strict = command(tmp_path, "plugins", CONVPOLICY_STRICT="1")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert strict.stderr.startswith("convpolicy: plugin 'broken0' (broken0_module) failed to import")


def test_many_threads_load_a_plugin_once(install, tmp_path):
    """The module runs once and its hook is asked once, however many threads look a name up first; nothing loads before that."""
    log = tmp_path / "log"
    note = f"with open({str(log)!r}, 'a') as file: file.write"
    source = offering("seven").replace("    return", f"    {note}('hook ')\n    return")
    install("slow", f"import time\n{note}('import ')\ntime.sleep(0.05)\n{source}")
    registry, found = Registry(), []
    assert not log.exists()
    threads = [threading.Thread(target=lambda: found.append(registry.get("padding rule", "seven").provider)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["slow"] * 16
    assert sorted(log.read_text().split()) == ["hook", "import"]
