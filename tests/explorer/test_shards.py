"""The view of ranks: the integers that its script computes from the plans of the page are those of `Policy.shard`."""

from __future__ import annotations

import random

import attrs
import pytest
from helpers import explorer as tables

from convpolicy.errors import ConvPolicyError

pytestmark = pytest.mark.needs("playwright", "chromium")

MODES = list(tables.MODES)
CASES = 400
# a list of cases -> the shards of each; code replaces a part of a function of the script
LOOKED_UP = """([cases, name, part, replacement]) => {
    const right = globalThis[name], text = right && right.toString();
    if (right && !text.includes(part)) throw new Error(`${name} does not contain ${part}`);
    if (right) globalThis[name] = eval(`(${text.replace(part, replacement)})`);
    const found = cases.map(([side, view, ranks, up]) => { state.up = up; return shardsOf(planOf(side, view), view, ranks); });
    if (right) globalThis[name] = right;
    return found;
}"""
UNCHANGED = ("", "", "")
FAULTS = {
    "a halo one sample short": ("readBy", "return [...samples].sort((a, b) => a - b)", "return [...samples].sort((a, b) => a - b).slice(0, -1)"),
    "the samples of the wrong neighbour": ("shardsOf", "receives.push([owner(sample)", "receives.push([(owner(sample) + 1) % ranks"),
    "the phase of the stride is lost": ("shardsOf", "Math.ceil(samples / view.stride)", "Math.floor(samples / view.stride)"),
    "cuts of another size": ("shardsOf", "Math.ceil(view.length / ranks)", "Math.ceil(view.length / ranks) + 1"),
    "senders and receivers are exchanged": ("shardsOf", "shards[source].sends.push([rank", "shards[rank].sends.push([source"),
    "padding at every cut": ("pieceOf", "Math.min(stop, 0) - start", "Math.min(stop, 0) - start + first"),
    "outputs that wrap are lost": ("transposedPieceOf", "plan.circular ?", "false ?"),
}  # fmt: skip


@pytest.fixture(scope="module")
def page(open_page):
    """An open page."""
    with open_page() as opened:
        yield opened


@pytest.fixture(scope="module")
def layers(ranges):
    """Random cases for the script, each with the shards of Python in the same form, or the sentence of the refusal."""
    draws = random.Random(21)
    return [layer(draws, ranges, number % 2 == 1) for number in range(CASES)]


def layer(draws, ranges, up):
    """A case for the script, and what it must return."""
    side, view, policy = tables.random_layer(draws, ranges, up, MODES)
    ranks = draws.randint(1, 4)
    try:
        shards = policy.shard(view["length"], ranks, view["kernel"], view["stride"], view["dilation"])
    except ConvPolicyError as error:
        return (side, view, ranks, up), {"reason": str(error)}
    return (side, view, ranks, up), [as_written(shard, up) for shard in shards]


def as_written(shard, up):
    """The integers of a shard as the script writes them."""
    [owned], [produced] = shard.owned, shard.produced
    fields = {"rank": shard.rank, "owned": owned, "produced": produced, "receives": shard.receives, "sends": shard.sends}
    pieces = [
        {"turns": [attrs.asdict(turn) for turn in piece.turns]} if up
        else {"reads": piece.reads, "left": piece.left, "right": piece.right}
        for piece in shard.pieces
    ]  # fmt: skip
    return {**lists(fields), "pieces": lists(pieces)}


def lists(value):
    """The same value with lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: lists(each) for name, each in value.items()}
    return [lists(each) for each in value] if isinstance(value, (list, tuple)) else value


def differing(page, layers, change=UNCHANGED):
    """The cases for which the script, in which a function may be changed, returns something else than Python."""
    found = page.evaluate(LOOKED_UP, [[case for case, _ in layers], *change])
    for shards in found:
        for shard in () if isinstance(shards, dict) else shards:
            for piece in shard["pieces"]:
                del piece["added"]  # positions for the drawing
    return [case for (case, expected), each in zip(layers, found) if each != expected]


def test_the_script_computes_the_shards_of_python(page, layers):
    """Random layers on 1 to 4 ranks: what is owned, produced, received and sent, the pads or cuts, and the reason of a refusal."""
    assert differing(page, layers) == []
    refused = sum(isinstance(expected, dict) for _, expected in layers)
    assert CASES / 20 < refused < CASES * 2 / 3
    assert sum("is too short" in expected["reason"] for _, expected in layers if isinstance(expected, dict)) > CASES / 40


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_shards_are_seen(page, layers, fault):
    """Each change of the script makes some layers differ."""
    assert differing(page, layers, FAULTS[fault])


def test_the_slider_says_who_sends_what_to_whom(page):
    """The texts for a screen reader, the drawing, the keyboard, the address, a refusal, and transposed convolutions."""
    page.evaluate("location.hash = 'a=torch&ap=2,2&b=torch&bp=1,1&bm=circular&k=5&s=1&d=1&n=6&r=2'")
    page.wait_for_function("state.ranks === 2")
    assert page.get_attribute("#sharded", "aria-live") == "polite"
    lines = [
        "6 samples are cut over 2 ranks.",
        "A, rank 0: owns samples 1 to 3 | computes outputs 0 to 2 | receives 4, 5 from rank 1 | sends 2, 3 to rank 1 | adds 2 elements before",
        "A, rank 1: owns samples 4 to 6 | computes outputs 3 to 5 | receives 2, 3 from rank 0 | sends 4, 5 to rank 0 | adds 2 elements after",
        "B, rank 0: owns samples 1 to 3 | computes outputs 0 to 2 | receives 4 to 6 from rank 1 | sends 1, 3 to rank 1 | adds 1 element before",
        "B, rank 1: owns samples 4 to 6 | computes outputs 3 | receives 1, 3 from rank 0 | sends 4 to 6 to rank 0 | adds 1 element after",
    ]
    assert page.inner_text("#sharded").split("\n\n") == lines
    kinds = page.eval_on_selector_all("svg[data-shards=a] .shard", "all => all.map((one) => one.classList.value.slice(6))")
    owners = ["own rank-0"] * 3 + ["own rank-1"] * 3
    ranks = [["own rank-0"] * 3 + ["halo rank-1"] * 2, ["own rank-1"] * 3 + ["halo rank-0"] * 2]
    outputs = [["result rank-0"] * 3, ["result rank-1"] * 3]
    assert kinds == [*owners, *ranks[0], "pad", "pad", *outputs[0], *ranks[1], "pad", "pad", *outputs[1]]
    assert {"← 1", "0 →"} <= set(
        page.eval_on_selector_all("svg[data-shards=a] > text", "all => all.map((one) => one.textContent)")
    )
    legend = ["owned by rank 0", "owned by rank 1", "sample received from the rank that the arrow names"]
    assert page.eval_on_selector_all("#shard-legend li", "all => all.map((one) => one.textContent)")[:3] == legend
    page.focus("#ranks")
    page.keyboard.press("ArrowRight")
    assert "r=3" in page.evaluate("location.hash")
    assert page.inner_text("#sharded p:first-child") == "6 samples are cut over 3 ranks."
    page.evaluate("location.hash = 'a=torch&ap=0,0&b=torch&bp=2,2&bm=reflect&k=5&s=1&d=1&n=2&r=3'")
    page.wait_for_function("state.length === 2")
    assert page.inner_text("#shards p:nth-of-type(1)") == (
        "– input of length 2 is too short: padded to 2 samples it is shorter than one window of 5; pass at least 5 samples."
    )
    assert page.inner_text("#shards p:nth-of-type(2)").startswith("– padding mode 'reflect' reaches at most 1 for length 2")
    page.evaluate("location.hash = 't=1&a=torch&b=torch&ap=1,1&bp=0,0&k=4&s=2&d=1&n=4&r=9'")
    page.wait_for_function("state.up && state.ranks === 4")
    assert page.inner_text("#sharded p:nth-child(3)") == (
        "A, rank 1: owns samples 1 | computes outputs 3, 4 | receives 0 from rank 0; 2 from rank 2 | "
        "sends 1 to rank 0; 1 to rank 2 | cuts 3 left and 3 right of its result"
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
