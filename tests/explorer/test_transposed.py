"""The view of transposed convolutions: the plans of the page are those of `TransposedPolicy.plan`."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers import explorer as tables

import convpolicy as cp
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer import choices, codes, transposed_codes

HALVES = choices.halves(choices.policies())
CROPS = choices.paddings(HALVES)
LOOKED_UP = (
    "([a, view]) => { state.up = true; const plan = planOf(a, view); return { ...plan, cells: plan.cells && [...plan.cells] }; }"
)


def numbers(page_data, crop, window, length):
    """(left, right) of a crop rule by the tables of the page, or the reason why it refuses."""
    rule = next(rule for rule in page_data["transposed"]["rules"] if rule["name"] == crop)
    row = rule["rows"] if isinstance(rule["rows"], int) else rule["rows"][tables.windows(page_data).index(window)]
    entry = tables.entry_of(page_data["rows"][row], length - page_data["ranges"]["length"][0])
    return tables.refusal(page_data, entry) if entry < 0 else tuple(page_data["crops"][entry])


def test_every_crop_of_the_page(page_data):
    """Each rule, window and length: the numbers or the refusal of the plan; exchanged rules are seen."""
    wrong = []
    base = cp.TransposedPolicy("explorer")
    for crop, choice in CROPS.items():
        for window in tables.windows(page_data):
            for length in tables.lengths(page_data):
                try:
                    plan = base.evolve(padding=choice).plan(*window, length=length)
                    expected = (plan.left, plan.right)
                except ConvPolicyError as error:
                    expected = str(error)
                wrong += [(crop, window)] if numbers(page_data, crop, window, length) != expected else []
    assert wrong == []
    sides = {numbers(page_data, crop, (4, 1, 1), 5) for crop in ("same_upper", "same_lower")}
    assert sides == {(1, 2), (2, 1)}


def test_every_rule_and_policy_is_there(page_data):
    """All crop rules and all policies with a transposed half, with their names for padding."""
    assert set(cp.crop_rules()) - {"explicit"} <= {rule["name"] for rule in page_data["transposed"]["rules"]}
    policies = {policy["name"]: policy for policy in page_data["transposed"]["policies"]}
    assert set(policies) == {name for name in cp.policies() if cp.policy(name).transposed is not None}
    assert policies["torch"]["padding"] == [0, 0]
    for name, found in policies.items():
        assert [word for word, _rule, _mode in found["words"]] == [word for word, _rule in cp.policy(name).half().padding_names]


def joined(text):
    """Code without its line breaks and the commas at the end of a list."""
    return "".join(text.split()).replace(",)", ")").replace(",]", "]")


@pytest.mark.parametrize("name", sorted(codes.targets()))
def test_code_is_what_translation_writes(page_data, name):
    """For each framework: cuts as numbers in each mode, refusals too, and each crop rule that has a name or depends on the length."""
    dialect, tabs, draws = codes.targets()[name], page_data["transposed"]["codes"][name], random.Random(17)
    uneven, compared, refused = 0, 0, 0
    for mode, forms in zip(choices.transposed_modes(HALVES).values(), tabs["numbers"]):
        for _ in range(200):
            sizes = (*draws.choice(tables.windows(page_data)), *(draws.randint(*page_data["ranges"]["pad"]) for _ in "lr"))
            numbers_of_sizes = transposed_codes.numbers_of(sizes)
            entry = forms[transposed_codes.form_of(numbers_of_sizes, mode.name == "circular")]
            template = tables.refusal(page_data, entry) if entry < 0 else page_data["templates"][entry]
            if template == codes.UNEVEN:
                uneven += 1
                continue
            try:
                changes = {"padding": sizes[3:], "padding_mode": mode}
                text = codes.code(dialect, codes.default(dialect, transposed=True).evolve(**changes), *sizes[:3])
            except ConvPolicyError as error:
                text = str(error)
                refused += 1
            assert joined(codes.rendered(template, numbers_of_sizes)) == joined(text), (sizes, mode)
            compared += 1
    assert uneven < 20 < refused < compared - 50
    named = 0
    for choice, row in zip(CROPS.values(), tabs["rules"]):
        for number, window in enumerate(tables.windows(page_data)):
            entry = tables.entry_of(page_data["rows"][row], number)
            if entry >= 0:
                text = codes.code(
                    dialect, codes.default(dialect, transposed=True).evolve(padding=choice, padding_mode="zeros"), *window
                )
                cuts = cp.TransposedPolicy("explorer").evolve(padding=choice).static_pads(*window) or (0, 0)
                assert joined(
                    codes.rendered(page_data["templates"][entry], transposed_codes.numbers_of((*window, *cuts)))
                ) == joined(text)
                named += 1
    assert named or name == "mlx"


@pytest.fixture(scope="module")
def page(open_page):
    """An open page."""
    with open_page("#t=1&a=torch&b=torch&ap=1%2C1&bp=causal&k=4&s=2&d=1&n=4") as opened:
        yield opened


@pytest.mark.needs("playwright", "chromium")
def test_the_script_computes_the_plans_of_python(page, ranges):
    """Random states: cuts, outputs, and which outputs are reached, added to the other end or empty."""
    draws, refused = random.Random(3), 0
    for _ in range(200):
        half, mode = draws.choice(HALVES), draws.choice(["zeros", "circular"])
        crop = draws.choice(list(CROPS))
        sizes = {name: draws.randint(*getattr(ranges, name)) for name in ("kernel", "stride", "dilation", "length")}
        found = page.evaluate(LOOKED_UP, [{"policy": half.name, "padding": crop, "mode": mode}, sizes])
        named = crop in dict(half.padding_names)  # a policy's name comes before a rule of the same name
        changed = half.evolve(padding=crop if named else CROPS[crop], padding_mode=mode)
        try:
            plan = changed.plan(sizes["kernel"], sizes["stride"], sizes["dilation"], length=sizes["length"])
        except ConvPolicyError as error:
            assert found["reason"] == str(error)
            refused += 1
            continue
        assert (found["left"], found["right"], found["outputs"], found["full"]) == (
            plan.left, plan.right, plan.length_out, plan.full_length,
        )  # fmt: skip
        reached = np.zeros(plan.length_out, bool)
        for coefficients, _sources in plan.window_terms(np.arange(plan.length_out)):
            reached |= coefficients.any(axis=1)
        inside = {position: cell for position, cell in found["cells"] if 0 <= position < plan.length_out}
        assert [inside[output]["kind"] for output in range(plan.length_out)] == ["sample" if on else "constant" for on in reached]
        outside = [cell for position, cell in found["cells"] if position not in inside]
        assert len(outside) == sum(plan.cut)
        assert {cell["kind"] for cell in outside} <= ({"copy"} if mode == "circular" and plan.length_out else {"cut"})
    assert refused < 150


@pytest.mark.needs("playwright", "chromium")
def test_the_script_fills_in_the_code_that_python_writes(page, ranges):
    """Random sizes, numbers and modes: the code or the reason of every framework; a rule for one length says so."""
    draws, names, seen = random.Random(4), sorted(codes.targets()), 0
    written = "([a, view, names]) => { state.up = true; const plan = planOf(a, view); return names.map((name) => codeOf(name, plan, view)); }"
    for _ in range(60):
        sizes = {name: draws.randint(*getattr(ranges, name)) for name in ("kernel", "stride", "dilation", "length")}
        cuts, mode = tuple(draws.randint(*ranges.pad) for _ in "lr"), draws.choice(["zeros", "circular"])
        side = {"policy": "torch", "padding": "{},{}".format(*cuts), "mode": mode}
        for name, found in zip(names, page.evaluate(written, [side, sizes, names])):
            window, dialect = (sizes["kernel"], sizes["stride"], sizes["dilation"]), codes.targets()[name]
            try:
                policy = codes.default(dialect, transposed=True).evolve(padding=cuts, padding_mode=mode)
                text, key = codes.code(dialect, policy, *window), "code"
            except ConvPolicyError as error:
                text, key = str(error), "reason"
            if found.get("reason") != codes.UNEVEN:
                assert joined(found[key]) == joined(text), (name, sizes, cuts, mode)
                seen += 1
    assert seen > 50 * len(names)
    view = {"kernel": 4, "stride": 3, "dilation": 1, "length": 5}
    torch, paddle = page.evaluate(written, [{"policy": "paddle", "padding": "SAME", "mode": ""}, view, ["torch", "paddle"]])
    assert 'padding="SAME"' in paddle["code"]
    assert "class SameCrop1d(nn.Module):" in torch["code"]


@pytest.mark.needs("playwright", "chromium")
def test_the_view_says_what_is_cut_and_what_a_sample_reaches(page):
    """The facts, pointing at a sample and at an output, the call, and the way back to convolutions."""
    page.evaluate("location.hash = 't=1&a=torch&b=torch&ap=1,1&bp=causal&k=4&s=2&d=1&n=4&o=1'")
    page.wait_for_function("state.b.padding === 'causal' && state.pointed !== null")
    facts = page.inner_text("#facts")
    assert facts.startswith(
        "A: cut left 1 | right 1 | outputs 8; B: cut left 0 | right 2 | outputs 8. Differs in: cut left, cut right."
    )
    assert page.inner_text("#pointed p:first-child") == "A: sample 1 adds to outputs 2, 3, 4, 5, numbered from 1."
    page.hover("svg[data-side=b] .cell[data-position='0']")
    assert page.inner_text("#pointed p:last-child") == "B: output 1 depends on sample 0."
    assert 'cp.ConvTranspose1d(16, 32, 4, stride=2, policy="torch", padding=(1, 1))' in page.inner_text("#code")
    page.click("#tab-flax")
    assert "nnx.ConvTranspose(16, 32, (4,), strides=2, padding=[(3, 1)], rngs=nnx.Rngs(0))" in page.inner_text("#code")
    page.click("#tab-convpolicy")
    page.select_option("[data-kind]", "")
    assert page.inner_text("#facts").startswith("A: left 1 | right 1 | outputs 2")
    assert "t=1" not in page.evaluate("location.hash")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
