"""Checks of the weights of a backend's layers: initial weights, `assign` and `capture`."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.testing.backend_cases import arrays, build, each_dtype, judge, trying
from convpolicy.testing.common import require


def _same_bits(array: Any, expected: Any) -> bool:
    return array is None if expected is None else array is not None and np.asarray(array).tobytes() == expected.tobytes()


def initial_weights(backend: Backend, transposed: bool, count: int) -> None:
    """A layer built with a random stream has the initial weights of its policy, bit for bit and repeatably."""
    for case, dtype in each_dtype(backend, count, transposed=transposed):
        with trying(case, backend, dtype):
            policy = case.policy().evolve(weight_init="uniform", bias_init="normal")
            spec = case.spec
            request = LayerRequest(spec, policy, dtype, case.execution)
            for seed in (0, 1, 0):
                parameters = backend.parameters(backend.layer(request, policy.start_stream(seed), None))
                expected = policy.draw(spec, policy.start_stream(seed), dtype)
                for role, value in expected.items():
                    require(
                        _same_bits(parameters[role], value),
                        f"the initial {role} of a {dtype} layer must be bit-identical to what the stream draws after seed {seed}, for {case}.",
                    )


def assign(backend: Backend, transposed: bool, count: int) -> None:
    """Weights written by `assign`, as arrays that are reversed in memory, are read back bit for bit, and the layer computes with them."""
    for number, (case, dtype) in enumerate(each_dtype(backend, count, transposed=transposed)):
        with trying(case, backend, dtype):
            first, data = arrays([number, 1], case, dtype)
            second, _data = arrays([number, 2], case, dtype)
            layer = build(backend, case, first, dtype)
            backend.run(layer, data)
            backend.assign(layer, {role: None if value is None else value[::-1].copy()[::-1] for role, value in second.items()})
            parameters = backend.parameters(layer)
            for role, value in second.items():
                require(
                    _same_bits(parameters[role], value),
                    f"parameters must return the {role} that assign wrote, bit for bit, for {case}.",
                )
            judge(case, second, data, backend.run(layer, data), dtype)


def capture(backend: Backend, transposed: bool, count: int) -> None:
    """`capture` returns the sizes, padding and weights that a layer was built with."""
    assert backend.capture is not None
    require(backend.capture(object()) is None, "capture must return None for an object that is not a layer of its framework.")
    for number, (case, dtype) in enumerate(each_dtype(backend, count, transposed=transposed)):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            captured = backend.capture(layer)
            require(captured is not None, f"capture must accept layers that the backend built, got None, for {case}.")
            require(captured.spec == case.spec, f"capture must return the sizes {case.spec}, got {captured.spec}, for {case}.")
            require(captured.dtype == dtype, f"capture must return dtype {dtype}, got {captured.dtype!r}, for {case}.")
            for role, value in values.items():
                require(
                    _same_bits(getattr(captured, role), value),
                    f"capture must return the layer's {role}, bit for bit, for {case}.",
                )
            request = LayerRequest(
                captured.spec, captured.policy.evolve(weight_init="zeros", bias_init="zeros"), dtype, case.execution
            )
            rebuilt = backend.layer(request, None, None)
            backend.assign(rebuilt, {"weight": captured.weight, "bias": captured.bias})
            judge(case, values, data, backend.run(rebuilt, data), dtype)
