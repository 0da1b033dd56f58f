"""Installed plugins: real entry points are found and loaded, and a broken one is reported by name and stops nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.plugins import BROKEN, OURS, hook, offering, strangers

import convpolicy as cp
from convpolicy.extensions.loading import PluginRegistry as Registry


def test_an_installed_plugin_is_loaded(install):
    """A distribution's entry point is found, its parts carry its name, and the report its version, hooks and parts."""
    install("lookahead", offering("seven", "eight"))
    registry = Registry()
    assert registry.get("padding rule", "seven").resolve(3, 1, 1, None, {}) == (0, 7)
    assert registry.get("padding rule", "eight").provider == "lookahead"
    assert strangers(registry) == {
        "lookahead": cp.PluginReport(
            "lookahead", "1.2", False, ["convpolicy_padding_rules"], ["padding rule seven", "padding rule eight"], []
        )
    }
    assert "seven" not in Registry(entry_points=False).parts("padding rule")


SCRIPT = """
import numpy as np
import convpolicy as cp

layer = cp.Conv1d(1, 1, 3, padding="seven", padding_mode="replicate", weight_init=1.0, bias=False)
print(layer(np.array([[1, 2, 3]], dtype=np.float32)).tolist())
print(cp.padding_rules()["seven"].provider, cp.policy("torch").evolve(padding="seven").plan(3, length=3))
for report in cp.plugins():
    if report.name in ("lookahead", "broken"):
        print(report.name, report.version, report.parts, *report.errors)
"""


def test_a_fresh_process_uses_installed_plugins(install, tmp_path):
    """A new Python finds the plugin without a call, computes with it, and names the broken one beside it."""
    install("lookahead", offering("seven"))
    install("broken", BROKEN["no such import"][0])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "[[6.0, 8.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]]",
        "lookahead length 3, kernel_size 3, stride 1, dilation 1: left 0, right 7, zeros -> length 8",
        f"broken 1.2 [] {BROKEN['no such import'][1]}",
        "lookahead 1.2 ['padding rule seven']",
    ]
    strict = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment | {"CONVPOLICY_STRICT": "1"}, capture_output=True, text=True, check=False
    )
    assert (strict.returncode, strict.stdout) == (1, "")
    assert "convpolicy.errors.PluginError: plugin 'broken' (broken_module) failed to import" in strict.stderr


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_reported_and_the_rest_goes_on(install, fault):
    """Each fault stands in that plugin's report as one line; plugins before and after it, and all that is built in, work."""
    source, says = BROKEN[fault]
    install("after", offering("seven"))
    install("broken", source)
    install("created", offering("eight"))
    registry = Registry()
    reports = strangers(registry)
    assert list(reports) == ["after", "broken", "created"]
    assert [len(report.errors) for report in reports.values()] == [0, 1, 0]
    message = reports["broken"].errors[0]
    assert says in message
    assert "\n" not in message
    assert reports["broken"].parts == []
    rules = registry.parts("padding rule")
    assert {name for name, rule in rules.items() if rule.provider not in OURS} == {
        *Registry(entry_points=False).parts("padding rule"),
        "seven",
        "eight",
    }
    assert rules["causal"].provider == "padding_rules"


@pytest.mark.parametrize("fault", BROKEN)
def test_strict_makes_each_fault_fatal(install, monkeypatch, fault):
    """With CONVPOLICY_STRICT=1 the same sentence is raised at the first look-up, by every look-up, as a ValueError."""
    source, says = BROKEN[fault]
    install("broken", source)
    monkeypatch.setenv("CONVPOLICY_STRICT", "1")
    registry = Registry()
    for _ in range(2):
        with pytest.raises(cp.ConvPolicyError) as raised:
            registry.parts("layout")
        assert isinstance(raised.value, ValueError)
        assert says in str(raised.value)
    monkeypatch.setenv("CONVPOLICY_LOAD_PLUGINS", "")
    assert "OIW" in registry.parts("layout")  # without the plugin the same registry loads


@pytest.mark.parametrize("off", ["", "0"])
def test_strict_can_be_off(install, monkeypatch, off):
    """CONVPOLICY_STRICT empty or 0 is the same as none."""
    install("broken", "raise RuntimeError")
    monkeypatch.setenv("CONVPOLICY_STRICT", off)
    assert strangers(Registry())["broken"].errors


def test_good_parts_of_a_faulty_plugin_stay(install):
    """What a plugin offered rightly before or beside its fault is registered; the fault is reported."""
    install(
        "some", hook("yield PaddingRule('nine', ahead)\n    yield 3\n    yield PaddingRule('ten', ahead)\n    raise KeyError")
    )
    registry = Registry()
    report = strangers(registry)["some"]
    assert report.parts == ["padding rule nine", "padding rule ten"]
    assert len(report.errors) == 2
    assert registry.get("padding rule", "nine").provider == registry.get("padding rule", "ten").provider == "some"


@pytest.mark.parametrize("plugins", [["a", "b"], ["a", "b", "c"]])
def test_two_plugins_with_one_part_name(install, plugins):
    """Neither wins: asking for the name raises and names both, both reports say it, and their other parts work."""
    for name in plugins:
        install(name, offering("shared", f"own-{name}"))
    registry = Registry()
    with pytest.raises(cp.ConvPolicyError, match="padding rule 'shared' is offered by two plugins, 'a' and 'b'") as raised:
        registry.get("padding rule", "shared")
    assert isinstance(raised.value, ValueError)
    reports = strangers(registry)
    assert "padding rule 'shared' is offered by two plugins, 'a' and 'b'." in reports["a"].errors
    for name in plugins[1:]:
        assert reports[name].errors == [f"padding rule 'shared' is offered by two plugins, 'a' and {name!r}."]
    for name in plugins:
        assert registry.get("padding rule", f"own-{name}").provider == name
        assert reports[name].parts == [f"padding rule own-{name}"]
    assert "shared" not in registry.parts("padding rule")


def test_one_name_for_parts_of_two_kinds(install):
    """A padding rule and a padding mode may share a name: names are unique among their kind only."""
    install("both", offering("mine") + "\n@hookimpl\ndef convpolicy_padding_modes():\n    return [PaddingMode('mine', ahead)]\n")
    registry = Registry()
    assert strangers(registry)["both"].errors == []
    assert registry.get("padding rule", "mine").kind == "padding rule"
    assert registry.get("padding mode", "mine").kind == "padding mode"


@pytest.mark.parametrize(("name", "first"), [("same_name", "one_module"), ("layouts", "convpolicy itself")])
def test_two_plugins_of_one_name(install, name, first):
    """Of two plugins with the same name, or one named as a built-in one, the first stays and the report names both."""
    install("one", offering("seven"), plugin="same_name")
    install("two", offering("eight"), plugin=name)
    registry = Registry()
    report = {report.name: report for report in registry.reports()}[name]
    assert report.errors == [f"two plugins are named {name!r}: {first} and two_module; uninstall one."]
    assert "seven" in registry.parts("padding rule")
    assert "eight" not in registry.parts("padding rule")
    assert set(registry.parts("layout")) >= set(Registry(entry_points=False).parts("layout"))


@pytest.mark.parametrize(
    ("listed", "loaded"), [("", []), (" , ", []), ("b", ["b"]), (" c ,a,", ["a", "c"]), (None, ["a", "b", "c"])]
)
def test_only_listed_plugins_are_loaded(install, monkeypatch, listed, loaded):
    """CONVPOLICY_LOAD_PLUGINS: empty loads none, a list only those, unset all; the others are not even imported."""
    for name in "abc":
        install(name, offering(f"rule-{name}"))
    if listed is not None:
        monkeypatch.setenv("CONVPOLICY_LOAD_PLUGINS", listed)
    assert list(strangers(Registry())) == loaded
    assert [name for name in "abc" if f"{name}_module" in sys.modules] == loaded


def test_listed_but_not_installed(install, monkeypatch):
    """A listed plugin that is not installed is reported by name, and the installed ones are loaded."""
    install("a", offering("seven"))
    monkeypatch.setenv("CONVPOLICY_LOAD_PLUGINS", "a,b")
    reports = strangers(Registry())
    assert reports["b"].errors == ["plugin 'b' is listed in CONVPOLICY_LOAD_PLUGINS but not installed."]
    assert reports["a"].parts == ["padding rule seven"]


def test_a_conflict_is_solved_by_listing_one(install, monkeypatch):
    """As the error says: with one of the two plugins listed, the shared name is its."""
    install("a", offering("shared"))
    install("b", offering("shared"))
    monkeypatch.setenv("CONVPOLICY_LOAD_PLUGINS", "b")
    assert Registry().get("padding rule", "shared").provider == "b"


def test_all_plugins_are_imported_before_any_hook_is_called(install, capsys):
    """They print every import, and then every hook, both in the order of the plugins' names."""
    for name in "ba":
        install(name, f"print('import-{name}')\n" + hook(f"print('hook-{name}')\n    return []"))
    Registry().load()
    assert capsys.readouterr().out.split() == ["import-a", "import-b", "hook-a", "hook-b"]


def test_a_plugin_that_another_one_unregisters(install, monkeypatch):
    """It is imported already, and its hooks are not called."""
    install("a", "import convpolicy.registry\n" + hook("convpolicy.registry.current().unregister('b')\n    return []"))
    install("b", offering("seven"))
    install("c", offering("eight"))
    registry = Registry()
    monkeypatch.setattr("convpolicy.registry._current", registry)
    assert list(strangers(registry)) == ["a", "c"]
    assert "seven" not in registry.parts("padding rule")


def test_two_functions_for_one_hook(install):
    """A function may name its hook by ``specname``; the parts of both are registered."""
    second = "\n@hookimpl(specname='convpolicy_padding_rules')\ndef more():\n    return [PaddingRule('eight', ahead)]\n"
    install("two", offering("seven") + second)
    assert strangers(Registry())["two"].parts == ["padding rule seven", "padding rule eight"]
