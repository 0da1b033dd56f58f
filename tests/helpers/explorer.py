"""The tables of an explorer's page read again in Python, by the rules that its script follows."""

from __future__ import annotations

import re
from itertools import product

from convpolicy.explorer import choices
from convpolicy.explorer import data as packing
from convpolicy.pictures.columns import columns

SIZES = ("kernel", "stride", "dilation")
OFFERED = choices.policies()
HALVES = choices.halves(OFFERED)
PADDINGS, CROPS, MODES = choices.paddings(OFFERED), choices.paddings(HALVES), choices.modes(OFFERED)


def plans_of(page):
    """The data in the text of a page."""
    return packing.unpacked(re.search(r'id="plans">(.*?)</script>', page)[1])


def windows(data):
    """Every (kernel, stride, dilation) of a page."""
    return list(product(*(range(first, last + 1) for first, last in (data["ranges"][name] for name in SIZES))))


def lengths(data):
    """Every input length of a page."""
    first, last = data["ranges"]["length"]
    return range(first, last + 1)


def entry_of(row, place):
    """An entry of a row, which is written once where all are the same."""
    return row[0] if len(row) == 1 else row[place]


def refusal(data, entry):
    """The sentence of a negative entry."""
    return data["texts"][-1 - entry]


def pads(data, rule, window, length):
    """(left, right) of the rule with a number, or the reason why it refuses."""
    rows = data["rules"][rule]["rows"]
    row = data["rows"][rows if isinstance(rows, int) else rows[windows(data).index(window)]]
    entry = entry_of(row, length - data["ranges"]["length"][0])
    return refusal(data, entry) if entry < 0 else tuple(data["pairs"][entry])


def plan(data, both, mode, window, length):
    """(left, right, outputs, cells) for these pads, or the reason why the mode with a number refuses."""
    left, right = both
    table = data["modes"][mode]["added"]
    if isinstance(table, list):
        table = data["added"][table[length - data["ranges"]["length"][0]]][data["widths"].index([max(left, 0), max(right, 0)])]
    if table < 0:
        return refusal(data, table)
    before, after = (data["sides"][number] for number in data["ends"][table])
    outputs = entry_of(data["rows"][data["outputs"][windows(data).index(window)]], max(left + length + right, 0))
    cells = {position - left: _terms(before, element, int) for position, element in enumerate(before[1:])}
    cells |= {
        length + place: _terms(after, element, lambda source: length - 1 - source if source >= 0 else source)
        for place, element in enumerate(after[1:])
    }
    return left, right, outputs, cells


def stream(data, rule, mode, window):
    """(left, held, first, last) of a schedule, or the reason why the layer cannot be streamed."""
    entry = entry_of(data["rows"][data["rules"][rule]["stream"]], windows(data).index(window))
    if entry < 0:
        return refusal(data, entry)
    left, held, first, *pairs = data["starts"][entry]
    row, last, kernel = data["rows"][data["modes"][mode]["stream"]], 0, (window[0] - 1) * window[2] + 1
    first = max(first, 1) if left >= kernel + held else first
    for pair in pairs:
        wait = entry_of(row, data["widths"].index([max(pad, 0) for pad in data["pairs"][pair]]))
        if wait < 0:
            return refusal(data, wait)
        first, last = max(first, data["waits"][wait][0]), max(last, data["waits"][wait][1])
    return left, held, first, last


def _terms(side, element, place):
    """(constant's text, coefficients and positions) of one added element."""
    pairs = element if isinstance(element, list) else [[1, element]]
    return side[0], tuple((float(share), place(source)) for share, source in pairs)


def random_layer(draws, ranges, up, modes):
    """A side of the page, its view, and the policy of the same layer in Python; ``modes`` are names for layers that are not transposed."""
    policy = draws.choice(HALVES if up else OFFERED)
    rules, mode = CROPS if up else PADDINGS, draws.choice(["zeros", "zeros", "circular"] if up else modes)
    padding, cut = draws.choice(list(rules)), draws.choice([False, False, True])
    numbers = tuple(draws.randint(*ranges.pad) for _ in "lr")
    side = {"policy": policy.name, "padding": "{},{}".format(*numbers) if cut else padding, "mode": mode}
    named = padding in dict(policy.padding_names)  # a policy's name comes before a rule of the same name
    choice = numbers if cut else padding if named else rules[padding]
    view = {name: draws.randint(*getattr(ranges, name)) for name in (*SIZES, "length")}
    return side, view, policy.evolve(padding=choice, padding_mode=mode if up else MODES[mode])


def expected(plan):
    """The same of a `Plan`, read from the sides that backends use."""
    cells = {}
    for side, start in zip(plan.sides, (-plan.left, plan.length)):
        for place in range(side.width):
            terms = []
            for term in side.terms:
                share = term.coefficient[place] if isinstance(term.coefficient, tuple) else term.coefficient
                if share:
                    terms.append((float(share), term.sources[place]))
            text = "w" if side.learned else f"{side.value:.3g}"
            cells[start + place] = text, tuple(terms)
    assert set(cells) <= set(columns(plan))
    return plan.left, plan.right, plan.length_out, cells
