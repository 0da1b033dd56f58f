"""The table of what may differ."""

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

# Aspect -> what to try. In a pair the later is applied to what the earlier gave, so what is slow to make comes first.
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
    "activation": activations,  # last: what is fitted above is fitted to sums
}
# Fits whatever the weights are, so it is asked only when nothing above explains the difference.
CATCH_ALL: dict[str, Finder] = {"kernel_size and groups": other_sizes, "initial weights": other_weights}
EVERYTHING = {"kernel_size and groups": other_sizes} | ASPECTS | CATCH_ALL  # a total follows from the sizes


def candidates(
    aspects: Iterable[str], now: Computation, other: Computation | None, target: Target
) -> Iterator[tuple[str, Change]]:
    """Yield every change of some aspects whose sizes hold, with its aspect."""
    for aspect in aspects:
        for change in EVERYTHING[aspect](now, other, target):
            try:
                change.result.plan  # noqa: B018 - a rule that refuses these sizes does so here
            except ConvPolicyError:
                continue
            yield aspect, change
