"""The view of streams: its integers are those of the schedules, and what it shows of each time is what `cp.streaming` keeps and returns."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers import explorer as tables

import convpolicy as cp
from convpolicy.chunks.schedule import schedule
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer import choices, plans

OFFERED = choices.policies()
PADDINGS, MODES = choices.paddings(OFFERED), choices.modes(OFFERED)
NUMBERS = [name for name in MODES if "learned" not in name]  # a layer of NumPy learns no constant
LOOKED_UP = """([side, view, up]) => {
    state.up = up;
    const plan = planOf(side, view), stream = streamOf(plan, view);
    if (stream.reason) return { reason: stream.reason, isPlan: Boolean(plan.reason) };
    const times = Array.from({ length: view.length + 1 }, (_, samples) => ({ ...keptAfter(stream, view, samples), returned: returnedAfter(stream, view, samples) }));
    return { delay: delayOf(stream, view), times, outputs: plan.outputs };
}"""


def integers(padding, mode, window):
    """(left, held, first, last) of the schedule of a layer, or the sentence of its refusal."""
    kernel, stride, dilation = window
    try:
        found = schedule(
            plans.BASE.evolve(padding=PADDINGS[padding], padding_mode=MODES[mode]), ConvSpec.of(1, 1, kernel, stride, dilation, 1)
        )
    except ConvPolicyError as error:
        return str(error)
    return found.left, found.held, found.first, found.last


def differing(page_data, cases):
    """The cases of which the page says something else than the schedule."""
    rules, modes = list(PADDINGS), list(MODES)
    return [
        case for case in cases
        if tables.stream(page_data, rules.index(case[0]), modes.index(case[1]), case[2]) != integers(*case)
    ]  # fmt: skip


def test_the_integers_are_those_of_the_schedules(page_data):
    """Two thousand layers drawn at random, among them those that cannot be streamed."""
    cases = [(rule, mode, window) for rule in PADDINGS for mode in MODES for window in tables.windows(page_data)]
    cases = random.Random(19).sample(cases, 2000)
    assert differing(page_data, cases) == []
    refused = sum(isinstance(integers(*case), str) for case in cases[:500])
    assert 50 < refused < 450


def test_wrong_integers_are_seen(page_data):
    """With two modes exchanged, the comparison names layers of both."""
    modes = [dict(mode) for mode in page_data["modes"]]
    first, second = (list(MODES).index(name) for name in ("reflect", "replicate"))
    modes[first]["stream"], modes[second]["stream"] = modes[second]["stream"], modes[first]["stream"]
    cases = [("causal", mode, window) for mode in ("reflect", "replicate") for window in tables.windows(page_data)]
    assert {case[1] for case in differing({**page_data, "modes": modes}, cases)} == {"reflect", "replicate"}


@pytest.fixture(scope="module")
def page(open_page):
    """An open page."""
    with open_page() as opened:
        yield opened


def prepared(policy, view, up):
    """A layer of one channel with these sizes, and its streaming."""
    build = cp.ConvTranspose1d if up else cp.Conv1d
    whole = cp.policy("torch").evolve(name="whole", transposed=policy) if up else policy
    layer = build(1, 1, view["kernel"], view["stride"], dilation=view["dilation"], policy=whole, bias=False)
    return layer, cp.streaming(layer)


def streamed(layer, streaming, length):
    """What a stream of samples 1, 2, 3, … keeps and has returned after each sample, and all outputs; 0 for an input that is refused."""
    state, returned, moments = streaming.initial_state(), 0, []
    for sample in range(length + 1):
        if sample:
            outputs, state = streaming.step(np.full((1, 1, 1), sample, layer.weight.dtype), state)
            returned += outputs.shape[-1]
        moments.append({"returned": returned, **{name: array[0].ravel() for name, array in state.items()}})
    try:
        return moments, returned + streaming.flush(state).shape[-1]
    except cp.InvalidValueError:
        return moments, 0


def same_moment(found, moment, up):
    """Whether the positions that the script says are kept are those of the arrays of the state."""
    names = ("partial", "waiting") if up else ("pending", "start", "tail")
    if any(len(found[name]) != len(moment.get(name, ())) for name in names):
        return False
    samples = [] if up else [(found[name], moment.get(name, ())) for name in names]
    return found["returned"] == moment["returned"] and all(
        position < 0 or position + 1 == value for positions, values in samples for position, value in zip(positions, values)
    )


@pytest.mark.needs("playwright", "chromium")
@pytest.mark.parametrize("up", [False, True], ids=["convolutions", "transposed"])
def test_the_script_shows_what_a_stream_keeps(page, ranges, up):
    """Random layers, sample by sample: the arrays of the state, the number of outputs, the delay and the reason of a refusal."""
    draws, refused, shown = random.Random(5), 0, 0
    for _ in range(250):
        side, view, policy = tables.random_layer(draws, ranges, up, NUMBERS)
        found = page.evaluate(LOOKED_UP, [side, view, up])
        if found.get("isPlan"):
            continue
        try:
            layer, streaming = prepared(policy, view, up)
        except ConvPolicyError as error:
            assert found["reason"] == str(error)
            refused += 1
            continue
        assert "reason" not in found, (side, view, found)
        moments, outputs = streamed(layer, streaming, view["length"])
        assert (found["delay"], found["outputs"]) == (streaming.delay, outputs), (side, view)
        first = 1 if up else 0  # before the first sample the sums are zeros
        assert all(same_moment(*pair, up) for pair in list(zip(found["times"], moments))[first:]), (side, view)
        shown += 1
    assert refused > 10
    assert shown > 60


@pytest.mark.needs("playwright", "chromium")
def test_the_slider_says_what_is_kept_returned_and_waiting(page):
    """The texts for a screen reader, the keyboard, the end, the address, a refusal, and transposed convolutions."""
    page.evaluate("location.hash = 'a=torch&ap=2,2&b=keras&bp=causal&k=5&s=1&d=1&n=6&at=3'")
    page.wait_for_function("state.time === 3")
    assert page.get_attribute("#streamed", "aria-live") == "polite"
    lines = [
        "3 of 6 samples have come.",
        "A: keeps samples 1 to 3 and 1 added element | returned outputs 0 | waiting 1, 2 | delay 2 samples",
        "B: keeps samples 1 to 3 and 1 added element | returned outputs 0 to 2 | waiting none | delay 0 samples",
    ]
    assert page.inner_text("#streamed").split("\n\n") == lines
    kinds = page.eval_on_selector_all("svg[data-stream=a] .moment", "all => all.map((one) => one.classList[1])")
    assert kinds == ["read", *["kept"] * 4, *["future"] * 5, "returned", "waits", "waits", *["future"] * 3]
    page.focus("#time")
    page.keyboard.press("End")
    assert page.get_attribute("#time", "aria-valuetext") == "end"
    assert "at=7" in page.evaluate("location.hash")
    assert page.inner_text("#streamed p:nth-child(2)") == "A: at the end flush returns outputs 4, 5 | delay 2 samples"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#streamed p:first-child") == "6 of 6 samples have come."
    page.select_option("[data-side=a][data-key=mode]", "circular")
    assert page.inner_text("#streams p").startswith(
        "– padding_mode 'circular' cannot be streamed, since the padding before the first"
    )
    page.evaluate("location.hash = 't=1&a=torch&b=torch&ap=1,1&bp=causal&k=4&s=2&d=1&n=6&at=3'")
    page.wait_for_function("state.up && state.time === 3")
    assert page.inner_text("#streamed p:nth-child(2)") == (
        "A: keeps sums of outputs 6, 7 | returned outputs 1 to 5 | waiting 6 | delay 1 sample"
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
