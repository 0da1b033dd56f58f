"""``convpolicy papers`` and what ``show`` says of a paper's policy, and parts that are made when asked for."""

from __future__ import annotations

import pytest
from helpers.command_line import json_of, run

import convpolicy as cp
from convpolicy.comparison import paper_text
from convpolicy.comparison.drawing import draw
from convpolicy.extensions.loading import PluginRegistry as Registry
from convpolicy.registry.deferred import Deferred

PAPERS = [name for name in cp.policies() if name.startswith("paper/")]


def test_papers_lists_every_paper_with_what_differs():
    """One line each, in order; the JSON holds the same and everything that the paper says."""
    lines = run("papers").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == PAPERS
    found = json_of("papers")
    assert [row["name"] for row in found] == PAPERS
    for line, row in zip(lines, found):
        policy = cp.policy(row["name"])
        assert line.endswith(row["differs"])
        assert row["differs"] == paper_text.differences(policy)
        assert {name: row[name] for name in policy.paper.to_data()} == policy.paper.to_data()


def test_what_differs_is_what_differs():
    """A line names each part that is not torch's default and none that is."""
    expected = {
        "paper/hifi-gan": "padding rule same_symmetric, weight_norm 0",
        "paper/wavenet": "no bias, weight_init uniform ±√(3/fan_avg) (Glorot), bias_init zeros",
        "paper/quartznet": "padding rule same_symmetric, no bias, weight_init uniform ±√(3/fan_avg) (Glorot), no stride together with a dilation",
    }
    assert {name: paper_text.differences(cp.policy(name)) for name in expected} == expected
    assert paper_text.differences(cp.policy("torch")) == ""


@pytest.mark.parametrize("name", PAPERS)
def test_show_explains_a_paper(name):
    """Below the fields stand citation, trap, evidence, both initializers and the drawing of the layer's plan; not for a framework."""
    policy = cp.policy(name)
    shown = run("show", name).stdout
    plan = paper_text.drawn_plan(policy, policy.paper)
    for text in (
        policy.paper.citation,
        policy.paper.trap,
        policy.paper.evidence,
        policy.paper.numbers,
        str(plan),
        draw(plan, rows=6),
    ):
        assert text in shown
    assert f"as_written: {policy.words('weight_init')['as_written']}" in shown
    assert "trap" not in run("show", "torch").stdout


def test_show_says_which_initialization_the_numbers_came_from():
    """HiFi-GAN's came from the initialization as trained, since the call as written has no effect."""
    shown = run("show", "paper/hifi-gan").stdout
    assert "as_trained, PyTorch's default initialization" in shown
    assert "as_written: normal(std=0.01)" in shown


def test_a_deferred_part_is_made_once_and_knows_its_plugin():
    """It is listed by name without being made; asked for, it is the part with its provider, the same one every time."""
    made = []

    class Lazy:
        @cp.hookimpl
        def convpolicy_policies(self):
            return [Deferred("policy", "lazy", lambda: made.append(1) or cp.Policy("lazy"))]

    registry = Registry(entry_points=False)
    report = registry.register(Lazy(), "stranger")
    assert report.parts == ["policy lazy"]
    assert "lazy" in registry.parts("policy")
    assert made == []
    found = registry.get("policy", "lazy")
    assert (found, found.provider) == (cp.Policy("lazy"), "stranger")
    assert registry.parts("policy")["lazy"] is found
    assert made == [1]
    registry.unregister("stranger")
    assert "lazy" not in registry.parts("policy")


def test_a_deferred_part_of_the_wrong_kind_is_refused():
    """As any other part, without making it."""

    class Wrong:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [Deferred("policy", "lazy", lambda: 1 / 0)]

    with pytest.raises(cp.ConvPolicyError, match="must return objects of kind 'padding rule'"):
        Registry(entry_points=False).register(Wrong(), "stranger")
