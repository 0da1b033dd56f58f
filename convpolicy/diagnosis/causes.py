"""The aspects in which two layers may differ, and the function that proposes changes for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import attrs

from convpolicy.diagnosis.change import Change, Finder
from convpolicy.diagnosis.computation import Computation, Target
from convpolicy.diagnosis.crops import amounts, appended_zeros, modes, output_paddings, sides, splits
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
_FIRST: dict[str, Finder] = {
    "flip": flips,
    "layout": layouts,
    "precision": precisions,
    "input axes": input_axes,
    "stride": strides,
    "dilation": dilations,
}
_PADS: dict[str, Finder] = {
    "total": totals,
    "odd side": odd_sides,
    "stride phase": partial(shifts, strided=True),
    "split": partial(shifts, strided=False),
    "padding mode": padding_modes,
}
_CUTS: dict[str, Finder] = {
    "output_padding": output_paddings,
    "cut total": amounts,
    "appended zeros": appended_zeros,
    "cut side": sides,
    "cut split": splits,
    "padding mode": modes,
}
_LAST: dict[str, Finder] = {
    "scale": scales,
    "bias": biases,
    "activation": activations,  # last: the numbers fitted above are fitted to outputs without an activation
}
_SIZES: dict[str, Finder] = {"kernel_size and groups": other_sizes}
_WEIGHTS: dict[str, Finder] = {"initial weights": other_weights}


@attrs.frozen(eq=False)
class Causes:
    """The aspects in which two layers of one kind may differ.

    Attributes:
        aspects: aspect -> function that yields changes.
        catch_all: aspects that can explain almost any difference. They are tried only if nothing in ``aspects`` does.
        everything: both. The sizes come first, because the amount of padding depends on them.
    """

    aspects: Mapping[str, Finder]
    catch_all: Mapping[str, Finder] = attrs.field(factory=lambda: _SIZES | _WEIGHTS)

    @property
    def everything(self) -> dict[str, Finder]:
        """All aspects, in the order in which pairs apply them."""
        return {**_SIZES, **self.aspects, **_WEIGHTS}


CONVOLUTION = Causes(_FIRST | _PADS | _LAST)
TRANSPOSED = Causes(_FIRST | _CUTS | _LAST)


def causes_of(now: Computation) -> Causes:
    """Return the aspects for the kind of layer of a computation."""
    return TRANSPOSED if now.capture.spec.transposed else CONVOLUTION


def candidates(
    aspects: Iterable[str], now: Computation, other: Computation | None, target: Target
) -> Iterator[tuple[str, Change]]:
    """Yield every possible change of some aspects, with its aspect; sizes that a padding rule refuses are left out."""
    finders = causes_of(now).everything
    for aspect in aspects:
        for change in finders[aspect](now, other, target):
            try:
                change.result.plan  # noqa: B018 - a padding rule raises here when it refuses these sizes
            except ConvPolicyError:
                continue
            yield aspect, change
