"""What a backend keeps: layers that are the float64 reference's, forward and backward, with weights that go in and come out."""

from __future__ import annotations

import itertools
import os
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import numpy as np

from convpolicy import reference
from convpolicy.backends import Backend, LayerRequest
from convpolicy.errors import ConvPolicyError
from convpolicy.layouts import Layout
from convpolicy.padding import PaddingMode
from convpolicy.parts import Choice
from convpolicy.plan import ConvSpec
from convpolicy.random.float32 import rounded
from convpolicy.registry import current
from convpolicy.testing import common
from convpolicy.testing.adjoint import adjoint
from convpolicy.testing.backend_cases import (
    IN,
    OUT,
    RULES,
    TWO_COMPUTATIONS,
    Case,
    arrays,
    build,
    check_array,
    judge,
    numpy_dtype,
    sample,
    within,
)
from convpolicy.testing.common import offered, require
from convpolicy.testing.ladder import Check, ConformanceError, Report, climb

MAX_EXAMPLES = 60  # layers per dtype: each rule and mode a few times
FEW = 6  # layers where one of each kind is enough
FUNCTIONS = {  # what a backend calls with which arguments
    "build": ("request", "stream", "device"),
    "run": ("layer", "data"),
    "parameters": ("layer",),
    "assign": ("layer", "values"),
    "gradients": ("layer", "data", "upstream"),
    "capture": ("layer",),
}
OPTIONAL = ("gradients", "capture")


def check_backend(
    backend: Backend | str, *, max_examples: int = MAX_EXAMPLES, report: str | os.PathLike[str] | None = None
) -> Report:
    """Check a backend: names, signatures, shapes and dtypes, values against the float64 reference, gradients where it has them.

    Args:
        backend: a `Backend`, or the name of a registered one. Its framework is imported in this process.
        max_examples: layers built per dtype; fewer where every new shape is compiled. A quarter of it for gradients.
        report: JSON file to add the result to; None reads ``CONVPOLICY_CONFORMANCE_REPORT``.

    Returns:
        A printable `Report` in which every check passed.

    Raises:
        ConformanceError: a check failed; holds the part, the check and the smallest layer of those tried that shows it.
        UnknownNameError: no such backend.
    """
    part: Backend = current().get("backend", backend) if isinstance(backend, str) else backend
    return climb(part, checks(part, max_examples), report)


def checks(backend: Backend, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a backend, lowest rung first; those of functions that it does not have do not apply."""
    found = [
        ("names", "names", partial(_names, backend)),
        ("signatures", "signatures", partial(_signatures, backend)),
        ("shapes", "shapes and dtypes", partial(_shapes, backend)),
        ("refusals", "shapes and dtypes", partial(_refusals, backend)),
        ("initial-weights", "values", partial(_initial_weights, backend)),
        *((f"values-{dtype}", "values", partial(_values, backend, dtype, max_examples)) for dtype in backend.dtypes),
        ("lengths", "values", partial(_lengths, backend)),
        ("index-map", "values", partial(_index_map, backend)),
        ("assign", "values", partial(_assign, backend)),
    ]
    if backend.capture is not None:
        found.append(("capture", "values", partial(_capture, backend)))
    if backend.gradients is not None:
        few = max(max_examples // 4, 1)
        found += [(f"gradients-{dtype}", "gradients", partial(_gradients, backend, dtype, few)) for dtype in backend.dtypes]
    return [Check(backend, *check) for check in found]


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(backend: Backend) -> None:
    common.check_names(backend)
    known = ", ".join(reference.UNIT_ROUNDOFF)
    require(
        isinstance(backend.dtypes, tuple) and bool(backend.dtypes), f"dtypes must be a tuple of names, got {backend.dtypes!r}."
    )
    for dtype in backend.dtypes:
        require(dtype in reference.UNIT_ROUNDOFF, f"dtypes must be of {known}, got {dtype!r}.")
        require(backend.check_dtype(numpy_dtype(dtype) if dtype != "bfloat16" else dtype) == dtype, f"{dtype!r} is not taken.")
    layout: Layout = current().get("layout", backend.layout)
    require(not layout.holds_data, f"layout must name a layout of weights, got {backend.layout!r}, which is of data.")
    require(backend.is_installed(), f"its framework {backend.framework!r} is not installed here; install it to check it.")


def _signatures(backend: Backend) -> None:
    for name, arguments in FUNCTIONS.items():
        function = getattr(backend, name)
        if function is not None or name not in OPTIONAL:
            common.check_signature(name, function, arguments)


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _each_dtype(backend: Backend, count: int, seed: str) -> list[tuple[Case, str]]:
    cases = sample(count, seed)
    return [(case, dtype) for case, dtype in zip(cases, itertools.cycle(backend.dtypes))] if cases else []


def _shapes(backend: Backend) -> None:
    for number, (case, dtype) in enumerate(_each_dtype(backend, FEW * len(backend.dtypes), "shapes")):
        values, data = arrays(number, case, dtype, batch=2)
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
        for batch in (2, 1, 0):
            output = whole if batch == 2 else backend.run(layer, data[:batch].copy())
            check_array(case, f"the output for a batch of {batch}", output, (batch, OUT, plan.length_out), dtype)
        turned = data.transpose(2, 1, 0).copy().transpose(2, 1, 0)  # the same numbers, strided otherwise
        judge(case, values, turned, backend.run(layer, turned), dtype)


def _is_frameworks_own(backend: Backend, error: Exception) -> bool:
    """Return True for an error that the framework raised and not the plugin."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_by = str(frames[-1][0].f_globals.get("__name__")).partition(".")[0]
    return backend.framework != "numpy" and raised_by not in ("convpolicy", backend.build.__module__.partition(".")[0])


def _refusals(backend: Backend) -> None:
    """What cannot be done is refused by a `ConvPolicyError`, or by the framework itself in its own way."""
    spec = ConvSpec(IN, OUT, 3, 1, 1, 1)
    refused = {
        "an input shorter than the kernel": (Case(spec, True, Choice("valid"), Choice("zeros"), 2, "torch"), IN),
        "a pad wider than the mode reaches": (Case(spec, True, Choice("explicit", left=4, right=4), Choice("reflect"), 3, "torch"), IN),
        "other channels": (Case(spec, True, Choice("explicit", left=2, right=1), Choice("constant", value=1.5), 9, "torch"), IN + 1),
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
        else:  # Paddle's own layer gives no output in place of refusing
            require(not np.size(output), f"{what} must be refused, got an output of shape {np.shape(output)}, for {case}.")
    for argument, call in {
        "a dtype that it does not have": lambda: backend.check_dtype("complex64"),
        "a device that does not exist": lambda: backend.layer(LayerRequest(spec, case.policy(), dtype), None, "no-such-device"),
    }.items():
        try:
            call()
        except Exception as error:
            require(
                argument.startswith("a device") or isinstance(error, ConvPolicyError),
                f"{argument} must be refused by a ConvPolicyError, got {type(error).__name__}: {error}.",
            )
        else:
            raise ConformanceError(f"{argument} must be refused, and is taken.")


# -- values ---------------------------------------------------------------------------------------------------------------


def _same_bits(found: Any, wanted: Any) -> bool:
    return found is None if wanted is None else found is not None and np.asarray(found).tobytes() == wanted.tobytes()


def _initial_weights(backend: Backend) -> None:
    """With a stream the weights are the policy's, to the bit, again and again; another seed gives others."""
    for case, dtype in _each_dtype(backend, FEW * len(backend.dtypes), "initial"):
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


def _values(backend: Backend, dtype: str, count: int, cases: Callable[[int, str], list[Case]] = sample) -> None:
    for number, case in enumerate(cases(count, dtype)):
        values, data = arrays(number, case, dtype)
        judge(case, values, data, backend.run(build(backend, case, values, dtype), data), dtype)


def _lengths(backend: Backend) -> None:
    """One layer takes inputs of several lengths, each with its own pads."""
    dtype = backend.dtypes[0]
    rules = [rule for rule in RULES if rule.name in ("same_upper", "same_lower", "causal")]
    for number, case in enumerate(sample(FEW, "lengths", rules)):
        spec = attrs.evolve(case.spec, stride=2)
        for first in (case._replace(spec=spec),):
            if first.plan() is None:
                continue
            values, _data = arrays(number, first, dtype)
            layer = build(backend, first, values, dtype)
            for length in (first.length, first.length + 1, first.length + 2, first.length):
                now = first._replace(length=length)
                if now.plan() is not None:
                    _values, data = arrays(length, now, dtype)
                    judge(now, values, data, backend.run(layer, data), dtype)


def _every_other(positions: Any, length: int) -> Any:
    """Every other sample, and the constant in between."""
    return np.where(positions % 2, -1, np.clip(positions // 2 * 2, 0, length - 1))


def _index_map(backend: Backend) -> None:
    """A mode of a stranger, of which nothing is known but its index map."""
    with offered(PaddingMode("index-map", _every_other)) as name:
        for number, length in enumerate((1, 2, 5, 8)):
            spec = ConvSpec(IN, OUT, 3, 2, 1, 2)
            case = Case(spec, True, Choice("explicit", left=3, right=2), Choice(name), length, "torch")
            plan = case.plan()
            assert plan is not None
            for dtype in backend.dtypes[:1]:
                values, data = arrays(number, case, dtype)
                sources = [*plan.left_sources, *range(length), *plan.right_sources]
                padded = np.where(np.array(sources) < 0, 0, data[..., sources])
                ideal = reference.conv1d(padded, values["weight"], values["bias"], stride=2, groups=2)
                output = backend.run(build(backend, case, values, dtype), data)
                check_array(case, "the output", output, ideal.output.shape, dtype)
                bound = TWO_COMPUTATIONS * reference.tolerance(dtype, ideal.terms, ideal.magnitude)
                within(case, "the output", output, ideal.output, bound)


def _assign(backend: Backend) -> None:
    """Weights written into a layer are read back to the bit, and are what it computes with from then on."""
    for number, (case, dtype) in enumerate(_each_dtype(backend, FEW * len(backend.dtypes), "assign")):
        first, data = arrays([number, 1], case, dtype)
        second, _data = arrays([number, 2], case, dtype)
        layer = build(backend, case, first, dtype)
        backend.run(layer, data)
        backend.assign(layer, second)
        found = backend.parameters(layer)
        for role, value in second.items():
            require(_same_bits(found[role], value), f"parameters must give the {role} that assign wrote, to the bit, for {case}.")
        judge(case, second, data, backend.run(layer, data), dtype)


def _capture(backend: Backend) -> None:
    """A layer of its own, taken apart, is the sizes, pads and weights that it was built with."""
    assert backend.capture is not None
    require(backend.capture(object()) is None, "capture must give None for what is no layer of its framework.")
    for number, (case, dtype) in enumerate(_each_dtype(backend, 2 * FEW * len(backend.dtypes), "capture")):
        values, data = arrays(number, case, dtype)
        layer = build(backend, case, values, dtype)
        found = backend.capture(layer)
        require(found is not None, f"capture must take its own layers apart, got None, for {case}.")
        require(found.spec == case.spec, f"capture must give the sizes {case.spec}, got {found.spec}, for {case}.")
        require(found.dtype == dtype, f"capture must give dtype {dtype}, got {found.dtype!r}, for {case}.")
        for role, value in values.items():
            require(_same_bits(getattr(found, role), value), f"capture must give the layer's {role}, to the bit, for {case}.")
        again = build(backend, case, values, dtype)
        backend.assign(again, {"weight": found.weight, "bias": found.bias})
        request = LayerRequest(found.spec, found.policy.evolve(weight_init="zeros", bias_init="zeros"), dtype, case.execution)
        rebuilt = backend.layer(request, None, None)
        backend.assign(rebuilt, {"weight": found.weight, "bias": found.bias})
        judge(case, values, data, backend.run(rebuilt, data), dtype)


# -- gradients ------------------------------------------------------------------------------------------------------------


def _gradients(backend: Backend, dtype: str, count: int) -> None:
    """The gradients to input, weight and bias are the float64 adjoint's, through every padding."""
    assert backend.gradients is not None
    for number, case in enumerate(sample(count, f"gradients {dtype}")):
        plan = case.plan()
        assert plan is not None
        values, data = arrays(number, case, dtype, batch=2)
        draw = np.random.default_rng([7, number])
        upstream = rounded(draw.standard_normal((2, OUT, plan.length_out)), dtype)
        found = backend.gradients(build(backend, case, values, dtype), data, upstream)
        weight = values["weight"]
        assert weight is not None
        ideal = adjoint(case.spec, plan, weight, data, upstream, plan.value)
        magnitude = adjoint(case.spec, plan, *(np.abs(a) for a in (weight, data, upstream)), value=abs(plan.value))
        terms = adjoint(case.spec, plan, *(np.ones(a.shape) for a in (weight, data, upstream)), value=1.0)
        for role in ("input", "weight", "bias"):
            if role == "bias" and not case.bias:
                require(found["bias"] is None, f"the gradient to a bias that is not there must be None, for {case}.")
                continue
            check_array(case, f"the gradient to the {role}", found[role], ideal[role].shape, dtype)
            bound = reference.tolerance(dtype, int(terms[role].max()) + 1, magnitude[role])
            within(case, f"the gradient to the {role}", found[role], ideal[role], TWO_COMPUTATIONS * bound)
