"""What a backend keeps: layers that are the float64 reference's, forward and backward, with weights that go in and come out."""

from __future__ import annotations

import traceback
from functools import partial
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.core.plan import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.registry import current
from convpolicy.testing.adjoint import adjoint, counts
from convpolicy.testing.backend_cases import (
    FEW,
    IN,
    OUT,
    POLICY,
    RULES,
    TWO_COMPUTATIONS,
    Case,
    arrays,
    build,
    check_array,
    each_dtype,
    judge,
    numpy_dtype,
    sample,
    trying,
    within,
)
from convpolicy.testing.backend_weights import assign, capture, initial_weights
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.testing.learned import learned, learned_gradient
from convpolicy.testing.strangers import STRANGERS, stranger

MAX_EXAMPLES = 60  # layers per dtype: each rule and mode a few times
FUNCTIONS = {  # what a backend calls with which arguments
    "build": ("request", "stream", "device"),
    "run": ("layer", "data"),
    "parameters": ("layer",),
    "assign": ("layer", "values"),
    "gradients": ("layer", "data", "upstream"),
    "capture": ("layer",),
}
OPTIONAL = ("gradients", "capture")


def checks(backend: Backend, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a backend, lowest rung first; those of functions that it does not have do not apply."""
    found = [
        ("names", "names", partial(_names, backend)),
        ("signatures", "signatures", partial(_signatures, backend)),
        ("shapes", "shapes and dtypes", partial(_shapes, backend)),
        ("refusals", "shapes and dtypes", partial(_refusals, backend)),
        ("initial-weights", "values", partial(initial_weights, backend)),
        *((f"values-{dtype}", "values", partial(_values, backend, dtype, max_examples)) for dtype in backend.dtypes),
        ("strided-input", "values", partial(_strided_input, backend)),
        ("lengths", "values", partial(_lengths, backend)),
        *((which, "values", partial(stranger, backend, which)) for which in STRANGERS),
        ("assign", "values", partial(assign, backend)),
    ]
    if backend.learns:
        found.append(("learned", "values", partial(learned, backend)))
    if backend.capture is not None:
        found.append(("capture", "values", partial(capture, backend)))
    if backend.gradients is not None:
        few = max(max_examples // 4, 1)
        if backend.learns:
            found.append(("learned-gradient", "gradients", partial(learned_gradient, backend)))
        found += [(f"gradients-{dtype}", "gradients", partial(_gradients, backend, dtype, few)) for dtype in backend.dtypes]
    return [Check(backend, *check) for check in found]


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(backend: Backend) -> None:
    check_names(backend)
    known = ", ".join(reference.UNIT_ROUNDOFF)
    require(
        isinstance(backend.dtypes, tuple) and bool(backend.dtypes), f"dtypes must be a tuple of names, got {backend.dtypes!r}."
    )
    for dtype in backend.dtypes:
        require(dtype in reference.UNIT_ROUNDOFF, f"dtypes must be of {known}, got {dtype!r}.")
        require(backend.dtypes.count(dtype) == 1, f"dtypes must name {dtype!r} once, got {backend.dtypes!r}.")
    layout: Layout = current().get("layout", backend.layout)
    require(not layout.holds_data, f"layout must name a layout of weights, got {backend.layout!r}, which is of data.")
    require(backend.is_installed(), f"its framework {backend.framework!r} is not installed here; install it to check it.")


def _signatures(backend: Backend) -> None:
    for name, arguments in FUNCTIONS.items():
        function = getattr(backend, name)
        if function is not None or name not in OPTIONAL:
            check_signature(name, function, arguments)


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _shapes(backend: Backend) -> None:
    batches = (2, 1) if "no-empty-batch" in backend.declares else (2, 1, 0)
    for number, (one, dtype) in enumerate(each_dtype(backend, FEW, "shapes")):
        case = one._replace(batch=2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            found = backend.parameters(layer)
            require(set(found) == {"weight", "bias"}, f"parameters must give weight and bias, got {sorted(found)}, for {case}.")
            for role, value in values.items():
                if value is None:
                    require(found[role] is None, f"parameters gives a {role} to a layer that has none, for {case}.")
                else:
                    check_array(case, f"its {role}", found[role], value.shape, dtype)
            plan = case.plan()
            assert plan is not None
            before = data.copy()
            whole = backend.run(layer, data)
            require(bool((data == before).all()), f"run writes into the caller's array, for {case}.")
        for batch in batches:
            now = case._replace(batch=batch)
            with trying(now, backend, dtype):
                output = whole if batch == 2 else backend.run(layer, data[:batch].copy())
                check_array(now, f"the output for a batch of {batch}", output, (batch, OUT, plan.length_out), dtype)


def _is_frameworks_own(backend: Backend, error: Exception) -> bool:
    """Return True for an error that the framework raised and not the plugin."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_by = str(frames[-1][0].f_globals.get("__name__")).partition(".")[0]
    return backend.framework != "numpy" and raised_by not in ("convpolicy", "numpy", backend.build.__module__.partition(".")[0])


def _refusals(backend: Backend) -> None:
    """What cannot be done is refused by a `ConvPolicyError`, or by the framework itself in its own way."""
    spec = ConvSpec(IN, OUT, 3, 1, 1, 1)
    refused = {
        "an input shorter than the kernel": (Case(spec, True, Choice("valid"), Choice("zeros"), 2, POLICY), IN),
        "a pad wider than the mode reaches": (Case(spec, True, Choice("explicit", left=4, right=4), Choice("reflect"), 3, POLICY), IN),
        "other channels": (Case(spec, True, Choice("explicit", left=2, right=1), Choice("constant", value=1.5), 9, POLICY), IN + 1),
    }  # fmt: skip
    dtype = backend.dtypes[0]
    for what, (case, channels) in refused.items():
        values, _data = arrays(0, case, dtype)
        layer = build(backend, case, values, dtype)
        data = np.ones((1, channels, case.length), numpy_dtype(dtype))
        try:
            output = backend.run(layer, data)
        except ConvPolicyError:
            continue
        except Exception as error:
            require(
                _is_frameworks_own(backend, error),
                f"{what} must be refused by a ConvPolicyError, got {type(error).__name__}: {error}, for {case}.",
            )
        else:  # a framework's own layer may give an empty output instead of refusing
            require(not np.size(output), f"{what} must be refused, got an output of shape {np.shape(output)}, for {case}.")
    request = LayerRequest(spec, case.policy(), dtype)
    _must_raise("a dtype that it does not have", partial(backend.check_dtype, "complex64"), ConvPolicyError)
    _must_raise("a device that does not exist", partial(backend.layer, request, None, "no-such-device"), Exception)


def _must_raise(what: str, call: Any, kind: type[Exception]) -> None:
    try:
        call()
    except kind:
        return
    raise ConformanceError(f"{what} must be refused, and is taken.")


# -- values ---------------------------------------------------------------------------------------------------------------


def _values(backend: Backend, dtype: str, count: int) -> None:
    for number, one in enumerate(sample(count, dtype)):
        case = one._replace(batch=1 + number % 2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            judge(case, values, data, backend.run(build(backend, case, values, dtype), data), dtype)


def _strided_input(backend: Backend) -> None:
    """An array that does not lie in memory row by row is read as its shape says."""
    for number, (one, dtype) in enumerate(each_dtype(backend, FEW, "strided")):
        case = one._replace(batch=2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            turned = data.transpose(2, 1, 0).copy().transpose(2, 1, 0)
            judge(case, values, turned, backend.run(build(backend, case, values, dtype), turned), dtype)


def _lengths(backend: Backend) -> None:
    """One layer takes inputs of several lengths, each with its own pads."""
    dtype = backend.dtypes[0]
    rules = [rule for rule in RULES if rule.name in ("same_upper", "same_lower", "causal")]
    for number, case in enumerate(sample(FEW, "lengths", rules)):
        with trying(case, backend, dtype):
            values, _data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            for length in (case.length, case.length + 1, case.length + 2, case.length):
                now = case._replace(length=length)
                _values, data = arrays(length, now, dtype)
                judge(now, values, data, backend.run(layer, data), dtype)


# -- gradients ------------------------------------------------------------------------------------------------------------


def _gradients(backend: Backend, dtype: str, count: int) -> None:
    """The gradients to input, weight and bias are the float64 adjoint's, through every padding."""
    assert backend.gradients is not None
    for number, any_case in enumerate(sample(count, f"gradients {dtype}")):
        case = any_case._replace(bias=any_case.bias or number == 0, batch=2)  # one has a bias, however few there are
        with trying(case, backend, dtype):
            plan = case.plan()
            assert plan is not None
            values, data = arrays(number, case, dtype)
            draw = np.random.default_rng([7, number])
            upstream = rounded(draw.standard_normal((2, OUT, plan.length_out)), dtype)
            found: Any = backend.gradients(build(backend, case, values, dtype), data, upstream)
            weight = values["weight"]
            assert weight is not None
            ideal = adjoint(case.spec, plan, weight, data, upstream)
            magnitude = adjoint(case.spec, plan, weight, data, upstream, absolute=True)
            terms = counts(case.spec, plan)
            for role in ("input", "weight", "bias"):
                if role == "bias" and not case.bias:
                    require(found["bias"] is None, f"the gradient to a bias that is not there must be None, for {case}.")
                    continue
                check_array(case, f"the gradient to the {role}", found[role], ideal[role].shape, dtype)
                bound = reference.tolerance(dtype, terms[role] + 1, magnitude[role])
                within(case, f"the gradient to the {role}", found[role], ideal[role], TWO_COMPUTATIONS * bound)
