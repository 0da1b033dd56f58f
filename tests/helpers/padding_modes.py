"""Padding modes by definition: what each added element is, found by stepping along the input."""

from __future__ import annotations

import itertools

import numpy as np

import convpolicy as cp
from convpolicy import reference

Choice = cp.Choice
MODES = [name for name, mode in cp.padding_modes().items() if mode.provider == "padding_modes" and name != "per_side"]  # built in
MIRRORS = ("reflect", "symmetric", "circular")  # these reach only so far
SUMS = ("odd", "odd_symmetric", "extrapolate", "linear_ramp")  # these compute; the first two also reach only so far
COPYING = [mode for mode in MODES if mode not in SUMS]
FOLDING = tuple(mode for mode in MODES if mode in reference.REACHES)
VALUE = 7.5


def choice_of(mode, overflow=None):
    """Return the mode with an overflow rule, where it has one."""
    params = {"overflow": overflow, "value": VALUE if mode in ("constant", "linear_ramp") else None}
    return Choice(mode, **{name: params[name] for name in cp.padding_modes()[mode].params if params.get(name) is not None})


def plan_of(chosen, length, left, right):
    """Return the plan of a kernel of 1, whose outputs are the padded input."""
    plan = cp.policy("torch").evolve(padding=(left, right), padding_mode=chosen).plan(1, length=length)
    assert plan.length_out == left + length + right
    return plan


def padded(chosen, samples, left, right):
    """Pad through a plan that copies: each added element is what ``left_sources`` and ``right_sources`` say."""
    plan = plan_of(chosen, len(samples), left, right)
    before, after = ([plan.value if n < 0 else samples[n] for n in part] for part in (plan.left_sources, plan.right_sources))
    return [*before, *samples, *after]


def numbered(length):
    """Return the samples 1, 2, 3, …: every one is told apart."""
    return [float(n + 1) for n in range(length)]


def curved(length):
    """Return the samples 1, 4, 9, …: no three on a line, so that every sum is told apart."""
    return [float((n + 1) ** 2) for n in range(length)]


def check_pads(chosen, mode, length, left, right):
    """Assert that the mode ``chosen`` pads as the reference does under the name ``mode`` with the same parameters."""
    params = {"value": 0.0} | dict(chosen.params)
    about = f"{chosen}, length {length}, left {left}, right {right}"
    if mode not in SUMS:
        assert padded(chosen, numbered(length), left, right) == reference.pad(numbered(length), left, right, mode, **params), (
            about
        )
        return
    elements = np.array(reference.elements(curved(length), left, right, mode, **params)).reshape(-1, 2)
    actual = plan_of(chosen, length, left, right).padded(np.array([curved(length)]))[0]
    bound = 2 * reference.tolerance("float64", reference.SUM_ROUNDINGS, elements[:, 1])
    assert (np.abs(actual - elements[:, 0]) <= bound).all(), about


def check_mode(chosen, mode):
    """Assert the above on every small length and every pair of pads within the mode's reach, or beyond with an overflow rule."""
    for length in range(2 if mode == "extrapolate" else 1, 6):
        folds = "overflow" not in dict(chosen.params) and mode in reference.REACHES
        reach = length - reference.REACHES[mode] if folds else 2 * length + 3
        for left, right in itertools.product(range(reach + 1), repeat=2):
            check_pads(chosen, mode, length, left, right)
