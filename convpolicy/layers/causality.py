"""`Causality`: the answer of `Chain.causality`."""

from __future__ import annotations

import attrs


@attrs.frozen
class Causality:
    """Result of `Chain.causality`: true if the chain is causal, false with a counterexample if it is not.

    The hop of output ``i`` ends with sample ``ceil((i + 1) * stride) - 1``. In a causal chain, no output depends on a sample after its hop.

    Attributes:
        output: an output that depends on a sample after its hop. None if the chain is causal.
        length: input length of the counterexample.
        sample: the last sample that ``output`` depends on.
        hop_end: the last sample of the hop of ``output``, ``ceil((output + 1) * stride) - 1``.
    """

    output: int | None = None
    length: int | None = None
    sample: int | None = None
    hop_end: int | None = None

    def __bool__(self) -> bool:
        return self.output is None

    def __str__(self) -> str:
        if self:
            return "causal: no output depends on a sample after its hop"
        return (
            f"not causal: with {self.length} input samples, output {self.output} depends on sample {self.sample}, after its hop "
            f"ends at sample {self.hop_end}"
        )
