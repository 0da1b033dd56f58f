"""The check of a backend's ``arrays``: a layer whose input comes in chunks equals the float64 reference of the whole."""

from __future__ import annotations

import numpy as np

from convpolicy.chunks.building import stage_of
from convpolicy.errors import InvalidValueError
from convpolicy.layers.backend import Backend
from convpolicy.testing.backend_cases import FEW, arrays, build, each_dtype, judge, trying


def streaming(backend: Backend, transposed: bool) -> None:
    """Some layers whose padding can be streamed, with chunks of any length, also an empty one."""
    assert backend.arrays is not None
    for number, (one, dtype) in enumerate(each_dtype(backend, 2 * FEW, "streaming", transposed=transposed)):
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
