"""The weights of a backend's layers: those they start with, those written into them, and those a capture takes out."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.testing.backend_cases import FEW, arrays, build, each_dtype, judge, trying
from convpolicy.testing.common import require


def _same_bits(found: Any, wanted: Any) -> bool:
    return found is None if wanted is None else found is not None and np.asarray(found).tobytes() == wanted.tobytes()


def initial_weights(backend: Backend) -> None:
    """With a stream the weights are the policy's, to the bit, again and again; another seed gives others."""
    for case, dtype in each_dtype(backend, FEW, "initial"):
        with trying(case, backend, dtype):
            policy = case.policy().evolve(weight_init="uniform", bias_init="normal")
            spec = case.spec
            request = LayerRequest(spec, policy, dtype, case.execution)
            for seed in (0, 1, 0):
                found = backend.parameters(backend.layer(request, policy.start_stream(seed), None))
                wanted = policy.initial(spec.in_channels, spec.out_channels, spec.kernel_size, spec.groups, seed, dtype=dtype)
                for role, value in wanted.items():
                    require(
                        _same_bits(found[role], value),
                        f"the initial {role} of a {dtype} layer must be what the stream gives after seed {seed}, to the bit, for {case}.",
                    )


def assign(backend: Backend) -> None:
    """Weights written into a layer are read back to the bit, and are what it computes with from then on."""
    for number, (case, dtype) in enumerate(each_dtype(backend, FEW, "assign")):
        with trying(case, backend, dtype):
            first, data = arrays([number, 1], case, dtype)
            second, _data = arrays([number, 2], case, dtype)
            layer = build(backend, case, first, dtype)
            backend.run(layer, data)
            backend.assign(layer, second)
            found = backend.parameters(layer)
            for role, value in second.items():
                require(
                    _same_bits(found[role], value), f"parameters must give the {role} that assign wrote, to the bit, for {case}."
                )
            judge(case, second, data, backend.run(layer, data), dtype)


def capture(backend: Backend) -> None:
    """A layer of its own, taken apart, is the sizes, pads and weights that it was built with."""
    assert backend.capture is not None
    require(backend.capture(object()) is None, "capture must give None for what is no layer of its framework.")
    for number, (case, dtype) in enumerate(each_dtype(backend, 2 * FEW, "capture")):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            found = backend.capture(layer)
            require(found is not None, f"capture must take its own layers apart, got None, for {case}.")
            require(found.spec == case.spec, f"capture must give the sizes {case.spec}, got {found.spec}, for {case}.")
            require(found.dtype == dtype, f"capture must give dtype {dtype}, got {found.dtype!r}, for {case}.")
            for role, value in values.items():
                require(_same_bits(getattr(found, role), value), f"capture must give the layer's {role}, to the bit, for {case}.")
            request = LayerRequest(found.spec, found.policy.evolve(weight_init="zeros", bias_init="zeros"), dtype, case.execution)
            rebuilt = backend.layer(request, None, None)
            backend.assign(rebuilt, {"weight": found.weight, "bias": found.bias})
            judge(case, values, data, backend.run(rebuilt, data), dtype)
