"""Drawings of transposed convolutions: every mark is compared with the outputs that one sample changes in the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import reference
from convpolicy.comparison import transposed_drawing
from convpolicy.comparison.drawing import draw

WIDE = 10_000
LABELS = "123456789abcdefghijklmnopqrstuvwxyz"


@st.composite
def plans(draw_from):
    """A plan with at least one output, of both modes; sides that cut and sides that append."""
    kernel, stride, dilation = (draw_from(st.integers(1, n)) for n in (6, 4, 3))
    length, mode = draw_from(st.integers(1, 12)), draw_from(st.sampled_from(("zeros", "circular")))
    full = (length - 1) * stride + (kernel - 1) * dilation + 1
    left = draw_from(st.integers(-3 if mode == "zeros" else 0, full - 1))
    right = draw_from(st.integers(-3 if mode == "zeros" else 0, full - 1 - max(left, 0)))
    return (
        cp.policy("torch").half().evolve(padding=(left, right), padding_mode=mode).plan(kernel, stride, dilation, length=length)
    )


def reached(plan, sample, *, cut=True):
    """The outputs that one sample changes, by the reference; with ``cut=False`` positions of the full result."""
    data = np.zeros((1, 1, plan.length))
    data[..., sample] = 1.0
    words = {"left": plan.left, "right": plan.right, "mode": plan.mode} if cut else {}
    weight = np.ones((1, 1, plan.kernel_size))
    output = reference.conv_transpose1d(data, weight, stride=plan.stride, dilation=plan.dilation, **words).output
    return set(np.flatnonzero(output[0, 0]).tolist())


def check(plan):
    """Compare labels, edges and marks with the reference."""
    lines = draw(plan, width=WIDE, rows=WIDE).splitlines()
    axis = lines[0].lstrip(" ")
    margin = len(lines[0]) - len(axis)
    left, outputs, right = axis.split("|")
    assert (len(left), len(outputs), len(right)) == (plan.cut[0], plan.length_out, plan.cut[1])
    zeros = {i for i, label in enumerate(outputs) if label == "0"}
    assert zeros == {*range(plan.appended[0]), *range(plan.length_out - plan.appended[1], plan.length_out)}
    assert all(label in ("0", LABELS[i % 35]) for i, label in enumerate(outputs))
    for sample in range(plan.length):
        assert lines[1 + sample].startswith(f"input {sample} ")
        marks = lines[1 + sample][margin:].ljust(len(axis)).split("|")
        kept = {i for i, mark in enumerate(marks[1]) if mark == "^"}
        everywhere = "".join(marks)
        full = {i - plan.appended[0] for i, mark in enumerate(everywhere) if mark == "^"}
        assert full == reached(plan, sample, cut=False)
        if plan.mode == "zeros":
            assert kept == reached(plan, sample)
            assert set(left + right) <= {"x"}
        else:  # what is cut has the label of the output to which it is added
            labels = {label for i, label in enumerate(left + outputs + right) if everywhere[i] == "^"}
            assert labels == {LABELS[i % 35] for i in reached(plan, sample)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(plans())
def test_every_mark_is_where_the_reference_puts_it(plan):
    """The marks of a sample are the outputs that it changes, and what is cut of them; appended outputs are reached by none."""
    check(plan)


def test_a_cut_on_the_other_side_is_noticed(monkeypatch):
    """The check above fails where the drawing exchanges the sides."""
    monkeypatch.setattr(transposed_drawing, "_shown", lambda plan: plan.cut[::-1])
    with pytest.raises(AssertionError):
        check(cp.policy("torch").half().evolve(padding=(1, 2)).plan(4, 2, length=5))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(plans(), st.integers(24, 60), st.integers(2, 6))
def test_a_cut_drawing_is_the_ends_of_the_whole_one(plan, width, rows):
    """Cut to a width and a number of rows, every line is the head and the tail of the same line drawn in full."""
    whole, cut = (draw(plan, *sizes).splitlines() for sizes in ((WIDE, WIDE), (width, rows)))
    by_name = {line.split("  ")[0]: line for line in whole}
    margin = len(whole[0]) - len(whole[0].lstrip(" "))
    inputs = [line for line in cut if line.startswith("input ")]
    assert len(inputs) == min(rows, plan.length)
    assert max(len(line) for line in cut[: 1 + len(inputs)]) <= width
    for line in (cut[0], *inputs):
        full = (whole[0] if line is cut[0] else by_name[line.split("  ")[0]])[margin:].ljust(len(whole[0]) - margin)
        head, elided, tail = line[margin:].partition(" …")
        if elided:
            assert full.startswith(head)
            assert full.endswith(tail[1:].ljust(len(head)))
        else:
            assert head.rstrip() == full.rstrip()


def test_known_drawings():
    """Drawings written by hand: both sides cut, a zero appended, a circular layer, and a result that is cut away."""
    half = cp.policy("torch").half()
    assert draw(half.evolve(padding=(1, 2)).plan(4, 3, length=3)) == (
        "         x|1234567|xx\n"
        "input 0  ^|^^^    |\n"
        "input 1   |  ^^^^ |\n"
        "input 2   |     ^^|^^\n"
        "cut away: the first 1 of 10 elements\n"
        "cut away: the last 2 of 10 elements"
    )
    assert draw(half.evolve(padding="at_least_stride").plan(2, 3, length=2)) == (
        "         |123450|\ninput 0  |^^    |\ninput 1  |   ^^ |\nappended: 1 at the end, which no sample reaches"
    )
    assert draw(half.evolve(padding=(0, 2), padding_mode="circular").plan(3, 1, length=3)).splitlines()[0] == "         |123|12"
    assert draw(half.evolve(padding=9).plan(3, 1, length=2)).splitlines()[-1] == "no output is left of 4 elements"
