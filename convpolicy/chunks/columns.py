"""States of other libraries: the last columns of the input of a causal convolution.

Other libraries keep the last samples of the input, oldest first, as an array (batch, channels, columns). `CONVENTIONS` contains how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convpolicy.arithmetic import integer
from convpolicy.chunks.convolution import PENDING, START, ConvolutionStage
from convpolicy.chunks.layer import SEEN
from convpolicy.chunks.stage import State
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown


class Convention(NamedTuple):
    """How a library keeps the last samples.

    Args:
        columns: number of columns of its arrays.
        left: number of samples that its layers pad on the left, which are the columns that the next output reads.
    """

    columns: Callable[[ConvSpec], int]
    left: Callable[[ConvSpec], int]


def _one_less(spec: ConvSpec) -> int:
    return spec.kernel_size - 1


def _overlap(spec: ConvSpec) -> int:
    return spec.effective_kernel - spec.stride


CONVENTIONS = {
    "mamba": Convention(
        lambda spec: spec.kernel_size, _one_less
    ),  # mamba_ssm, transformers: the oldest column is not read any more
    "causal-conv1d": Convention(_one_less, _one_less),  # initial_states and final_states; vLLM
    "transformers": Convention(_overlap, _overlap),  # the padding caches of Mimi and other codecs; Moshi
    "nemo": Convention(_one_less, _one_less),  # CausalConv1D, which pads (kernel_size - 1, stride - 1)
}


def state_from(columns: Any, stage: Any, convention: str | None = None, samples: int | None = None) -> State:
    """Return the state of a stream whose last samples are known; see `Streaming.state_from`."""
    arrays, plan = _causal(stage).arrays, stage.schedule
    spec = plan.spec
    arrays.check(columns, spec.in_channels, "columns")
    count, least = arrays.length(columns), max(_overlap(spec), 0)
    kept = count if count < spec.effective_kernel else least
    if convention is not None:
        known = _convention(convention, plan)
        kept = known.left(spec)
        if count != known.columns(spec):
            raise InvalidValueError(
                f"columns must be {known.columns(spec)} samples for convention {convention!r} and {_sizes(spec)}, got {count}; pass the "
                f"whole array of that library, or leave convention out."
            )
    elif count < least:
        raise InvalidValueError(
            f"columns must be at least the last {least} samples for {_sizes(spec)}, got {count}; pass more, or pad with zeros on the left "
            f"if the stream is shorter."
        )
    state = {PENDING: arrays.owned(arrays.cut(columns, count - kept))}
    if plan.first:  # only their number is read after the start
        state[START] = arrays.zeros(arrays.shape(columns.shape[0], spec.in_channels, plan.first))
    if plan.counts:
        if samples is None:
            raise InvalidValueError(
                "samples must be the number of samples so far for a layer whose last outputs depend on it, got None; pass the number."
            )
        state[SEEN] = arrays.counter(columns.shape[0]) + integer("samples", samples, 1)
    return state


def columns_of(state: Mapping[str, Any], stage: Any, count: Any = None, convention: str | None = None) -> Any:
    """Return the last samples of a stream; see `Streaming.columns`."""
    arrays, plan, pending = _causal(stage).arrays, stage.schedule, state[PENDING]
    spec, known = plan.spec, arrays.length(pending)
    if plan.first and arrays.length(state[START]) < plan.first:
        raise InvalidValueError(
            f"state must be one after the first {plan.first} samples, got one after {arrays.length(state[START])}; step further first."
        )
    if convention is not None:
        if count is not None:
            raise InvalidValueError(f"count must be left out for a convention, got {shown(count)}; leave it or convention out.")
        rule = _convention(convention, plan)
        if known != rule.left(spec):
            raise InvalidValueError(
                f"state must be one after a multiple of the stride {spec.stride} for convention {convention!r}, which keeps "
                f"{rule.left(spec)} samples, got one that keeps {known}; pass chunks of a multiple of the stride."
            )
        count = rule.columns(spec)
    missing = integer("count", known if count is None else count, known) - known
    if not missing:
        return pending
    zeros = arrays.zeros(arrays.shape(pending.shape[0], spec.in_channels, missing))
    return arrays.end_to_end(zeros, pending)


def _convention(name: Any, plan: Any) -> Convention:
    """Return a convention by its name.

    Raises:
        InvalidValueError: there is no such convention, or its layers have other padding than the layer.
    """
    if name not in CONVENTIONS:
        raise InvalidValueError(f"convention must be one of {', '.join(CONVENTIONS)}, got {shown(name)}; pick one.")
    left = CONVENTIONS[name].left(plan.spec)
    if left != plan.left:
        raise InvalidValueError(
            f"convention must be one of a library whose layers start with as many added samples as the layer, {plan.left}, got {name!r}, "
            f"whose layers add {left} for {_sizes(plan.spec)}; pass the columns without a convention."
        )
    return CONVENTIONS[name]


def _sizes(spec: ConvSpec) -> str:
    return f"kernel_size {spec.kernel_size}, stride {spec.stride} and dilation {spec.dilation}"


def _causal(stage: Any) -> Any:
    """Return a stage whose state is known from the last samples of its input and their number.

    Raises:
        InvalidTypeError: the state of the stage is more than that. The message contains the names of its arrays.
    """
    if not isinstance(stage, ConvolutionStage) or not set(stage.shapes()) <= {PENDING, START, SEEN}:
        raise InvalidTypeError(
            f"layer must be one convolution whose next outputs read its last samples only, such as a causal one, got one with the state "
            f"{', '.join(map(repr, stage.shapes()))}; pass its state as it is."
        )
    return stage
