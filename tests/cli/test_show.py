"""``convpolicy show`` of parts that are no policy: their data, what uses them, and a drawing."""

from __future__ import annotations

import pytest
from helpers.command_line import json_of, run

import convpolicy as cp
from convpolicy import registry
from convpolicy.cli import kinds
from convpolicy.cli.plans import LEGEND, LEGENDS
from convpolicy.comparison.drawing import draw


@pytest.mark.parametrize("kind", [kind for kind in kinds.LISTS.values() if kind != "policy"])
def test_every_part_can_be_shown(kind):
    """Each registered part of a kind says what it is and which plugin it is of, as a table and as JSON."""
    for name, part in registry.current().parts(kind).items():
        (shown,) = json_of("show", name, "--kind", kind)
        assert (shown["kind"], shown["name"], shown["plugin"]) == (kind, name, part.provider)
        table = run("show", name, "--kind", kind).stdout.splitlines()
        assert table[0].split()[-1] == name
        assert ("between | |" in table[-1]) == (kind in ("padding rule", "crop rule", "padding mode"))


def test_a_rule_is_drawn_and_knows_its_users():
    """The drawing is that of a plan. Policies with this padding are listed, with its framework name unless it is their default."""
    plan = cp.policy("torch").evolve(padding="same_upper").plan(4, length=10)
    shown = run("show", "same_upper", "--kind", "padding rule").stdout
    assert shown.endswith(f"\n{plan}\n\n{draw(plan, rows=6)}\n\n{LEGEND}\n")
    (data,) = json_of("show", "same_upper", "--kind", "padding rule")
    assert {"mindspore", "flax", "keras:same", "tensorflow:same"} <= set(data["used by"])
    assert not {"torch", "keras", "paddle:same"} & set(data["used by"])
    assert data["parameters"] == {"odd_side": "right"}
    (mode,) = json_of("show", "reflect")
    assert "flax:REFLECT" in mode["used by"]


def test_a_crop_rule_is_drawn_and_knows_its_users():
    """The drawing is that of a transposed plan. A transposed half is written as on the command line."""
    plan = cp.policy("torch").half().evolve(padding="causal").plan(4, 2, length=10)
    shown = run("show", "causal", "--kind", "crop rule").stdout
    assert shown.endswith(f"\n{plan}\n\n{draw(plan, rows=6)}\n\n{LEGENDS[True]}\n")
    (data,) = json_of("show", "explicit", "--kind", "crop rule")
    assert "torch:transposed" in data["used by"]
    assert "torch" not in data["used by"]
    assert data["parameters"] == {"left": 0, "right": 0, "output_padding": 0}


def test_one_name_of_several_parts():
    """A policy comes first and names the other kinds; parts of one name without a policy are all shown; --kind picks one."""
    assert 'add --kind: "random stream", "backend", "dialect", "plugin"' in run("show", "torch").stdout
    assert [part["kind"] for part in json_of("show", "constant")] == ["padding mode", "initializer"]
    (backend,) = json_of("show", "torch", "--kind", "backend")
    assert backend["call"] == 'cp.Conv1d(4, 8, 3, backend="torch")'
    (plugin,) = json_of("show", "padding_modes")
    assert (plugin["kind"], "padding mode reflect" in plugin["parts"]) == ("plugin", True)


def test_a_policy_with_settings():
    """Settings are shown as part of the policy."""
    assert json_of("show", "keras:same")["padding"] == "same_upper"


def test_a_rule_that_refuses_is_not_drawn():
    """A rule that does not take the sizes is described, with its sentence in place of a drawing."""

    class Odd:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            def pads(kernel, stride, dilation, length):
                raise ValueError("kernel must be odd.")

            return [cp.PaddingRule("odd-kernels", pads=pads)]

    cp.register(Odd(), "odd")
    try:
        assert run("show", "odd-kernels").stdout.endswith("not drawn: padding rule 'odd-kernels': kernel must be odd.\n")
    finally:
        cp.unregister("odd")
