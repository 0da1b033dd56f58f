"""Drawings of plans: every label and every window mark is read back and compared with the float64 reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison.drawing import draw

WIDE = 10_000
MODES = ("zeros", "replicate", "reflect", "symmetric", "circular")


@st.composite
def plans(draw_from):
    """A plan of any mode with pads up to twice the input, and one window at least."""
    kernel, stride, dilation = (draw_from(st.integers(1, n)) for n in (6, 4, 3))
    length = draw_from(st.integers(1, 30))
    pads = draw_from(st.tuples(st.integers(0, 2 * length), st.integers(0, 2 * length)))
    mode = draw_from(st.sampled_from(MODES))
    mode = mode if mode == "zeros" else cp.Choice(mode, overflow="periodic")
    return cp.policy("torch").evolve(padding=pads, padding_mode=mode).plan(kernel, stride, dilation, length=length)


def labelled(plan) -> list[str]:
    """The padded axis by the float64 reference: samples numbered from 1, padding as what it repeats, zeros as 0."""
    numbered = [float(n + 1) for n in range(plan.length)]
    padded = [int(n) for n in reference.pad(numbered, plan.left, plan.right, plan.mode)]
    return ["0" if n == 0 else "123456789abcdefghijklmnopqrstuvwxyz"[(n - 1) % 35] for n in padded]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(plans())
def test_every_label_and_mark_stands_where_the_reference_puts_it(plan):
    """Without the edges a drawing is the padded axis, and under it exactly the taps of every output."""
    lines = draw(plan, width=WIDE, rows=WIDE).splitlines()
    axis = lines[0].lstrip(" ")
    margin = len(lines[0]) - len(axis)
    edges = {plan.left, plan.left + plan.length + 1}
    assert {cell for cell, label in enumerate(axis) if label == "|"} == edges
    assert [label for cell, label in enumerate(axis) if cell not in edges] == labelled(plan)
    for output in range(plan.length_out):
        assert lines[1 + output].startswith(f"output {output} ")
        marks = lines[1 + output][margin:].ljust(len(axis))
        without_edges = "".join(mark for cell, mark in enumerate(marks) if cell not in edges)
        taps = {output * plan.stride + tap * plan.dilation for tap in range(plan.kernel_size)}
        assert {cell for cell, mark in enumerate(without_edges) if mark == "^"} == taps


@settings(max_examples=60, deadline=None, derandomize=True)
@given(plans(), st.integers(24, 60), st.integers(2, 9))
def test_a_cut_drawing_is_the_ends_of_the_whole_one(plan, width, rows):
    """Cut to a width and a number of rows, every line is the head and the tail of the same line drawn in full."""
    whole = draw(plan, width=WIDE, rows=WIDE).splitlines()
    cut = draw(plan, width=width, rows=rows).splitlines()
    by_name = {line.split("  ")[0]: line for line in whole}
    margin = len(whole[0]) - len(whole[0].lstrip(" "))
    outputs = [line for line in cut if line.startswith("output ")]
    assert len(outputs) == min(rows, plan.length_out)
    assert max(len(line) for line in cut[: 1 + len(outputs)]) <= width
    for line in (cut[0], *outputs):
        full = (whole[0] if line is cut[0] else by_name[line.split("  ")[0]])[margin:].ljust(plan.padded_length + 2)
        head, elided, tail = line[margin:].partition(" …")
        if elided:
            tail = tail[1:].ljust(len(head))
            assert full.startswith(head)
            assert full.endswith(tail)
        else:
            assert head.rstrip() == full.rstrip()


def test_known_drawings():
    """Drawings written by hand: an odd element right, a reflection, a dilated window, a constant, unread samples, no window."""
    torch = cp.policy("torch")
    assert draw(cp.policy("mindspore").plan(4, stride=2, length=5)) == (
        "          0|12345|00\noutput 0  ^|^^^  |\noutput 1   | ^^^^|\noutput 2   |   ^^|^^"
    )
    assert draw(torch.evolve(padding=2, padding_mode="reflect").plan(3, dilation=2, length=4)) == (
        "          32|1234|32\noutput 0  ^ |^ ^ |\noutput 1   ^| ^ ^|\noutput 2    |^ ^ |^\noutput 3    | ^ ^| ^"
    )
    assert draw(torch.evolve(padding=(1, 0), padding_mode=cp.Choice("constant", value=1.5)).plan(2, length=2)) == (
        "          *|12|\noutput 0  ^|^ |\noutput 1   |^^|\n* is 1.5"
    )
    assert draw(torch.plan(2, stride=3, length=4)) == (
        "          |1234|\noutput 0  |^^  |\nread by no window: the last 2 of 4 padded samples"
    )
    assert draw(torch.plan(5, length=3)) == "|123|\nno window of 5 fits into 3 samples"


@pytest.mark.parametrize(("argument", "value"), [("width", 23), ("width", None), ("rows", 1), ("rows", 2.5)])
def test_sizes_of_a_drawing_are_checked(argument, value):
    """A width below 24, fewer than two rows and anything that is no integer are refused by name."""
    with pytest.raises(cp.ConvPolicyError, match=rf"{argument} must be .* got"):
        draw(cp.policy("torch").plan(3, length=9), **{argument: value})
