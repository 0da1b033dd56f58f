"""Checks of a backend: its layers equal the float64 reference in outputs and gradients, and return the weights written to them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.backend import Backend, LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.registry import current
from convpolicy.testing.adjoint import adjoint, counts, transposed_adjoint, transposed_counts
from convpolicy.testing.backend_cases import (
    CROPS,
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
from convpolicy.testing.chunks import sharding, streaming
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.ladder import RUNGS, Check, ConformanceError
from convpolicy.testing.learned import learned, learned_gradient
from convpolicy.testing.strangers import STRANGERS, strange_crop, stranger

Row: TypeAlias = "tuple[str, str, Callable[[], None]]"  # name of a check, its rung, and the check
MAX_EXAMPLES = 60  # layers per dtype, so that each rule and mode occurs a few times
FEWER, FEWEST = 10, 2  # checks that need few layers have so many times fewer, and at least so many per dtype
FUNCTIONS = {  # functions of a backend, with their arguments
    "build": ("request", "stream", "device"),
    "build_transposed": ("request", "stream", "device"),
    "run": ("layer", "data"),
    "parameters": ("layer",),
    "assign": ("layer", "values"),
    "gradients": ("layer", "data", "upstream"),
    "capture": ("layer",),
    "arrays": ("layer", "spec"),
}
OPTIONAL = ("build_transposed", "gradients", "capture", "arrays")
TRANSPOSED = "transposed-"  # start of the names of checks of transposed convolutions


def checks(backend: Backend, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a backend, lowest rung first; optional functions are checked if the backend has them."""
    few = max(max_examples // FEWER, FEWEST)
    rows: list[Row] = [
        ("names", "names", partial(_names, backend)),
        ("signatures", "signatures", partial(_signatures, backend)),
        *_of_layers(backend, max_examples, few, transposed=False),
        *((which, "values", partial(stranger, backend, which)) for which in STRANGERS),
    ]
    if backend.learns:
        rows.append(("learned", "values", partial(learned, backend)))
        if backend.gradients is not None:
            rows.append(("learned-gradient", "gradients", partial(learned_gradient, backend)))
    if backend.build_transposed is not None:
        rows += [
            (TRANSPOSED + name, rung, run) for name, rung, run in _of_layers(backend, max_examples // 2, few, transposed=True)
        ]
        rows.append((f"{TRANSPOSED}crop-rule", "values", partial(strange_crop, backend)))
    return [Check(backend, *row) for row in sorted(rows, key=lambda row: RUNGS.index(row[1]))]


def _of_layers(backend: Backend, count: int, few: int, *, transposed: bool) -> list[Row]:
    """Return the checks that convolutions and transposed convolutions have in common."""
    rows: list[Row] = [
        ("shapes", "shapes and dtypes", partial(_shapes, backend, transposed, few)),
        ("refusals", "shapes and dtypes", partial(_refusals, backend, transposed)),
        ("initial-weights", "values", partial(initial_weights, backend, transposed, few)),
        *((f"values-{dtype}", "values", partial(_values, backend, transposed, dtype, max(count, 1))) for dtype in backend.dtypes),
        ("strided-input", "values", partial(_strided_input, backend, transposed, few)),
        ("lengths", "values", partial(_lengths, backend, transposed, few)),
        ("assign", "values", partial(assign, backend, transposed, few)),
    ]
    if backend.capture is not None:
        rows.append(("capture", "values", partial(capture, backend, transposed, 2 * few)))
    if backend.arrays is not None:
        rows.append(("streaming", "values", partial(streaming, backend, transposed, 2 * few)))
        rows.append(("sharding", "values", partial(sharding, backend, transposed)))
    if backend.gradients is not None:
        rows += [
            (f"gradients-{dtype}", "gradients", partial(_gradients, backend, transposed, dtype, max(count // 4, 1)))
            for dtype in backend.dtypes
        ]
    return rows


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
    require(not layout.holds_data, f"layout must be a weight layout, got the data layout {backend.layout!r}.")
    require(not layout.transposed, f"layout must be a layout of convolutions, got that of transposed ones, {backend.layout!r}.")
    layout = current().get("layout", backend.transposed_layout)
    require(
        layout.transposed,
        f"transposed_layout must be a layout of transposed convolutions, got {backend.transposed_layout!r}.",
    )
    require(backend.is_installed(), f"its framework {backend.framework!r} is not installed; install it to check the backend.")


def _signatures(backend: Backend) -> None:
    for name, arguments in FUNCTIONS.items():
        function = getattr(backend, name)
        if function is not None or name not in OPTIONAL:
            check_signature(name, function, arguments)


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _shapes(backend: Backend, transposed: bool, count: int) -> None:
    batches = (2, 1) if "no-empty-batch" in backend.declares else (2, 1, 0)
    for number, (one, dtype) in enumerate(each_dtype(backend, count, transposed=transposed)):
        case = one._replace(batch=2)
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            parameters = backend.parameters(layer)
            require(
                set(parameters) == {"weight", "bias"},
                f"parameters must return weight and bias, got {sorted(parameters)}, for {case}.",
            )
            for role, value in values.items():
                if value is None:
                    require(parameters[role] is None, f"parameters must return no {role} for a layer without one, for {case}.")
                else:
                    check_array(case, f"its {role}", parameters[role], value.shape, dtype)
            plan = case.plan()
            assert plan is not None
            original = data.copy()
            whole = backend.run(layer, data)
            require(bool((data == original).all()), f"run must not write into the caller's array, for {case}.")
        for batch in batches:
            batched = case._replace(batch=batch)
            with trying(batched, backend, dtype):
                output = whole if batch == 2 else backend.run(layer, data[:batch].copy())
                check_array(batched, f"the output for a batch of {batch}", output, (batch, OUT, plan.length_out), dtype)


def _is_frameworks_own(backend: Backend, error: Exception) -> bool:
    """Return whether an error was raised by the framework, not by the plugin."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_by = str(frames[-1][0].f_globals.get("__name__")).partition(".")[0]
    return backend.framework != "numpy" and raised_by not in ("convpolicy", "numpy", backend.build.__module__.partition(".")[0])


def _refusals(backend: Backend, transposed: bool) -> None:
    """Invalid input raises a `ConvPolicyError`, or an error of the framework itself."""
    spec = ConvSpec(IN, OUT, 3, 1, 1, 1, transposed)
    zeros = Choice("zeros")
    refused = {
        "an input shorter than the kernel": (Case(spec, True, Choice("valid"), zeros, 2, POLICY), IN),
        "a pad wider than the mode reaches": (Case(spec, True, Choice("explicit", left=4, right=4), Choice("reflect"), 3, POLICY), IN),
        "other channels": (Case(spec, True, Choice("explicit", left=2, right=1), Choice("constant", value=1.5), 9, POLICY), IN + 1),
    }  # fmt: skip
    if transposed:
        refused = {
            "an input of which nothing is left": (Case(spec, True, Choice("explicit", left=2, right=3), zeros, 3, POLICY), IN),
            "other channels": (Case(spec, True, Choice("explicit", left=-2, right=1), zeros, 9, POLICY), IN + 1),
        }
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
        else:  # a framework's own layer may return an empty output instead of raising
            require(not np.size(output), f"{what} must be refused, got an output of shape {np.shape(output)}, for {case}.")
    request = LayerRequest(spec, case.policy(), dtype)
    _must_raise("a dtype that it does not have", partial(backend.check_dtype, "complex64"), ConvPolicyError)
    _must_raise("a device that does not exist", partial(backend.layer, request, None, "no-such-device"), Exception)


def _must_raise(what: str, call: Any, kind: type[Exception]) -> None:
    try:
        call()
    except kind:
        return
    raise ConformanceError(f"{what} must be refused, but is accepted.")


# -- values ---------------------------------------------------------------------------------------------------------------


def _values(backend: Backend, transposed: bool, dtype: str, count: int) -> None:
    for number, case in enumerate(sample(count, dtype, transposed=transposed)):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            judge(case, values, data, backend.run(build(backend, case, values, dtype), data), dtype)


def _strided_input(backend: Backend, transposed: bool, count: int) -> None:
    """An array that is not contiguous in memory, or is reversed, is read correctly."""
    for number, (case, dtype) in enumerate(each_dtype(backend, count, transposed=transposed)):
        with trying(case, backend, dtype):
            values, data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            for strided in (data.transpose(2, 1, 0).copy().transpose(2, 1, 0), data[..., ::-1].copy()[..., ::-1]):
                judge(case, values, strided, backend.run(layer, strided), dtype)


def _lengths(backend: Backend, transposed: bool, count: int) -> None:
    """One layer accepts inputs of several lengths and pads each one correctly."""
    dtype = backend.dtypes[0]
    rules = [rule for rule in (CROPS if transposed else RULES) if rule.name in ("same_upper", "same_lower", "causal")]
    for number, case in enumerate(sample(count, "lengths", rules, transposed=transposed)):
        with trying(case, backend, dtype):
            values, _data = arrays(number, case, dtype)
            layer = build(backend, case, values, dtype)
            for length in (case.length, case.length + 1, case.length + 2, case.length):
                resized = case._replace(length=length)
                _values, data = arrays(length, resized, dtype)
                judge(resized, values, data, backend.run(layer, data), dtype)


# -- gradients ------------------------------------------------------------------------------------------------------------


def _gradients(backend: Backend, transposed: bool, dtype: str, count: int) -> None:
    """The gradients with respect to input, weight and bias equal the float64 reference, for every padding."""
    assert backend.gradients is not None
    for number, any_case in enumerate(sample(count, f"gradients {dtype}", transposed=transposed)):
        case = any_case._replace(bias=any_case.bias or number == 0, batch=2)  # at least one layer has a bias
        with trying(case, backend, dtype):
            plan = case.plan()
            assert plan is not None
            values, data = arrays(number, case, dtype)
            draw = np.random.default_rng([7, number])
            upstream = rounded(draw.standard_normal((2, OUT, plan.length_out)), dtype)
            gradients: Any = backend.gradients(build(backend, case, values, dtype), data, upstream)
            weight = values["weight"]
            assert weight is not None
            ideal, magnitude = (
                (transposed_adjoint if transposed else adjoint)(case.spec, plan, weight, data, upstream, absolute=absolute)
                for absolute in (False, True)
            )
            terms = (transposed_counts if transposed else counts)(case.spec, plan)
            for role in ("input", "weight", "bias"):
                if role == "bias" and not case.bias:
                    require(
                        gradients["bias"] is None, f"the gradient to the bias of a layer without one must be None, for {case}."
                    )
                    continue
                check_array(case, f"the gradient to the {role}", gradients[role], ideal[role].shape, dtype)
                bound = reference.tolerance(dtype, terms[role] + 1, magnitude[role])
                within(case, f"the gradient to the {role}", gradients[role], ideal[role], TWO_COMPUTATIONS * bound)
