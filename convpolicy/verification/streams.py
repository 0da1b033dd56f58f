"""The comparison of a backend's streams with its layers on the whole input, run in a separate process.

``python -m convpolicy.verification.streams BACKEND …`` prints one JSON row per claim after `MARK`.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.chunks import Streaming, streaming
from convpolicy.chunks.stage import State
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.backend import Backend
from convpolicy.layers.conv1d import Conv1d
from convpolicy.layers.conv_transpose1d import ConvTranspose1d
from convpolicy.verification import Claim, Verification, rows
from convpolicy.verification.cases import CLOSE, DIFFERS, EXACT
from convpolicy.verification.claims import NOT_CHECKED, row
from convpolicy.verification.native import MARK

LAYERS: tuple[tuple[Callable[..., Any], dict[str, Any]], ...] = (
    (Conv1d, {"kernel_size": 5, "padding": "causal"}),
    (Conv1d, {"kernel_size": 5, "padding": (2, 2), "padding_mode": "reflect"}),
    (Conv1d, {"kernel_size": 4, "stride": 2, "padding": "semicausal"}),
    (Conv1d, {"kernel_size": 2, "stride": 3, "padding": (1, 2), "padding_mode": "replicate"}),
    (ConvTranspose1d, {"kernel_size": 5, "stride": 2, "padding": (1, 2), "policy": "torch"}),
    (ConvTranspose1d, {"kernel_size": 2, "stride": 3, "padding": 0, "policy": "torch"}),
)
CHANNELS = (4, 8)
WIDE = (64, 64)  # channels for which libraries add in another order when a call has more outputs
SHORT, LONG = 6, 33  # samples; a short input is cut in every way
LENGTHS = (*range(1, 10), 20, LONG + 1)
CUTS = ([1, 4], [3, 3])  # for gradients
BOUND = 2 * 5 * max(CHANNELS) * float(np.finfo(np.float32).eps)  # relative to the sum of the terms' sizes, of 5 taps
Array = NDArray[Any]


def verify_streams(backends: Iterable[str] | None = None, *, progress: Callable[[Claim], None] | None = None) -> Verification:
    """Compare streams with the layer on the whole input, on this machine, each backend in a separate process.

    Args:
        backends: names of backends. None selects all that are installed and can stream.
        progress: function that is called with each `Claim` as soon as its result is known.

    Returns:
        A `Verification`. The field ``policy`` of its claims is the name of the backend.

    Raises:
        UnknownNameError: a backend is not registered.
    """
    parts = registry.current().parts("backend")
    chosen = (
        [part for part in parts.values() if part.arrays is not None and part.is_installed()]
        if backends is None
        else [registry.current().get("backend", name) for name in backends]
    )
    claims = []
    for backend in chosen:
        for result in rows([sys.executable, "-m", "convpolicy.verification.streams", backend.name], backend.environment):
            crash = result.get("crash")
            claim = Claim(backend.name, "", "process", "crashed", 0, crash) if crash else Claim(backend.name, "", **result)
            claims.append(claim)
            if progress is not None:
                progress(claim)
    return Verification(tuple(claims))


def check(backend: Backend) -> Iterator[dict[str, Any]]:
    """Yield the result of each claim."""
    if backend.arrays is None:
        yield row("streaming", NOT_CHECKED, 0, "the backend cannot stream")
        return
    for claim, function in CLAIMS.items():
        cases, worst, detail = 0, 0.0, ""
        for kind, arguments in LAYERS:
            for difference in function(backend, kind, arguments):
                cases += 1
                if not difference <= 1.0 and not detail:
                    detail = f"{kind.__name__} {arguments}: {difference:.3g} times the bound"
                worst = max(worst, difference)
        if cases:
            yield row(claim, DIFFERS if detail else EXACT if worst == 0 else CLOSE, cases, detail)
        else:
            yield row(claim, NOT_CHECKED, 0, "the backend has no gradients")


class _Case:
    """A layer, its stream, and a random input (rows, channels, length)."""

    def __init__(
        self, backend: Backend, kind: Any, arguments: dict[str, Any], channels: tuple[int, int], length: int, **options: Any
    ) -> None:
        self.backend = backend
        self.layer = kind(*channels, **arguments, backend=backend.name, seed=0)
        self.streaming: Streaming = streaming(self.layer, **options)
        self.arrays = self.streaming._stage.arrays
        self.data = np.random.default_rng(length).standard_normal((3, channels[0], length), dtype=np.float32)

    def bound(self, result: Callable[[], Array] | None = None) -> Array:
        """Return the rounding bound of each number of a result, from the layer with the sizes of all numbers.

        Args:
            result: function that returns the sum of the sizes of the terms. None for the outputs.
        """
        values = {name: None if value is None else value.copy() for name, value in self.backend.parameters(self.layer).items()}
        sizes = {name: None if value is None else np.abs(value) for name, value in values.items()}
        self.backend.assign(self.layer, sizes)
        bound = (self.whole(np.abs(self.data)) if result is None else result()) * BOUND
        self.backend.assign(self.layer, values)
        return bound

    def whole(self, data: Array) -> Array:
        return self.backend.run(self.layer, data)

    def streamed(self, cuts: Iterable[int], data: Array | None = None) -> Array:
        """Return the joined outputs for the places where the input is cut."""
        chunks = np.split(self.data if data is None else data, list(cuts), axis=-1)
        outputs, state = [], self.streaming.initial_state(len(chunks[0]))
        for chunk in chunks:
            output, state = self.step(chunk, state)
            outputs.append(output)
        return self.joined(outputs, state)

    def step(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Return the outputs of a chunk and the next state."""
        output, state = self.streaming.step(self.arrays.of_numpy(np.ascontiguousarray(chunk)), state)
        return self.arrays.to_numpy(output), state

    def joined(self, outputs: list[Array], state: State) -> Array:
        """Return the outputs of all steps and those that are left."""
        return np.concatenate([*outputs, self.arrays.to_numpy(self.streaming.flush(state))], axis=-1)

    def every_way(self, start: int, state: State, outputs: list[Array]) -> Iterator[Array]:
        """Yield the joined outputs for every way to cut the samples from ``start`` on. Ways that begin alike share their steps."""
        length = self.data.shape[-1]
        if start == length:
            yield self.joined(outputs, state)
        for stop in range(start + 1, length + 1):
            output, new = self.step(self.data[..., start:stop], state)
            yield from self.every_way(stop, new, [*outputs, output])

    def gradient(self, cuts: Iterable[int], upstream: Array) -> Array | None:
        """Return the gradient of the input through all steps, or None."""
        arrays, places = self.arrays, [0, *cuts, self.data.shape[-1]]

        def run(data: Any) -> Any:
            outputs, state = [], self.streaming.initial_state(data.shape[0])
            for start, stop in itertools.pairwise(places):
                output, state = self.streaming.step(arrays.cut(data, start, stop), state)
                outputs.append(output)
            return arrays.end_to_end(*outputs, self.streaming.flush(state))

        gradient = arrays.gradient(run, arrays.of_numpy(self.data), arrays.of_numpy(upstream))
        return None if gradient is None else arrays.to_numpy(gradient)


def _ratio(ours: Array, theirs: Array, bound: Array) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    difference = np.abs(ours - theirs)
    return float(np.max(np.where(difference == 0, 0, difference / np.maximum(bound, np.finfo(np.float32).tiny)), initial=0))


def every_chunking(backend: Backend, kind: Any, arguments: dict[str, Any]) -> Iterator[float]:
    """Cut a short input in every way, and also with empty chunks."""
    case = _Case(backend, kind, arguments, CHANNELS, SHORT)
    whole, bound = case.whole(case.data), case.bound()
    for outputs in case.every_way(0, case.streaming.initial_state(len(case.data)), []):
        yield _ratio(outputs, whole, bound)
    yield _ratio(case.streamed([0, 0, 4, 4]), whole, bound)


def lengths(backend: Backend, kind: Any, arguments: dict[str, Any]) -> Iterator[float]:
    """Compare the number of outputs for each length, and the refusal of inputs that are too short."""
    case = _Case(backend, kind, arguments, CHANNELS, max(LENGTHS))
    for length in LENGTHS:
        data = case.data[..., :length]
        try:
            expected = case.whole(np.ascontiguousarray(data)).shape
        except Exception:  # a layer of the framework's own class raises its own errors
            expected = None
        try:
            ours = case.streamed([length // 2], data).shape
        except ConvPolicyError:
            ours = None
        yield 0.0 if ours == expected else float("inf")


def unread_samples(backend: Backend, kind: Any, arguments: dict[str, Any]) -> Iterator[float]:
    """Put NaN behind the samples of a row: no output may read them. Rows of different lengths, one of which is reset."""
    case = _Case(backend, kind, arguments, CHANNELS, SHORT)
    live, counts = case.streaming.start(3), np.array([SHORT, 4, 0])
    data = case.data.copy()
    for number, count in enumerate(counts):
        data[number, :, count:] = np.nan
    live(case.arrays.of_numpy(data), lengths=counts)
    live.reset(np.array([False, True, False]))
    output = case.arrays.to_numpy(live(case.arrays.of_numpy(case.data)))
    fresh = case.streaming.start(3)
    first = case.arrays.to_numpy(fresh(case.arrays.of_numpy(case.data)))
    bound = case.bound()
    for number in (1, 2):
        count = int(live.lengths[number])
        yield _ratio(output[number, :, :count], first[number, :, : int(fresh.lengths[number])], bound[number, :, :count])
    yield 0.0 if np.isfinite(output).all() else float("inf")


def same_bits(backend: Backend, kind: Any, arguments: dict[str, Any]) -> Iterator[float]:
    """Compare the bits of several chunkings of a longer input of a wide layer, with ``execution="same-bits"``, also in a batch."""
    case = _Case(backend, kind, arguments, WIDE, LONG, execution="same-bits")
    last = case.data[-1:]
    whole = case.streamed([], last).tobytes()
    for cuts in (range(1, LONG), [3, 3, 20, 32]):
        yield 0.0 if case.streamed(cuts, last).tobytes() == whole else float("inf")
    yield 0.0 if case.streamed([1])[-1:].tobytes() == whole else float("inf")


def gradients(backend: Backend, kind: Any, arguments: dict[str, Any]) -> Iterator[float]:
    """Compare the gradient of the input through steps with that of the whole. Nothing if the backend has no gradients."""
    case = _Case(backend, kind, arguments, CHANNELS, SHORT)
    if backend.gradients is None:
        return
    upstream = np.random.default_rng(1).standard_normal(case.whole(case.data).shape, dtype=np.float32)
    whole: Any = backend.gradients(case.layer, case.data, upstream)["input"]
    sizes = partial(backend.gradients, case.layer, np.abs(case.data), np.abs(upstream))
    bound = case.bound(lambda: sizes()["input"])  # type: ignore[arg-type,return-value]
    for cuts in CUTS:
        if (ours := case.gradient(cuts, upstream)) is not None:
            yield _ratio(ours, whole, bound)


CLAIMS = {
    "every chunking": every_chunking,
    "lengths": lengths,
    "rows and resets": unread_samples,
    "gradients": gradients,
    "same bits": same_bits,
}


def main() -> None:
    """Print one row per claim."""
    backend: Backend = registry.current().get("backend", sys.argv[1])
    os.environ.update(backend.environment)
    for claim in check(backend):
        print(MARK + json.dumps(claim), flush=True)  # noqa: T201 - read by the process that started this one


if __name__ == "__main__":
    main()
