"""The checks of a backend's ``arrays``: a layer whose input comes in chunks, or is cut over ranks, equals the float64 reference of the whole."""

from __future__ import annotations

import numpy as np

from convpolicy.chunks.building import stage_of
from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.core.sharding import shards_of
from convpolicy.errors import InvalidValueError
from convpolicy.layers.backend import Backend
from convpolicy.shards import one_process
from convpolicy.testing.backend_cases import arrays, build, each_dtype, judge, trying

RANKS = 3
CUT = 2  # layers of each dtype that are cut over ranks: a framework that compiles takes a second for each


def streaming(backend: Backend, transposed: bool, count: int) -> None:
    """Some layers whose padding can be streamed, with chunks of any length, also an empty one."""
    assert backend.arrays is not None
    for number, (one, dtype) in enumerate(each_dtype(backend, count, "streaming", transposed=transposed)):
        case = one._replace(batch=2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            own = backend.arrays(layer, case.spec)
            try:
                stage = stage_of(own, case.policy(), case.spec)
            except InvalidValueError:  # the first outputs depend on the end of the input
                continue
            draw = np.random.default_rng([11, number])
            cuts = sorted(draw.integers(0, case.length + 1, 3).tolist())
            state, outputs = stage.initial(2), []
            for chunk in np.split(data, [0, *cuts], axis=-1):
                output, state = stage.step(own.of_numpy(np.ascontiguousarray(chunk)), state)
                outputs.append(own.to_numpy(output))
            outputs.append(own.to_numpy(stage.end(state)))
            judge(case, values, data, np.concatenate(outputs, axis=-1), dtype)


def sharding(backend: Backend, transposed: bool) -> None:
    """Some layers whose input is cut over 3 ranks at any places, one rank after another in this process."""
    assert backend.arrays is not None
    for number, (one, dtype) in enumerate(each_dtype(backend, CUT, "sharding", transposed=transposed)):
        case = one._replace(batch=2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            own = backend.arrays(build(backend, case, values, dtype), case.spec)
            draw = np.random.default_rng([12, number])
            cuts = sorted(draw.integers(0, case.length + 1, RANKS - 1).tolist())
            sizes = (case.spec.kernel_size, case.spec.stride, case.spec.dilation)
            shards = shards_of(case.policy(), case.length, [0, *cuts, case.length], sizes, CONTIGUOUS, None)
            outputs = one_process.outputs(own, case.spec, shards, one_process.split(own, shards, own.of_numpy(data)))
            judge(case, values, data, own.to_numpy(one_process.joined(own, shards, outputs)), dtype)
