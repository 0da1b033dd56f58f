"""A learned constant: one more parameter of a layer, which starts from the policy's value and has a gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.core.plan import ConvSpec
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


def _is_value(found: Any, wanted: Any, dtype: str) -> bool:
    return np.array_equal(np.asarray(found), np.asarray(wanted).astype(numpy_dtype(dtype)))


def learned(backend: Backend) -> None:
    """It is among the parameters by its name, starts from the policy's value, can be written, and is what the layer pads with."""
    for number, case, dtype in _cases(backend):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            start = case.request(values, dtype).learned()
            assert start is not None
            found = backend.parameters(layer)
            require(
                set(found) == {"weight", "bias", LEARNED},
                f"parameters must also give {LEARNED!r}, got {sorted(found)}, for {case}.",
            )
            require(
                _is_value(found[LEARNED], start, dtype), f"{LEARNED} must start from {start}, got {found[LEARNED]}, for {case}."
            )
            for value in (start, rounded(start * -2.0 - 1.0, dtype)):
                backend.assign(layer, {LEARNED: value.astype(numpy_dtype(dtype))})
                found = backend.parameters(layer)
                require(
                    _is_value(found[LEARNED], value, dtype), f"assign must write {LEARNED}, got {found[LEARNED]}, for {case}."
                )
                plan = case.plan()
                assert plan is not None
                mode = ("reflect", "constant") if case.mode.name == "per_side" else "constant"
                words: dict[str, Any] = {"stride": case.spec.stride, "groups": case.spec.groups, "mode": mode, "value": value}
                ideal = reference.conv1d(data, values["weight"], values["bias"], left=plan.left, right=plan.right, **words)
                compare(case, backend.run(layer, data), ideal, dtype)
            if backend.capture is not None:
                taken = backend.capture(layer)
                require(taken is not None, f"capture must take its own layers apart, got None, for {case}.")
                again = case.request(values, dtype).__class__(taken.spec, taken.policy, dtype).learned()
                require(
                    again is not None and _is_value(again, value, dtype),
                    f"capture must keep the learned constant, {value}, got {again}, for {case}.",
                )


def learned_gradient(backend: Backend) -> None:
    """Its gradient is the float64 adjoint's: what comes back to each element that holds it, summed."""
    assert backend.gradients is not None
    for number, case, dtype in _cases(backend):
        with trying(case, backend, dtype):
            plan = case.plan()
            assert plan is not None
            values, data = arrays(number, case, dtype)
            draw = np.random.default_rng([11, number])
            upstream = rounded(draw.standard_normal((case.batch, OUT, plan.length_out)), dtype)
            found: Any = backend.gradients(build(backend, case, values, dtype), data, upstream)
            require(LEARNED in found, f"gradients must also give {LEARNED!r}, got {sorted(found)}, for {case}.")
            weight = values["weight"]
            assert weight is not None
            ideal, magnitude = (
                adjoint(case.spec, plan, weight, data, upstream, absolute=absolute)[LEARNED] for absolute in (False, True)
            )
            if np.ndim(found[LEARNED]) == 0:
                ideal, magnitude = ideal.sum(), magnitude.sum()
            check_array(case, f"the gradient to {LEARNED}", np.asarray(found[LEARNED]), np.shape(ideal), dtype)
            bound = reference.tolerance(dtype, counts(case.spec, plan)[LEARNED] + 1, magnitude)
            flat, wanted = np.atleast_1d(found[LEARNED]), np.atleast_1d(ideal)
            within(case, f"the gradient to {LEARNED}", flat, wanted, np.atleast_1d(TWO_COMPUTATIONS * bound))
