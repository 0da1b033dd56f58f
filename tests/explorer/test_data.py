"""What a page contains is what `Policy.plan` and `translation` say, read again from the compressed text."""

from __future__ import annotations

import ast
import random

import pytest
from helpers import explorer as page

import convpolicy as cp
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer import choices, codes, data, plans
from convpolicy.parts.choice import Choice


def said(function, *arguments, **keywords):
    """What a function returns, or the sentence of its refusal."""
    try:
        return page.expected(function(*arguments, **keywords))
    except ConvPolicyError as error:
        return str(error)


def differing(page_data, cases):
    """The cases (padding, mode, window, length) of which the page says something else than `Policy.plan`."""
    offered = choices.policies()
    paddings, modes = choices.paddings(offered), choices.modes(offered)
    wrong = []
    for padding, mode, window, length in cases:
        both = page.pads(page_data, list(paddings).index(padding), window, length)
        found = both if isinstance(both, str) else page.plan(page_data, both, list(modes).index(mode), window, length)
        policy = plans.BASE.evolve(padding=paddings[padding], padding_mode=modes[mode])
        if found != said(policy.plan, *window, length=length):
            wrong.append((padding, mode, window, length))
    return wrong


def all_cases(page_data):
    """Every plan of a page: rule, mode, window and length."""
    return [
        (rule["name"], mode["name"], window, length)
        for rule in page_data["rules"] for mode in page_data["modes"] for window in page.windows(page_data) for length in page.lengths(page_data)
    ]  # fmt: skip


def test_plans_are_those_of_the_policy(page_data):
    """Four thousand of the page's plans, drawn at random, among them refused ones, ones that cut and ones without outputs."""
    cases = random.Random(16).sample(all_cases(page_data), 4000)
    assert differing(page_data, cases) == []


@pytest.mark.grid
def test_all_plans_are_those_of_the_policy(page_data):
    """Every plan of the page."""
    assert differing(page_data, all_cases(page_data)) == []


def test_a_wrong_table_is_found(page_data):
    """The comparison can fail: with two rules exchanged it names plans of both."""
    rules = list(page_data["rules"])
    names = [rule["name"] for rule in rules]
    first, second = names.index("same_upper"), names.index("same_lower")
    rules[first], rules[second] = rules[second], rules[first]
    cases = [case for case in all_cases(page_data) if case[0] == "same_upper" and case[1] == "zeros"]
    assert len(differing({**page_data, "rules": rules}, cases)) > 10


def test_every_rule_mode_and_policy_is_there(page_data):
    """All registered names, the settings of parts, and the words of each policy with the rule they stand for."""
    rules = {rule["name"] for rule in page_data["rules"]}
    modes = {mode["name"] for mode in page_data["modes"]}
    assert set(cp.padding_rules()) - {"explicit"} <= rules
    assert set(cp.padding_modes()) - {"per_side"} <= modes
    assert {"same_static(odd_side=left)", "same_symmetric(odd_only=True)"} <= rules
    assert {"reflect(overflow=zero-extend)", "constant(learned=True)", "constant(value=1.5)"} <= modes
    policies = {policy["name"]: policy for policy in page_data["policies"]}
    assert set(policies) == set(cp.policies())
    for name, found in policies.items():
        policy = cp.policy(name)
        assert page_data["modes"][found["mode"]]["name"] == str(policy.padding_mode)
        assert [(word, page_data["rules"][rule]["name"]) for word, rule, _mode in found["words"]] == list(policy.padding_names)
    circular = next(word for word in policies["flax"]["words"] if word[0] == "CIRCULAR")
    assert page_data["modes"][circular[2]]["name"] == "circular(overflow=periodic)"


def test_numbers_and_policies_that_refuse(page_data):
    """Pads that are numbers give the plan of the policy; where a framework refuses sizes the page has its sentence."""
    plain = page_data["plain"]
    keras = next(policy for policy in page_data["policies"] if policy["name"] == "keras")
    for left, right in ((-1, 2), (0, 0), (2, 1)):
        for window in page.windows(page_data):
            refused = keras["refused"].get(f"{window[1]},{window[2]}")
            found = page.plan(page_data, (left, right), plain, window, 4) if refused is None else page.refusal(page_data, refused)
            assert found == said(cp.policy("keras").evolve(padding=(left, right)).plan, *window, length=4)
    assert set(keras["refused"]) == {"2,2", "3,2"}


def python_of(text):
    """Code without its line breaks, with its comments; a sentence as it is."""
    if "\n" not in text:
        return text
    return ast.unparse(ast.parse(text)), [line for line in text.splitlines() if line.startswith("#")]


def numbers_of(window, left, right):
    """What goes into the placeholders of a template."""
    return dict(zip(codes.NAMES, (*window, left, right)))


@pytest.mark.parametrize("name", sorted(codes.targets()))
def test_code_is_what_translation_writes(page_data, name):
    """For each framework the code for pads as numbers in each mode, and the code of each rule, equal what `write` gives."""
    offered, dialect, written = choices.policies(), codes.targets()[name], page_data["codes"][name]
    modes, draws, compared = choices.modes(offered), random.Random(5), 0
    for mode, shapes in zip(modes.values(), written["numbers"]):
        for _ in range(12):
            window = draws.choice(page.windows(page_data))
            left, right = draws.choice([(0, 0), (1, 1), (3, 3), (2, 5), (4, 0), (0, 6), (-1, 2), (-3, -3)])
            found = shapes[codes.shape_of(left, right, *window[1:])]
            try:
                text = codes.code(dialect, codes.default(dialect).evolve(padding=(left, right), padding_mode=mode), *window)
            except ConvPolicyError as error:
                text = str(error)
            template = page.refusal(page_data, found) if found < 0 else page_data["templates"][found]
            if any(f'"{word}"' in text and word not in template for word, _rule in cp.policy(dialect.policy).padding_names):
                continue  # these numbers happen to be those of a word, see `codes.by_numbers`
            assert python_of(codes.rendered(template, numbers_of(window, left, right))) == python_of(text)
            compared += found >= 0
    for (rule, choice), row in zip(choices.paddings(offered).items(), written["rules"]):
        for number, window in enumerate(page.windows(page_data)):
            found = page.entry_of(page_data["rows"][row], number)
            if found >= 0 and draws.random() < 0.2:
                pads = page.pads(page_data, [one["name"] for one in page_data["rules"]].index(rule), window, 1)
                left, right = (0, 0) if isinstance(pads, str) else pads
                text = codes.code(dialect, codes.default(dialect).evolve(padding=choice, padding_mode="zeros"), *window)
                assert codes.rendered(page_data["templates"][found], numbers_of(window, left, right)) == text
                compared += 1
    assert compared > 40


def test_a_rule_that_fails_leaves_the_page_whole(ranges):
    """A plugin's rule that raises at some sizes, and a mode that always does, have their reason in the page."""

    def pads(kernel, stride, dilation, length):
        if kernel == 3:
            raise RuntimeError("no kernel of 3 today")
        return kernel - 1, 0

    def source(positions, length):
        raise RuntimeError("no source")

    class Plugin:
        @cp.hookimpl
        def convpolicy_padding_rules(self):
            return [cp.PaddingRule("moody", pads)]

        @cp.hookimpl
        def convpolicy_padding_modes(self):
            return [cp.PaddingMode("empty", source)]

    cp.register(Plugin(), "moody-plugin")
    try:
        found = data.collect([], ranges)
    finally:
        cp.unregister("moody-plugin")
    rule = [one["name"] for one in found["rules"]].index("moody")
    mode = [one["name"] for one in found["modes"]].index("empty")
    assert page.pads(found, rule, (2, 1, 1), 5) == (1, 0)
    assert "no kernel of 3 today" in page.pads(found, rule, (3, 1, 1), 5)
    widths = [[*pair] for pair in found["widths"]]
    reason = page.plan({**found, "widths": widths}, (1, 0), mode, (2, 1, 1), 5)
    assert "padding mode 'empty' (moody-plugin): source failed" in reason
    assert "no source" in reason


def test_a_policy_of_a_file_is_the_first(ranges):
    """Policies beside the registered ones come first; pads as numbers and a mode for each side are theirs."""
    mine = cp.policy("torch").evolve(name="mine", padding=(2, 1), padding_mode=("reflect", "zeros"))
    small = plans.Ranges(kernel=(1, 2), stride=(1, 1), dilation=(1, 1), length=(3, 4), pad=(0, 2))
    found = data.collect([mine], small)
    assert found["policies"][0]["name"] == "mine"
    assert found["policies"][0]["padding"] == [2, 1]
    mode = found["policies"][0]["mode"]
    widths = {**found, "widths": [[*pair] for pair in found["widths"]]}
    assert page.plan(widths, (2, 1), mode, (2, 1, 1), 4) == page.expected(mine.plan(2, length=4))


def test_explicit_numbers_are_no_rule_of_the_list():
    """The rule of plain numbers is two fields of the page instead."""
    assert "explicit" not in choices.paddings([cp.policy("torch").evolve(name="mine", padding=Choice("explicit", left=1))])
