"""Whether an output changes with a later sample, found by running layers on the NumPy backend; no name is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import numpy as np

from convpolicy.factory import Conv1d
from convpolicy.policy import Policy

PROBED_SAMPLES = 2**22  # of one batch, 32 MiB


@attrs.frozen
class Causality:
    """What a probe found; true or false as it is causal or not.

    Attributes:
        output, length: an output that changes with a later sample, and the input length at which it does; None when none does.
        sample: the last sample that this output reads.
        hop_end: the last sample of the output's own hop, ``(output + 1) * stride - 1``.
    """

    output: int | None = None
    length: int | None = None
    sample: int | None = None
    hop_end: int | None = None

    def __bool__(self) -> bool:
        return self.output is None

    def __str__(self) -> str:
        if self:
            return "causal: no output changes with a sample after its own hop"
        return (
            f"not causal: of an input of {self.length} samples, output {self.output} reads sample {self.sample}, after its own hop, "
            f"which ends at {self.hop_end}"
        )


def unit_layer(policy: Policy, kernel_size: int, stride: int, dilation: int) -> Callable[[Any], Any]:
    """Return a float64 layer of one channel whose weights are all 1, without bias."""
    layer: Callable[[Any], Any] = Conv1d(
        1, 1, kernel_size, stride, dilation=dilation, policy=policy, bias=False, weight_init=1.0, dtype="float64"
    )
    return layer


def probe(layers: Iterable[Callable[[Any], Any]], length: int, outputs: int, stride: int) -> int | None:
    """Return the first output of layers in a row that changes with a sample after its own hop, or None.

    Every later sample is made NaN, which no weight hides.

    Args:
        layers: see `unit_layer`.
        length: input length in samples.
        outputs: how many outputs the layers give for it.
        stride: of all of them together; output i has the hop that ends at ``(i + 1) * stride - 1``.
    """
    step = max(PROBED_SAMPLES // max(length, 1), 1)
    for first in range(0, outputs, step):
        numbers = np.arange(first, min(first + step, outputs))
        data = np.where(np.arange(length) < (numbers + 1)[:, None] * stride, 1.0, np.nan)[:, None]
        for layer in layers:
            data = layer(data)
        changed = np.flatnonzero(np.isnan(data[np.arange(len(numbers)), 0, numbers]))
        if changed.size:
            return int(numbers[changed[0]])
    return None
