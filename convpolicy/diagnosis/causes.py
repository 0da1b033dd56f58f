"""The aspects in which two layers may differ, and the function that proposes changes for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from convpolicy.diagnosis.change import Change, Finder
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.diagnosis.weights import (
    activations,
    biases,
    flips,
    input_axes,
    layouts,
    other_sizes,
    other_weights,
    precisions,
    scales,
)
from convpolicy.diagnosis.windows import dilations, odd_sides, padding_modes, shifts, strides, totals
from convpolicy.errors import ConvPolicyError

# Aspect -> function that yields changes. In a pair the second change applies to the result of the first, so slow ones come first.
ASPECTS: dict[str, Finder] = {
    "flip": flips,
    "layout": layouts,
    "precision": precisions,
    "input axes": input_axes,
    "stride": strides,
    "dilation": dilations,
    "total": totals,
    "odd side": odd_sides,
    "stride phase": partial(shifts, strided=True),
    "split": partial(shifts, strided=False),
    "padding mode": padding_modes,
    "scale": scales,
    "bias": biases,
    "activation": activations,  # last: the numbers fitted above are fitted to outputs without an activation
}
# Other weights can explain almost any difference, so they are tried only when nothing above does.
CATCH_ALL: dict[str, Finder] = {"kernel_size and groups": other_sizes, "initial weights": other_weights}
EVERYTHING = {"kernel_size and groups": other_sizes} | ASPECTS | CATCH_ALL  # first: the amount of padding depends on the sizes


def candidates(
    aspects: Iterable[str], now: Computation, other: Computation | None, target: Target
) -> Iterator[tuple[str, Change]]:
    """Yield every possible change of some aspects, with its aspect; sizes that a padding rule refuses are left out."""
    for aspect in aspects:
        for change in EVERYTHING[aspect](now, other, target):
            try:
                change.result.plan  # noqa: B018 - a padding rule raises here when it refuses these sizes
            except ConvPolicyError:
                continue
            yield aspect, change
