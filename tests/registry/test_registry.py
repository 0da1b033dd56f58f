"""The registry by hand: registering and removing plugins, where a part came from, and threads."""

from __future__ import annotations

import threading
import types

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.extensions import discovery, hooks, loading
from convpolicy.extensions.loading import PluginRegistry as Registry

FRAMEWORKS = ("numpy", "torch", "mindspore", "keras", "flax", "paddle")


class Rules:
    """A plugin that offers padding rules, name -> (left, right)."""

    def __init__(self, **pads):
        self.pads = pads

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [cp.PaddingRule(name, lambda *_sizes, pads=pads: pads) for name, pads in self.pads.items()]


@pytest.fixture
def registry():
    """A registry of its own, with what is built in."""
    return Registry(entry_points=False)


@pytest.fixture
def leave_as_found():
    """Unregister from the public registry whatever a test leaves there."""
    before = {report.name for report in cp.plugins()}
    yield
    for report in cp.plugins():
        if report.name not in before:
            cp.unregister(report.name)


def state(registry):
    """Everything that can be seen of a registry."""
    parts = {(kind, name): part for kind in hooks.KINDS.values() for name, part in registry.parts(kind).items()}
    return parts, [(report.name, tuple(report.parts), tuple(report.errors)) for report in registry.reports()]


def test_built_in_parts_come_through_hooks():
    """Every built-in part was registered by a plugin that the report lists, and carries that plugin's name."""
    reports = {report.name: report for report in cp.plugins() if report.builtin}
    assert list(reports) == [
        "padding_rules", "crop_rules", "paper_rules", "padding_modes", "initializers", "layouts", "papers", "file_formats", *FRAMEWORKS, "commands",
    ]  # fmt: skip
    listed = {(entry, report.name) for report in reports.values() for entry in report.parts}
    readers = {
        "padding rule": cp.padding_rules, "padding mode": cp.padding_modes, "initializer": cp.initializers,
        "crop rule": cp.crop_rules, "layout": cp.layouts, "backend": cp.backends, "random stream": cp.random_streams,
        "wrapper": cp.wrappers, "streaming form": cp.streaming_forms,
    }  # fmt: skip
    found = {(f"{kind} {name}", part.provider) for kind, read in readers.items() for name, part in read().items()}
    for kind in ("native framework", "dialect", "file format"):
        found |= {(f"{kind} {name}", part.provider) for name, part in loading.PLUGINS.parts(kind).items()}
    found |= {(f"policy {name}", cp.policy(name).provider) for name in cp.policies()}
    assert found == listed
    for report in reports.values():
        assert report.errors == []
        if report.name in FRAMEWORKS:
            assert {"convpolicy_backends", "convpolicy_random_streams"} <= set(report.hooks)
        else:
            hooks = {"paper_rules": ["crop_rules", "padding_rules"], "papers": ["policies"]}.get(report.name, [report.name])
            assert report.hooks == [f"convpolicy_{hook}" for hook in hooks]


def test_the_names_that_are_promised():
    """The rules, modes and backends that the documentation names are there, and every mapping is sorted and read-only."""
    assert list(cp.padding_rules()) == sorted([
        "valid", "explicit", "same_upper", "same_lower", "same_static", "torch_same", "half", "full", "causal", "semicausal", "semicausal_full", "reverse_causal",
        "torch-left", "tf-right", "mindspore-right", "paddle_same", "same_symmetric", "same_drop_last", "chomp", "causal_keep",
        "dac", "encodec", "encodec_causal", "mimi", "moshi", "nemo_causal", "nemo_future", "speechbrain_same", "to_multiple", "crop",
    ])  # fmt: skip
    assert list(cp.padding_modes()) == [
        "circular", "constant", "extrapolate", "linear_ramp", "odd", "odd_symmetric", "per_side", "reflect", "replicate", "symmetric", "zeros",
    ]  # fmt: skip
    assert list(cp.backends()) == [
        "flax", "flax-linen", "keras", "keras-jax", "keras-torch", "mindspore", "numpy", "paddle", "torch",
    ]  # fmt: skip
    for mapping in (cp.padding_rules(), cp.padding_modes(), cp.initializers(), cp.layouts(), cp.backends()):
        assert list(mapping) == sorted(mapping)
        assert all(name == part.name and part.description for name, part in mapping.items())
        with pytest.raises(TypeError):
            mapping["mine"] = None


@pytest.mark.usefixtures("leave_as_found")
def test_a_registered_rule_reaches_every_door():
    """After ``register`` the rule is listed with its provider and works in policies, plans and layers; then it is gone."""
    report = cp.register(Rules(seven=(7, 0)), "stranger")
    assert (report.name, report.parts, report.builtin) == ("stranger", ["padding rule seven"], False)
    assert cp.padding_rules()["seven"].provider == "stranger"
    policy = cp.policy("torch").evolve(padding="seven")
    assert policy.plan(2, length=3).left == 7
    assert cp.Conv1d(1, 1, 2, padding="seven", seed=0)(np.ones((1, 3), "float32")).shape == (1, 9)
    cp.unregister("stranger")
    assert "seven" not in cp.padding_rules()
    for call in (lambda: policy.plan(2, length=3), lambda: cp.Conv1d(1, 1, 2, padding="seven")):
        with pytest.raises(cp.ConvPolicyError, match="unknown padding rule 'seven'"):
            call()


@pytest.mark.usefixtures("leave_as_found")
def test_a_name_registered_anew_means_the_new_part():
    """Nothing resolved before is remembered: another plugin's rule of the same name is used from then on."""
    policy = None
    for pads in ((7, 0), (0, 2), (1, 1)):
        cp.register(Rules(seven=pads), "stranger")
        policy = policy or cp.policy("torch").evolve(padding="seven")
        plan = policy.plan(2, length=3)
        assert (plan.left, plan.right) == policy.static_pads(2, 1, 1) == pads
        layer = cp.Conv1d(1, 1, 2, padding="seven", seed=0)
        assert layer(np.ones((1, 3), "float32")).shape == (1, 2 + sum(pads))
        cp.unregister("stranger")


def test_the_plugins_own_part_is_not_touched(registry):
    """The registry keeps a copy that knows its provider; one part object may be offered by two plugins, under two names."""
    rule = cp.PaddingRule("seven", lambda *_sizes: (7, 0))

    class Offer:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [rule]

    registry.register(Offer(), "one")
    assert rule.provider == ""
    assert registry.get("padding rule", "seven").provider == "one"
    registry.unregister("one")
    registry.register(Offer(), "two")
    assert registry.get("padding rule", "seven").provider == "two"


def test_a_module_and_an_object_name_themselves(registry):
    """Without a name a plugin is called by its ``__name__``, or by its class."""
    assert registry.register(Rules(a=(1, 1))).name == "Rules"
    module = types.ModuleType("my_plugin")
    module.convpolicy_padding_rules = cp.hookimpl(lambda: [cp.PaddingRule("b", lambda *_sizes: (1, 1))])
    assert registry.register(module).name == "my_plugin"
    assert registry.get("padding rule", "b").provider == "my_plugin"


class Raises:
    """One good hook, and one that fails."""

    @cp.hookimpl
    def convpolicy_layouts(self):
        raise RuntimeError("no layouts today")

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [cp.PaddingRule("seven", lambda *_sizes: (7, 0))]


class Misspelt:
    """One good hook, and one of a name that is none."""

    @cp.hookimpl
    def convpolicy_padding_rule(self):
        return []

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [cp.PaddingRule("seven", lambda *_sizes: (7, 0))]


BROKEN = [
    (Raises(), "plugin 'mine': convpolicy_layouts raised RuntimeError: no layouts today"),
    (Misspelt(), "plugin 'mine' does not fit the hooks: unknown hook 'convpolicy_padding_rule'"),
    (object(), "plugin 'mine' implements no hook"),
    (3, "plugin 'mine' implements no hook"),
    (Rules(seven=(1, 1), causal=(7, 0)), "padding rule 'causal' is offered by two plugins, 'padding_rules' and 'mine'"),
    (Rules(eight=(1, 1), theirs=(7, 0)), "padding rule 'theirs' is offered by two plugins, 'them' and 'mine'"),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("plugin", "says"), BROKEN, ids=[says for _, says in BROKEN])
def test_a_broken_register_leaves_nothing_behind(plugin, says, strict):
    """``register`` raises for a broken plugin, strict or not, and the registry is as before: no part, no report, no hook."""
    registry = Registry(entry_points=False, strict=strict)
    registry.register(Rules(theirs=(3, 3)), "them")
    before = state(registry)
    for _ in range(2):
        with pytest.raises(cp.ConvPolicyError) as raised:
            registry.register(plugin, "mine")
        assert isinstance(raised.value, ValueError)
        assert says in str(raised.value)
        assert state(registry) == before
    registry.register(Rules(seven=(7, 0), eight=(8, 0)), "mine")  # the name is free for one that is whole
    assert registry.get("padding rule", "seven").provider == "mine"
    assert registry.get("padding rule", "theirs").resolve(2, 1, 1, None, {}) == (3, 3)


def test_names_that_cannot_be_registered_or_removed(registry):
    """A plugin's name twice, an unknown name and a built-in one are refused, and nothing changes."""
    registry.register(Rules(seven=(7, 0)), "mine")
    before = state(registry)
    refused = [
        (lambda: registry.register(Rules(eight=(8, 0)), "mine"), ValueError, "plugin 'mine' is registered already"),
        (lambda: registry.register(Rules(eight=(8, 0)), "layouts"), ValueError, "plugin 'layouts' is registered already"),
        (lambda: registry.unregister("mien"), LookupError, "unknown plugin 'mien'"),
        (lambda: registry.unregister("mien"), LookupError, "Did you mean 'mine'?"),
        (lambda: registry.unregister("layouts"), ValueError, "plugin 'layouts' is built in and cannot be removed"),
    ]
    for call, builtin, says in refused:
        with pytest.raises(cp.ConvPolicyError) as raised:
            call()
        assert isinstance(raised.value, builtin)
        assert says in str(raised.value)
        assert state(registry) == before


def test_only_its_own_parts_leave_with_a_plugin(registry):
    """Removing one plugin takes its parts of every kind and no other's."""
    empty = state(registry)
    registry.register(Rules(a=(1, 1)), "one")
    with_one = state(registry)
    registry.register(Rules(b=(2, 2)), "two")
    registry.unregister("two")
    assert state(registry) == with_one
    registry.unregister("one")
    assert state(registry) == empty


def test_a_hook_may_read_the_registry(registry):
    """A plugin that looks a part up while it is asked for its own sees what is loaded already, and does not recurse."""
    seen = []

    class Reader:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            seen.extend(registry.parts("padding rule"))
            return []

    registry.register(Reader(), "reader")
    assert seen == list(cp.padding_rules())


def test_many_threads_build_the_registry_once(monkeypatch):
    """Threads that ask at once all get the whole registry, and every plugin is asked for its parts once."""
    asked, start = [], threading.Barrier(16)
    original = Registry._add_plugin

    def slowly(self, report, plugin):
        asked.append(report.name)
        threading.Event().wait(0.005)
        original(self, report, plugin)

    monkeypatch.setattr(Registry, "_add_plugin", slowly)
    registry, seen = Registry(entry_points=False), []

    def ask():
        start.wait()
        seen.append([registry.get("backend", "numpy"), *(len(registry.parts(kind)) for kind in hooks.KINDS.values())])

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == list(discovery.BUILTIN_PLUGINS)
    assert len(seen) == 16
    assert all(part is seen[0][0] and counts == seen[0][1:] for part, *counts in seen)
    assert 0 not in seen[0]
