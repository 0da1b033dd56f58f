"""The page in a real browser: what its script looks up and draws, its address, the keyboard, widths and times."""

from __future__ import annotations

import random

import pytest
from helpers import explorer as tables
from helpers.browser import chromium

from convpolicy.errors import ConvPolicyError
from convpolicy.explorer import choices, codes

pytestmark = pytest.mark.needs("playwright", "chromium")

MOVED = """(lengths) => lengths.map((length) => {
    const slider = document.querySelector("[data-size=length]");
    slider.value = length;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    return [drawings.innerHTML, facts.innerHTML, location.hash];
})"""
LOOKED_UP = """([a, view, frameworks]) => {
    const plan = planOf(a, view);
    const codes = Object.fromEntries(frameworks.map((name) => [name, codeOf(name, plan, view)]));
    return { ...plan, cells: plan.cells && [...plan.cells], codes };
}"""


@pytest.fixture(scope="module")
def browser():
    """A browser without a window."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(write_page):
    """The address of a page."""
    return write_page(a="torch", b="keras", ap="1,1", bp="same")


@pytest.fixture
def visit(browser, address):
    """Open the page with a state; errors of its script and requests for other files fail the test."""
    faults, contexts = [], []

    def open_page(state="", **keywords):
        contexts.append(browser.new_context(**keywords))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.on("request", lambda request: None if request.url.startswith(address) else faults.append(request.url))
        page.goto(address + state)
        page.wait_for_selector("html[data-ready]", timeout=10_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def random_state(draws, ranges):
    """A policy with a padding and a mode that the page offers, and sizes."""
    offered = choices.policies()
    policy = draws.choice(offered)
    numbers = [f"{left},{right}" for left in range(ranges.pad[0], ranges.pad[1] + 1) for right in (0, 2)]
    words = [word for word, _rule in policy.padding_names]
    padding = draws.choice(["", draws.choice([*words, ""]), draws.choice(list(choices.paddings(offered))), draws.choice(numbers)])
    mode = draws.choice(["", draws.choice(list(choices.modes(offered)))])
    sizes = {name: draws.randint(*getattr(ranges, name)) for name in ("kernel", "stride", "dilation", "length")}
    return policy, padding, mode, sizes


def policy_of(policy, padding, mode):
    """The same policy in Python, as the command line reads its words."""
    offered, changes = choices.policies(), {}
    if padding:
        words = dict(policy.padding_names)
        numbers = tuple(map(int, padding.split(","))) if "," in padding and "(" not in padding else None
        changes["padding"] = numbers or (padding if padding in words else choices.paddings(offered)[padding])
    if mode:
        changes["padding_mode"] = choices.modes(offered)[mode]
    return policy.evolve(**changes)


def test_the_script_looks_up_the_plans_of_python(visit, ranges):
    """Three hundred random states: pads, outputs, every added element and every reason are those of `Policy.plan`."""
    page, draws, refused = visit(), random.Random(7), 0
    for _ in range(300):
        policy, padding, mode, sizes = random_state(draws, ranges)
        found = page.evaluate(LOOKED_UP, [{"policy": policy.name, "padding": padding, "mode": mode}, sizes, []])
        try:
            plan = policy_of(policy, padding, mode).plan(
                sizes["kernel"], sizes["stride"], sizes["dilation"], length=sizes["length"]
            )
        except ConvPolicyError as error:
            assert found["reason"] == str(error)
            refused += 1
            continue
        left, right, outputs, cells = tables.expected(plan)
        assert (found["left"], found["right"], found["outputs"]) == (left, right, outputs)
        looked_up = {position: cell for position, cell in found["cells"] if not 0 <= position < plan.length}
        assert set(looked_up) == set(cells)
        for position, (constant, terms) in cells.items():
            samples = [pair for pair in terms if pair[1] >= 0]
            if samples:
                assert [tuple(pair) for pair in looked_up[position]["terms"]] == list(terms)
            else:
                assert looked_up[position]["text"] == (constant if terms else "0")
    assert 10 < refused < 200


def test_the_script_fills_in_the_code_that_python_writes(visit):
    """For pads as numbers the code of every framework is what `translation` writes for these sizes."""
    page, names = visit(), sorted(codes.targets())
    view = {"kernel": 4, "stride": 2, "dilation": 1, "length": 6}
    found = page.evaluate(LOOKED_UP, [{"policy": "torch", "padding": "2,1", "mode": "reflect"}, view, names])["codes"]
    for name, dialect in codes.targets().items():
        text = codes.code(dialect, codes.default(dialect).evolve(padding=(2, 1), padding_mode="reflect"), 4, 2, 1)
        assert "".join(found[name]["code"].split()).replace(",)", ")") == "".join(text.split()).replace(",)", ")")
    found = page.evaluate(LOOKED_UP, [{"policy": "mindspore", "padding": "same", "mode": ""}, view, names])["codes"]
    assert 'padding="same"' in found["keras"]["code"]
    assert "of length" not in found["torch"]["code"]
    found = page.evaluate(LOOKED_UP, [{"policy": "torch", "padding": "encodec", "mode": "reflect"}, view, names])["codes"]
    assert found["torch"]["code"].startswith("# pads: for inputs of length 6 only\n")
    view["dilation"] = 2
    found = page.evaluate(LOOKED_UP, [{"policy": "torch", "padding": "1,2", "mode": ""}, view, names])["codes"]
    assert found["keras"]["reason"].startswith("stride and dilation must not both be above 1")


def test_an_address_shows_its_state(visit):
    """Policies, padding, mode, sizes, the chosen output and the framework are read from the address, and written back to it."""
    state = "#a=mindspore&b=torch&bp=2%2C-1&bm=odd&k=3&s=1&d=2&n=6&code=torch&o=1"
    page = visit(state)
    assert page.inner_text("#facts").startswith("A: left 2 | right 2 | outputs 6; B: left 2 | right -1 | outputs 3. Differs in: ")
    assert page.inner_text("#pointed p:first-child") == "A: output 1 reads added 0, 2, 4."
    assert page.inner_text("#pointed p:last-child") == "B: output 1 reads added 2·1 − 2, 2, 4."
    assert page.get_attribute("#tab-torch", "aria-selected") == "true"
    assert 'nn.Conv1d(16, 32, 3, padding="same", dilation=2)' in page.inner_text("#code")
    page.press("[data-size=kernel]", "ArrowRight")
    assert "k=4" in page.evaluate("location.hash")
    assert page.evaluate("location.hash") == state.replace("k=3", "k=4")
    page.evaluate("location.hash = 'a=nobody&ap=none&k=99&s=x&n=0&b=torch'")
    page.wait_for_function("state.kernel === 5")
    assert page.evaluate("[state.a.policy, state.a.padding, state.length, state.b.padding]") == ["torch", "", 1, ""]


def test_pointing_shows_windows_and_readers(visit):
    """An output lights up its window and the sources of added elements in both drawings, a sample those who read it."""
    page = visit("#a=torch&ap=2%2C2&am=reflect&b=keras&bp=same&k=3&s=1&d=1&n=6")
    page.hover("svg[data-side=b] .bar[data-output='0']")
    on = page.eval_on_selector_all("svg[data-side=a] .cell.on", "cells => cells.map((cell) => +cell.dataset.position)")
    assert sorted(on) == [-2, -1, 0, 1, 2]
    assert page.inner_text("#pointed").split("\n\n") == [
        "A: output 0 reads added copy of 3, added copy of 2, 1.",
        "B: output 0 reads added 0, 1, 2.",
    ]
    page.hover("svg[data-side=a] .cell[data-position='1']")
    assert page.inner_text("#pointed p:first-child") == "A: sample 2 is read by outputs 0, 1, 2, 3; 1 added element repeats it."
    page.mouse.move(0, 0)
    assert page.inner_text("#pointed").startswith("Nothing is chosen.")


def test_the_keyboard_is_enough(visit):
    """Tab reaches every control and the drawing; arrows walk outputs, samples and frameworks; what is chosen is announced."""
    page, reached = visit(), []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
        if reached[-1] == "drawings":
            break
    assert {"policy of A", "padding of B", "mode of B", "kernel", "length", "drawings"} <= set(reached)
    assert page.get_attribute("#pointed", "aria-live") == "polite"
    for key, start in (
        ("ArrowDown", "A: output 0 "),
        ("ArrowDown", "A: output 1 "),
        ("ArrowRight", "A: sample 1 "),
        ("ArrowUp", "A: output "),
    ):
        page.keyboard.press(key)
        assert page.inner_text("#pointed").startswith(start)
    assert "o=" in page.evaluate("location.hash")
    page.keyboard.press("Escape")
    assert page.inner_text("#pointed").startswith("Nothing is chosen.")
    page.focus("#frameworks [aria-selected=true]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == min(codes.targets())


def test_what_differs_is_said_and_outlined(visit):
    """The facts name what differs and the outputs that read something else; cells that only one plan has are outlined in both drawings."""
    page = visit("#a=torch&ap=1%2C1&b=keras&bp=same&k=3&s=2&d=1&n=6")
    facts = "A: left 1 | right 1 | outputs 3; B: left 0 | right 1 | outputs 3. Differs in: left, added left. Every output reads something else."
    assert page.inner_text("#facts") == facts
    outlined = "cells => cells.map((cell) => [cell.closest('svg').dataset.side, cell.dataset.position])"
    assert page.eval_on_selector_all("#drawings .cell.differs", outlined) == [["a", "-1"]]
    page = visit("#a=torch&ap=1%2C1&b=torch&bp=1%2C1&bm=replicate&k=3&s=1&d=1&n=6")
    assert page.inner_text("#facts").endswith("Differs in: added left, added right, mode. Outputs 0, 5 read something else.")
    page = visit("#a=torch&ap=1%2C1&b=torch&bp=same&k=3&s=1&d=1&n=6")
    assert page.inner_text("#facts").endswith("Both plans are the same.")
    assert page.eval_on_selector_all("#drawings .cell.differs", outlined) == []


def test_refused_sizes_have_a_dash_and_the_reason(visit):
    """The drawing, the table and the code of the side that is refused; the other one is drawn."""
    page = visit("#a=keras&ap=1%2C1&b=torch&bp=1%2C1&k=3&s=2&d=2&n=6")
    assert page.inner_text("#facts").startswith("A: –; B: left 1 | right 1 | outputs 2.")
    assert page.inner_text("#drawings p").startswith("– stride and dilation must not both be above 1 under policy 'keras'")
    assert page.eval_on_selector_all("#drawings svg[data-side]", "drawings => drawings.length") == 1


@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways(visit, width, scheme):
    """At a phone's, a tablet's and a desktop's width only the drawing scrolls; the colours follow the system."""
    page = visit(
        "#a=paper%2Fencodec&b=torch&bp=full&bm=odd&k=5&s=1&d=2&n=6", viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    assert page.evaluate("document.documentElement.scrollWidth") == width
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 20, 20)"}[scheme]
    drawing = page.evaluate("[drawings.scrollWidth, drawings.clientWidth]")
    assert (drawing[0] > drawing[1]) == (width == 390)


def test_a_slider_answers_at_once(visit):
    """When its event has returned, drawings, facts and address are those of a page opened with the new length: nothing waits for a timer."""
    state = "#a=torch&ap=1%2C1&b=keras&bp=same&k=3&s=2&d=1&n="
    lengths = [3, 6, 1, 5, 2, 6, 4, 3]
    moved = visit(f"{state}4").evaluate(MOVED, lengths)
    assert len({html for html, _facts, _address in moved}) == len(set(lengths))
    for length, (html, facts, address) in zip(lengths, moved, strict=True):
        opened = visit(f"{state}{length}")
        assert [html, facts] == opened.evaluate("[drawings.innerHTML, facts.innerHTML]")
        assert address == f"{state}{length}"
