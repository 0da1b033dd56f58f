"""States of other libraries: the last columns of the input of a causal convolution.

Other libraries keep the last samples of the input, oldest first, as an array (batch, channels, columns):

- Mamba and vLLM: ``kernel_size`` columns, of which the oldest is not read any more
- ``transformers``' padding caches, Moshi and NeMo: ``effective kernel - stride`` columns
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convpolicy.arithmetic import integer
from convpolicy.chunks.convolution import PENDING, ConvolutionStage
from convpolicy.chunks.stage import State
from convpolicy.errors import InvalidTypeError, InvalidValueError


def state_from(columns: Any, stage: Any) -> State:
    """Return the state of a stream whose last samples are known; see `Streaming.state_from`."""
    arrays, spec = _causal(stage).arrays, stage.schedule.spec
    arrays.check(columns, spec.in_channels, "columns")
    count, least = arrays.length(columns), max(spec.effective_kernel - spec.stride, 0)
    if count < least:
        raise InvalidValueError(
            f"columns must be at least the last {least} samples for kernel_size {spec.kernel_size}, stride {spec.stride} and dilation "
            f"{spec.dilation}, got {count}; pass more, or pad with zeros on the left if the stream is shorter."
        )
    kept = count if count < spec.effective_kernel else least
    return {PENDING: arrays.owned(arrays.cut(columns, count - kept))}


def columns_of(state: Mapping[str, Any], count: Any, stage: Any) -> Any:
    """Return the last samples of a stream; see `Streaming.columns`."""
    arrays, pending = _causal(stage).arrays, state[PENDING]
    known = arrays.length(pending)
    missing = integer("count", known if count is None else count, known) - known
    if not missing:
        return pending
    zeros = arrays.zeros(arrays.shape(pending.shape[0], stage.schedule.spec.in_channels, missing))
    return arrays.end_to_end(zeros, pending)


def _causal(stage: Any) -> Any:
    """Return a stage whose state is the last samples of its input.

    Raises:
        InvalidTypeError: the state of the stage is more than that. The message contains the names of its arrays.
    """
    if not isinstance(stage, ConvolutionStage) or set(stage.shapes()) != {PENDING}:
        raise InvalidTypeError(
            f"layer must be one convolution whose state is 'pending' alone, such as a causal one with zeros, got one with the state "
            f"{', '.join(map(repr, stage.shapes()))}; pass its state as it is."
        )
    return stage
