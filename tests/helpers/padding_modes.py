"""Padding modes by definition: what each added element repeats, found by stepping along the input."""

from __future__ import annotations

import itertools

import convpolicy as cp
from convpolicy import reference

Choice = cp.Choice
MODES = [name for name, mode in cp.padding_modes().items() if mode.provider == "padding_modes"]  # the built-in ones
MIRRORS = ("reflect", "symmetric", "circular")  # these reach only so far
VALUE = 7.5


def choice_of(mode, overflow=None):
    """Return the mode with an overflow rule, where it has one."""
    params = {"overflow": overflow, "value": VALUE if mode == "constant" else None}
    return Choice(mode, **{name: params[name] for name in cp.padding_modes()[mode].params if params.get(name) is not None})


def padded(chosen, samples, left, right):
    """Pad through a plan: each added element is what ``left_sources`` and ``right_sources`` say."""
    plan = cp.policy("torch").evolve(padding=(left, right), padding_mode=chosen).plan(1, length=len(samples))
    before, after = ([plan.value if n < 0 else samples[n] for n in part] for part in (plan.left_sources, plan.right_sources))
    assert plan.length_out == left + len(samples) + right
    return [*before, *samples, *after]


def numbered(length):
    """Return the samples 1, 2, 3, …: every one is told apart."""
    return [float(n + 1) for n in range(length)]


def check_pads(chosen, mode, length, left, right):
    """Assert that the mode ``chosen`` pads as ``reference.pad`` does under the name ``mode`` with the same parameters."""
    params = {"value": 0.0} | dict(chosen.params)
    expected = reference.pad(numbered(length), left, right, mode, **params)
    actual = padded(chosen, numbered(length), left, right)
    assert actual == expected, f"{chosen}, length {length}, left {left}, right {right}"


def check_mode(chosen, mode):
    """Assert the above on every small length and every pair of pads within the mode's reach, or beyond with an overflow rule."""
    for length in range(1, 6):
        reach = 2 * length + 3 if "overflow" in dict(chosen.params) or mode not in MIRRORS else length - (mode == "reflect")
        for left, right in itertools.product(range(reach + 1), repeat=2):
            check_pads(chosen, mode, length, left, right)
