"""Checks of a learned padding constant, a parameter of the layer that starts from the policy's value and has a gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import LEARNED, Backend
from convpolicy.parts.choice import Choice
from convpolicy.testing.adjoint import adjoint, counts
from convpolicy.testing.backend_cases import (
    IN,
    OUT,
    PER_CHANNEL,
    POLICY,
    TWO_COMPUTATIONS,
    Case,
    arrays,
    build,
    check_array,
    compare,
    numpy_dtype,
    trying,
    within,
)
from convpolicy.testing.common import require

MODES = (
    Choice("constant", value=0.5, learned=True),
    Choice("constant", value=PER_CHANNEL, learned=True),
    Choice("per_side", left="reflect", right=Choice("constant", value=PER_CHANNEL, learned=True)),
)


def _cases(backend: Backend) -> Iterator[tuple[int, Case, str]]:
    spec = ConvSpec(IN, OUT, 3, 2, 1, 2)
    for number, mode in enumerate(MODES):
        for dtype in backend.dtypes:
            yield number, Case(spec, True, Choice("explicit", left=3, right=2), mode, 6, POLICY, batch=2), dtype


def _is_value(value: Any, expected: Any, dtype: str) -> bool:
    return np.array_equal(np.asarray(value), np.asarray(expected).astype(numpy_dtype(dtype)))


def learned(backend: Backend) -> None:
    """The constant is a named parameter, starts from the policy's value, can be written, and is what the layer pads with."""
    for number, case, dtype in _cases(backend):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            start = case.request(values, dtype).learned()
            assert start is not None
            parameters = backend.parameters(layer)
            require(
                set(parameters) == {"weight", "bias", LEARNED},
                f"parameters must also return {LEARNED!r}, got {sorted(parameters)}, for {case}.",
            )
            require(
                _is_value(parameters[LEARNED], start, dtype),
                f"{LEARNED} must start from {start}, got {parameters[LEARNED]}, for {case}.",
            )
            for value in (start, rounded(start * -2.0 - 1.0, dtype)):
                backend.assign(layer, {LEARNED: value.astype(numpy_dtype(dtype))})
                parameters = backend.parameters(layer)
                require(
                    _is_value(parameters[LEARNED], value, dtype),
                    f"assign must write {LEARNED}, got {parameters[LEARNED]}, for {case}.",
                )
                plan = case.plan()
                assert plan is not None
                mode = ("reflect", "constant") if case.mode.name == "per_side" else "constant"
                arguments: dict[str, Any] = {"stride": case.spec.stride, "groups": case.spec.groups, "mode": mode, "value": value}
                ideal = reference.conv1d(data, values["weight"], values["bias"], left=plan.left, right=plan.right, **arguments)
                compare(case, backend.run(layer, data), ideal, dtype)
            if backend.capture is not None:
                captured = backend.capture(layer)
                require(captured is not None, f"capture must accept layers that the backend built, got None, for {case}.")
                value_again = case.request(values, dtype).__class__(captured.spec, captured.policy, dtype).learned()
                require(
                    value_again is not None and _is_value(value_again, value, dtype),
                    f"capture must keep the learned constant, {value}, got {value_again}, for {case}.",
                )


def learned_gradient(backend: Backend) -> None:
    """The gradient equals the float64 reference, summed over every sample that contains the constant."""
    assert backend.gradients is not None
    for number, case, dtype in _cases(backend):
        with trying(case, backend, dtype):
            plan = case.plan()
            assert plan is not None
            values, data = arrays(number, case, dtype)
            draw = np.random.default_rng([11, number])
            upstream = rounded(draw.standard_normal((case.batch, OUT, plan.length_out)), dtype)
            gradients: Any = backend.gradients(build(backend, case, values, dtype), data, upstream)
            require(LEARNED in gradients, f"gradients must also return {LEARNED!r}, got {sorted(gradients)}, for {case}.")
            weight = values["weight"]
            assert weight is not None
            ideal, magnitude = (
                adjoint(case.spec, plan, weight, data, upstream, absolute=absolute)[LEARNED] for absolute in (False, True)
            )
            if np.ndim(gradients[LEARNED]) == 0:
                ideal, magnitude = ideal.sum(), magnitude.sum()
            check_array(case, f"the gradient to {LEARNED}", np.asarray(gradients[LEARNED]), np.shape(ideal), dtype)
            bound = reference.tolerance(dtype, counts(case.spec, plan)[LEARNED] + 1, magnitude)
            flat, expected = np.atleast_1d(gradients[LEARNED]), np.atleast_1d(ideal)
            within(case, f"the gradient to {LEARNED}", flat, expected, np.atleast_1d(TWO_COMPUTATIONS * bound))
