"""Whatever fails in a stranger's dialect is reported with its name and its plugin's, and stops nothing else."""

from __future__ import annotations

import pytest
from helpers.tide import CONV, READER, WRITER, Tide, padding

import convpolicy as cp
from convpolicy import registry
from convpolicy.extensions.loading import PluginRegistry
from convpolicy.translation.dialect import Dialect, Reader, SourceClass, TargetClass, Writer


def broken(*_arguments):
    """Fails as a stranger's function does: with an error of Python's own."""
    raise KeyError("seven")


BROKEN = {
    "meaning": (Tide(reader=Reader(classes=(SourceClass(title="tide.Conv", parameters=CONV.parameters, positional=3, names=CONV.names,
                                                        meaning=broken),))), "reading tide.Conv"),
    "channels": (Tide(reader=Reader(classes=(CONV,), channels=broken)), "following the channels of a file"),
    "padding": (Tide(writer=Writer(classes=(TargetClass(code="Conv", names={}, padding=broken),), imports={}, sequence="{}")),
                "writing Conv"),
    "initial": (Tide(writer=Writer(classes=(TargetClass(code="Conv", names={"bias": "bias"}, padding=padding),), imports={},
                                   sequence="{}", initial=broken)), "writing Conv"),
}  # fmt: skip


@pytest.mark.parametrize("function", BROKEN)
def test_a_function_that_fails_is_reported(register, function):
    """By the dialect and its plugin; on a page as the reason of each call; other dialects go on."""
    plugin, step = BROKEN[function]
    register(plugin)
    sentence = f"dialect 'tide' of plugin 'stranger' failed while {step}: KeyError: 'seven'"
    reads = function in ("meaning", "channels")
    call, source, target = ("tide.Conv(2, 4, 3)", "tide", "torch") if reads else ("nn.Conv1d(2, 4, 3)", "torch", "tide")
    translate = cp.translate_page if function == "channels" else cp.translate
    with pytest.raises(cp.ConvPolicyError) as error:
        translate(call, source, target)
    assert (type(error.value).__name__, str(error.value)) == ("PluginError", sentence)
    if function != "channels":
        assert [line.reason for line in cp.translate_page(f"x = 1\n{call}", source, target)] == [sentence]
    assert cp.translate("nn.Conv1d(2, 4, 3)")


class Late:
    """A plugin whose dialect is made late."""

    def __init__(self, make):
        self.make = make

    @cp.hookimpl
    def convpolicy_dialects(self):
        return [cp.Deferred("dialect", "late", self.make)]


@pytest.mark.parametrize(("make", "sentence"), [
    (broken, "dialect 'late' of plugin 'stranger' failed to load: KeyError: 'seven'"),
    (lambda: None, "dialect 'late' of plugin 'stranger' failed to load: "),
    (lambda: Dialect("early"), "dialect 'late' of plugin 'stranger' must have the kind 'dialect' and the name 'late', got Dialect("),
    (cp.lazy("convpolicy_absent", "dialect"), "dialect 'late' of plugin 'stranger' failed to load: ModuleNotFoundError: No module"),
])  # fmt: skip
def test_a_dialect_that_does_not_load_is_reported_and_stops_nothing(register, make, sentence):
    """The others translate; its plugin's report names it; asking for it raises the same sentence."""
    report = register(Late(make))
    assert report.errors == []
    assert cp.translate("nn.Conv1d(2, 4, 3)")
    assert cp.translate("nn.Conv1d(2, 4, 3)")
    assert [len(report.errors), report.errors[0].startswith(sentence)] == [1, True]
    for pair in (("late", "torch"), ("torch", "late")):
        with pytest.raises(cp.ConvPolicyError) as error:
            cp.translate("nn.Conv1d(2, 4, 3)", *pair)
        assert str(error.value).startswith(sentence)
        assert type(error.value).__name__ == "PluginError"


def test_a_hook_that_fails_is_reported():
    """With the plugin's name, and nothing of it stays."""

    class Broken:
        @cp.hookimpl
        def convpolicy_dialects(self):
            raise KeyError("seven")

    with pytest.raises(cp.ConvPolicyError, match="plugin 'stranger': convpolicy_dialects raised KeyError: 'seven'"):
        cp.register(Broken(), "stranger")
    assert cp.translate("nn.Conv1d(2, 4, 3)")


def test_two_plugins_with_one_dialect_are_both_named(register, install, monkeypatch):
    """A second one by hand, one of a built-in name, one alias of two dialects, and two that are installed."""
    register(Tide())
    with pytest.raises(cp.ConvPolicyError, match="dialect 'tide' is offered by two plugins, 'stranger' and 'second'"):
        cp.register(Tide(), "second")

    class Named:
        def __init__(self, name, aliases=()):
            self.dialect = Dialect(name, reader=READER, writer=WRITER, aliases=aliases, policy="tide")

        @cp.hookimpl
        def convpolicy_dialects(self):
            return [self.dialect]

    with pytest.raises(cp.ConvPolicyError, match="dialect 'torch' is offered by two plugins, 'torch' and 'second'"):
        cp.register(Named("torch"), "second")
    register(Named("ebb", ("flood",)), "second")
    with pytest.raises(
        cp.ConvPolicyError, match="'flood' is an alias of two dialects, 'ebb' of plugin 'second' and 'tide' of plugin 'stranger'"
    ):
        cp.translate("nn.Conv1d(2, 4, 3)", "torch", "flood")
    assert cp.translate("nn.Conv1d(2, 4, 3)", "torch", "ebb") == cp.translate("nn.Conv1d(2, 4, 3)", "torch", "tide")

    text = "import convpolicy as cp\n@cp.hookimpl\ndef convpolicy_dialects():\n    return [cp.Dialect('tide')]\n"
    for name in ("one", "two"):
        install(name, text)
    before = registry.current()
    monkeypatch.setattr(registry, "_current", PluginRegistry())
    assert registry.current() is not before
    with pytest.raises(cp.ConvPolicyError, match="dialect 'tide' is offered by two plugins, 'one' and 'two'"):
        cp.translate("nn.Conv1d(2, 4, 3)", "torch", "tide")
    assert cp.translate("nn.Conv1d(2, 4, 3)")
