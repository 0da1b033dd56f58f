"""The table of what may differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from convpolicy.diagnosis import weights, windows
from convpolicy.diagnosis.change import Change, Finder
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.errors import ConvPolicyError

# Aspect -> what to try. In a pair the later is applied to what the earlier gave, so what is slow to make comes first.
ASPECTS: dict[str, Finder] = {
    "flip": weights.flips,
    "layout": weights.layouts,
    "precision": weights.precisions,
    "input axes": weights.input_axes,
    "stride": windows.strides,
    "dilation": windows.dilations,
    "total": windows.totals,
    "odd side": windows.odd_sides,
    "stride phase": partial(windows.shifts, strided=True),
    "split": partial(windows.shifts, strided=False),
    "padding mode": windows.padding_modes,
    "scale": weights.scales,
    "bias": weights.biases,
}
# Fits whatever the weights are, so it is asked only when nothing above explains the difference.
CATCH_ALL: dict[str, Finder] = {"kernel_size and groups": weights.other_sizes, "initial weights": weights.other_weights}
EVERYTHING = {"kernel_size and groups": weights.other_sizes} | ASPECTS | CATCH_ALL  # a total follows from the sizes


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
